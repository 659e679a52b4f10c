"""What tests of proof jobs share: small snapshots, their requests with the receipts that are expected, workers without
Ray, and runners as processes that are watched.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octoproof.pipeline.cluster import Plan, WorkerDiedError
from octoproof.pipeline.request import Request, request_of
from octoproof.pipeline.runner import Runner
from octoproof.pipeline.store import Store
from octoproof.vectors.prove import prove_answer
from octoproof.vectors.query import find
from octoproof.vectors.snapshot import Snapshot

VECTORS = np.random.default_rng(8).normal(0, 1, (90, 4)).astype(np.float32)
KINDS = [("noun", "verb", "")[k % 3] for k in range(90)]
BUILD: dict[str, Any] = {"labels": KINDS, "segment_rows": 40, "presets": ("bench",)}


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory) -> Snapshot:
    """Ids 0 to 89 in three segments."""
    return Snapshot.build(VECTORS, tmp_path_factory.mktemp("plain") / "snapshot", **BUILD)


@pytest.fixture(scope="session")
def celled(tmp_path_factory) -> Snapshot:
    """The same in four cells."""
    return Snapshot.build(VECTORS, tmp_path_factory.mktemp("celled") / "snapshot", **BUILD, cells=4)


@pytest.fixture(scope="session")
def asking(snapshot) -> Callable[..., Request]:
    """asking(id, ...) asks the snapshot, or another one `of`, for the neighbours of a vector."""

    def request(id: int = 0, of: Snapshot = snapshot, **options: Any) -> Request:
        return request_of(of, find(of, id=id), **{"k": 3, "preset": "bench"} | options)

    return request


@pytest.fixture(scope="session")
def expected() -> Iterator[Callable[[Request], bytes]]:
    """expected(request) is the receipt as one process proves it, without jobs."""
    from octoproof.device import backend

    with backend(1) as device:
        yield cache(lambda request: prove_answer(request.answer(request.open()), request.preset, backend=device))


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def clock(monkeypatch) -> Iterator[Callable[[float], None]]:
    """clock(seconds) sets the clock forth, or back."""
    ahead, real = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])

    def jump(seconds: float) -> None:
        ahead[0] += seconds

    yield jump
    monkeypatch.undo()


@dataclass
class HerePool:
    """Workers as `cluster.Pool` has them, in this process: a call is done when it is waited for.

    `calls` are (worker, method, arguments) as they were done. `before` is called with each; what it raises is what the
    call raises."""

    plan: Plan = field(default_factory=lambda: Plan(2, 1, 2 << 30))
    before: Callable[[int, str, tuple[Any, ...]], None] = lambda *_: None
    calls: list[tuple[int, str, tuple[Any, ...]]] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)
    starts: int = 0

    def __post_init__(self) -> None:
        self._actors = dict[int, Any]()
        self._pending = dict[int, tuple[int, str, tuple[Any, ...]]]()
        self._next = 0

    def start(self, index: int) -> int:
        from octoproof.pipeline.prover_actor import ProverActor

        self._actors[index] = ProverActor(self.plan.threads, self.plan.bytes_each - self.plan.proof_bytes)
        self.killed.discard(index)
        self.starts += 1
        return self.call(index, "ready")

    def call(self, index: int, method: str, *arguments: Any) -> int:
        self._next += 1
        self._pending[self._next] = index, method, arguments
        return self._next

    def kill(self, index: int) -> None:
        self.killed.add(index)

    def wait(self, references: Sequence[int], timeout: float) -> int | None:
        return references[0]

    def result(self, reference: int) -> Any:
        index, method, arguments = self._pending.pop(reference)
        if index in self.killed:
            raise WorkerDiedError("killed")
        self.calls.append((index, method, arguments))
        self.before(index, method, arguments)
        return getattr(self._actors[index], method)(*arguments)

    def check(self) -> None:
        """Nothing can be gone."""

    def done(self, method: str) -> int:
        """How many calls of a method there were."""
        return sum(name == method for _, name, _ in self.calls)


@pytest.fixture
def pool() -> HerePool:
    return HerePool()


@pytest.fixture
def make(store, pool) -> Callable[..., Runner]:
    """make() is a runner with these workers; what it tells is in `told`."""

    def runner() -> Runner:
        told = list[str]()
        made = Runner(store, "me", pool, told.append)
        made.told = told  # type: ignore[attr-defined]
        return made

    return runner


@pytest.fixture
def drain(make, monkeypatch) -> Callable[[], Runner]:
    """drain() does all jobs of the store, as a runner that is alive; nobody waits for another try, or a heartbeat."""
    monkeypatch.setattr("octoproof.pipeline.store.back_off", lambda attempts: 0.0)
    monkeypatch.setattr("octoproof.pipeline.runner.BEAT_S", 0.0)

    def run() -> Runner:
        runner = make()
        with runner.store.runner() as runner.name:
            runner.run(drain=True)
        return runner

    return run


@pytest.fixture(scope="session")
def every_mode(asking, celled) -> dict[str, Request]:
    """A request in every mode that there is."""
    return {
        "strict": asking(5),
        "filtered": asking(5, where={"label": "noun"}),
        "inner product": asking(5, metric="ip"),
        "ivf": asking(5, of=celled, mode="ivf", probes=2),
        "candidates": asking(5, mode="candidates", candidates=20),
        "fast": asking(5, mode="fast"),
        "fast in cells": asking(5, of=celled, mode="fast"),
    }


class RunnerProcess:
    """`python -m octoproof.pipeline.runner`, started again whenever it has ended, as a service would do it.

    A context manager; at its end, nothing that the runners started may be left."""

    def __init__(self, store: Path, *options: str) -> None:
        self.command = [sys.executable, "-m", "octoproof.pipeline.runner", str(store), *options]
        self.log = store.parent / "runner.log"
        self.codes = list[int]()
        self.seen = dict[int, str]()

    def __enter__(self) -> RunnerProcess:
        self.memory = set(os.listdir("/dev/shm"))
        self.start()
        return self

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)

    def look(self) -> bool:
        """Starts it again if it has ended: whether it had."""
        self.seen |= self.family()
        code = self.process.poll()
        if code is None:
            return False
        self._ended(code)
        self.start()
        return True

    def _ended(self, code: int) -> None:
        self.codes.append(code)
        with suppress(ProcessLookupError):  # agents of Ray's, which wait a minute for a cluster that is gone
            os.killpg(self.process.pid, signal.SIGKILL)

    def family(self) -> dict[int, str]:
        """The command lines of all that descends from it, by process."""
        return {pid: text for pid, text in processes(self.process.pid).items() if pid != self.process.pid}

    def workers(self) -> list[int]:
        return [pid for pid, text in self.family().items() if "ray::ProverActor" in text]

    def raylet(self) -> int | None:
        return next((pid for pid, text in self.family().items() if "/raylet/raylet" in text), None)

    def __exit__(self, *exception: object) -> None:
        self.seen |= self.family()
        self.process.terminate()
        self._ended(self.process.wait(60))
        ends = time.monotonic() + 30
        while left := {pid: text for pid, text in self.seen.items() if command_line(pid) == text}:
            if time.monotonic() > ends:
                raise AssertionError(f"left behind: {left}")
            time.sleep(0.1)
        assert set(os.listdir("/dev/shm")) <= self.memory


def processes(root: int) -> dict[int, str]:
    """The command lines of a process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has just ended
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = {}, [root]
    while todo:
        pid = todo.pop()
        found[pid] = command_line(pid)
        todo += children.get(pid, [])
    return {pid: text for pid, text in found.items() if text}


def command_line(pid: int) -> str:
    """Empty where there is no such process, or one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


@pytest.fixture
def running() -> type[RunnerProcess]:
    """running(store, options...) is a runner's process that is watched."""
    return RunnerProcess


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """wait_until(condition, timeout) returns when the condition holds; it may take so many seconds."""

    def wait(condition: Callable[[], object], timeout: float = 60.0) -> None:
        ends = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < ends, "it never happens"
            time.sleep(0.02)

    return wait
