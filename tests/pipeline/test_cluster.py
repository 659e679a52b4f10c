"""Clusters of several nodes: how many workers there are, that parts are spread over them, and what happens without."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from octoproof.pipeline import cluster as module
from octoproof.pipeline.cluster import MAX_WORKERS, Plan, cluster, plan
from octoproof.pipeline.jobs import VERIFIED
from octoproof.pipeline.runner import Runner
from octoproof.pipeline.store import Store
from octoproof.vectors.errors import VectorError

GB = 10**9
RUNNER = [sys.executable, "-m", "octoproof.pipeline.runner"]


def node(cores: float, memory: float) -> dict[str, float]:
    return {"CPU": cores, "memory": memory * GB, "object_store_memory": 1e9}


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        # One machine: a worker a core, as memory allows; fewer workers have more threads, and all memory is dealt.
        ([node(2, 16)], None, (2, 1, 8)),
        ([node(1, 16)], None, (1, 1, 16)),
        ([node(8, 16)], 2, (2, 4, 8)),
        ([node(8, 16)], 3, (3, 2, 16 / 3)),
        ([node(8, 16)], 1, (1, 8, 16)),
        ([node(8, 4)], None, (3, 2, 4 / 3)),
        ([node(64, 512)], None, (MAX_WORKERS, 4, 32)),
        ([node(64, 512)], 32, (32, 2, 16)),
        # No more than there are cores: the others would never start.
        ([node(2, 16)], 9, (2, 1, 8)),
        # Several: a worker is on one machine, and fits where it is put.
        ([node(1, 4)] * 3, None, (3, 1, 4)),
        ([node(1, 4)] * 3, 1, (1, 1, 4)),
        ([node(4, 4)] * 3, 3, (3, 4, 4)),
        ([node(4, 16), node(2, 4)], None, (6, 1, 2)),
        ([node(4, 16), node(2, 4)], 2, (2, 2, 8)),
        ([node(0, 64), node(2, 8)], None, (2, 1, 4)),
        ([{"memory": 64 * GB}, node(2, 8)], None, (2, 1, 4)),
        ([node(8, 0.5), node(1, 4)], None, (1, 1, 4)),
        ([node(1.5, 4)], None, (1, 1, 4)),
    ],
)
def test_plans(nodes, workers, expected):
    made = plan(nodes, workers)
    assert (made.workers, made.threads) == expected[:2]
    assert made.bytes_each == pytest.approx(expected[2] * GB, abs=1)
    assert made.workers <= sum(
        min(int(one.get("CPU", 0)) // made.threads, int(one["memory"]) // made.bytes_each) for one in nodes
    )


@pytest.mark.parametrize("nodes", [[], [node(2, 0.9)], [node(0, 64)], [{}], [node(0.5, 64)], [node(0, 64), node(8, 1)]])
def test_no_room_for_a_worker(nodes):
    with pytest.raises(VectorError, match=r"memory: [\d.]+ GB are free where cores are, a worker needs 1.1 GB"):
        plan(nodes, None)


@pytest.mark.parametrize("workers", [0, -1])
def test_no_worker_is_wanted(workers):
    with pytest.raises(VectorError, match=f"workers: {workers}; at least one is needed"):
        plan([node(2, 16)], workers)


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(VectorError, match=r"ray: not installed; install octoproof\[cluster\]"), cluster(None):
        pass


def test_half_of_the_memory_is_for_segments():
    assert Plan(2, 1, 4 * GB).proof_bytes == 2 * GB


# Addresses


@pytest.mark.parametrize(
    "address", ["", "host", "host:", ":1", "host:x", "host:0", "host:65536", "ray://host:1", "host:²"]
)
def test_what_is_no_address(address):
    with pytest.raises(VectorError, match="is not HOST:PORT of a Ray cluster, or auto"), cluster(address):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "no.such.host.invalid:6379"])
def test_an_address_where_nobody_answers(address):
    started = time.monotonic()
    with pytest.raises(VectorError, match=r"address: no Ray cluster answers at .*:\d+: "), cluster(address):
        pass
    assert time.monotonic() - started < module.CONNECT_S + 5


def test_a_wrong_address_is_one_line(tmp_path):
    done = subprocess.run(
        [*RUNNER, str(tmp_path / "store"), "--address", "127.0.0.1:1"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "runner: address: no Ray cluster answers at 127.0.0.1:1: Connection refused\n"


@pytest.mark.slow
def test_an_address_where_something_else_answers(tmp_path):
    """Ray itself ends the process then; no job is touched."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = subprocess.run(
            [*RUNNER, str(tmp_path / "store"), "--address", address], capture_output=True, timeout=120
        )
    assert done.returncode != 0


# Three nodes on this machine


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A Ray cluster of three nodes with one core each."""
    from ray.cluster_utils import Cluster

    made = Cluster()
    try:
        for _ in range(3):
            made.add_node(num_cpus=1, memory=3 * GB, object_store_memory=100 << 20, include_dashboard=False)
        yield made
    finally:
        made.shutdown()


def test_a_runner_joins_a_cluster(nodes, tmp_path, every_mode, expected):
    """In every mode, with --drain, which ends when there is nothing left to do."""
    with Store(tmp_path / "store") as store:
        ids = {name: store.submit(request)[0].id for name, request in every_mode.items()}
        command = [*RUNNER, str(store.folder), "--address", nodes.address, "--drain"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("3 workers with 1 threads and 3.0 GB each\n")
        for name, request in every_mode.items():
            job = store.job(ids[name])
            assert job.state == VERIFIED, name
            assert store.artefacts.get(job.receipt) == expected(request), name
            assert f"job {job.id} verified" in done.stdout
        assert store.runners() == []


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_parts_are_spread_and_a_node_may_go(nodes, store, asking, expected, wait_until: Callable[..., None]):
    """Every node has a worker that proves; when one goes, the others do what is left."""
    requests = [asking(number) for number in range(40)]
    with cluster(nodes.address) as pool, store.runner() as name:
        done = dict[int, int]()
        real = pool.call

        def counted(index: int, method: str, *arguments: Any) -> Any:
            done[index] = done.get(index, 0) + (method == "prove")
            return real(index, method, *arguments)

        pool.call = counted
        pids = [pool.result(pool.start(index))["pid"] for index in range(pool.plan.workers)]
        raylets = {parent(pid) for pid in pids}
        assert len(raylets) == 3
        runner = Runner(store, name, pool, lambda _: None)
        thread = Thread(target=submit_all, args=(store.folder, requests))
        thread.start()
        lost = next(one for one in nodes.worker_nodes if one.all_processes["raylet"][0].process.pid in raylets)
        gone = Thread(target=remove, args=(nodes, lost, store.folder, wait_until))
        gone.start()
        try:
            while store.counts()[VERIFIED] < len(requests):
                runner.run(drain=True)
        finally:
            thread.join()
            gone.join()
    assert set(done) == {0, 1, 2}
    assert min(done.values()) > 3
    for request in requests:
        job = store.job(request.key)
        assert store.artefacts.get(job.receipt) == expected(request)


def submit_all(folder: Path, requests: list[Any]) -> None:
    with Store(folder) as own:
        for request in requests:
            own.submit(request)


def remove(nodes: Any, node: Any, folder: Path, wait_until: Callable[..., None]) -> None:
    """The node, when a part of the work is done."""
    with Store(folder) as own:
        wait_until(lambda: own.counts()[VERIFIED] > 5)
    nodes.remove_node(node, allow_graceful=False)
