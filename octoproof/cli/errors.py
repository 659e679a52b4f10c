"""Exceptions as one line and an exit code: 1 for what was read and is refused, 2 for what cannot be read or done."""

from __future__ import annotations

import errno

REFUSED, UNUSABLE = 1, 2

_HINTS = {
    errno.ENOSPC: "free some space and run the command again",
    errno.EDQUOT: "free some space and run the command again",
    errno.EFBIG: "the limit on file sizes is too low",
    errno.ENOENT: "check the path",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EACCES: "check the permissions",
    errno.EPERM: "check the permissions",
    errno.EROFS: "choose a folder that can be written",
}


def explain(error: Exception) -> tuple[str, int] | None:
    """(message, exit code), or None for an exception that only a bug of ours can raise."""
    from air.layout import AirError
    from air.statement import StatementError
    from prover.prove import ProvingError
    from verifier.errors import ParseError, VerificationError

    if isinstance(error, (VerificationError, StatementError)):
        return f"not valid: {one_line(error)}", REFUSED
    if isinstance(error, ProvingError):
        return f"not proven: {one_line(error)}", REFUSED
    if isinstance(error, (ParseError, AirError)):
        return one_line(error), UNUSABLE
    if isinstance(error, MemoryError):
        return one_line(error) or "out of memory; choose a smaller trace or fewer columns", UNUSABLE
    if isinstance(error, OSError):
        return _system(error), UNUSABLE
    return None


def _system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    hint = _HINTS.get(error.errno or 0)
    return f"{where}{(error.strerror or one_line(error)).lower()}" + (f"; {hint}" if hint else "")


def one_line(error: BaseException, limit: int = 500) -> str:
    """The message without line breaks, and no longer than a screen."""
    text = " ".join(str(error).split())
    return text if len(text) <= limit else f"{text[:limit]} ..."
