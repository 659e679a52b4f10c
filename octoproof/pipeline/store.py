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
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from octoproof.pipeline.artefacts import Artefacts
from octoproof.pipeline.jobs import (
    ACTIVE,
    CANCELLED,
    FAILED,
    MAX_ATTEMPTS,
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
from octoproof.vectors.errors import VectorError

BUSY_S = 30.0  # how long a locked database is waited for
_ID = 16  # hex digits of the key that name a job

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
)


class Store:
    """A folder with the database, the artefacts and the runners' locks. One object a thread."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Opens or makes the store, and brings its schema up to date. Raises OSError, sqlite3.Error, VectorError."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.artefacts = Artefacts(self.folder / "artefacts")
        self._db = sqlite3.connect(self.folder / "jobs.sqlite", timeout=BUSY_S, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # a job that was accepted outlives a power cut
        self._migrate()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def _migrate(self) -> None:
        with self._writing():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise VectorError(f"{self.folder}: made by a newer version of this program; update octoproof")
            for script in MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # What clients do.

    def submit(
        self, request: Request, priority: Priority = Priority.NORMAL, deadline: float | None = None
    ) -> tuple[Job, bool]:
        """(the job, whether it is new). An equal request is the same job; one that ended without a receipt is queued
        again. A higher priority than before counts."""
        key, now = request.key, time.time()
        with self._writing():
            known = self._one("SELECT * FROM jobs WHERE key = ?", key)
            if known is None:
                self._db.execute(
                    "INSERT INTO jobs (id, key, request, state, priority, deadline, created, updated) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (key[:_ID], key, request.to_json(), QUEUED, int(priority), deadline, now, now),
                )
            elif known["state"] in (FAILED, CANCELLED):
                self._db.execute(
                    "UPDATE jobs SET state = ?, request = ?, priority = ?, deadline = ?, attempts = 0, not_before = 0, "
                    "reason = NULL, runner = NULL, started = NULL, part = 0, parts = 0, updated = ? WHERE key = ?",
                    (QUEUED, request.to_json(), int(priority), deadline, now, key),
                )
            elif known["state"] == QUEUED and int(priority) > known["priority"]:
                self._db.execute("UPDATE jobs SET priority = ? WHERE key = ?", (int(priority), key))
        return self.job(key[:_ID]), known is None

    def job(self, id: str) -> Job:
        """By id, or by so much of its beginning as is unique. Raises VectorError."""
        if not id or len(id) > 64 or not all(c in "0123456789abcdef" for c in id):
            raise VectorError(f"job: {id!r:.80} is no job's id; `octoproof jobs` lists them")
        rows = self._db.execute("SELECT * FROM jobs WHERE key GLOB ? LIMIT 2", (f"{id}*",)).fetchall()
        if len(rows) != 1:
            raise VectorError(
                f"job: {'no job' if not rows else 'several jobs'} of id {id}; `octoproof jobs` lists them"
            )
        return _job(rows[0])

    def jobs(self, states: Sequence[str] = STATES, limit: int = 100) -> list[Job]:
        """The latest first."""
        marks = ", ".join("?" * len(states))
        rows = self._db.execute(
            f"SELECT * FROM jobs WHERE state IN ({marks}) ORDER BY created DESC LIMIT ?",
            (*states, limit),
        )
        return [_job(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        rows = self._db.execute("SELECT state, count(*) AS n FROM jobs GROUP BY state")
        return dict.fromkeys(STATES, 0) | {row["state"]: row["n"] for row in rows}

    def cancel(self, id: str) -> Job:
        """A job that has ended stays as it is."""
        job, marks = self.job(id), ", ".join("?" * len(OPEN))
        with self._writing():
            self._db.execute(
                f"UPDATE jobs SET state = ?, updated = ?, runner = NULL WHERE id = ? AND state IN ({marks})",
                (CANCELLED, time.time(), job.id, *OPEN),
            )
        return self.job(job.id)

    # What runners do.

    def take(self, runner: str) -> Job | None:
        """The next job that is due, now this runner's; None if there is none."""
        now = time.time()
        with self._writing():
            self._db.execute(
                "UPDATE jobs SET state = ?, reason = ?, updated = ? WHERE state = ? AND deadline < ?",
                (FAILED, "deadline passed", now, QUEUED, now),
            )
            # Clocks jump: no back-off is longer than the longest one, so a later time is not believed.
            row = self._one(
                "SELECT * FROM jobs WHERE state = ? AND (not_before <= ? OR not_before > ?) "
                "ORDER BY priority DESC, deadline IS NULL, deadline, created LIMIT 1",
                QUEUED,
                now,
                now + back_off(MAX_ATTEMPTS),
            )
            if row is None:
                return None
            self._db.execute(
                "UPDATE jobs SET state = ?, runner = ?, attempts = attempts + 1, started = ?, updated = ? WHERE id = ?",
                (RUNNING, runner, now, now, row["id"]),
            )
        return self.job(row["id"])

    def proving(self, id: str, runner: str, parts: int) -> dict[int, str]:
        """The parts of the job that are proven already, as artefacts by number."""
        self._mine(id, runner, "state = ?, parts = ?", PROVING, parts)
        rows = self._db.execute("SELECT number, artefact FROM parts WHERE job = ?", (id,))
        return {row["number"]: row["artefact"] for row in rows}

    def proven(self, id: str, runner: str, number: int, data: bytes) -> bool:
        """Keeps one part; False if the job is not this runner's any more."""
        artefact = self.artefacts.put(data)
        with self._writing():
            self._db.execute(
                "INSERT OR IGNORE INTO parts (job, number, artefact) VALUES (?, ?, ?)", (id, number, artefact)
            )
        return self._mine(id, runner, "part = (SELECT count(*) FROM parts WHERE job = jobs.id)")

    def finish(self, id: str, runner: str, receipt: bytes) -> bool:
        """Releases the receipt, which must have been verified; False if the job was cancelled meanwhile."""
        return self._mine(id, runner, "state = ?, receipt = ?, reason = NULL", VERIFIED, self.artefacts.put(receipt))

    def fail(self, id: str, runner: str, reason: str, again: bool) -> None:
        """Ends the job, or with `again` queues it anew after a while, as often as is allowed."""
        job = self.job(id)
        if again and job.attempts < MAX_ATTEMPTS:
            later = time.time() + back_off(job.attempts)
            self._mine(id, runner, "state = ?, reason = ?, not_before = ?, runner = NULL", QUEUED, reason, later)
        else:
            self._mine(id, runner, "state = ?, reason = ?", FAILED, reason)

    def timed_out(self, id: str, runner: str) -> None:
        """Queues the job again at low priority (REQUIREMENTS VQ-28); its proven parts stay."""
        job = self.job(id)
        if job.attempts < MAX_ATTEMPTS:
            self._mine(
                id, runner, "state = ?, priority = ?, reason = ?, runner = NULL", QUEUED, int(Priority.LOW), "timeout"
            )
        else:
            self._mine(id, runner, "state = ?, reason = ?", FAILED, "timeout")

    def requeue(self, id: str, runner: str) -> None:
        """Gives a job back that is not its own fault: the runner stops."""
        self._mine(id, runner, "state = ?, attempts = attempts - 1, runner = NULL", QUEUED)

    def recover(self) -> list[str]:
        """Queues every job again whose runner is dead; their ids."""
        marks = ", ".join("?" * len(ACTIVE))
        rows = self._db.execute(f"SELECT id, runner FROM jobs WHERE state IN ({marks})", ACTIVE).fetchall()
        dead = [(row["id"], row["runner"]) for row in rows if not _alive(self._lock(row["runner"]))]
        for id, runner in dead:
            self._mine(id, runner, "state = ?, attempts = attempts - 1, runner = NULL", QUEUED)
        return [id for id, _ in dead]

    def _mine(self, id: str, runner: str, change: str, *values: Any) -> bool:
        """Changes the job if it is active and this runner's."""
        marks = ", ".join("?" * len(ACTIVE))
        with self._writing():
            done = self._db.execute(
                f"UPDATE jobs SET {change}, updated = ? WHERE id = ? AND runner = ? AND state IN ({marks})",
                (*values, time.time(), id, runner, *ACTIVE),
            )
        return done.rowcount == 1

    @contextmanager
    def runner(self) -> Iterator[str]:
        """A name for this process as a runner, which holds for as long as it lives."""
        name = secrets.token_hex(8)
        path = self._lock(name)
        path.parent.mkdir(exist_ok=True)
        with open(path, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
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
        row = self._one("SELECT verdict FROM verdicts WHERE receipt = ? AND demands = ?", receipt, demands)
        return None if row is None else json.loads(row["verdict"])

    def remember(self, receipt: str, demands: str, verdict: Any) -> None:
        with self._writing():
            self._db.execute(
                "INSERT OR REPLACE INTO verdicts (receipt, demands, verdict, at) VALUES (?, ?, ?, ?)",
                (receipt, demands, json.dumps(verdict), time.time()),
            )

    def history(self, limit: int = 100) -> list[dict[str, Any]]:
        """The latest verified receipts."""
        rows = self._db.execute("SELECT * FROM verdicts ORDER BY at DESC LIMIT ?", (limit,))
        return [dict(row) | {"verdict": json.loads(row["verdict"])} for row in rows]

    def collect_garbage(self, keep_s: float) -> tuple[int, int, int]:
        """Forgets jobs that ended more than `keep_s` seconds ago, and removes every artefact that no job names:
        (jobs, files, bytes). An artefact of the last hour stays, since a runner may be about to name it."""
        now = time.time()
        with self._writing():
            marks = ", ".join("?" * len(OPEN))
            gone = self._db.execute(
                f"DELETE FROM jobs WHERE state NOT IN ({marks}) AND updated < ?",
                (*OPEN, now - keep_s),
            ).rowcount
            # The parts of a released receipt are in the receipt.
            self._db.execute("DELETE FROM parts WHERE job NOT IN (SELECT id FROM jobs WHERE state != ?)", (VERIFIED,))
            rows = self._db.execute(
                "SELECT receipt AS name FROM jobs WHERE receipt IS NOT NULL UNION SELECT artefact FROM parts"
            ).fetchall()
        files, size = self.artefacts.keep_only({row["name"] for row in rows}, now - 3600)
        return gone, files, size

    def _one(self, sql: str, *values: Any) -> Any:
        with closing(self._db.execute(sql, values)) as found:
            return found.fetchone()


def _alive(lock: Path) -> bool:
    try:
        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    lock.unlink(missing_ok=True)
    return False


def _job(row: Any) -> Job:
    known = {name: row[name] for name in Job.__dataclass_fields__ if name not in ("request", "priority")}
    return Job(**known, request=request_from_json(row["request"]), priority=Priority(row["priority"]))
