"""One segment: integer vectors in ascending id, padded to 2^log_size rows, and its committed columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from air.circle import Column, row_positions, to_rows, to_storage
from air.field import P
from air.layout import MIN_LOG_SIZE
from air.statements.topk import ID_BITS, N_ID_LIMBS
from octoproof.vectors.errors import VectorError
from octoproof.vectors.rowtree import RowTree, row_leaves

MAX_ID = (1 << ID_BITS * N_ID_LIMBS) - 1


@dataclass(frozen=True)
class Segment:
    """`ids` and `live` have one entry a row, in row order. `columns` is the large part, (D, 2^log_size) int16: it lies
    in storage order, as the proof wants it, so that neither a query nor a proof moves it. Padding is zero and dead."""

    id: int
    version: int
    ids: npt.NDArray[np.int64]
    live: npt.NDArray[np.bool_]
    columns: npt.NDArray[np.int16]

    @property
    def rows(self) -> int:
        return len(self.ids)

    @property
    def dimension(self) -> int:
        return len(self.columns)

    @property
    def log_size(self) -> int:
        return self.columns.shape[1].bit_length() - 1

    @property
    def padded_ids(self) -> npt.NDArray[np.int64]:
        """(2^log_size,) ids in row order, 0 for padding."""
        return self._padded(self.ids)

    @property
    def padded_live(self) -> npt.NDArray[np.bool_]:
        """(2^log_size,) live flags in row order."""
        return self._padded(self.live)

    def _padded(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        out = np.zeros(1 << self.log_size, dtype=values.dtype)
        out[: self.rows] = values
        return out

    @cached_property
    def norm(self) -> npt.NDArray[np.int64]:
        """|x|^2 of every row, in storage order."""
        total = np.zeros(self.columns.shape[1], dtype=np.int64)
        for column in self.columns:
            wide = column.astype(np.int64)
            total += wide * wide
        return total

    def vectors(self) -> npt.NDArray[np.int16]:
        """(rows, D) coordinates in row order."""
        return np.ascontiguousarray(to_rows(self.columns).T[: self.rows])

    def vector(self, row: int) -> npt.NDArray[np.int16]:
        """(D,) coordinates of one row."""
        return np.array(self.columns[:, row_positions(self.log_size)[row]])

    def tree0(self) -> list[Column]:
        """The columns of tree 0 in committed order (`air.statements.topk.segment_columns`) and storage order."""
        out = np.empty((self.dimension + N_ID_LIMBS + 2, 1 << self.log_size), dtype=np.uint32)
        for target, column in zip(out, self.columns, strict=False):
            np.copyto(target, column, casting="unsafe")
            target += np.where(column < 0, np.uint32(P), np.uint32(0))  # -1 was 2^32 - 1, and wraps around to P - 1
        out[self.dimension] = self.norm
        ids = to_storage(self.padded_ids)
        for k in range(N_ID_LIMBS):
            out[self.dimension + 1 + k] = ids >> ID_BITS * k & (1 << ID_BITS) - 1
        out[-1] = to_storage(self.padded_live)
        return list(out)

    def row_tree(self) -> RowTree:
        """The tree whose root the segment's leaf names."""
        return RowTree(row_leaves(self.ids, self.live, self.vectors()))


def make_segment(
    id: int, version: int, ids: npt.NDArray[np.int64], vectors: npt.NDArray[np.int16], log_size: int | None = None
) -> Segment:
    """A segment of live rows from (N,) ascending ids and (N, D) coordinates; `log_size` defaults to the least."""
    rows, dimension = vectors.shape
    size = max(MIN_LOG_SIZE, (rows - 1).bit_length()) if log_size is None else log_size
    columns = np.zeros((dimension, 1 << size), dtype=np.int16)
    columns[:, row_positions(size)[:rows]] = vectors.T
    return Segment(id, version, ids, np.ones(rows, dtype=np.bool_), columns)


def sorted_ids(ids: npt.ArrayLike | None, rows: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(ascending ids, the order that sorts the rows); without ids, 0, 1, 2 ... Raises VectorError."""
    given = np.arange(rows) if ids is None else np.asarray(ids)
    if given.dtype.kind not in "iu" or given.shape != (rows,):
        raise VectorError(f"ids: {given.dtype} of shape {given.shape}; give {rows} integers, one a vector")
    if rows and not 0 <= int(given.min()) <= int(given.max()) <= MAX_ID:
        raise VectorError(f"ids: from {given.min()} to {given.max()}; they must lie in 0..2^63 - 1")
    order = np.argsort(given, kind="stable")
    ordered = given[order].astype(np.int64)
    repeated = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(repeated):
        raise VectorError(f"ids: {ordered[repeated[0]]} appears twice; every vector needs an id of its own")
    return ordered, order
