"""The runner and its workers: which die, which part goes to whom, and jobs that are taken away meanwhile.

Workers are in this process, so that they can be made to fail where a test wants it.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from air.statements.topk_statement import TOPK
from octoproof.pipeline import runner as module
from octoproof.pipeline.cluster import ClusterError, WorkerDiedError
from octoproof.pipeline.jobs import CANCELLED, FAILED, MAX_ATTEMPTS, QUEUED, VERIFIED, Job, Priority
from octoproof.pipeline.runner import MAX_DEATHS, Runner, Task
from octoproof.pipeline.store import Store


def raise_(error: BaseException) -> Any:
    raise error


def receipt_of(store: Store, id: str) -> bytes:
    job = store.job(id)
    assert (job.state, job.reason) == (VERIFIED, None)
    return store.artefacts.get(job.receipt)


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
    assert job.reason == f"{MAX_DEATHS} workers died over it, perhaps out of memory"
    receipt_of(store, second)


def test_a_new_worker_holds_nothing_and_is_not_up_yet(make, pool):
    runner = make()
    runner.up, runner.homes, runner.failed_starts = {0, 1}, {b"a": 0, b"b": 1}, 5
    runner._died(0, WorkerDiedError("killed"))
    assert (runner.up, runner.homes) == ({1}, {b"b": 1})
    runner._collect(0.0)
    assert (runner.up, runner.failed_starts) == ({0, 1}, 0)


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


def test_cancelled_at_work(store, drain, pool, asking, monkeypatch):
    """Its parts that nobody has begun are not proven; another job is not touched."""
    monkeypatch.setattr(module, "DEPTH", 1)
    id, other = store.submit(asking(1), Priority.HIGH)[0].id, store.submit(asking(2))[0].id
    pool.before = lambda index, method, _: store.cancel(id) if method == "prove" and pool.done("prove") == 1 else None
    drain()
    assert (store.job(id).state, store.job(id).receipt) == (CANCELLED, None)
    assert pool.done("prove") == 2 + 3  # two were under way
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
    first = store.submit(slow, Priority.HIGH)[0].id
    clock, taken = [0.0], list[str]()
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + clock[0])

    def late(index: int, method: str, arguments: tuple[Any, ...]) -> None:
        if clock[0] == 0 and pool.done("prove") == 2:
            clock[0] = module.TIMEOUT_S + 1
            store.submit(other)

    pool.before = late
    real = Runner._begin
    monkeypatch.setattr(Runner, "_begin", lambda self, job: taken.append(job.id) or real(self, job))
    drain()
    assert taken == [first, store.job(other.key).id, first]
    assert (store.job(first).priority, store.job(first).attempts) == (Priority.LOW, 1)  # since it had got on
    assert receipt_of(store, first) == expected(slow)
    assert pool.starts > 2


def test_a_runner_that_is_stopped_gives_its_jobs_back(store, make, pool, asking):
    for number in range(3):
        store.submit(asking(number))
    runner = make()
    pool.before = lambda index, method, _: runner.stop() if method == "prove" else None
    with store.runner() as runner.name:
        runner.run(drain=True)
    assert pool.done("prove") == 1
    assert store.counts()[QUEUED] == 3
    assert {job.attempts for job in store.jobs()} == {0}


# Who does what


def task(home: str, number: int | None = 0, priority: Priority = Priority.NORMAL) -> Task:
    job = Job("ab", None, QUEUED, 0, 0, priority, None, 0.0, 0.0, None, 0, 0.0, None, None, None)  # type: ignore[arg-type]
    return Task(job, number, "prove", (), home.encode())


@pytest.mark.parametrize(
    ("tasks", "homes", "idle", "expected"),
    [
        # Worker 0 asks. A segment that nobody holds goes first, then its own, then, if it is idle, another's.
        (["b", "a", "c"], {"a": 0, "b": 1}, True, 2),
        (["b", "a", "c"], {"a": 0, "b": 1}, False, 2),
        (["b", "a", "a"], {"a": 0, "b": 1}, True, 1),
        (["b", "a"], {"a": 0, "b": 1}, False, 1),
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
    homes, moves = dict[int, int](), 0
    for index, method, arguments in pool.calls:
        if method == "prove":
            segment = TOPK.decode(arguments[1]).segment.index
            moves += homes.get(segment, index) != index
            homes[segment] = index
    assert pool.done("prove") == 60
    assert moves <= 6
    assert {index for index, method, _ in pool.calls if method == "prove"} == {0, 1}
    assert sum(index == 0 for index, _, _ in pool.calls) == pytest.approx(len(pool.calls) / 2, abs=2)


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


def test_only_what_is_more_urgent_than_all_tasks_is_taken_when_there_are_enough(store, make, monkeypatch):
    runner, asked = make(), list[Priority | None]()
    monkeypatch.setattr(Store, "take", lambda self, name, above: asked.append(above))
    some = [task("a", 0, Priority.LOW), task("a", 0, Priority.NORMAL)]
    for count in (0, module.AHEAD - 1, module.AHEAD):
        runner.tasks = some * count
        assert not runner._take()
    assert asked == [None, None, Priority.NORMAL]


def test_no_more_jobs_are_taken_than_there_is_room_for(store, drain, pool, asking):
    for number in range(30):
        store.submit(asking(number))
    most = [0]

    def look(*_: Any) -> None:
        counts = store.counts()
        most[0] = max(most[0], counts["running"] + counts["proving"])

    pool.before = look
    drain()
    assert most[0] <= pool.plan.workers * (module.AHEAD + module.DEPTH) + 1
    assert store.counts()[VERIFIED] == 30
