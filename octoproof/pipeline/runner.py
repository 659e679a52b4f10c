"""The runner: takes jobs from the store, deals their parts to the prover actors, verifies, releases.

    python -m octoproof.pipeline.runner STORE [--address ...] [--workers N] [--drain]

One process, one loop. Whatever dies, the job goes on: an actor's part is dealt again, and if this process or Ray's own
dies, whoever starts the next runner finds the parts that were proven and proves the others.
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from octoproof.pipeline.cluster import Plan, cluster, start_actor
from octoproof.pipeline.jobs import TIMEOUT_S, Job
from octoproof.pipeline.store import Store
from octoproof.vectors.claims import proven_claims
from octoproof.vectors.prove import prove_answer
from octoproof.vectors.query import OPENING
from octoproof.vectors.receipts import QueryReceipt
from octoproof.vectors.snapshot import preset_key
from prover.memory import estimate
from verifier.config import PRESETS
from verifier.errors import ParseError, VerificationError
from verifier.receipt import Receipt, read_receipt, write_receipt

POLL_S, BEAT_S = 0.05, 1.0
AHEAD = 4  # jobs in work for every actor: enough to steal from, few enough for priorities to matter

Tell = Callable[[str], None]


@dataclass
class Task:
    """One part to be proven; `home` names the segment, so that the actor that holds it is asked first."""

    job: Job
    number: int
    home: bytes


@dataclass
class Work:
    """A job in work: its proven parts by number, and how many there are to be."""

    job: Job
    parts: int
    proven: dict[int, bytes]
    since: float = field(default_factory=time.monotonic)


class Runner:
    """State of the loop. `actors` are Ray handles; `homes` says which actor holds a segment."""

    def __init__(self, store: Store, name: str, plan: Plan, tell: Tell) -> None:
        self.store, self.name, self.plan, self.tell = store, name, plan, tell
        self.actors = [start_actor(plan) for _ in range(plan.workers)]
        self.idle = set(range(plan.workers))
        self.flying: dict[Any, tuple[int, Task]] = {}
        self.tasks: deque[Task] = deque()
        self.works: dict[str, Work] = {}
        self.homes: dict[bytes, int] = {}

    def run(self, drain: bool) -> None:
        """Until interrupted; with `drain`, until no job is left that this runner could do."""
        beat = 0.0
        while True:
            if time.monotonic() >= beat:
                self.store.recover()
                self._drop_lost()
                beat = time.monotonic() + BEAT_S
            taken = len(self.works) < AHEAD * self.plan.workers and self._take()
            self._deal()
            if self.flying:
                self._collect()
            elif not taken:
                if drain and not self.works and not self.store.jobs(("queued",), 1):
                    return
                time.sleep(POLL_S)

    def _take(self) -> bool:
        job = self.store.take(self.name)
        if job is None:
            return False
        try:
            self._begin(job)
        except (ParseError, VerificationError, MemoryError, OSError, ValueError) as error:
            self._fail(job, error)
        return True

    def _begin(self, job: Job) -> None:
        """Searches; opens rows at once, or puts the parts that are still to be proven among the tasks."""
        request, snapshot = job.request, job.request.open()
        answer = request.answer(snapshot)
        if request.mode in OPENING:
            self._release(job, prove_answer(answer, backend=None))
            return
        claims = proven_claims(answer)
        preset_key(request.preset)
        config = PRESETS[request.preset]
        for _, statement in claims:
            needed = estimate(statement.air(), config)
            if needed > self.plan.proof_bytes:
                raise MemoryError(
                    f"segment {statement.leaf.id} needs about {needed / 1e9:.1f} GB to be proven, a worker has "
                    f"{self.plan.proof_bytes / 1e9:.1f} GB; use smaller segments or fewer workers"
                )
        known = self.store.proving(job.id, self.name, len(claims))
        self.works[job.id] = Work(job, len(claims), {n: self.store.artefacts.get(a) for n, a in known.items()})
        for number, (scored, _) in enumerate(claims):
            if number not in known:
                self.tasks.append(Task(job, number, scored.stored.leaf.row_root))
        self._finish_if_complete(job.id)

    def _deal(self) -> None:
        for index in sorted(self.idle):
            task = self._next(index)
            if task is None:
                return
            self.idle.discard(index)
            self.homes[task.home] = index
            self.flying[self.actors[index].prove.remote(task.job.request, task.number)] = index, task

    def _next(self, index: int) -> Task | None:
        """The first task whose segment this actor holds; else the first that nobody holds; else the first of all,
        which another actor loses: no actor idles while there is work."""
        for wanted in (index, None):
            for place, task in enumerate(self.tasks):
                if self.homes.get(task.home) == wanted:
                    del self.tasks[place]
                    return task
        return self.tasks.popleft() if self.tasks else None

    def _collect(self) -> None:
        import ray
        from ray.exceptions import RayActorError, RayTaskError

        done, _ = ray.wait(list(self.flying), num_returns=1, timeout=POLL_S)
        for reference in done:
            index, task = self.flying.pop(reference)
            try:
                data = ray.get(reference)
            except RayTaskError as error:
                self.idle.add(index)
                self._fail(task.job, error.cause if isinstance(error.cause, Exception) else error)
            except RayActorError:
                # The process died, perhaps killed for memory; Ray starts another one, which holds no segment yet.
                self.tell(f"worker {index} died; part {task.number + 1} of job {task.job.id} is dealt again")
                self.homes = {home: held for home, held in self.homes.items() if held != index}
                self.actors[index] = start_actor(self.plan)
                self.idle.add(index)
                self.tasks.appendleft(task)
            else:
                self.idle.add(index)
                self._proven(task, data)

    def _proven(self, task: Task, data: bytes) -> None:
        work = self.works.get(task.job.id)
        if work is None:
            return
        if not self.store.proven(task.job.id, self.name, task.number, data):
            self._forget(task.job.id)
            return
        work.proven[task.number] = data
        self._finish_if_complete(task.job.id)

    def _finish_if_complete(self, id: str) -> None:
        work = self.works.get(id)
        if work is None or len(work.proven) < work.parts:
            return
        parts = [read_receipt(work.proven[number]).parts[0] for number in range(work.parts)]
        try:
            self._release(work.job, write_receipt(Receipt(tuple(parts))))
        except (ParseError, VerificationError, OSError) as error:
            self._fail(work.job, error)
        self._forget(id)

    def _release(self, job: Job, receipt: bytes) -> None:
        """Nothing is released that has not been verified."""
        QueryReceipt(receipt).verify(job.request.root, min_conjectured=0.0)  # the client chose the preset
        if self.store.finish(job.id, self.name, receipt):
            self.tell(f"job {job.id} verified, {len(receipt):,} bytes")

    def _fail(self, job: Job, error: Exception) -> None:
        """What the request itself is wrong in stays wrong; anything else may go better another time."""
        reason = " ".join(f"{error}".split())[:500] or type(error).__name__
        self.tell(f"job {job.id} failed: {reason}")
        self.store.fail(
            job.id, self.name, reason, again=not isinstance(error, ParseError | VerificationError | ValueError)
        )
        self._forget(job.id)

    def _drop_lost(self) -> None:
        """Jobs that were cancelled, or have run for too long."""
        for id, work in list(self.works.items()):
            if time.monotonic() - work.since > TIMEOUT_S:
                self.store.timed_out(id, self.name)
                self._forget(id)
            elif self.store.job(id).runner != self.name:
                self._forget(id)

    def _forget(self, id: str) -> None:
        self.works.pop(id, None)
        self.tasks = deque(task for task in self.tasks if task.job.id != id)


def run(store_folder: str, address: str | None, workers: int | None, drain: bool, tell: Tell) -> None:
    """Runs jobs of a store on Ray. Raises VectorError where Ray cannot be had."""
    with Store(store_folder) as store, store.runner() as name, cluster(address, workers) as plan:
        tell(f"{plan.workers} workers with {plan.threads} threads and {plan.bytes_each / 1e9:.1f} GB each")
        Runner(store, name, plan, tell).run(drain)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--address")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--drain", action="store_true", help="end when there is nothing left to do")
    arguments = parser.parse_args()
    run(arguments.store, arguments.address, arguments.workers, arguments.drain, lambda text: print(text, flush=True))


if __name__ == "__main__":
    main()
