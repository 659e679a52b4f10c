"""SQLite in WAL mode as a file that many processes share; one that cannot be used raises OSError, as any file would."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from octoproof.vectors.errors import VectorError

BUSY_S = 30.0  # how long a locked database is waited for


class Database:
    """For one thread. All changes are made within `writing`."""

    def __init__(self, path: str | os.PathLike[str], migrations: Sequence[str]) -> None:
        """Opens or makes it, and runs the migrations, one a version of the schema, that have not been run.

        Raises OSError, VectorError for a database of a newer version."""
        self.path = os.fspath(path)
        with self._as_os_error():
            self._db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        try:
            self._use_wal()
            self.run("PRAGMA synchronous = FULL")  # what was committed outlives a power cut
            self._migrate(migrations)
        except BaseException:
            self.close()
            raise

    def _use_wal(self) -> None:
        """For a database that several make at once, SQLite does not wait by itself here, as it does elsewhere."""
        ends = time.monotonic() + BUSY_S
        while True:
            try:
                self.run("PRAGMA journal_mode = WAL")
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > ends:
                    raise
                time.sleep(0.01)
            else:
                return

    def close(self) -> None:
        self._db.close()

    def _migrate(self, migrations: Sequence[str]) -> None:
        if self._version() == len(migrations):
            return
        with self.writing():
            version = self._version()  # another process may have been first
            if version > len(migrations):
                raise VectorError(f"{self.path}: made by a newer version of this program; update octoproof")
            for script in migrations[version:]:
                for statement in filter(str.strip, script.split(";")):
                    self.run(statement)
            self.run(f"PRAGMA user_version = {len(migrations)}")

    def _version(self) -> int:
        return int(self.one("PRAGMA user_version")[0])

    def run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Runs one statement. Raises OSError."""
        with self._as_os_error():
            return self._db.execute(sql, values)

    def all(self, sql: str, *values: Any) -> list[Any]:
        """Its rows. Raises OSError."""
        with self._as_os_error():
            return self._db.execute(sql, values).fetchall()

    def one(self, sql: str, *values: Any) -> Any:
        """Its first row, or None. Raises OSError."""
        return next(iter(self.all(sql, *values)), None)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, alone among all processes; nothing of it stays if an exception leaves it. Raises OSError."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _as_os_error(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is None:  # not SQLite's, but a mistake of ours
                raise
            if code & 0xFF == sqlite3.SQLITE_BUSY:
                text = f"locked by another program for more than {BUSY_S:.0f} s; end it, and try again"
                raise OSError(errno.EBUSY, text, self.path) from error
            number = errno.ENOSPC if code & 0xFF == sqlite3.SQLITE_FULL else errno.EIO
            raise OSError(number, str(error), self.path) from error
