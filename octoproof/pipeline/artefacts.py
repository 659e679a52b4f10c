"""Content-addressed files: the name of a blob is its hash, so that nothing is stored twice or half.

artefacts/ab/abcdef...     blake3 of the content, 64 hex digits
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from octoproof.files import write_atomically
from octoproof.vectors.errors import SnapshotError

_NAME = re.compile(r"[0-9a-f]{64}")


class Artefacts:
    """A folder of blobs. Safe for any number of processes at once: equal names mean equal content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, data: bytes, durable: bool = True) -> str:
        """The name under which the content is kept from now on; if it is not durable, a power cut may take it, or leave
        other bytes, which `get` notices. Raises OSError."""
        name = blake3(data).hexdigest()
        path = self._path(name)
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            if durable:
                write_atomically(path, data)
            else:
                _write_aside(path, data)
        return name

    def get(self, name: str) -> bytes:
        """Raises FileNotFoundError, SnapshotError where the content is not that of the name."""
        data = self._path(name).read_bytes()
        if blake3(data).hexdigest() != name:
            raise SnapshotError(f"{self._path(name)}: differs from its name; remove it, and submit the job again")
        return data

    def has(self, name: str) -> bool:
        return self._path(name).is_file()

    def remove(self, name: str) -> None:
        """Raises OSError; nothing happens where it is not there."""
        self._path(name).unlink(missing_ok=True)

    def keep_only(self, names: Container[str]) -> tuple[int, int]:
        """Removes all other blobs, and what was left half written; (files, bytes) removed. Raises OSError.

        Nobody may `put` meanwhile."""
        files = size = 0
        for path in self.folder.glob("??/*"):
            aside = path.name.startswith(".") and path.name.endswith(".part")
            if aside or (_NAME.fullmatch(path.name) and path.name not in names):
                files, size = files + 1, size + path.stat().st_size
                path.unlink()
        return files, size

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"artefact: {name!r:.80} is not 64 hex digits")
        return self.folder / name[:2] / name


def _write_aside(path: Path, data: bytes) -> None:
    """As `write_atomically`, but without waiting for the disk."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
