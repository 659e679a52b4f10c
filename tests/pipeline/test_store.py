"""The job store: every change of state, what is submitted again, who goes first, and what may go."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from octoproof.pipeline.jobs import (
    ACTIVE,
    CANCELLED,
    FAILED,
    MAX_ATTEMPTS,
    MAX_BACK_OFF_S,
    OPEN,
    PROVING,
    QUEUED,
    RUNNING,
    STATES,
    VERIFIED,
    Job,
    Priority,
    back_off,
)
from octoproof.pipeline.request import Request
from octoproof.pipeline.store import Store
from octoproof.vectors.errors import VectorError


def request(number: int = 0, place: str = "/nowhere") -> Request:
    return Request(place, 1, "ab" * 32, (number, 1), 3, "l2", "strict", (), 0, 0, "bench")


def submit(store: Store, number: int = 0, *options: Any) -> str:
    return store.submit(request(number), *options)[0].id


def to(store: Store, state: str, runner: str = "me") -> Job:
    """Job 0, brought to a state."""
    id = submit(store)
    if state == CANCELLED:
        return store.cancel(id)
    if state != QUEUED:
        assert store.take(runner) is not None
    if state in (PROVING, VERIFIED, FAILED):
        store.proving(id, runner, 2)
    if state == VERIFIED:
        assert store.finish(id, runner, b"receipt")
    if state == FAILED:
        store.fail(id, runner, "no good", again=False)
    assert store.job(id).state == state
    return store.job(id)


def raise_(error: BaseException) -> Any:
    raise error


# One job


def test_a_job_from_submission_to_receipt(store):
    job, new = store.submit(request(), Priority.HIGH)
    assert (new, job.state, job.priority, job.attempts, job.receipt) == (True, QUEUED, Priority.HIGH, 0, None)
    taken = store.take("me")
    assert taken is not None
    assert (taken.id, taken.state, taken.runner, taken.attempts) == (job.id, RUNNING, "me", 1)
    assert taken.request == request()
    assert store.holds(job.id, "me")
    assert store.proving(job.id, "me", 2) == {}
    assert store.job(job.id).shown_state == "proving(0 of 2)"
    assert store.proven(job.id, "me", 1, b"one")
    assert store.job(job.id).shown_state == "proving(1 of 2)"
    assert store.proving(job.id, "me", 2) == {1: b"one"}
    assert store.proven(job.id, "me", 0, b"null")
    assert store.finish(job.id, "me", b"receipt")
    done = store.job(job.id)
    assert (done.state, done.shown_state, done.part, done.parts) == (VERIFIED, VERIFIED, 2, 2)
    assert done.receipt == blake3(b"receipt").hexdigest()
    assert store.artefacts.get(done.receipt) == b"receipt"
    assert not store.holds(job.id, "me")


def test_the_parts_go_when_the_receipt_is_there(store):
    """But not a part that is the receipt."""
    for number, parts in ((0, [b"a", b"b"]), (1, [b"whole"])):
        id = submit(store, number)
        store.take("me")
        store.proving(id, "me", len(parts))
        for place, part in enumerate(parts):
            store.proven(id, "me", place, part)
        store.finish(id, "me", b"whole" if number else b"ab")
    left = {store.artefacts.get(path.name) for path in store.artefacts.folder.glob("??/*")}
    assert left == {b"ab", b"whole"}


def test_a_receipt_is_released_though_its_parts_cannot_be_removed(store, monkeypatch):
    job = to(store, PROVING)
    store.proven(job.id, "me", 0, b"part")
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: raise_(OSError(errno.EROFS, "read-only file system")))
    assert store.finish(job.id, "me", b"receipt")
    assert store.job(job.id).state == VERIFIED


TRANSITIONS: dict[str, tuple[Callable[[Store, str], Any], tuple[str, ...], str]] = {
    # what is done: by the job's own runner, from which states it changes the job, to which
    "proving": (lambda store, id: store.proving(id, "me", 2), ACTIVE, PROVING),
    "finish": (lambda store, id: store.finish(id, "me", b"other receipt"), ACTIVE, VERIFIED),
    "fail": (lambda store, id: store.fail(id, "me", "bad", again=False), ACTIVE, FAILED),
    "fail, again": (lambda store, id: store.fail(id, "me", "bad", again=True), ACTIVE, QUEUED),
    "timed out": (lambda store, id: store.timed_out(id, "me", False), ACTIVE, QUEUED),
    "requeue": (lambda store, id: store.requeue(id, "me"), ACTIVE, QUEUED),
    "recover": (lambda store, id: store.recover(), ACTIVE, QUEUED),
    "cancel": (lambda store, id: store.cancel(id), OPEN, CANCELLED),
    "take": (lambda store, id: store.take("other"), (QUEUED,), RUNNING),
    "submit": (lambda store, id: store.submit(request()), (FAILED, CANCELLED), QUEUED),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", TRANSITIONS)
def test_every_transition_from_every_state(store, name, state):
    before = to(store, state)
    act, origins, target = TRANSITIONS[name]
    act(store, before.id)
    after = store.job(before.id)
    if state in origins:
        assert after.state == target
    else:
        assert after == before


@pytest.mark.parametrize("name", [name for name in TRANSITIONS if TRANSITIONS[name][1] == ACTIVE and name != "recover"])
def test_another_runner_changes_nothing(store, name):
    before = to(store, PROVING, "the owner")
    TRANSITIONS[name][0](store, before.id)
    assert store.job(before.id) == before


def test_a_part_of_a_job_that_was_cancelled_is_not_kept(store):
    job = to(store, PROVING)
    store.cancel(job.id)
    assert not store.proven(job.id, "me", 0, b"part")
    assert not store.finish(job.id, "me", b"receipt")
    assert store.job(job.id).receipt is None
    assert list(store.artefacts.folder.glob("??/*")) == []


def test_a_job_that_was_forgotten_stops_nobody(store):
    job = to(store, PROVING)
    store.cancel(job.id)
    store.collect_garbage(-1.0)
    assert not store.holds(job.id, "me")
    assert not store.proven(job.id, "me", 0, b"part")
    assert not store.finish(job.id, "me", b"receipt")
    store.timed_out(job.id, "me", got_on=True)
    store.requeue(job.id, "me")
    store.fail(job.id, "me", "bad", again=True)
    assert store.jobs() == []


# Submitting again


def test_the_same_request_is_the_same_job(store):
    first, new = store.submit(request())
    again, more = store.submit(request(place="/elsewhere"))
    assert (new, more) == (True, False)
    assert again == first
    with Store(store.folder) as other:  # after a restart
        assert other.submit(request()) == (first, False)


@pytest.mark.parametrize("state", OPEN)
def test_the_higher_priority_and_the_later_deadline_count(store, state):
    job = to(store, state)
    until = time.time() + 60
    assert store.submit(request(), Priority.LOW)[0].priority == Priority.NORMAL
    assert store.submit(request(), Priority.HIGH, until)[0].priority == Priority.HIGH
    assert store.job(job.id).deadline is None
    id = submit(store, 1, Priority.NORMAL, until)
    for deadline, counts in ((until - 9, until), (until + 9, until + 9), (None, None), (until, None)):
        assert store.submit(request(1), deadline=deadline)[0].deadline == counts
        assert store.job(id).deadline == counts


@pytest.mark.parametrize("state", [FAILED, CANCELLED])
def test_an_ended_job_can_be_submitted_again(store, state):
    """With the place where the snapshot is now; nothing of its past counts."""
    job = to(store, state)
    again, new = store.submit(request(place="/moved"), Priority.LOW)
    assert (again.id, new, again.state, again.request.snapshot) == (job.id, False, QUEUED, "/moved")
    assert (again.attempts, again.reason, again.priority, again.runner) == (0, None, Priority.LOW, None)
    assert store.take("me") is not None


def test_parts_of_a_cancelled_job_are_used_again(store):
    job = to(store, PROVING)
    store.proven(job.id, "me", 1, b"part")
    store.cancel(job.id)
    store.submit(request())
    store.take("you")
    assert store.proving(job.id, "you", 2) == {1: b"part"}
    assert store.job(job.id).part == 1


def test_a_verified_job_stays_unless_its_receipt_is_lost(store):
    job = to(store, VERIFIED)
    assert store.submit(request()) == (job, False)
    store.artefacts.remove(job.receipt)
    again, _ = store.submit(request())
    assert (again.state, again.receipt) == (QUEUED, None)


# Order


def test_priorities_then_deadlines_then_age(store, clock):
    now = time.time()
    order = [
        submit(store, 0, Priority.HIGH, now + 900),
        submit(store, 1, Priority.HIGH),
        submit(store, 2, Priority.NORMAL, now + 500),
        submit(store, 3, Priority.NORMAL, now + 600),
        submit(store, 4, Priority.NORMAL),
        submit(store, 5, Priority.NORMAL),
        submit(store, 6, Priority.LOW, now + 100),
    ]
    # Submitted the other way round, by a clock that goes backwards.
    with Store(store.folder.with_name("other")) as other:
        for number in (6, 5, 4, 3, 2, 1, 0):
            clock(-1)
            old = store.job(order[number])
            other.submit(old.request, old.priority, old.deadline)
        assert [other.take("me").id for _ in order] == order
        assert other.take("me") is None


def test_only_more_urgent_jobs(store):
    low, high = submit(store, 0, Priority.LOW), submit(store, 1, Priority.HIGH)
    assert store.take("me", above=Priority.HIGH) is None
    assert store.take("me", above=Priority.NORMAL).id == high
    assert store.take("me", above=Priority.LOW) is None
    assert store.take("me").id == low


def test_a_deadline_that_passes_in_the_queue(store, clock):
    id, other = submit(store, 0, Priority.HIGH, time.time() + 60), submit(store, 1)
    clock(59)
    assert store.take("me").id == id
    store.requeue(id, "me")
    clock(2)
    assert store.take("me").id == other
    assert store.job(id).shown_state == "failed(deadline passed)"
    assert store.submit(request())[0].state == QUEUED


def test_a_deadline_that_passes_at_work_changes_nothing(store, clock):
    id = submit(store, 0, Priority.HIGH, time.time() + 60)
    store.take("me")
    clock(120)
    assert store.take("me") is None
    assert store.finish(id, "me", b"receipt")


# Trying again


def test_failures_are_tried_again_later_each_time(store, clock):
    id = submit(store)
    for attempt in range(1, MAX_ATTEMPTS):
        assert store.take("me").attempts == attempt
        store.fail(id, "me", "no room", again=True)
        assert (store.job(id).state, store.job(id).reason, store.job(id).runner) == (QUEUED, "no room", None)
        clock(back_off(attempt) - 0.5)
        assert store.take("me") is None
        clock(0.6)
    assert store.take("me").attempts == MAX_ATTEMPTS
    store.fail(id, "me", "no room", again=True)
    assert store.job(id).shown_state == "failed(no room)"


def test_back_off_grows_to_a_limit():
    waits = [back_off(attempt) for attempt in range(1, 20)]
    assert waits[:4] == [1, 2, 4, 8]
    assert waits == sorted(waits)
    assert waits[-1] == MAX_BACK_OFF_S


def test_time_outs_are_queued_at_low_priority_and_keep_their_parts(store):
    """As long as they get on."""
    id = submit(store, 0, Priority.HIGH)
    for part in range(2 * MAX_ATTEMPTS):
        store.take("me")
        assert len(store.proving(id, "me", 99)) == part
        store.proven(id, "me", part, b"part")
        store.timed_out(id, "me", got_on=True)
        job = store.job(id)
        assert (job.state, job.priority, job.reason, job.attempts) == (QUEUED, Priority.LOW, "timeout", 0)
    for _ in range(MAX_ATTEMPTS):
        assert store.take("me").id == id
        store.timed_out(id, "me", got_on=False)
    assert store.job(id).shown_state == "failed(timeout)"


def test_a_runner_that_stops_costs_no_attempt(store):
    for _ in range(3 * MAX_ATTEMPTS):
        job = to(store, RUNNING)
        store.requeue(job.id, "me")
    assert store.job(job.id).attempts == 0


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_a_part_that_cannot_be_read_is_proven_again(store, harm):
    job = to(store, PROVING)
    store.proven(job.id, "me", 0, b"part 0")
    store.proven(job.id, "me", 1, b"part 1")
    path = next(path for path in store.artefacts.folder.glob("??/*") if path.read_bytes() == b"part 1")
    {"flip": lambda: path.write_bytes(b"part X"), "truncate": lambda: os.truncate(path, 2), "remove": path.unlink}[
        harm
    ]()
    assert store.proving(job.id, "me", 2) == {0: b"part 0"}
    assert store.job(job.id).part == 1
    assert store.proven(job.id, "me", 1, b"part 1")
    assert store.proving(job.id, "me", 2) == {0: b"part 0", 1: b"part 1"}


def test_disproved_parts_are_forgotten(store):
    job = to(store, PROVING)
    store.proven(job.id, "me", 0, b"bad")
    store.disprove(job.id)
    assert store.proving(job.id, "me", 2) == {}


# Ids


def test_so_much_of_an_id_as_is_unique(store):
    ids = [submit(store, number) for number in range(40)]
    for number, id in enumerate(ids):
        assert store.job(id).request == request(number)
        assert store.job(request(number).key).id == id
        short = next(id[:n] for n in range(1, 17) if sum(other.startswith(id[:n]) for other in ids) == 1)
        assert store.job(short).id == id
        if len(short) > 1:
            with pytest.raises(VectorError, match=f"several jobs of id {short[:-1]}"):
                store.job(short[:-1])
    with pytest.raises(VectorError, match="no job of id"):
        store.job("f" * 64)


@pytest.mark.parametrize("id", ["", "*", "?", "[a-f]", "xyz", "AB", "a b", "0" * 65, "' OR 1=1", "\0"])
def test_what_is_no_id(store, id):
    submit(store)
    for call in (store.job, store.cancel):
        with pytest.raises(VectorError, match="is no job's id; `octoproof jobs` lists them"):
            call(id)


def test_lists_and_counts(store):
    ids = [submit(store, number) for number in range(5)]
    store.cancel(ids[2])
    assert [job.id for job in store.jobs()] == ids[::-1]
    assert [job.id for job in store.jobs((CANCELLED,))] == [ids[2]]
    assert [job.id for job in store.jobs(limit=2)] == ids[:2:-1]
    assert store.counts() == {state: {QUEUED: 4, CANCELLED: 1}.get(state, 0) for state in STATES}


# Garbage


def test_garbage_is_what_no_job_names(store, clock):
    verified = to(store, VERIFIED)
    proving = submit(store, 1)
    store.take("me")
    store.proving(proving, "me", 2)
    store.proven(proving, "me", 0, b"part")
    failed = submit(store, 2)
    store.take("me")
    store.proving(failed, "me", 2)
    store.proven(failed, "me", 0, b"part of a failed one")
    store.fail(failed, "me", "bad", again=False)
    queued = submit(store, 3)
    orphan = store.artefacts.put(b"orphan")
    assert store.collect_garbage(3600) == (0, 1, 6)
    assert not store.artefacts.has(orphan)
    assert store.artefacts.get(verified.receipt) == b"receipt"
    clock(4000)
    assert store.collect_garbage(3600) == (2, 2, 27)
    assert {job.id for job in store.jobs()} == {proving, queued}
    assert store.proving(proving, "me", 2) == {0: b"part"}
    with pytest.raises(VectorError, match="no job of id"):
        store.job(verified.id)


def test_verified_receipts_are_remembered(store, clock):
    assert store.verdict("ab", "96 bits") is None
    store.remember("ab", "96 bits", {"valid": True})
    clock(1)
    store.remember("cd", "96 bits", {"valid": False})
    assert store.verdict("ab", "96 bits") == {"valid": True}
    assert store.verdict("ab", "80 bits") is None
    assert [found["receipt"] for found in store.history()] == ["cd", "ab"]
    assert len(store.history(limit=1)) == 1
    store.remember("ab", "96 bits", {"valid": 1})
    assert store.verdict("ab", "96 bits") == {"valid": 1}
