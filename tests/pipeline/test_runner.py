"""The runner: from jobs to verified receipts, the same as one process proves; what is refused, and what tried again.

Workers are in this process, so that they can be made to fail where a test wants it.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octoproof.pipeline import runner as module
from octoproof.pipeline import store as store_module
from octoproof.pipeline.artefacts import Artefacts
from octoproof.pipeline.cluster import Plan
from octoproof.pipeline.jobs import FAILED, MAX_ATTEMPTS, VERIFIED
from octoproof.pipeline.prover_actor import ProverActor
from octoproof.pipeline.request import Request
from octoproof.pipeline.runner import Runner
from octoproof.pipeline.store import Store
from octoproof.vectors.snapshot import Snapshot
from verifier.errors import VerificationError


def raise_(error: BaseException) -> Any:
    raise error


def receipt_of(store: Store, id: str) -> bytes:
    job = store.job(id)
    assert (job.state, job.reason) == (VERIFIED, None)
    return store.artefacts.get(job.receipt)


# Receipts


def test_the_bytes_are_those_of_one_process(store, drain, every_mode, expected):
    ids = {name: store.submit(request)[0].id for name, request in every_mode.items()}
    drain()
    for name, request in every_mode.items():
        assert receipt_of(store, ids[name]) == expected(request), name


def test_many_jobs_are_each_done_once(store, drain, pool, asking, expected):
    ids = {store.submit(asking(number))[0].id: asking(number) for number in range(12)}
    runner = drain()
    assert all(receipt_of(store, id) == expected(request) for id, request in ids.items())
    assert (pool.done("prove"), pool.done("assemble")) == (3 * 12, 12)
    assert {job.attempts for job in store.jobs()} == {1}
    assert len([text for text in runner.told if "verified" in text]) == 12
    assert (runner.works, runner.tasks) == ({}, [])


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
    assert (job.state, job.attempts, job.receipt) == (FAILED, 1, None), job.reason
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
        ({"preset": "none"}, "preset: 'none'"),
        ({"version": 7}, "no version 7"),
    ],
)
def test_a_question_that_cannot_be_asked_is_not_tried_again(store, drain, pool, asking, change, reason):
    id = store.submit(replace(asking(), **change))[0].id
    drain()
    assert reason in failed(store, pool, id)


@pytest.mark.parametrize("name", ["columns.npy", "norms.npy", "live.npy"])
def test_a_damaged_segment_fails_its_jobs_at_once(store, drain, pool, asking, snapshot, tmp_path, name):
    """Though it is in a row that is far away."""
    shutil.copytree(snapshot.folder, tmp_path / "damaged")
    stored = snapshot.segments[1]
    far = int(np.argmax(stored.segment.norms))
    path = tmp_path / "damaged" / "segments" / stored.folder.name / name
    array = np.load(path)
    if name == "live.npy":
        array[0] = not array[0]
    else:
        array[..., far] += 1
    np.save(path, array)
    id = store.submit(replace(asking(4), snapshot=str(tmp_path / "damaged")))[0].id
    drain()
    reason = failed(store, pool, id)
    assert reason.startswith("segment 1: ")
    assert reason.endswith("; run `snapshot check`")
    assert store.submit(asking(4))[0].id == id  # the same job, from another place
    drain()
    receipt_of(store, id)


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

    def sometimes(self: Artefacts, data: bytes, durable: bool = True) -> str:
        count[0] += 1
        return raise_(OSError(errno.ENOSPC, "No space left")) if count[0] == put + 1 else real(self, data, durable)

    monkeypatch.setattr(Artefacts, "put", sometimes)
    id = store.submit(asking())[0].id
    runner = drain()
    assert f"job {id} failed: [Errno 28] No space left" in runner.told
    assert receipt_of(store, id) == expected(asking())


def test_a_disk_that_stays_full_fails_the_job(store, drain, asking, monkeypatch):
    monkeypatch.setattr(Artefacts, "put", lambda *_, **__: raise_(OSError(errno.ENOSPC, "No space left")))
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
    assert store.job(first).shown_state == "failed(KeyError: 'bug')"
    receipt_of(store, second)


def test_no_store_is_one_line(tmp_path):
    (tmp_path / "store").write_text("a file")
    command = [sys.executable, "-m", "octoproof.pipeline.runner", str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 1
    assert done.stderr.startswith("runner: ")
    assert done.stderr.count("\n") == 1
