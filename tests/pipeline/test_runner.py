"""The runner: from jobs to verified receipts, the same as one process proves; who does what; and what is given up.

Workers are in this process but for the last test, so that they can be made to fail where a test wants it.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octoproof.pipeline import runner as module
from octoproof.pipeline import store as store_module
from octoproof.pipeline.artefacts import Artefacts
from octoproof.pipeline.cluster import ClusterError, Plan, WorkerDiedError
from octoproof.pipeline.jobs import CANCELLED, FAILED, MAX_ATTEMPTS, QUEUED, VERIFIED, Job, Priority
from octoproof.pipeline.prover_actor import ProverActor
from octoproof.pipeline.request import Request
from octoproof.pipeline.runner import MAX_DEATHS, Runner, Task
from octoproof.pipeline.store import Store
from octoproof.vectors.snapshot import Snapshot
from verifier.errors import VerificationError

MODES: dict[str, dict[str, Any]] = {
    "strict": {},
    "filtered": {"where": {"label": "noun"}},
    "inner product": {"metric": "ip"},
    "fast": {"mode": "fast"},
    "candidates": {"mode": "candidates", "candidates": 20},
}
IN_CELLS: dict[str, dict[str, Any]] = {"ivf": {"mode": "ivf", "probes": 2}, "fast in cells": {"mode": "fast"}}


@pytest.fixture(autouse=True)
def instant(monkeypatch) -> None:
    """Nobody has to wait for another try, or for a heartbeat."""
    monkeypatch.setattr(store_module, "back_off", lambda attempts: 0.0)
    monkeypatch.setattr(module, "BEAT_S", 0.0)


@pytest.fixture
def make(store, pool) -> Callable[..., Runner]:
    """make() is a runner with workers in this process; what it tells is in `told`."""

    def runner(name: str = "me") -> Runner:
        told = list[str]()
        made = Runner(store, name, pool, told.append)
        made.told = told  # type: ignore[attr-defined]
        return made

    return runner


@pytest.fixture
def drain(make) -> Callable[[], Runner]:
    """drain() does all jobs of the store, as a runner that is alive."""

    def run() -> Runner:
        runner = make()
        with runner.store.runner() as runner.name:
            runner.run(drain=True)
        return runner

    return run


def raise_(error: BaseException) -> Any:
    raise error


def receipt_of(store: Store, id: str) -> bytes:
    job = store.job(id)
    assert (job.state, job.reason) == (VERIFIED, None)
    return store.artefacts.get(job.receipt)


# Receipts


@pytest.mark.parametrize("name", MODES | IN_CELLS)
def test_the_bytes_are_those_of_one_process(store, drain, asking, expected, snapshot, celled, name):
    request = asking(5, of=celled, **IN_CELLS[name]) if name in IN_CELLS else asking(5, **MODES[name])
    id = store.submit(request)[0].id
    drain()
    assert receipt_of(store, id) == expected(request)


def test_many_jobs_are_each_done_once(store, drain, pool, asking, expected):
    ids = {store.submit(asking(number))[0].id: asking(number) for number in range(12)}
    runner = drain()
    assert all(receipt_of(store, id) == expected(request) for id, request in ids.items())
    assert (pool.done("prove"), pool.done("assemble")) == (3 * 12, 12)
    assert {job.attempts for job in store.jobs()} == {1}
    assert len([text for text in runner.told if "verified" in text]) == 12
    assert not (runner.works or runner.tasks)


def test_nothing_is_released_unverified(store, drain, pool, asking, monkeypatch):
    """A worker's parts are another query's: the whole receipt is refused, proven anew, and at last given up."""
    other = list[bytes]()
    real = ProverActor.prove

    def wrong(self: ProverActor, request: Request, words: Any) -> bytes:
        other.append(real(self, request, words))
        return other[0]

    monkeypatch.setattr(ProverActor, "prove", wrong)
    id = store.submit(asking())[0].id
    drain()
    job = store.job(id)
    assert (job.state, job.receipt, job.attempts) == (FAILED, None, MAX_ATTEMPTS)
    assert job.reason.startswith("its parts are proven anew: ")
    assert pool.done("prove") == 3 * MAX_ATTEMPTS
    monkeypatch.setattr(ProverActor, "prove", real)
    store.submit(asking())
    drain()
    receipt_of(store, id)


@pytest.mark.parametrize("mode", ["strict", "fast"])
def test_what_verification_refuses_is_not_released(store, drain, asking, monkeypatch, mode):
    for place in (module, sys.modules[ProverActor.__module__]):
        monkeypatch.setattr(place, "QueryReceipt", lambda _: raise_(VerificationError("forged")))
    id = store.submit(asking(mode=mode))[0].id
    drain()
    assert (store.job(id).state, store.job(id).receipt) == (FAILED, None)
    assert "forged" in store.job(id).reason


def test_parts_of_a_runner_that_was_killed_are_used(store, drain, pool, asking, expected):
    id = store.submit(asking())[0].id
    store.take("dead")
    store.proving(id, "dead", 3)
    actor = ProverActor(1, 1 << 30)
    runner = Runner(store, "dead", pool, lambda _: None)
    runner._begin(store.job(id))
    known = {task.number: actor.prove(*task.arguments) for task in runner.tasks[1:]}
    for number, data in known.items():
        store.proven(id, "dead", number, data)
    drain()
    assert receipt_of(store, id) == expected(asking())
    assert pool.done("prove") == 1


def test_all_parts_there_already(store, drain, pool, asking, expected):
    """The runner died between the last part and the receipt."""
    id = store.submit(asking())[0].id
    pool.before = lambda index, method, _: raise_(KeyboardInterrupt()) if method == "assemble" else None
    with pytest.raises(KeyboardInterrupt):
        drain()
    pool.before, pool.calls = (lambda *_: None), []
    drain()
    assert receipt_of(store, id) == expected(asking())
    assert (pool.done("prove"), pool.done("assemble")) == (0, 1)


# What is refused, and what is tried again


def failed(store: Store, pool: Any, id: str) -> str:
    """The reason of a job that failed at the first try."""
    job = store.job(id)
    assert (job.state, job.attempts, job.receipt) == (FAILED, 1, None)
    return str(job.reason)


def test_a_snapshot_of_another_root(store, drain, pool, asking):
    id = store.submit(replace(asking(), root="ab" * 32))[0].id
    drain()
    assert "has another root than was asked" in failed(store, pool, id)
    assert pool.done("prove") == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"k": 0}, "k: 0 is outside"),
        ({"mode": "magic"}, "mode: 'magic'"),
        ({"metric": "cosine"}, "metric: cosine needs"),
        ({"query": (1, 2)}, "query"),
        ({"where": (("colour", "red"),)}, "colour"),
        ({"preset": "standard"}, "was not committed for it"),
        ({"preset": "none"}, "preset: 'none'"),
        ({"version": 7}, "no version 7"),
    ],
)
def test_a_question_that_cannot_be_asked_is_not_tried_again(store, drain, pool, asking, change, reason):
    id = store.submit(replace(asking(), **change))[0].id
    drain()
    assert reason in failed(store, pool, id)


@pytest.mark.parametrize("name", ["columns.npy", "norms.npy", "ids.npy", "live.npy"])
def test_a_damaged_segment_fails_its_jobs_at_once(store, drain, pool, asking, snapshot, tmp_path, name):
    shutil.copytree(snapshot.folder, tmp_path / "damaged")
    segment = snapshot.segments[1]
    path = tmp_path / "damaged" / "segments" / segment.folder.name / name
    array = np.load(path)
    flat = array.reshape(-1)
    flat[:] = flat[::-1].copy() if name != "live.npy" else ~flat
    np.save(path, array)
    id = store.submit(asking(44, of=Snapshot.open(tmp_path / "damaged")))[0].id
    drain()
    assert failed(store, pool, id)
    good = store.submit(asking(of=snapshot))[
        0
    ].id  # another place, the same root: the same job, if it is the same query
    drain()
    receipt_of(store, good)


def test_a_snapshot_that_is_not_there_is_waited_for(store, drain, asking, snapshot, tmp_path, expected, monkeypatch):
    shutil.copytree(snapshot.folder, tmp_path / "away")
    request = asking(of=Snapshot.open(tmp_path / "away"))
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    waits = list[int]()

    def back(attempts: int) -> float:
        waits.append(attempts)
        if attempts == 3:
            (tmp_path / "elsewhere").rename(tmp_path / "away")
        return 0.0

    monkeypatch.setattr(store_module, "back_off", back)
    id = store.submit(request)[0].id
    drain()
    assert waits == [1, 2, 3]
    assert receipt_of(store, id) == expected(asking())


def test_memory_is_refused_with_both_figures_before_anything_is_proven(store, drain, pool, asking):
    pool.plan = Plan(2, 1, 400 << 20)
    id = store.submit(asking())[0].id
    drain()
    reason = failed(store, pool, id)
    assert reason.startswith("memory: segment 0 needs about 0.3 GB to be proven, a worker has 0.2 GB; use smaller")
    assert pool.done("prove") == 0


@pytest.mark.parametrize("put", range(4))
def test_a_full_disk_is_tried_again(store, drain, asking, expected, monkeypatch, put):
    """Whichever of the three parts and the receipt it is that cannot be written."""
    real, count = Artefacts.put, [0]

    def sometimes(self: Artefacts, data: bytes) -> str:
        count[0] += 1
        return raise_(OSError(errno.ENOSPC, "No space left")) if count[0] == put + 1 else real(self, data)

    monkeypatch.setattr(Artefacts, "put", sometimes)
    id = store.submit(asking())[0].id
    runner = drain()
    assert f"job {id} failed: [Errno 28] No space left" in runner.told
    assert store.job(id).attempts == 2
    assert receipt_of(store, id) == expected(asking())


def test_a_disk_that_stays_full_fails_the_job(store, drain, asking, monkeypatch):
    monkeypatch.setattr(Artefacts, "put", lambda *_: raise_(OSError(errno.ENOSPC, "No space left")))
    id = store.submit(asking())[0].id
    drain()
    assert (store.job(id).attempts, store.job(id).shown_state) == (MAX_ATTEMPTS, "failed([Errno 28] No space left)")


def test_a_store_that_cannot_be_written_ends_the_runner(store, drain, asking, monkeypatch):
    id = store.submit(asking())[0].id
    monkeypatch.setattr(Store, "proving", lambda *_: raise_(OSError(errno.EIO, "disk I/O error")))
    monkeypatch.setattr(Store, "fail", lambda *_: raise_(OSError(errno.EIO, "disk I/O error")))
    with pytest.raises(OSError, match="disk I/O error"):
        drain()
    monkeypatch.undo()
    drain()
    receipt_of(store, id)


def test_an_error_that_nobody_foresaw_stops_no_other_job(store, drain, asking, monkeypatch):
    real = Request.answer
    bad = asking(3)
    monkeypatch.setattr(
        Request, "answer", lambda self, s: raise_(KeyError("bug")) if self.key == bad.key else real(self, s)
    )
    first, second = store.submit(bad)[0].id, store.submit(asking(4))[0].id
    drain()
    assert store.job(first).shown_state == "failed('bug')"
    receipt_of(store, second)


# Workers that die


def test_a_worker_that_dies_is_replaced(store, drain, pool, asking, expected):
    """At every call that it can die at."""
    moments = 0
    for moment in range(1, 40):
        calls = [0]

        def die(*_: Any, moment: int = moment, calls: list[int] = calls) -> None:
            calls[0] += 1
            if calls[0] == moment:
                raise WorkerDiedError("killed")

        pool.before, request = die, asking(moment)
        id = store.submit(request)[0].id
        drain()
        assert receipt_of(store, id) == expected(request)
        assert store.job(id).attempts == 1
        if calls[0] < moment:
            break
        moments += 1
    assert moments == 2 + 3 + 1 + 0  # two starts, three parts, one receipt


def test_a_part_that_kills_its_workers_is_given_up(store, drain, pool, asking):
    """And the jobs beside it are done."""
    bad = asking(3)

    def die(index: int, method: str, arguments: tuple[Any, ...]) -> None:
        if method == "prove" and arguments[0].key == bad.key:
            raise WorkerDiedError("killed")

    pool.before = die
    first, second = store.submit(bad)[0].id, store.submit(asking(4))[0].id
    drain()
    job = store.job(first)
    assert (job.state, job.attempts) == (FAILED, MAX_ATTEMPTS)
    assert job.reason == f"{MAX_DEATHS} workers died over it, perhaps for lack of memory"
    receipt_of(store, second)


def test_workers_that_do_not_start_end_the_runner(store, drain, pool, asking):
    pool.before = lambda index, method, _: raise_(WorkerDiedError("no module")) if method == "ready" else None
    store.submit(asking())
    with pytest.raises(ClusterError, match="workers do not start: no module"):
        drain()
    assert store.counts()[QUEUED] == 0  # it is the next runner that queues them again
    assert len(store.recover()) == 1


def test_workers_that_never_come_end_the_runner(store, drain, pool, asking, monkeypatch):
    monkeypatch.setattr(module, "START_S", 0.05)
    pool.wait = lambda *_: time.sleep(0.01)
    store.submit(asking())
    with pytest.raises(ClusterError, match="no worker is up after 0 s"):
        drain()


def test_a_cluster_that_is_gone_ends_the_runner(store, drain, pool, asking):
    id = store.submit(asking())[0].id
    pool.check = lambda: raise_(ClusterError("ray: gone")) if pool.done("prove") else None
    with pytest.raises(ClusterError, match="gone"):
        drain()
    pool.check = lambda: None
    drain()
    receipt_of(store, id)


# Jobs that are taken away


def test_cancelled_at_work(store, drain, pool, asking):
    """Its parts that nobody has begun are not proven; another job is not touched."""
    id, other = store.submit(asking(1), Priority.HIGH)[0].id, store.submit(asking(2))[0].id
    pool.before = lambda index, method, _: store.cancel(id) if method == "prove" and pool.done("prove") == 1 else None
    drain()
    assert (store.job(id).state, store.job(id).receipt) == (CANCELLED, None)
    assert pool.done("prove") <= 1 + 1 + 3  # one was under way, perhaps another lay there
    assert pool.done("assemble") == 1
    receipt_of(store, other)


def test_cancelled_at_the_last_moment(store, drain, pool, asking):
    id = store.submit(asking())[0].id
    pool.before = lambda index, method, _: store.cancel(id) if method == "assemble" else None
    drain()
    assert (store.job(id).state, store.job(id).receipt) == (CANCELLED, None)


def test_cancelled_and_forgotten(store, drain, pool, asking):
    id = store.submit(asking())[0].id

    def forget(index: int, method: str, arguments: tuple[Any, ...]) -> None:
        if method == "prove" and store.jobs():
            store.cancel(id)
            store.collect_garbage(-1.0)

    pool.before = forget
    drain()
    assert store.jobs() == []


def test_a_job_that_takes_too_long_goes_last(store, drain, pool, asking, monkeypatch, expected):
    """And the worker that is stuck in it is killed."""
    slow, other = asking(1), asking(2)
    first, second = store.submit(slow, Priority.HIGH)[0].id, store.submit(other)[0].id
    clock, verified = [0.0], list[str]()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def late(index: int, method: str, arguments: tuple[Any, ...]) -> None:
        if clock[0] == 0 and pool.done("prove") == 2:
            clock[0] = module.TIMEOUT_S + 1

    pool.before = late
    real = Store.finish
    monkeypatch.setattr(Store, "finish", lambda self, id, *rest: verified.append(id) or real(self, id, *rest))
    drain()
    assert verified == [second, first]
    assert (store.job(first).priority, store.job(first).attempts) == (Priority.LOW, 2)
    assert receipt_of(store, first) == expected(slow)
    assert pool.starts > 2


def test_a_runner_that_is_interrupted_gives_its_jobs_back(store, make, pool, asking):
    for number in range(3):
        store.submit(asking(number))
    pool.before = lambda index, method, _: raise_(KeyboardInterrupt()) if method == "prove" else None
    runner = make()
    with store.runner() as runner.name, pytest.raises(KeyboardInterrupt):
        runner.run(drain=True)
    assert runner.works
    runner.give_back()
    assert store.counts()[QUEUED] == 3
    assert {job.attempts for job in store.jobs()} == {0}


# Who does what


def task(home: str, number: int | None = 0, priority: Priority = Priority.NORMAL) -> Task:
    job = Job("ab", None, QUEUED, 0, 0, priority, None, 0.0, 0.0, None, 0, 0.0, None, None, None)  # type: ignore[arg-type]
    return Task(job, number, "prove", (), home.encode())


@pytest.mark.parametrize(
    ("tasks", "homes", "idle", "expected"),
    [
        # Worker 0 asks. Its own segment goes first, then one that nobody holds, then another's, if it is idle.
        (["b", "a", "c"], {"a": 0, "b": 1}, True, 1),
        (["b", "a", "c"], {"a": 0, "b": 1}, False, 1),
        (["b", "c"], {"b": 1}, True, 1),
        (["b", "c", "d"], {"b": 1}, False, 1),
        (["b", "d"], {"b": 1, "d": 1}, True, 0),
        (["b", "d"], {"b": 1, "d": 1}, False, None),
        (["a", "a"], {"a": 0}, True, 0),
        (["a"], {}, False, 0),
        ([], {}, True, None),
    ],
)
def test_affinity_and_stealing(make, tasks, homes, idle, expected):
    runner = make()
    waiting = [task(home) for home in tasks]
    runner.tasks, runner.homes = list(waiting), {home.encode(): index for home, index in homes.items()}
    found = runner._next(0, idle)
    assert found is (None if expected is None else waiting[expected])
    assert len(runner.tasks) == len(tasks) - (found is not None)


def test_urgent_tasks_go_first_and_receipts_before_parts(make):
    runner = make()
    low, normal, high = (task("a", 0, priority) for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH))
    far, receipt, last = task("b", 0, Priority.HIGH), task("", None), task("", None, Priority.LOW)
    runner.homes, runner.tasks = {b"a": 0, b"b": 1}, [low, last, normal, receipt, far, high]
    order = [runner._next(0, idle=True) for _ in range(6)]
    assert [id(one) for one in order] == [id(one) for one in (high, far, receipt, normal, last, low)]
    runner.tasks = [low, far]
    assert runner._next(0, idle=False) is None  # the urgent one is soon done by who holds it


def test_segments_stay_where_they_are(store, drain, pool, asking):
    """After the first queries, every worker has proven its own segments, and hardly ever another's."""
    for number in range(20):
        store.submit(asking(number))
    drain()
    proven = [(index, arguments[1][-1:], arguments) for index, method, arguments in pool.calls if method == "prove"]
    assert len(proven) == 60
    moves = sum(_segment(one) != 0 for one in ())
    places = [(index, _segment(arguments)) for index, _, arguments in proven]
    homes: dict[int, int] = {}
    for index, segment in places:
        moves += homes.get(segment, index) != index
        homes[segment] = index
    assert moves <= 20
    assert {index for index, _ in places} == {0, 1}


def _segment(arguments: tuple[Any, ...]) -> int:
    from air.statements.topk_statement import TOPK

    return TOPK.decode(arguments[1]).segment.index


def test_an_urgent_job_does_not_wait_for_those_in_work(store, drain, pool, asking, monkeypatch):
    """Though all workers have plenty to do when it comes."""
    ids = [store.submit(asking(number), Priority.LOW)[0].id for number in range(8)]
    urgent, verified = asking(50), list[str]()
    pool.before = lambda index, method, _: store.submit(urgent, Priority.HIGH) if pool.done("prove") == 1 else None
    real = Store.finish
    monkeypatch.setattr(Store, "finish", lambda self, id, *rest: verified.append(id) or real(self, id, *rest))
    drain()
    assert len(verified) == len(ids) + 1
    assert verified.index(store.job(urgent.key).id) <= 1


def test_no_more_jobs_are_taken_than_there_is_room_for(store, drain, pool, asking):
    for number in range(30):
        store.submit(asking(number))
    most = [0]

    def look(*_: Any) -> None:
        counts = store.counts()
        most[0] = max(most[0], counts["running"] + counts["proving"])

    pool.before = look
    drain()
    workers, parts = pool.plan.workers, 3
    assert most[0] <= workers * (module.AHEAD + module.DEPTH) // parts + 2
    assert store.counts()[VERIFIED] == 30


# With Ray


def test_all_modes_on_ray(tmp_path, asking, expected, celled):
    """A runner that is told to drain ends by itself when all is done; without a store it says so in one line."""
    requests = [asking(5, **options) for options in MODES.values()]
    requests += [asking(5, of=celled, **options) for options in IN_CELLS.values()]
    with Store(tmp_path / "store") as store:
        ids = [store.submit(request)[0].id for request in requests]
        command = [sys.executable, "-m", "octoproof.pipeline.runner", str(store.folder), "--workers", "1", "--drain"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
        assert (done.returncode, done.stderr) == (0, "")
        for id, request in zip(ids, requests, strict=True):
            assert receipt_of(store, id) == expected(request)
            assert f"job {id} verified" in done.stdout
        assert store.runners() == []


def test_no_store_is_one_line(tmp_path):
    (tmp_path / "store").write_text("a file")
    command = [sys.executable, "-m", "octoproof.pipeline.runner", str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 1
    assert done.stderr.startswith("runner: ")
    assert done.stderr.count("\n") == 1
