"""Real processes and real Ray, killed at random moments: every job ends verified, once, with the same bytes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

from octoproof.pipeline.jobs import OPEN, VERIFIED
from octoproof.pipeline.request import Request, request_of
from octoproof.pipeline.store import Store
from octoproof.vectors.query import find
from octoproof.vectors.snapshot import Snapshot

JOBS = 8  # in the store at any time
SLOW = (pytest.mark.slow, pytest.mark.timeout(3000))


@pytest.fixture(scope="module")
def larger(tmp_path_factory) -> Snapshot:
    """So large that a moment hits somebody at work: eight segments."""
    vectors = np.random.default_rng(9).normal(0, 1, (8000, 16)).astype(np.float32)
    folder = tmp_path_factory.mktemp("larger") / "snapshot"
    return Snapshot.build(vectors, folder, segment_rows=1000, presets=("bench",))


class Load:
    """Submits jobs as others are done, and knows what they are to be."""

    def __init__(self, store: Store, snapshot: Snapshot) -> None:
        self.store, self.snapshot = store, snapshot
        self.requests = dict[str, Request]()
        self._ids = count()

    def fill(self) -> None:
        while sum(self.store.counts()[state] for state in OPEN) < JOBS:
            request = request_of(self.snapshot, find(self.snapshot, id=next(self._ids)), k=5, preset="bench")
            self.requests[self.store.submit(request)[0].id] = request

    @property
    def verified(self) -> int:
        return self.store.counts()[VERIFIED]


@pytest.fixture
def survive(tmp_path, larger, expected, running) -> Callable[[Callable[[Any], int | None], int, bool], Any]:
    """survive(victim, times, ends) kills the process that victim(runner) names so many times, at random moments after
    work was seen to be done; with `ends`, the runner ends of it. Then all jobs are done, and looked at."""

    def run(victim: Callable[[Any], int | None], times: int, ends: bool) -> Any:
        rng = random.Random(times)
        with Store(tmp_path / "store") as store:
            load = Load(store, larger)
            with running(store.folder) as runner:
                for number in range(times):
                    seen, pause = load.verified, rng.random()
                    attend(runner, load, lambda seen=seen: load.verified > seen)
                    moment = time.monotonic() + pause
                    attend(runner, load, lambda moment=moment: time.monotonic() > moment)
                    attend(runner, load, lambda: victim(runner) is not None)
                    os.kill(victim(runner), signal.SIGKILL)
                    attend(runner, load, lambda number=number: len(runner.codes) > number or not ends)
                attend(runner, None, lambda: not store.jobs(OPEN))
            told = (tmp_path / "runner.log").read_text()
            assert len(load.requests) >= JOBS
            for id, request in load.requests.items():
                job = store.job(id)
                assert (job.state, job.attempts) == (VERIFIED, 1), job
                assert store.artefacts.get(job.receipt) == expected(request)
                assert told.count(f"job {id} verified") <= 1  # none, if it was killed before it could tell
            assert len(store.jobs(limit=100_000)) == len(load.requests)
            assert store.runners() == []
            return runner

    return run


def attend(runner: Any, load: Load | None, until: Callable[[], bool]) -> None:
    """Starts the runner again where it ended, and keeps jobs coming, until something holds."""
    ends = time.monotonic() + 120
    while not until():
        runner.look()
        if load is not None:
            load.fill()
        assert time.monotonic() < ends, "nothing is done any more"
        time.sleep(0.05)


@pytest.mark.parametrize("times", [5, pytest.param(12, marks=SLOW)])
def test_workers_are_killed(survive, times):
    runner = survive(lambda runner: next(iter(runner.workers()), None), times, False)
    assert runner.codes == [0]  # the runner itself lived until the end of the test


@pytest.mark.parametrize("times", [2, pytest.param(12, marks=SLOW)])
def test_the_runner_is_killed(survive, times):
    runner = survive(lambda runner: runner.process.pid, times, True)
    assert runner.codes == [-signal.SIGKILL] * times + [0]


@pytest.mark.parametrize("times", [1, pytest.param(12, marks=SLOW)])
def test_the_raylet_is_killed(survive, times):
    """Then the runner ends by itself, to be started again."""
    runner = survive(lambda runner: runner.raylet(), times, True)
    assert runner.codes == [1] * times + [0]
