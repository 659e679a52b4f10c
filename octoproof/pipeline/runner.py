"""The runner: takes jobs from the store, deals their parts to the workers, has them verified, releases.

    python -m octoproof.pipeline.runner STORE [--address ...] [--workers N] [--drain]

One process, one loop. Whatever dies, the job goes on: a worker's part is dealt again, and if this process or Ray's own
dies, whoever starts the next runner finds the parts that were proven and proves the others.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from octoproof.pipeline.cluster import ClusterError, Pool, WorkerDiedError, cluster
from octoproof.pipeline.jobs import QUEUED, TIMEOUT_S, Job
from octoproof.pipeline.request import OpenSnapshots
from octoproof.pipeline.store import Store
from octoproof.vectors.claims import Claim, proven_claims
from octoproof.vectors.errors import VectorError
from octoproof.vectors.prove import prove_answer
from octoproof.vectors.query import OPENING
from octoproof.vectors.receipts import QueryReceipt
from octoproof.vectors.snapshot import preset_key
from prover.memory import estimate
from verifier.config import PRESETS
from verifier.errors import ParseError, VerificationError

POLL_S, BEAT_S = 0.05, 1.0
DEPTH = 2  # tasks that a worker is given: the next one lies there when it is done with one
AHEAD = 4  # waiting tasks for every worker: enough to choose from, few enough for a job's turn to come soon
MAX_HOMES = 1 << 16
MAX_DEATHS = 3  # of workers over one task, or in a row before one was up
START_S = 120.0

Tell = Callable[[str], None]


class TryAgainError(Exception):
    """A job failed for what is neither its fault nor its snapshot's."""


@dataclass(eq=False)
class Task:
    """A call of a worker. `number` is that of the part to be proven, or None where all are to be put together; `home`
    names the segment, so that the worker that holds it is asked first."""

    job: Job
    number: int | None
    method: str
    arguments: tuple[Any, ...]
    home: bytes = b""
    deaths: int = 0
    sent: float = 0.0


@dataclass(eq=False)
class Work:
    """A job in work: its proven parts by number, how many there are to be, and how many there were in the beginning."""

    job: Job
    parts: int
    proven: dict[int, bytes]
    known: int
    since: float


class Runner:
    """State of the loop. Workers are known by their number: `up` are those that can be sent tasks, `flying` says who
    does what (None: it starts), and `homes` who holds a segment."""

    def __init__(self, store: Store, name: str, pool: Pool, tell: Tell) -> None:
        self.store, self.name, self.pool, self.tell = store, name, pool, tell
        self.snapshots = OpenSnapshots()
        self.up = set[int]()
        self.flying = dict[Any, tuple[int, Task | None]]()
        self.tasks = list[Task]()
        self.works = dict[str, Work]()
        self.homes = dict[bytes, int]()
        self.failed_starts = 0
        self.stopping = False

    def stop(self, *_: object) -> None:
        """`run` returns soon; a handler of signals."""
        self.stopping = True

    def run(self, drain: bool) -> None:
        """Until it is stopped; with `drain`, until no job is left that this runner could do.

        Raises ClusterError where Ray cannot be used any more, OSError where the store cannot."""
        for index in range(self.pool.plan.workers):
            self._start(index)
        beat, last_up = 0.0, time.monotonic()
        while not self.stopping:
            if time.monotonic() >= beat:
                self.store.recover()
                self.pool.check()
                self._drop_lost()
                self._kill_stuck()
                beat = time.monotonic() + BEAT_S
            taken = self._take()
            self._deal()
            if not (taken or self.works) and drain and not self.store.jobs((QUEUED,), 1):
                return
            if self.flying:
                self._collect(0.0 if taken else POLL_S)
            elif not taken:
                time.sleep(POLL_S)
            if self.up or not self.works:
                last_up = time.monotonic()
            elif time.monotonic() - last_up > START_S:
                raise ClusterError(f"ray: no worker is up after {START_S:.0f} s; the cluster has no room for one")
        for id in self.works:
            self.store.requeue(id, self.name)

    # Jobs become tasks.

    def _take(self) -> bool:
        """Takes a job if there is little to do, or if it is more urgent than all that there is."""
        above = None
        if len(self.tasks) >= AHEAD * self.pool.plan.workers:
            above = max(task.job.priority for task in self.tasks)
        job = self.store.take(self.name, above)
        if job is None:
            return False
        try:
            self._begin(job)
        except Exception as error:  # of this job alone; where the store is at fault, `_fail` raises it again
            self._fail(job, error)
        return True

    def _begin(self, job: Job) -> None:
        """Searches; opens rows at once, or puts the parts that are still to be proven among the tasks."""
        request, snapshot = job.request, self.snapshots.get(job.request)
        answer = request.answer(snapshot)
        if request.mode in OPENING:
            receipt = prove_answer(answer, backend=None)
            QueryReceipt(receipt).verify(request.root, min_conjectured=0.0)  # the client chose the preset
            self._release(job, receipt)
            return
        preset_key(request.preset)
        claims = proven_claims(answer)
        self._check_memory(claims, request.preset)
        known = self.store.proving(job.id, self.name, len(claims))
        self.works[job.id] = Work(job, len(claims), known, len(known), time.monotonic())
        for number, (scored, statement) in enumerate(claims):
            if number not in known:
                arguments = request, tuple(statement.encode())
                self.tasks.append(Task(job, number, "prove", arguments, scored.stored.leaf.row_root))
        self._assemble_if_complete(job.id)

    def _check_memory(self, claims: list[Claim], preset: str) -> None:
        most = self.pool.plan.proof_bytes
        for _, statement in claims:
            needed = estimate(statement.air(), PRESETS[preset])
            if needed > most:
                raise VectorError(
                    f"memory: segment {statement.leaf.id} needs about {needed / 1e9:.1f} GB to be proven, a worker has "
                    f"{most / 1e9:.1f} GB; use smaller segments or fewer workers"
                )

    def _assemble_if_complete(self, id: str) -> None:
        work = self.works[id]
        if len(work.proven) == work.parts:
            parts = [work.proven[number] for number in range(work.parts)]
            self.tasks.append(Task(work.job, None, "assemble", (work.job.request.root, parts)))

    # Tasks go to workers.

    def _deal(self) -> None:
        while self.tasks:
            load = Counter(index for index, _ in self.flying.values())
            for index in sorted(self.up, key=lambda index: (load[index], index)):
                task = self._next(index, idle=load[index] == 0) if load[index] < DEPTH else None
                if task is not None:
                    break
            else:
                return
            if task.home:
                self.homes[task.home] = index
                if len(self.homes) > MAX_HOMES:  # of versions that are long gone
                    del self.homes[next(iter(self.homes))]
            task.sent = time.monotonic()
            self.flying[self.pool.call(index, task.method, *task.arguments)] = index, task

    def _next(self, index: int, idle: bool) -> Task | None:
        """Of the most urgent tasks, the first that ends a job; else the first whose segment nobody holds; else the
        first whose segment this worker holds; else, if it is idle, the first of all, which another worker loses."""
        urgent = max((task.job.priority for task in self.tasks), default=None)

        def rank(task: Task) -> int:
            if task.number is None:
                return 0
            return {None: 1, index: 2}.get(self.homes.get(task.home), 3)

        found = min((task for task in self.tasks if task.job.priority == urgent), key=rank, default=None)
        if found is None or (rank(found) == 3 and not idle):
            return None
        self.tasks.remove(found)
        return found

    def _collect(self, timeout: float) -> None:
        reference = self.pool.wait(list(self.flying), timeout)
        if reference is None:
            return
        index, task = self.flying[reference]
        try:
            result = self.pool.result(reference)
        except WorkerDiedError as error:
            self._died(index, error)
            return
        except Exception as error:
            del self.flying[reference]
            if task is not None:
                self._failed(task, error)
            return
        del self.flying[reference]
        if task is None:
            self.up.add(index)
            self.failed_starts = 0
        else:
            self._done(task, result)

    # Workers and tasks come to an end.

    def _start(self, index: int) -> None:
        self.flying[self.pool.start(index)] = index, None

    def _died(self, index: int, error: WorkerDiedError) -> None:
        """Starts another worker, which holds no segment yet, and deals its tasks again. The first was being done."""
        lost = [task for held, task in self.flying.values() if held == index]
        self.flying = {reference: item for reference, item in self.flying.items() if item[0] != index}
        self.homes = {home: held for home, held in self.homes.items() if held != index}
        self.up.discard(index)
        tasks = [task for task in lost if task is not None and task.job.id in self.works]
        self.tasks = tasks + self.tasks
        self.tell(f"worker {index} died, {len(tasks)} tasks are dealt again")
        if None in lost:
            self.failed_starts += 1
            if self.failed_starts >= MAX_DEATHS * self.pool.plan.workers:
                raise ClusterError(f"ray: workers do not start: {f'{error}'[:300]}")
        elif tasks and tasks[0] is lost[0]:
            tasks[0].deaths += 1
            if tasks[0].deaths == MAX_DEATHS:
                self._fail(tasks[0].job, TryAgainError(f"{MAX_DEATHS} workers died over it, perhaps out of memory"))
        self._start(index)

    def _done(self, task: Task, data: bytes) -> None:
        work = self.works.get(task.job.id)
        if work is None:
            return
        try:
            if task.number is None:
                self._release(task.job, data)
            elif self.store.proven(task.job.id, self.name, task.number, data):
                work.proven[task.number] = data
                self._assemble_if_complete(task.job.id)
            else:
                self._forget(task.job.id)
        except OSError as error:
            self._fail(task.job, error)

    def _failed(self, task: Task, error: Exception) -> None:
        if task.job.id not in self.works:
            return
        if task.number is None and isinstance(error, ParseError | VerificationError):
            self.store.disprove(task.job.id)
            error = TryAgainError(f"its parts are proven anew: {error}")
        self._fail(task.job, error)

    def _release(self, job: Job, receipt: bytes) -> None:
        """Nothing gets here that has not been verified."""
        if self.store.finish(job.id, self.name, receipt):
            self.tell(f"job {job.id} verified, {len(receipt):,} bytes")
        self._forget(job.id)

    def _fail(self, job: Job, error: Exception) -> None:
        """What the machine lacks may be there another time; anything else stays wrong."""
        text = " ".join(f"{error}".split())[:500]
        told = isinstance(error, ParseError | VerificationError | OSError | TryAgainError)
        reason = text if told and text else f"{type(error).__name__}: {text}"
        self.tell(f"job {job.id} failed: {reason}")
        again = isinstance(error, OSError | MemoryError | TryAgainError)
        self._forget(job.id)
        self.store.fail(job.id, self.name, reason, again)

    def _drop_lost(self) -> None:
        """Jobs that were cancelled, or have run for too long."""
        for id, work in list(self.works.items()):
            if time.monotonic() - work.since > TIMEOUT_S:
                self.store.timed_out(id, self.name, got_on=len(work.proven) > work.known)
            elif self.store.holds(id, self.name):
                continue
            self._forget(id)

    def _kill_stuck(self) -> None:
        """Workers that have been at one task for longer than a job may take."""
        for index, task in list(self.flying.values()):
            if task is not None and time.monotonic() - task.sent > TIMEOUT_S:
                self.pool.kill(index)

    def _forget(self, id: str) -> None:
        self.works.pop(id, None)
        self.tasks = [task for task in self.tasks if task.job.id != id]


def run(store_folder: str, address: str | None, workers: int | None, drain: bool, tell: Tell) -> None:
    """Runs jobs of a store on Ray. Raises VectorError where Ray cannot be had, and what `Runner.run` raises."""
    with Store(store_folder) as store, store.runner() as name, cluster(address, workers) as pool:
        plan = pool.plan
        tell(f"{plan.workers} workers with {plan.threads} threads and {plan.bytes_each / 1e9:.1f} GB each")
        runner = Runner(store, name, pool, tell)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, runner.stop)
        runner.run(drain)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--address")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--drain", action="store_true", help="end when there is nothing left to do")
    arguments = parser.parse_args()
    try:
        run(
            arguments.store, arguments.address, arguments.workers, arguments.drain, lambda text: print(text, flush=True)
        )
    except (ParseError, OSError, ClusterError) as error:
        sys.exit(f"runner: {' '.join(f'{error}'.split())}")


if __name__ == "__main__":
    main()
