"""The job store in trouble: clocks that jump, databases that are locked, full or of another version."""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from octoproof.pipeline import database
from octoproof.pipeline.artefacts import Artefacts
from octoproof.pipeline.database import Database
from octoproof.pipeline.jobs import (
    CANCELLED,
    FAILED,
    PROVING,
    QUEUED,
    RUNNING,
    STATES,
    VERIFIED,
    Job,
)
from octoproof.pipeline.request import Request
from octoproof.pipeline.store import MIGRATIONS, Store
from octoproof.vectors.errors import VectorError

YEARS = 10 * 365.25 * 86400


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


# Clocks


@pytest.mark.parametrize("jump", [YEARS, -YEARS])
def test_nothing_is_stuck_when_the_clock_jumps(store, clock, jump):
    backed_off, active, queued = (submit(store, number) for number in range(3))
    assert store.take("me").id == backed_off
    store.fail(backed_off, "me", "once", again=True)
    with store.runner() as name:
        assert store.take(name).id == active
        store.proving(active, name, 1)
        clock(jump)
        assert store.recover() == []
        assert store.proven(active, name, 0, b"part")
        assert store.finish(active, name, b"part")
    taken = {store.take("me").id for _ in range(2)}
    assert taken == {backed_off, queued}
    assert submit(store, 3) == store.take("me").id
    assert store.counts() == dict.fromkeys(STATES, 0) | {RUNNING: 3, VERIFIED: 1}


def test_a_clock_that_returns_blocks_nothing_for_long(store, clock):
    """A job that failed in the far future is tried at once."""
    clock(YEARS)
    id = to(store, RUNNING).id
    store.fail(id, "me", "once", again=True)
    clock(-YEARS)
    assert store.take("me").id == id


# Trouble with files


def locked(path: Path, seconds: float) -> threading.Thread:
    """Another connection holds the database, from now on for so long."""
    held = threading.Event()

    def hold() -> None:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        held.set()
        time.sleep(seconds)
        db.execute("ROLLBACK")
        db.close()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    return thread


CHANGES: dict[str, Callable[[Store, str], Any]] = {
    "submit": lambda store, id: store.submit(request(7)),
    "cancel": lambda store, id: store.cancel(id),
    "take": lambda store, id: store.take("me"),
    "recover": lambda store, id: store.recover(),
    "remember": lambda store, id: store.remember("ab", "cd", {}),
    "collect garbage": lambda store, id: store.collect_garbage(0.0),
}


def test_a_locked_database_is_waited_for(store):
    thread, started = locked(store.folder / "jobs.sqlite", 0.5), time.monotonic()
    assert store.submit(request())[1]
    assert time.monotonic() - started > 0.4
    thread.join()


@pytest.mark.parametrize("name", CHANGES)
def test_one_that_is_locked_for_too_long_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    with Store(tmp_path / "store") as store:
        id = submit(store)
        submit(store, 1)
        store.take("dead")
        before = store.jobs()
        thread = locked(store.folder / "jobs.sqlite", 0.3)
        with pytest.raises(OSError, match="locked by another program for more than 0 s; end it") as refusal:
            CHANGES[name](store, id)
        assert refusal.value.errno == errno.EBUSY
        assert refusal.value.filename == str(store.folder / "jobs.sqlite")
        assert store.jobs() == before  # reading goes on
        thread.join()
        CHANGES[name](store, id)


def test_a_full_database(store):
    """SQLite's own limit stands for the disk's; what was not written is not there, and all goes on afterwards."""
    id = submit(store)
    store.take("me")
    store.proving(id, "me", 2)
    db = store._db._db
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    numbers = iter(range(1, 1000))
    with pytest.raises(OSError, match="full") as refusal:
        deque(map(store.submit, map(request, numbers)), maxlen=0)
    submitted = next(numbers) - 2
    assert refusal.value.errno == errno.ENOSPC
    assert store.counts() == dict.fromkeys(STATES, 0) | {QUEUED: submitted, PROVING: 1}
    db.execute("PRAGMA max_page_count = 1000000")
    assert store.proven(id, "me", 0, b"part")
    assert store.submit(request(submitted + 5))[1]
    assert store.finish(id, "me", b"receipt")


@pytest.mark.parametrize("name", ["proven", "finish"])
def test_an_artefact_that_cannot_be_written_changes_no_job(store, monkeypatch, name):
    before = to(store, PROVING)
    put = Artefacts.put
    monkeypatch.setattr(Artefacts, "put", lambda *_, **__: raise_(OSError(errno.ENOSPC, "No space left on device")))
    calls = {
        "proven": lambda: store.proven(before.id, "me", 0, b"part"),
        "finish": lambda: store.finish(before.id, "me", b"receipt"),
    }
    with pytest.raises(OSError, match="No space left"):
        calls[name]()
    assert store.job(before.id) == before
    assert store.proving(before.id, "me", 2) == {}
    monkeypatch.setattr(Artefacts, "put", put)
    assert calls[name]()


@pytest.mark.parametrize("name", ["proven", "finish", "fail", "submit"])
def test_a_database_that_fails_at_the_end_changes_nothing(store, monkeypatch, name):
    """Whatever fails before the commit, or in it; and the next call works."""
    before = to(store, PROVING)
    calls: dict[str, Callable[[], Any]] = {
        "proven": lambda: store.proven(before.id, "me", 0, b"part"),
        "finish": lambda: store.finish(before.id, "me", b"receipt"),
        "fail": lambda: store.fail(before.id, "me", "bad", again=False) or True,
        "submit": lambda: store.submit(request(5))[1],
    }
    real = Database.run

    def failing(self: Database, sql: str, *values: Any) -> Any:
        return raise_(OSError(errno.EIO, "disk I/O error")) if sql == "COMMIT" else real(self, sql, *values)

    monkeypatch.setattr(Database, "run", failing)
    with pytest.raises(OSError, match="disk I/O error"):
        calls[name]()
    monkeypatch.setattr(Database, "run", real)
    assert store.jobs() == [before]
    assert calls[name]()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk(tmp_path):
    """Until it is full, and after some room is made: no receipt is half there, none is lost."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        (disk / "ballast").write_bytes(bytes(200_000))
        receipts, refused = dict[str, bytes](), 0
        with Store(disk / "store") as store:
            for number in range(40):
                try:
                    id = submit(store, number)
                    job = store.take("me")
                    assert job is not None
                    receipt = random.Random(number).randbytes(60_000)
                    store.proving(job.id, "me", 1)
                    store.proven(job.id, "me", 0, receipt)
                    assert store.finish(job.id, "me", receipt)
                    receipts[id] = receipt
                except OSError:
                    refused += 1
                    if refused == 3:
                        before = len(receipts)
                        (disk / "ballast").unlink(missing_ok=True)
                    with suppress(OSError):
                        store.fail(job.id, "me", "no room", again=False)
            assert 0 < before < len(receipts)
            verified = {job.id: job for job in store.jobs((VERIFIED,))}
            assert set(verified) == set(receipts)
            assert all(store.artefacts.get(verified[id].receipt) == data for id, data in receipts.items())
            for other in store.jobs((QUEUED, RUNNING, PROVING)):
                store.cancel(other.id)
            store.collect_garbage(-1.0)
            assert not any(store.artefacts.folder.glob("??/*"))
            assert store.submit(request(99))[1]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_no_database(tmp_path):
    (tmp_path / "jobs.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(OSError, match="not a database"):
        Store(tmp_path)


# Versions of the schema


def old_store(folder: Path, version: int) -> None:
    """As a program of this version of the schema left it."""
    folder.mkdir(exist_ok=True)
    Database(folder / "jobs.sqlite", MIGRATIONS[:version]).close()


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
def test_migrations_keep_what_there_is(tmp_path, version):
    old_store(tmp_path, version)
    if version:
        with sqlite3.connect(tmp_path / "jobs.sqlite") as db:
            columns = "id, key, request, state, priority, created, updated"
            made = request()
            values = made.key[:16], made.key, made.to_json(), QUEUED, 1, 5.0, 6.0
            db.execute(f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        db.close()
    with Store(tmp_path) as store:
        assert store.submit(request())[1] == (version == 0)
        assert store._db.one("PRAGMA user_version")[0] == len(MIGRATIONS)
        assert store.take("dead") is not None
        assert len(store.recover()) == 1
    with Store(tmp_path) as store:
        assert store.counts()[QUEUED] == 1


def test_a_newer_version_is_refused(tmp_path):
    old_store(tmp_path, len(MIGRATIONS))
    with sqlite3.connect(tmp_path / "jobs.sqlite") as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(VectorError, match="made by a newer version of this program; update octoproof"):
        Store(tmp_path)


def test_opening_a_store_waits_for_nobody(store):
    thread, started = locked(store.folder / "jobs.sqlite", 0.5), time.monotonic()
    with Store(store.folder) as other:
        assert other.jobs() == []
    assert time.monotonic() - started < 0.3
    thread.join()
