"""Answers by idempotency key: who sends a request again gets the answer that was given, even after a restart.

A key is taken with the digest of its request before the work begins, and gets its answer after it. Whoever is cut off
in between works again, which is harmless, since equal requests are the same job.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from octoproof.pipeline.database import Database

KEEP_S = 86400.0
MIGRATIONS = (
    "CREATE TABLE answers (key TEXT PRIMARY KEY, digest TEXT NOT NULL, answer TEXT, at REAL NOT NULL) WITHOUT ROWID",
)


class KeyReusedError(Exception):
    """The key stands for another request."""


def once(folder: Path, key: str, request: str, answer: Callable[[], str]) -> str:
    """The answer under this key; `answer()` if it has none yet. Raises KeyReusedError, OSError."""
    digest, now = hashlib.blake2s(request.encode()).hexdigest(), time.time()
    with closing(Database(folder / "answers.sqlite", MIGRATIONS)) as db:
        with db.writing():
            db.run("DELETE FROM answers WHERE at < ?", now - KEEP_S)
            db.run("INSERT OR IGNORE INTO answers (key, digest, at) VALUES (?, ?, ?)", key, digest, now)
        known, given = db.one("SELECT digest, answer FROM answers WHERE key = ?", key)
        if known != digest:
            raise KeyReusedError
        if given is None:
            new = answer()
            with db.writing():
                db.run("UPDATE answers SET answer = ? WHERE key = ? AND answer IS NULL", new, key)
            (given,) = db.one("SELECT answer FROM answers WHERE key = ?", key)
        return str(given)
