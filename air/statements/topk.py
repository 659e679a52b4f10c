"""Exact top-k over one segment of integer vectors: the live rows with score >= t are emitted, and no others.

Tree 0 holds the committed segment, so a query costs four main columns, whatever the dimension. The score is linear in
tree 0 because the query is public; query and threshold are parameters, so a new query compiles no new kernel.

Soundness rests on three things outside this file. The verifier bounds t and computes the public terms
(`topk_statement`); the values of tree 0 are in range, which whoever has the vectors can recompute; and both together
keep every |score - t| <= 2^30 - 2, without which a gap that wraps around P would look like a small one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from air.circle import Column, to_storage
from air.component import Component, build, main, preprocessed
from air.expression import Expression, boolean, dot, limbs
from air.field import P
from air.layout import Air, PreprocessedColumn
from air.relation import Lookup, PublicTerm, Relation

METRICS = ("ip", "l2")  # q.x, or 2 q.x - |x|^2, which falls as the squared distance rises
LIMB_BITS, N_LIMBS = 10, 3
ID_BITS, N_ID_LIMBS = 21, 3
MAX_GAP = (1 << LIMB_BITS * N_LIMBS) - 1
MAX_DIMENSION = 4096

RANGE_10 = Relation("range_10")
RESULT = Relation("result")

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TopK(Component):
    """Selects exactly the live rows whose score is at least the threshold (DESIGN 5)."""

    log_size: int
    metric: str
    query: tuple[int, ...]
    threshold: int

    parameters = ("query", "threshold")
    x = preprocessed(count="dimension")  # quantised coordinates, in [-Q, Q]
    norm = preprocessed()  # |x|^2
    id = preprocessed(count=N_ID_LIMBS)  # limbs of 21 bits, low first
    live = preprocessed()  # 1; 0 for padding and deleted rows
    selected = main()
    gap = main(count=N_LIMBS)  # how far the row is from the threshold, on its side of it

    @property
    def dimension(self) -> int:
        return len(self.query)

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        score = dot(row.query, row.x)
        if self.metric == "l2":
            score = 2 * score - row.norm
        above, below = score - row.threshold, row.threshold - score - 1
        yield boolean(row.live)
        yield boolean(row.selected)  # no row counts a half, or twice
        yield row.selected * (1 - row.live)  # no dead row is a result
        # A selected row below the threshold, or a live row above it that is left out, has a negative gap here:
        # as an element of the field at least P - 2^30 + 1, which three limbs of 10 bits cannot express.
        yield row.selected * above + (row.live - row.selected) * below - limbs(row.gap, LIMB_BITS)
        for limb in row.gap:
            yield RANGE_10.use(limb)
        # Balanced by the verifier's own term for every result it was told: none is invented, none is withheld.
        yield RESULT.use(*row.id, score, times=row.selected)

    def trace(self, scores: Integers, live: npt.NDArray[np.bool_]) -> list[Column]:
        """`selected` and the gap's limbs in storage order, from scores and live flags in row order.

        Raises ValueError where a gap has no limbs: then no proof is possible, and the segment is malformed."""
        above = scores - self.threshold
        selected = live & (above >= 0)
        gap = np.where(selected, above, -1 - above) * live
        if gap.size and int(gap.max()) > MAX_GAP:
            row = int(gap.argmax())
            raise ValueError(f"row {row}: its score is {int(gap[row])} from the threshold, more than {MAX_GAP}")
        digits = [gap >> LIMB_BITS * k & (1 << LIMB_BITS) - 1 for k in range(N_LIMBS)]
        return [to_storage(column.astype(np.uint32)) for column in (selected, *digits)]


@dataclass(frozen=True)
class RangeTable(Component):
    """The values 0..2^log_size - 1 in the main trace, so that no root has to be trusted for them."""

    log_size: int = LIMB_BITS

    free = {
        "(rows rotate)": "the run of values may begin on any row",
        "(public range_10)": "these terms are the verifier's constants; more or fewer uses of a value are balanced",
    }
    value, multiplicity = main(), main()

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        # Each cyclic step goes up by 1 or down by 2^n - 1. The steps add up to zero, so exactly one goes down, and
        # the column is one run of 2^n successive values; the public uses of both ends leave only 0..2^n - 1.
        step = row.at(1).value - row.value
        yield (step - 1) * (step + (1 << self.log_size) - 1)
        yield RANGE_10.provide(row.value, times=row.multiplicity)

    def trace(self, used: Sequence[Column]) -> list[Column]:
        """Both columns in storage order, given every column that looks its cells up."""
        counts = np.zeros(1 << self.log_size, dtype=np.int64)
        for column in used:
            counts += np.bincount(column, minlength=len(counts))
        counts[[0, -1]] += 1  # the anchors
        values = np.arange(1 << self.log_size, dtype=np.uint32)
        return [to_storage(values), to_storage(counts.astype(np.uint32))]


def coordinate_bound(dimension: int) -> int:
    """Q: the largest coordinate such that every difference of two scores is below 2^29; 945 for 100 dimensions.

    Raises ValueError for a dimension outside 1..4096."""
    if not 1 <= dimension <= MAX_DIMENSION:
        raise ValueError(f"dimension: {dimension} is outside 1..{MAX_DIMENSION}")
    return isqrt(((1 << 29) - 1) // (6 * dimension))


def score_bound(dimension: int, limit: int) -> int:
    """S: no |q.x| and no |2 q.x - |x|^2| exceeds it while all coordinates lie in [-limit, limit]."""
    return 3 * dimension * limit * limit


def topk_air(log_size: int, metric: str, query: Sequence[int], threshold: int) -> Air:
    """Tree 0 is the whole segment in its committed order, columns that the metric does not read included.

    Raises ValueError for an unknown metric."""
    if metric not in METRICS:
        raise ValueError(f"metric: {metric!r:.40} is not one of {', '.join(METRICS)}")
    return build([TopK(log_size, metric, tuple(query), threshold), RangeTable()], segment_columns(log_size, len(query)))


def segment_columns(log_size: int, dimension: int) -> list[PreprocessedColumn]:
    """The columns of a segment in the order in which they are committed."""
    ids = [*(f"x_{k}" for k in range(dimension)), "norm", *(f"id_{k}" for k in range(N_ID_LIMBS)), "live"]
    return [PreprocessedColumn(id, log_size) for id in ids]


def topk_trace(component: TopK, scores: Integers, live: npt.NDArray[np.bool_]) -> list[Column]:
    """The main columns of both components, in storage order."""
    own = component.trace(scores, live)
    return own + RangeTable().trace(own[1:])


def id_limbs(id: int) -> tuple[int, ...]:
    """The three limbs of an id. Raises ValueError for an id that has none."""
    if not 0 <= id < 1 << ID_BITS * N_ID_LIMBS:
        raise ValueError(f"id: {id} is outside 0..2^{ID_BITS * N_ID_LIMBS} - 1")
    return tuple(id >> ID_BITS * k & (1 << ID_BITS) - 1 for k in range(N_ID_LIMBS))


def topk_public_terms(results: Sequence[tuple[int, int]]) -> tuple[PublicTerm, ...]:
    """The verifier's side of both relations, given (id, score) of every emitted row: one use of each end of the range
    table, and one provision a result."""
    range_10, result = 0, 1  # in order of first use, which is how `build` numbers relations
    anchors = (PublicTerm(range_10, 1, (0,)), PublicTerm(range_10, 1, ((1 << LIMB_BITS) - 1,)))
    return anchors + tuple(PublicTerm(result, P - 1, (*id_limbs(id), score % P)) for id, score in results)
