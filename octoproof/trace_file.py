"""TRACE.bin: the columns of an AIR as raw little-endian u32, in row order (the Rust oracle's format).

All preprocessed columns in list order, then the main columns of component 0, 1, ...; nothing in between.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from air.circle import Column, to_rows, to_storage
from air.field import P
from air.layout import Air
from verifier.errors import ParseError

Columns = list[Column]


def read_trace(path: str | os.PathLike[str], air: Air) -> tuple[Columns, Columns]:
    """(preprocessed, main) in storage order. Raises ParseError naming column and row, OSError."""
    trees = air.tree_log_sizes[:2]
    wanted = sum(4 << n for sizes in trees for n in sizes)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != wanted:  # before anything is read: the file may be of any size
            raise ParseError(f"{path}: {size} bytes, but the columns of this AIR take {wanted}")
        pre, main = ([_column(file.read(4 << n), path, tree, k) for k, n in enumerate(trees[tree])] for tree in (0, 1))
    return pre, main


def _column(data: bytes, path: str | os.PathLike[str], tree: int, index: int) -> Column:
    rows = np.frombuffer(data, dtype="<u4").astype(np.uint32, copy=False)
    bad = np.flatnonzero(rows >= P)
    if len(bad):
        kind = ("preprocessed", "main")[tree]
        raise ParseError(f"{path}: {kind} column {index}, row {bad[0]}: {rows[bad[0]]} is not below 2^31 - 1")
    return to_storage(rows)


def trace_bytes(preprocessed: Sequence[Column], main: Sequence[Column]) -> bytes:
    """The file's content, from columns in storage order."""
    return b"".join(to_rows(column).astype("<u4").tobytes() for column in (*preprocessed, *main))
