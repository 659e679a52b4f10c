"""Vectors from files: .npz with named arrays, or .npy with the vectors alone."""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octoproof.vectors.errors import VectorError

# What NumPy and zipfile raise for damaged files: headers that do not parse, encrypted or exotically packed members.
_UNREADABLE = (
    ValueError,
    OverflowError,
    EOFError,
    RuntimeError,  # which has NotImplementedError under it
    SyntaxError,  # NumPy parses a header as Python, and compares its keys
    TypeError,
    KeyError,
    MemoryError,  # a header may claim any shape
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Arrays:
    """(N, D) vectors; ids and labels have one entry each, or are None."""

    vectors: npt.NDArray[Any]
    ids: npt.NDArray[Any] | None = None
    labels: npt.NDArray[Any] | None = None


def load_arrays(path: str | os.PathLike[str]) -> Arrays:
    """Reads `vectors`, `ids`, and `labels` or `words`; other arrays are left alone. Raises VectorError, OSError."""
    try:
        # Mapped, because a file that is read is first allocated at the size that its header claims.
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return Arrays(np.array(loaded))
        with loaded as archive:
            if "vectors" not in archive:
                raise VectorError(f"{path}: no array `vectors`, only {', '.join(map(repr, archive.files))[:200]}")
            named = next((archive[name] for name in ("labels", "words") if name in archive), None)
            return Arrays(archive["vectors"], archive.get("ids"), named)
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:200]
        raise VectorError(f"{path}: not a .npy or .npz file that can be read: {reason}") from None
