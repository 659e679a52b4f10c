"""One segment: integer vectors in ascending id, padded to 2^log_size rows, and its committed columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from air.circle import Column, row_positions, to_rows
from air.field import P
from air.layout import MIN_LOG_SIZE
from air.statements.topk import ID_BITS, N_ID_LIMBS
from octoproof.vectors.errors import VectorError
from octoproof.vectors.labels import Labels, no_labels
from octoproof.vectors.rowtree import NATIVE, STOOLAP, RowTree, row_leaves, stoolap_leaves

MAX_ID = (1 << ID_BITS * N_ID_LIMBS) - 1

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """Vectors on their way into a segment, or out of one: (N,) ids, (N, D) coordinates, (F, N) dictionary codes, and
    where they are kept, the (N, D) numbers that the coordinates were rounded from, and labels for people."""

    ids: Ids
    coordinates: npt.NDArray[np.int16]
    codes: npt.NDArray[np.uint32]
    floats: npt.NDArray[np.float32] | None = None
    labels: Labels | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[np.integer]) -> Rows:
        """The rows of these indices, in this order."""
        return Rows(
            self.ids[rows],
            self.coordinates[rows],
            self.codes[:, rows],
            None if self.floats is None else self.floats[rows],
            None if self.labels is None else self.labels.take(rows),
        )

    def by_id(self) -> Rows:
        """In ascending id."""
        ascending = bool((self.ids[1:] > self.ids[:-1]).all())
        return self if ascending else self.take(np.argsort(self.ids, kind="stable"))

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """All rows of the parts; floats only where every part has them, labels where any has."""
        floats = [part.floats for part in parts if part.floats is not None]
        labelled = any(part.labels is not None for part in parts)
        return cls(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.coordinates for part in parts]),
            np.concatenate([part.codes for part in parts], axis=1),
            np.concatenate(floats) if len(floats) == len(parts) else None,
            Labels.joined([part.labels or no_labels(len(part)) for part in parts]) if labelled else None,
        )


@dataclass(frozen=True)
class Segment:
    """`ids` and `live` have one entry a row, in row order, like `codes` (F, rows) and `floats` (rows, D).

    `columns` is the large part, (D, 2^log_size) int16: it lies in storage order, as the proof wants it, so that neither
    a query nor a proof moves it; `norms`, |x|^2, lies beside it. Padding is zero and dead."""

    id: int
    version: int
    ids: Ids
    live: Flags
    columns: npt.NDArray[np.int16]
    norms: npt.NDArray[np.int32]
    codes: npt.NDArray[np.uint32]
    floats: npt.NDArray[np.float32] | None = None
    labels: Labels | None = None

    @property
    def count(self) -> int:
        """Rows that hold vectors, deleted ones included."""
        return len(self.ids)

    @property
    def dimension(self) -> int:
        return len(self.columns)

    @property
    def log_size(self) -> int:
        return self.columns.shape[1].bit_length() - 1

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """(rows,) where each row lies in storage order."""
        return row_positions(self.log_size)[: self.count]

    @cached_property
    def stored_live(self) -> Flags:
        """(2^log_size,) live flags in storage order."""
        return self._stored(self.live)

    @cached_property
    def stored_codes(self) -> npt.NDArray[np.uint32]:
        """(F, 2^log_size) codes in storage order."""
        return self._stored(self.codes)

    def _stored(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        out = np.zeros((*values.shape[:-1], 1 << self.log_size), dtype=values.dtype)
        out[..., self.positions] = values
        return out

    def vectors(self) -> npt.NDArray[np.int16]:
        """(rows, D) coordinates in row order."""
        return np.ascontiguousarray(to_rows(self.columns).T[: self.count])

    def vector(self, row: int) -> npt.NDArray[np.int16]:
        """(D,) coordinates of one row."""
        return np.array(self.columns[:, self.positions[row]])

    def row_of(self, id: int) -> int | None:
        """The live row of an id."""
        row = int(np.searchsorted(self.ids, id))
        return row if row < self.count and int(self.ids[row]) == id and bool(self.live[row]) else None

    def live_rows(self) -> Rows:
        """What is left of the segment without its deleted rows."""
        return Rows(self.ids, self.vectors(), self.codes, self.floats, self.labels).take(np.flatnonzero(self.live))

    def tree0(self) -> list[Column]:
        """The columns of tree 0 in committed order (`air.statements.topk.segment_columns`) and storage order."""
        out = np.empty((self.dimension + N_ID_LIMBS + 2 + len(self.codes), 1 << self.log_size), dtype=np.uint32)
        for target, column in zip(out, self.columns, strict=False):
            np.copyto(target, column, casting="unsafe")
            target += np.where(column < 0, np.uint32(P), np.uint32(0))  # -1 was 2^32 - 1, and wraps around to P - 1
        rest = out[self.dimension :]
        rest[0] = self.norms
        ids = self._stored(self.ids)
        for k in range(N_ID_LIMBS):
            rest[1 + k] = ids >> ID_BITS * k & (1 << ID_BITS) - 1
        rest[1 + N_ID_LIMBS] = self.stored_live
        rest[2 + N_ID_LIMBS :] = self.stored_codes
        return list(out)

    def row_tree(self, rule: str) -> RowTree:
        """The tree whose root the segment's leaf names, by the snapshot's row rule. A Stoolap tree holds live rows
        only, since its leaves have no flag."""
        if rule == STOOLAP.name:
            if self.floats is None:
                raise VectorError("row rule: stoolap leaves hash the original numbers, which this snapshot dropped")
            rows = np.flatnonzero(self.live)
            return RowTree.build(stoolap_leaves(self.ids[rows], self.floats[rows]), STOOLAP)
        return RowTree.build(row_leaves(self.ids, self.live, self.vectors(), self.codes), NATIVE)

    def without(self, rows: npt.NDArray[np.int64]) -> Segment:
        """The next version, with these rows deleted."""
        live = np.array(self.live)
        live[rows] = False
        return replace(self, version=self.version + 1, live=live)


def make_segment(id: int, version: int, rows: Rows) -> Segment:
    """A segment of live rows, of the least size that holds them. Raises VectorError unless their ids ascend."""
    if len(rows) == 0 or (rows.ids[1:] <= rows.ids[:-1]).any():
        raise VectorError("ids: a segment needs rows, in strictly ascending id")
    count, dimension = rows.coordinates.shape
    size = max(MIN_LOG_SIZE, (count - 1).bit_length())
    padded = np.zeros((1 << size, dimension), dtype=np.int16)
    padded[row_positions(size)[:count]] = rows.coordinates
    columns = np.ascontiguousarray(padded.T)
    return Segment(
        id,
        version,
        rows.ids,
        np.ones(count, dtype=np.bool_),
        columns,
        squared_lengths(columns),
        rows.codes,
        rows.floats,
        rows.labels,
    )


def squared_lengths(columns: npt.NDArray[np.int16]) -> npt.NDArray[np.int32]:
    """(N,) |x|^2 of (D, N) columns; the bound on coordinates keeps it below 2^29."""
    total = np.zeros(columns.shape[1], dtype=np.int32)
    for column in columns:
        wide = column.astype(np.int32)
        total += wide * wide
    return total
