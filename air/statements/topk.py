"""Exact top-k over one segment of integer vectors: the eligible rows with score >= t are emitted, and no others.

Tree 0 holds the committed segment, so a query costs four main columns, whatever the dimension, and two for each filter.
The score is linear in tree 0 because the query is public; query, threshold and the filters' codes are parameters, so a
new query compiles no new kernel.

Soundness rests on three things outside this file. The verifier bounds t and computes the public terms
(`topk_statement`); the values of tree 0 are in range, which whoever has the vectors can recompute; and both together
keep every |score - t| <= 2^30 - 2, without which a gap that wraps around P would look like a small one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from air.arrays import inv, m31
from air.circle import Column, to_storage
from air.component import Component, build, main, parameter_values, preprocessed
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

Scores = npt.NDArray[np.int32]


@dataclass(frozen=True)
class TopK(Component):
    """Selects exactly the live rows that pass every filter and whose score is at least the threshold (DESIGN 5).

    `fields` are the payload fields of the segment, `filtered` the indices of those that must have `codes`."""

    log_size: int
    metric: str
    query: tuple[int, ...]
    threshold: int
    fields: int = 0
    filtered: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()

    parameters = ("query", "threshold", "codes")
    free = {"inverse": "where the row is out already, or has the code, nothing is to be inverted"}
    x = preprocessed(count="dimension")  # quantised coordinates, in [-Q, Q]
    norm = preprocessed()  # |x|^2
    id = preprocessed(count=N_ID_LIMBS)  # limbs of 21 bits, low first
    live = preprocessed()  # 1; 0 for padding and deleted rows
    code = preprocessed(count="fields")  # dictionary codes of payload labels
    selected = main()
    gap = main(count=N_LIMBS)  # how far the row is from the threshold, on its side of it
    eligible = main(count="n_filters")  # live, and of the right code in this filter and those before it
    inverse = main(count="n_filters")  # of the difference to the right code

    @property
    def dimension(self) -> int:
        return len(self.query)

    @property
    def n_filters(self) -> int:
        return len(self.filtered)

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        score = dot(row.query, row.x)
        if self.metric == "l2":
            score = 2 * score - row.norm
        above, below = score - row.threshold, row.threshold - score - 1
        eligible = row.live
        yield boolean(row.live)
        for k, field in enumerate(self.filtered):
            other = row.code[field] - row.codes[k]
            yield other * row.eligible[k]  # no row of another code passes
            yield eligible * (1 - other * row.inverse[k]) - row.eligible[k]  # and none of this code is left out
            eligible = row.eligible[k]
        yield boolean(row.selected)  # no row counts a half, or twice
        yield row.selected * (1 - eligible)  # no dead row is a result
        # A selected row below the threshold, or an eligible row above it that is left out, has a negative gap here:
        # as an element of the field at least P - 2^30 + 1, which three limbs of 10 bits cannot express.
        yield row.selected * above + (eligible - row.selected) * below - limbs(row.gap, LIMB_BITS)
        for limb in row.gap:
            yield RANGE_10.use(limb)
        # Balanced by the verifier's own term for every result it was told: none is invented, none is withheld.
        yield RESULT.use(*row.id, score, times=row.selected)

    def trace(self, scores: Scores, live: npt.NDArray[np.bool_], codes: npt.NDArray[np.uint32]) -> list[Column]:
        """Main columns from scores, live flags and (fields, 2^log_size) codes; all in storage order.

        Raises ValueError where a gap has no limbs: then no proof is possible, and the segment is malformed."""
        passing, filters = live, []
        for field, wanted in zip(self.filtered, self.codes, strict=True):
            passing = passing & (codes[field] == wanted)
            filters.append((passing.astype(np.uint32), _inverses(wanted, int(codes[field].max()))[codes[field]]))
        above = scores - np.int32(self.threshold)
        selected = passing & (above >= 0)
        gap = np.where(selected, above, -1 - above) * passing
        if int(gap.max()) > MAX_GAP:
            raise ValueError(f"a row's score is {int(gap.max())} from the threshold, more than {MAX_GAP}")
        digits = [gap >> LIMB_BITS * k & (1 << LIMB_BITS) - 1 for k in range(N_LIMBS)]
        own = [column.astype(np.uint32) for column in (selected, *digits)]
        return own + [column for column, _ in filters] + [column for _, column in filters]


def _inverses(wanted: int, largest: int) -> npt.NDArray[np.uint32]:
    """1 / (code - wanted) for every code up to the largest, 0 for the wanted one: there are fewer codes than rows."""
    return inv(m31(np.arange(largest + 1) - wanted)).astype(np.uint32)


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


@lru_cache(maxsize=16)  # all segments of one size have the same AIR in a query
def topk_air(component: TopK) -> Air:
    """Tree 0 is the whole segment in its committed order, columns that the metric does not read included.

    Traced once for all questions of one form, which differ in parameters only. Raises ValueError for an unknown
    metric."""
    if component.metric not in METRICS:
        raise ValueError(f"metric: {component.metric!r:.40} is not one of {', '.join(METRICS)}")
    zeros = replace(component, query=(0,) * component.dimension, threshold=0, codes=(0,) * component.n_filters)
    form = _form(zeros)
    asked, *others = form.components
    return replace(form, components=(replace(asked, parameters=parameter_values(component)), *others))


@lru_cache(maxsize=64)
def _form(component: TopK) -> Air:
    columns = segment_columns(component.log_size, component.dimension, component.fields)
    return build([component, RangeTable()], columns)


def segment_columns(log_size: int, dimension: int, fields: int = 0) -> list[PreprocessedColumn]:
    """The columns of a segment in the order in which they are committed."""
    ids = [*(f"x_{k}" for k in range(dimension)), "norm", *(f"id_{k}" for k in range(N_ID_LIMBS)), "live"]
    return [PreprocessedColumn(id, log_size) for id in (*ids, *(f"code_{k}" for k in range(fields)))]


def topk_trace(
    component: TopK, scores: Scores, live: npt.NDArray[np.bool_], codes: npt.NDArray[np.uint32]
) -> list[Column]:
    """The main columns of both components, in storage order like the arguments."""
    own = component.trace(scores, live, codes)
    return own + RangeTable().trace(own[1 : 1 + N_LIMBS])


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
