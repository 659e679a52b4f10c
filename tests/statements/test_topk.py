"""The top-k AIR: honest witnesses hold, and every way of leaving out, adding or bending a row is found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.check import imbalances, violations
from air.circle import Column, to_rows, to_storage
from air.field import P
from air.statements.topk import (
    LIMB_BITS,
    MAX_GAP,
    METRICS,
    N_LIMBS,
    RangeTable,
    TopK,
    coordinate_bound,
    id_limbs,
    score_bound,
    topk_air,
    topk_public_terms,
    topk_trace,
)
from octoproof.vectors.search import best, scores
from octoproof.vectors.segment import Segment, make_segment

LOG_SIZE, DIMENSION, K = 6, 5, 7


@dataclass(frozen=True)
class Case:
    """A segment with a question, its columns in row order and what is told to the verifier."""

    component: TopK
    segment: Segment
    main: list[Column]
    emitted: list[tuple[int, int]]

    @property
    def air(self):
        return topk_air(LOG_SIZE, self.component.metric, self.component.query, self.component.threshold)

    @property
    def pre(self) -> list[Column]:
        return [to_rows(column) for column in self.segment.tree0()]

    @property
    def scores(self) -> np.ndarray:
        return to_rows(scores(self.segment.columns, self.segment.norm, self.component.query, self.component.metric))

    def failures(self) -> list[str]:
        terms = topk_public_terms(self.emitted)
        return [
            *map(str, violations(self.air, self.pre, self.main)),
            *map(str, imbalances(self.air, self.pre, self.main, terms)),
        ]

    def judged(self, judge) -> str:
        stored = [to_storage(column) for column in self.main]
        return judge(self.air, self.segment.tree0(), stored, topk_public_terms(self.emitted))

    def row(self, column: int, row: int, value: int) -> Case:
        """One witness cell changed."""
        main = [c.copy() for c in self.main]
        main[column][row] = value % P
        return replace(self, main=main)

    def select(self, row: int, selected: bool) -> Case:
        """The row's flag turned, with limbs that add up to its gap in the field, and the table and results to match."""
        above = int(self.scores[row]) - self.component.threshold
        live = int(self.segment.padded_live[row])
        gap = (above if selected else (-1 - above) * live) % P
        case = self.row(0, row, int(selected))
        for k in range(N_LIMBS):
            last = k == N_LIMBS - 1
            case = case.row(1 + k, row, gap >> LIMB_BITS * k & (P if last else (1 << LIMB_BITS) - 1))
        case = replace(case, main=[*case.main[: 1 + N_LIMBS], *_table(case.main[1 : 1 + N_LIMBS])])
        result = (int(self.segment.padded_ids[row]), int(self.scores[row]))
        others = [r for r in self.emitted if r != result]
        return replace(case, emitted=[*others, result] if selected else others)


def _table(limbs: list[Column]) -> list[Column]:
    """The range table for limbs of which some may not be in it."""
    kept = [limb[limb < 1 << LIMB_BITS] for limb in limbs]
    return [to_rows(column) for column in RangeTable().trace(kept)]


def honest(metric: str = "l2", seed: int = 0) -> Case:
    rng = np.random.default_rng(seed)
    limit = coordinate_bound(DIMENSION)
    rows = (1 << LOG_SIZE) - 6
    vectors = rng.integers(-limit, limit + 1, (rows, DIMENSION)).astype(np.int16)
    vectors[rows // 2 :: 3] = vectors[: len(vectors[rows // 2 :: 3])]  # equal vectors, so that scores tie
    segment = make_segment(0, 1, np.arange(rows) * (1 << 55) // 7 + 3, vectors)
    segment.live[5::9] = False
    query = tuple(int(v) for v in rng.integers(-limit, limit + 1, DIMENSION))
    score = to_rows(scores(segment.columns, segment.norm, query, metric))
    threshold = best(score[:rows], segment.ids, segment.live, K)[-1].score
    component = TopK(LOG_SIZE, metric, query, threshold)
    main = [to_rows(column) for column in topk_trace(component, score, segment.padded_live)]
    chosen = np.flatnonzero(segment.live & (score[:rows] >= threshold))
    return Case(component, segment, main, [(int(segment.ids[r]), int(score[r])) for r in chosen])


def at_threshold(case: Case) -> int:
    rows = np.flatnonzero(case.segment.padded_live & (case.scores == case.component.threshold))
    return int(rows[0])


@pytest.mark.parametrize("metric", METRICS)
def test_an_honest_witness_holds(metric, judge):
    case = honest(metric)
    assert len(case.emitted) >= K
    assert case.failures() == []
    assert case.judged(judge).startswith("ACCEPTED")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(METRICS))
def test_any_honest_witness_holds(seed, metric):
    assert honest(metric, seed).failures() == []


@pytest.mark.parametrize("column", range(6))
def test_any_changed_cell_is_found(column):
    case = honest()
    for row in range(0, len(case.main[column]), 17):
        assert case.row(column, row, int(case.main[column][row]) + 1).failures(), f"row {row}"


MUTATIONS = {
    "one witness cell changed": lambda case: case.row(2, 9, int(case.main[2][9]) + 1),
    "a row left out": lambda case: case.select(int(np.argmax(case.main[0])), False),
    "a tie turned": lambda case: case.select(at_threshold(case), False),
    "a worse row let in": lambda case: case.select(
        int(np.flatnonzero(case.segment.padded_live & (case.scores < case.component.threshold))[0]), True
    ),
    "a dead row let in": lambda case: case.select(5, True),
    "a padding row let in": lambda case: case.select((1 << LOG_SIZE) - 1, True),
    "a result not told": lambda case: replace(case, emitted=case.emitted[1:]),
    "a result told twice": lambda case: replace(case, emitted=[*case.emitted, case.emitted[0]]),
    "a result of another score": lambda case: replace(
        case, emitted=[(case.emitted[0][0], case.emitted[0][1] + 1), *case.emitted[1:]]
    ),
    "a result of another id": lambda case: replace(
        case, emitted=[(case.emitted[0][0] + 1, case.emitted[0][1]), *case.emitted[1:]]
    ),
    "a row counted half": lambda case: case.row(0, int(np.argmax(case.main[0])), (P + 1) // 2),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_lie_is_found(name, judge):
    lie = MUTATIONS[name](honest())
    assert lie.failures()
    assert not lie.judged(judge).startswith("ACCEPTED")


def test_leaving_a_row_out_breaks_nothing_but_the_range():
    """The selection constraints alone do not catch it: this is what the range table is for."""
    case = honest()
    failures = case.select(at_threshold(case), False).failures()
    assert failures
    assert all("relation range_10" in line for line in failures)


def test_the_table_cannot_start_elsewhere():
    """A run of 1,024 values that starts at 5 satisfies the step constraint, but not the two anchors."""
    case = honest()
    shifted = replace(case, main=[*case.main[:4], (case.main[4] + 5) % P, case.main[5]])
    assert violations(shifted.air, shifted.pre, shifted.main) == []
    assert any("range_10" in line for line in shifted.failures())


@pytest.mark.parametrize("values", [np.zeros(1024), np.arange(1024) // 2, np.arange(1024)[::-1]])
def test_the_table_is_one_run(values):
    case = honest()
    table = replace(case, main=[*case.main[:4], values.astype(np.uint32), case.main[5]])
    assert violations(table.air, table.pre, table.main)


def test_a_gap_beyond_the_limbs_is_refused_by_the_trace():
    component = TopK(4, "ip", (1,), -MAX_GAP)
    with pytest.raises(ValueError, match="row 3"):
        component.trace(np.array([0, 0, 0, 1] + [0] * 12), np.ones(16, dtype=bool))


@pytest.mark.parametrize("dimension", [1, 2, 3, 100, 128, 768, 4096])
def test_no_difference_of_scores_reaches_2_to_29(dimension):
    limit = coordinate_bound(dimension)
    assert 2 * score_bound(dimension, limit) < 1 << 29 <= 2 * score_bound(dimension, limit + 1)


def test_bounds_and_ids():
    assert coordinate_bound(100) == 945
    assert id_limbs(2**63 - 1) == (2**21 - 1,) * 3
    for bad in (-1, 2**63):
        with pytest.raises(ValueError, match="id"):
            id_limbs(bad)
    for bad in (0, 4097):
        with pytest.raises(ValueError, match="dimension"):
            coordinate_bound(bad)
    with pytest.raises(ValueError, match="metric"):
        topk_air(4, "cosine", (1,), 0)


def test_a_new_query_needs_no_new_kernel():
    first = topk_air(8, "l2", (1, 2, 3), 40)
    second = topk_air(8, "l2", (0, -7, 1), -5)
    assert first.components[0].structure == second.components[0].structure
    assert first.components[0].parameters != second.components[0].parameters
