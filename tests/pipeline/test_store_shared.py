"""One store, many processes: clients and runners that take jobs, live and die.

Run as a program, this file is those processes: forked by one without threads.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from octoproof.pipeline.jobs import (
    MAX_BACK_OFF_S,
    QUEUED,
    RUNNING,
    STATES,
    VERIFIED,
    Priority,
)
from octoproof.pipeline.request import Request
from octoproof.pipeline.store import Store


def request(number: int = 0, place: str = "/nowhere") -> Request:
    return Request(place, 1, "ab" * 32, (number, 1), 3, "l2", "strict", (), 0, 0, "bench")


def submit(store: Store, number: int = 0, *options: Any) -> str:
    return store.submit(request(number), *options)[0].id


# Runners live and die


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """program(mode, ...) is this file as a program."""
    started = list[subprocess.Popen[str]]()

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_who_is_alive(store):
    with store.runner() as name:
        assert store.runners() == [name]
        with Store(store.folder) as other:
            assert other.runners() == [name]
            other.submit(request())
            other.take(name)
            assert other.recover() == []
    assert store.runners() == []
    assert len(store.recover()) == 1


def test_a_killed_runner_loses_its_jobs_a_slow_one_does_not(store, program):
    ids = {submit(store, number) for number in range(3)}
    runner = program("hold", store.folder)
    assert line(runner) == "held"
    assert store.counts()[RUNNING] == 3
    os.kill(runner.pid, signal.SIGSTOP)  # slower than slow
    assert store.recover() == []
    assert len(store.runners()) == 1
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    assert set(store.recover()) == ids
    assert store.runners() == []
    assert {store.job(id).attempts for id in ids} == {0}
    assert store.recover() == []


def test_deaths_of_runners_lose_no_job_but_make_it_wait(store, clock):
    """So that a job that kills its runner lets others be done; who gets on starts afresh."""
    id, waits = submit(store), []
    for _ in range(40):
        store.take("a dead one")
        store.recover()
        job = store.job(id)
        assert job.state == QUEUED
        waits.append(max(0.0, job.not_before - time.time()))
        clock(waits[-1] + 0.1)
    assert max(waits[:3]) == 0
    assert waits == pytest.approx(sorted(waits), abs=0.1)
    assert waits[-1] == pytest.approx(MAX_BACK_OFF_S, abs=0.1)
    store.take("a dead one")
    store.proving(id, "a dead one", 2)
    store.proven(id, "a dead one", 0, b"part")
    store.recover()
    assert store.take("me") is not None


@pytest.mark.parametrize("processes", [6, pytest.param(16, marks=pytest.mark.slow)])
def test_no_two_runners_take_one_job(store, program, processes):
    """Clients that all submit the same jobs, and runners, some of which are killed."""
    jobs = 10 * processes
    assert line(program("hammer", store.folder, processes, jobs)) == "done"
    assert store.counts() == dict.fromkeys(STATES, 0) | {VERIFIED: jobs}
    for job in store.jobs(limit=10_000):
        assert store.artefacts.get(job.receipt) == b"receipt of " + job.id.encode()
    finished = [id for path in store.folder.glob("*.finished") for id in path.read_text().split()]
    assert len(finished) == len(set(finished))
    assert {job.id for job in store.jobs(limit=10_000)} >= set(finished)
    assert store.runners() == []


@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_many_may_make_the_store_at_once(tmp_path, program, rounds):
    assert line(program("open", tmp_path, 12, rounds)) == "done"
    for number in range(rounds):
        with Store(tmp_path / f"{number}") as store:
            assert store.counts()[QUEUED] == 1


# The program


def hold(folder: Path) -> None:
    with Store(folder) as store, store.runner() as name:
        while store.take(name):
            pass
        print("held", flush=True)
        time.sleep(600)


def client(folder: Path, jobs: int, seed: int) -> None:
    with Store(folder) as store:
        for number in random.Random(seed).sample(range(jobs), jobs):
            store.submit(request(number), Priority(number % 3))


def runner(folder: Path, seed: int) -> None:
    """Takes jobs until it is killed; writes down what it has finished."""
    rng = random.Random(seed)
    with Store(folder) as store, store.runner() as name, open(folder / f"{name}.finished", "a") as finished:
        while True:
            store.recover()
            job = store.take(name)
            if job is None:
                time.sleep(0.002)
                continue
            known = store.proving(job.id, name, 2)
            for number in {0, 1} - set(known):
                assert store.proven(job.id, name, number, f"{job.id} {number}".encode())
            if rng.random() < 0.1:
                store.requeue(job.id, name)
            else:
                assert store.finish(job.id, name, b"receipt of " + job.id.encode())
                print(job.id, file=finished, flush=True)


def fork(work: Callable[..., None], *arguments: Any) -> int:
    if (child := os.fork()) == 0:
        try:
            work(*arguments)
        except BaseException as error:
            print(f"{work.__name__}: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return child


def hammer(folder: Path, processes: int, jobs: int) -> None:
    clients = [fork(client, folder, jobs, seed) for seed in range(processes // 2)]
    runners, rng = [fork(runner, folder, seed) for seed in range(processes)], random.Random(1)
    with Store(folder) as store:
        while store.counts()[VERIFIED] < jobs:
            time.sleep(0.02 + 0.1 * rng.random())
            place = rng.randrange(processes)
            os.kill(runners[place], signal.SIGKILL)
            assert os.WTERMSIG(os.waitpid(runners[place], 0)[1]) == signal.SIGKILL, "a runner failed by itself"
            runners[place] = fork(runner, folder, rng.randrange(1 << 30))
    for child in runners:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert all(os.waitpid(child, 0)[1] == 0 for child in clients), "a client failed"
    print("done", flush=True)


def open_and_submit(folder: Path, start: float) -> None:
    while time.monotonic() < start:
        pass
    with Store(folder) as store:
        store.submit(request())


def open_all(folder: Path, processes: int, rounds: int) -> None:
    for number in range(rounds):
        start = time.monotonic() + 0.1
        children = [fork(open_and_submit, folder / f"{number}", start) for _ in range(processes)]
        assert all(os.waitpid(child, 0)[1] == 0 for child in children), "one could not open it"
    print("done", flush=True)


if __name__ == "__main__":
    mode, place, *numbers = sys.argv[1:]
    {"hold": hold, "hammer": hammer, "open": open_all}[mode](Path(place), *map(int, numbers))
