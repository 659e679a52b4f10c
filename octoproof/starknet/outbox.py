"""The outbox: every transaction is written down, signed, before it is sent, and what became of it afterwards.

Whoever is cut off finds the same signed transaction here and sends it again, which cannot have effect twice. An intent
("fact 0x12..") is a name that the caller chooses: it is carried out once, in as many attempts as that takes.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from octoproof.pipeline.database import Database
from octoproof.starknet.errors import ChainError
from octoproof.starknet.transactions import Signed

OPEN, ACCEPTED, REVERTED, REFUSED, SUPERSEDED, FORGOTTEN = STATES = (
    "open",  # perhaps sent
    "accepted",  # had its effect
    "reverted",  # in a block, without effect
    "refused",  # not taken by the node
    "superseded",  # another transaction has its nonce
    "forgotten",  # given up by the user
)

MIGRATIONS = (
    """
    CREATE TABLE transactions (
        hash TEXT PRIMARY KEY, chain TEXT NOT NULL, account TEXT NOT NULL, nonce INTEGER NOT NULL, intent TEXT NOT NULL,
        content TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, body TEXT, reason TEXT, at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX one_open ON transactions (chain, account) WHERE state = 'open';
    CREATE INDEX by_intent ON transactions (chain, account, intent, at)
    """,
)
LOCK_S = 600.0  # how long another program that sends from the same account is waited for


@dataclass(frozen=True)
class Entry:
    """One signed transaction. `body` is there while it is open; `at` is seconds since 1970."""

    hash: int
    chain_id: int
    account: int
    nonce: int
    intent: str
    content: str
    kind: str
    state: str
    body: dict[str, Any] | None
    reason: str | None
    at: float


class Outbox:
    """The file of it. An account has at most one open transaction, so that none waits behind a nonce that is stuck."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._db = Database(folder / "outbox.sqlite", MIGRATIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def alone(self, chain_id: int, account: int) -> Iterator[None]:
        """Keeps other programs from signing for the account. The system gives it back when this one dies."""
        with open(self._folder / f"{chain_id:x}-{account:x}.lock", "a") as lock:
            ends = time.monotonic() + LOCK_S
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > ends:
                        raise ChainError(
                            f"account: another program has been sending from {account:#x} for {LOCK_S:.0f} s; end it"
                        ) from None
                    time.sleep(0.05)
                else:
                    break
            yield

    def write(self, intent: str, chain_id: int, signed: Signed) -> Entry:
        """Before it is sent. Raises OSError; the transaction must not be sent then."""
        with self._db.writing():
            self._db.run(
                "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
                *(hex(signed.hash), hex(chain_id), hex(signed.sender), signed.nonce, intent),
                *(signed.content, signed.kind, OPEN, json.dumps(signed.body), time.time()),
            )
        return self.find(signed.hash)

    def settle(self, transaction: int, state: str, reason: str | None = None) -> None:
        """What became of it; the body is dropped."""
        with self._db.writing():
            self._db.run(
                "UPDATE transactions SET state = ?, reason = ?, body = NULL WHERE hash = ?",
                *(state, reason, hex(transaction)),
            )

    def open_one(self, chain_id: int, account: int) -> Entry | None:
        """The transaction of this account that may or may not have been sent."""
        return self._one("WHERE chain = ? AND account = ? AND state = 'open'", hex(chain_id), hex(account))

    def latest(self, chain_id: int, account: int, intent: str) -> Entry | None:
        """The last attempt at an intent."""
        where = "WHERE chain = ? AND account = ? AND intent = ? ORDER BY at DESC LIMIT 1"
        return self._one(where, hex(chain_id), hex(account), intent)

    def find(self, transaction: int) -> Entry:
        """Raises ChainError."""
        entry = self._one("WHERE hash = ?", hex(transaction))
        if entry is None:
            raise ChainError(f"transaction: {transaction:#x} was not sent from here")
        return entry

    def entries(self, chain_id: int, limit: int = 50) -> list[Entry]:
        """The latest first."""
        rows = self._db.all("SELECT * FROM transactions WHERE chain = ? ORDER BY at DESC LIMIT ?", hex(chain_id), limit)
        return [_entry(row) for row in rows]

    def _one(self, where: str, *values: Any) -> Entry | None:
        row = self._db.one(f"SELECT * FROM transactions {where}", *values)
        return None if row is None else _entry(row)


def _entry(row: Any) -> Entry:
    hash, chain_id, account = (int(row[name], 16) for name in ("hash", "chain", "account"))
    body = None if row["body"] is None else json.loads(row["body"])
    told = {name: row[name] for name in ("nonce", "intent", "content", "kind", "state", "reason", "at")}
    return Entry(hash=hash, chain_id=chain_id, account=account, body=body, **told)
