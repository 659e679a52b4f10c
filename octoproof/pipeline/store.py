"""The job store: SQLite in WAL mode, for any number of clients and runners at once (DESIGN 6).

Every change of a job is one transaction that names the state it comes from, so that two runners never take the same
job, and a job that was cancelled is never finished. A job belongs to the runner that took it for as long as that
runner's lock file is locked: the system frees the lock when the process dies, however it dies, and no clock is asked.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from octoproof.pipeline.artefacts import Artefacts
from octoproof.pipeline.database import BUSY_S as BUSY_S
from octoproof.pipeline.database import Database
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
from octoproof.pipeline.request import Request, request_from_json
from octoproof.vectors.errors import SnapshotError, VectorError

_ID = 16  # hex digits of the key that name a job
_SPARED = 3  # deaths of its runner that a job is not made to wait for

# One entry a version of the schema; `user_version` says how many have been run.
MIGRATIONS = (
    """
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, key TEXT UNIQUE NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
        part INTEGER NOT NULL DEFAULT 0, parts INTEGER NOT NULL DEFAULT 0, priority INTEGER NOT NULL, deadline REAL,
        created REAL NOT NULL, updated REAL NOT NULL, started REAL, attempts INTEGER NOT NULL DEFAULT 0,
        not_before REAL NOT NULL DEFAULT 0, reason TEXT, receipt TEXT, runner TEXT
    );
    CREATE INDEX by_state ON jobs (state, priority DESC, deadline, created);
    CREATE TABLE parts (
        job TEXT NOT NULL, number INTEGER NOT NULL, artefact TEXT NOT NULL, PRIMARY KEY (job, number)
    ) WITHOUT ROWID;
    CREATE TABLE verdicts (
        receipt TEXT NOT NULL, demands TEXT NOT NULL, verdict TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (receipt, demands)
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE jobs ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX by_end ON jobs (state, updated)",
)


class Store:
    """A folder with the database, the artefacts and the runners' locks. One object a thread."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Opens or makes the store, and brings its schema up to date. Raises OSError, VectorError."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.artefacts = Artefacts(self.folder / "artefacts")
        self._db = Database(self.folder / "jobs.sqlite", MIGRATIONS)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    # What clients do.

    def submit(
        self, request: Request, priority: Priority = Priority.NORMAL, deadline: float | None = None
    ) -> tuple[Job, bool]:
        """(the job, whether it is new). An equal request is the same job; one that ended without a receipt, or has lost
        it, is queued again. The higher priority and the later deadline count. Raises OSError."""
        key, now = request.key, time.time()
        with self._db.writing():
            known = self._db.one("SELECT * FROM jobs WHERE key = ?", key)
            if known is None:
                self._db.run(
                    "INSERT INTO jobs (id, key, request, state, priority, deadline, created, updated) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    *(key[:_ID], key, request.to_json(), QUEUED, int(priority), deadline, now, now),
                )
            elif known["state"] in OPEN:
                later = None if None in (deadline, known["deadline"]) else max(deadline or 0.0, known["deadline"])
                self._db.run(
                    "UPDATE jobs SET priority = max(priority, ?), deadline = ? WHERE key = ?", int(priority), later, key
                )
            elif known["receipt"] is None or not self.artefacts.has(known["receipt"]):
                self._db.run(
                    "UPDATE jobs SET state = ?, request = ?, priority = ?, deadline = ?, created = ?, updated = ?, "
                    "attempts = 0, deaths = 0, not_before = 0, part = 0, parts = 0, "
                    "reason = NULL, receipt = NULL, runner = NULL, started = NULL WHERE key = ?",
                    *(QUEUED, request.to_json(), int(priority), deadline, now, now, key),
                )
        return self.job(key[:_ID]), known is None

    def job(self, id: str) -> Job:
        """By id, or by so much of its beginning as is unique. Raises VectorError, OSError."""
        if not id or len(id) > 64 or not all(c in "0123456789abcdef" for c in id):
            raise VectorError(f"job: {id!r:.80} is no job's id; `octoproof jobs` lists them")
        rows = self._db.all("SELECT * FROM jobs WHERE key GLOB ? LIMIT 2", f"{id}*")
        if len(rows) != 1:
            raise VectorError(
                f"job: {'no job' if not rows else 'several jobs'} of id {id}; `octoproof jobs` lists them"
            )
        return _job(rows[0])

    def jobs(self, states: Sequence[str] = STATES, limit: int = 100) -> list[Job]:
        """The latest first."""
        rows = self._db.all(
            f"SELECT * FROM jobs WHERE state IN ({_marks(states)}) ORDER BY created DESC LIMIT ?", *states, limit
        )
        return [_job(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        rows = self._db.all("SELECT state, count(*) AS n FROM jobs GROUP BY state")
        return dict.fromkeys(STATES, 0) | {row["state"]: row["n"] for row in rows}

    def cancel(self, id: str) -> Job:
        """A job that has ended stays as it is. Raises VectorError, OSError."""
        job = self.job(id)
        with self._db.writing():
            self._db.run(
                f"UPDATE jobs SET state = ?, updated = ?, runner = NULL WHERE id = ? AND state IN ({_marks(OPEN)})",
                *(CANCELLED, time.time(), job.id, *OPEN),
            )
        return self.job(job.id)

    # What runners do. Where a job is not the runner's any more, they change nothing.

    def take(self, runner: str, above: Priority | None = None) -> Job | None:
        """The next job that is due, of those above a priority, now this runner's; None if there is none."""
        now, least = time.time(), -1 if above is None else int(above)
        # Clocks jump: no back-off is longer than the longest one, so a later time is not believed.
        due = "state = ? AND priority > ? AND (not_before <= ? OR not_before > ?)"
        values = (QUEUED, least, now, now + MAX_BACK_OFF_S)
        if self._db.one(f"SELECT 1 FROM jobs WHERE {due} LIMIT 1", *values) is None:
            return None  # seen without a lock
        with self._db.writing():
            self._db.run(
                "UPDATE jobs SET state = ?, reason = ?, updated = ? WHERE state = ? AND deadline < ?",
                *(FAILED, "deadline passed", now, QUEUED, now),
            )
            row = self._db.one(
                f"SELECT * FROM jobs WHERE {due} ORDER BY priority DESC, deadline IS NULL, deadline, created LIMIT 1",
                *values,
            )
            if row is None:
                return None
            self._db.run(
                "UPDATE jobs SET state = ?, runner = ?, attempts = attempts + 1, started = ?, updated = ? WHERE id = ?",
                *(RUNNING, runner, now, now, row["id"]),
            )
        return self.job(row["id"])

    def holds(self, id: str, runner: str) -> bool:
        """Whether the job is in work, and this runner's. Raises OSError."""
        held = f"SELECT 1 FROM jobs WHERE id = ? AND runner = ? AND state IN ({_marks(ACTIVE)})"
        return self._db.one(held, id, runner, *ACTIVE) is not None

    def proving(self, id: str, runner: str, parts: int) -> dict[int, bytes]:
        """The parts of the job that are proven already, by number; one that cannot be read is to be proven again."""
        known = {}
        with self._db.writing():
            if not self._change(id, runner, "state = ?, parts = ?", PROVING, parts):
                return {}
            for row in self._db.all("SELECT number, artefact FROM parts WHERE job = ?", id):
                try:
                    known[row["number"]] = self.artefacts.get(row["artefact"])
                except (OSError, SnapshotError):
                    self._db.run("DELETE FROM parts WHERE job = ? AND number = ?", id, row["number"])
            self._change(id, runner, "part = ?", len(known))
        return known

    def proven(self, id: str, runner: str, number: int, data: bytes) -> bool:
        """Keeps one part; False if the job is not this runner's any more. Raises OSError."""
        with self._db.writing():
            if not self._change(id, runner, "deaths = 0"):
                return False
            artefact = self.artefacts.put(data, durable=False)  # it can be proven again
            self._db.run("INSERT OR REPLACE INTO parts (job, number, artefact) VALUES (?, ?, ?)", id, number, artefact)
            return self._change(id, runner, "part = (SELECT count(*) FROM parts WHERE job = jobs.id)")

    def disprove(self, id: str) -> None:
        """Forgets the job's parts, of which one is not what it should be. Raises OSError."""
        with self._db.writing():
            self._db.run("DELETE FROM parts WHERE job = ?", id)

    def finish(self, id: str, runner: str, receipt: bytes) -> bool:
        """Releases the receipt, which must have been verified; False if the job was cancelled meanwhile.

        The parts are in the receipt now. Raises OSError."""
        with self._db.writing():
            if not self._change(id, runner, "state = ?, reason = NULL", VERIFIED):
                return False
            name = self.artefacts.put(receipt)
            self._db.run("UPDATE jobs SET receipt = ? WHERE id = ?", name, id)
            parts = self._db.all("SELECT artefact FROM parts WHERE job = ?", id)
            self._db.run("DELETE FROM parts WHERE job = ?", id)
        for row in parts:
            if row["artefact"] != name:  # the receipt of one part is that part
                with suppress(OSError):
                    self.artefacts.remove(row["artefact"])
        return True

    def fail(self, id: str, runner: str, reason: str, again: bool) -> None:
        """Ends the job, or with `again` queues it anew after a while, as often as is allowed. Raises OSError."""
        with self._db.writing():
            row = self._db.one("SELECT attempts FROM jobs WHERE id = ?", id)
            if again and row is not None and row["attempts"] < MAX_ATTEMPTS:
                later = time.time() + back_off(row["attempts"])
                self._change(id, runner, "state = ?, reason = ?, not_before = ?, runner = NULL", QUEUED, reason, later)
            else:
                self._change(id, runner, "state = ?, reason = ?, runner = NULL", FAILED, reason)

    def timed_out(self, id: str, runner: str, got_on: bool) -> None:
        """Queues the job again at low priority (REQUIREMENTS VQ-28); its proven parts stay. If it has not got on by a
        part, that is done as often as is allowed. Raises OSError."""
        with self._db.writing():
            again, spared = (MAX_ATTEMPTS + 1, 1) if got_on else (MAX_ATTEMPTS, 0)
            change = "reason = ?, priority = ?, state = iif(attempts < ?, ?, ?), attempts = attempts - ?, runner = NULL"
            self._change(id, runner, change, "timeout", int(Priority.LOW), again, QUEUED, FAILED, spared)

    def requeue(self, id: str, runner: str) -> None:
        """Gives a job back that is not at fault: the runner stops. Raises OSError."""
        with self._db.writing():
            self._change(id, runner, "state = ?, attempts = attempts - 1, runner = NULL", QUEUED)

    def recover(self) -> list[str]:
        """Queues every job again whose runner is dead; their ids. Raises OSError.

        No job is lost however often that happens, but one that may have killed its runners waits longer each time,
        so that others get done in between."""
        rows = self._db.all(f"SELECT id, runner, deaths FROM jobs WHERE state IN ({_marks(ACTIVE)})", *ACTIVE)
        dead = [row for row in rows if not _alive(self._lock(row["runner"]))]
        for row in dead:
            later = time.time() + (back_off(row["deaths"] - _SPARED) if row["deaths"] > _SPARED else 0.0)
            change = "state = ?, not_before = ?, attempts = attempts - 1, deaths = deaths + 1, runner = NULL"
            with self._db.writing():
                self._change(row["id"], row["runner"], change, QUEUED, later)
        return [row["id"] for row in dead]

    def _change(self, id: str, runner: str, change: str, *values: Any) -> bool:
        """Within a transaction: changes the job if it is active and this runner's."""
        done = self._db.run(
            f"UPDATE jobs SET {change}, updated = ? WHERE id = ? AND runner = ? AND state IN ({_marks(ACTIVE)})",
            *(*values, time.time(), id, runner, *ACTIVE),
        )
        return done.rowcount == 1

    @contextmanager
    def runner(self) -> Iterator[str]:
        """A name for this process as a runner, which holds for as long as it lives. Raises OSError."""
        name = secrets.token_hex(8)
        path = self._lock(name)
        path.parent.mkdir(exist_ok=True)
        aside = path.with_suffix(".part")
        with open(aside, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(aside, path)  # nobody sees it unlocked
            try:
                yield name
            finally:
                path.unlink(missing_ok=True)

    def runners(self) -> list[str]:
        """The runners that are alive."""
        found = (path.stem for path in (self.folder / "runners").glob("*.lock"))
        return [name for name in found if _alive(self._lock(name))]

    def _lock(self, runner: str | None) -> Path:
        return self.folder / "runners" / f"{runner}.lock"

    # Verified receipts, and what may go.

    def verdict(self, receipt: str, demands: str) -> Any:
        """What was found when this receipt (blake3, hex) was verified under these demands; None if it was not."""
        row = self._db.one("SELECT verdict FROM verdicts WHERE receipt = ? AND demands = ?", receipt, demands)
        return None if row is None else json.loads(row["verdict"])

    def remember(self, receipt: str, demands: str, verdict: Any) -> None:
        with self._db.writing():
            self._db.run(
                "INSERT OR REPLACE INTO verdicts (receipt, demands, verdict, at) VALUES (?, ?, ?, ?)",
                *(receipt, demands, json.dumps(verdict), time.time()),
            )

    def history(self, limit: int = 100) -> list[dict[str, Any]]:
        """The latest verified receipts."""
        rows = self._db.all("SELECT * FROM verdicts ORDER BY at DESC LIMIT ?", limit)
        return [dict(row) | {"verdict": json.loads(row["verdict"])} for row in rows]

    def collect_garbage(self, keep_s: float) -> tuple[int, int, int]:
        """Forgets jobs that ended more than `keep_s` seconds ago, and removes every artefact that no job names:
        (jobs, files, bytes). Raises OSError."""
        with self._db.writing():  # in which nobody else puts an artefact
            gone = self._db.run(
                f"DELETE FROM jobs WHERE state NOT IN ({_marks(OPEN)}) AND updated < ?", *OPEN, time.time() - keep_s
            ).rowcount
            self._db.run("DELETE FROM parts WHERE job NOT IN (SELECT id FROM jobs)")
            rows = self._db.all("SELECT receipt FROM jobs WHERE receipt IS NOT NULL UNION SELECT artefact FROM parts")
            files, size = self.artefacts.keep_only({name for (name,) in rows})
        return gone, files, size


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def _alive(lock: Path) -> bool:
    try:
        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    lock.unlink(missing_ok=True)
    return False


def _job(row: Any) -> Job:
    known = {name: row[name] for name in Job.__dataclass_fields__ if name not in ("request", "priority")}
    return Job(**known, request=request_from_json(row["request"]), priority=Priority(row["priority"]))
