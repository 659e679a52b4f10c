"""Files that are never half written."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Writes aside in the same folder, then renames: readers see the old file or the new one, whatever happens.

    Raises OSError; nothing is left behind then.
    """
    try:
        # The real path: a link keeps pointing where it did.
        _write(Path(os.path.realpath(path)), data.encode() if isinstance(data, str) else data)
    except OSError as error:  # about the file that was asked for, not the one aside
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _write(target: Path, raw: bytes) -> None:
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        # A pipe or a device cannot be renamed over; there is no old content to protect either.
        with open(target, "wb") as device:
            device.write(raw)
        return
    aside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        with open(aside, "xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Makes the rename itself durable, where the system lets a folder be synchronised."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
