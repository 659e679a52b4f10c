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
from air.layout import Air
from air.relation import PublicTerm
from air.soundness import find_forgeries, find_freedoms
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
    segment_columns,
    topk_air,
    topk_public_terms,
    topk_trace,
)
from octoproof import device
from octoproof.vectors.scan import scores_reference
from octoproof.vectors.search import best_stored
from octoproof.vectors.segment import Rows, Segment, make_segment
from prover.prove import prove
from verifier.config import PRESETS
from verifier.errors import LogupError, OodsError
from verifier.spec import Spec
from verifier.stark import verify_stark

LOG_SIZE, DIMENSION, K = 6, 5, 7
SELECTED, GAP = 0, 1  # main columns; the range table's two are the last
CODES = {0: 2, 1: 1}  # what filters ask for, by payload field


@dataclass(frozen=True)
class Case:
    """A segment with a question, its columns in row order and what is told to the verifier."""

    component: TopK
    segment: Segment
    main: list[Column]
    emitted: list[tuple[int, int]]

    @property
    def air(self) -> Air:
        return topk_air(self.component)

    @property
    def pre(self) -> list[Column]:
        return [to_rows(column) for column in self.segment.tree0()]

    @property
    def scores(self) -> np.ndarray:
        return to_rows(stored_scores(self.segment, self.component))

    @property
    def live(self) -> np.ndarray:
        return to_rows(self.segment.stored_live)

    @property
    def codes(self) -> np.ndarray:
        return to_rows(self.segment.stored_codes)

    @property
    def eligible(self) -> np.ndarray:
        """As the witness has it."""
        count = self.component.n_filters
        return self.main[GAP + N_LIMBS + count - 1] if count else self.live

    @property
    def terms(self) -> tuple[PublicTerm, ...]:
        return topk_public_terms(self.emitted)

    def failures(self) -> list[str]:
        wrong = violations(self.air, self.pre, self.main)
        return [*map(str, wrong), *map(str, imbalances(self.air, self.pre, self.main, self.terms))]

    def judged(self, judge) -> str:
        return judge(self.air, self.segment.tree0(), [to_storage(column) for column in self.main], self.terms)

    def cell(self, column: int, row: int, value: int) -> Case:
        """One witness cell changed."""
        main = [c.copy() for c in self.main]
        main[column][row] = value % P
        return replace(self, main=main)

    def select(self, row: int, selected: int) -> Case:
        """The row's flag turned, with limbs that add up to its gap in the field, and the table and results to match."""
        above = int(self.scores[row]) - self.component.threshold
        gap = (selected * above + (int(self.eligible[row]) - selected) * (-1 - above)) % P
        case = self.cell(SELECTED, row, selected)
        for k in range(N_LIMBS):
            last = k == N_LIMBS - 1
            case = case.cell(GAP + k, row, gap >> LIMB_BITS * k & (P if last else (1 << LIMB_BITS) - 1))
        case = replace(case, main=[*case.main[:-2], *_table(case.main[GAP : GAP + N_LIMBS])])
        ids = np.pad(self.segment.ids, (0, len(self.scores) - self.segment.count))
        result = (int(ids[row]), int(self.scores[row]))
        others = [r for r in self.emitted if r != result]
        return replace(case, emitted=[*others, result] if selected else others)

    def let(self, row: int, eligible: tuple[int, ...], inverse: int = 0) -> Case:
        """The row's flags of all filters set, and the row selected as they and its score demand."""
        case, first, count = self, GAP + N_LIMBS, self.component.n_filters
        for k, value in enumerate(eligible):
            if value != int(self.main[first + k][row]):
                case = case.cell(first + k, row, value).cell(first + count + k, row, inverse)
        return case.select(row, int(eligible[-1] != 0 and int(self.scores[row]) >= self.component.threshold))

    def row(self, live: bool = True, reaching: bool = True, **codes: bool) -> int:
        """Some row that lives and reaches the threshold or not, and has the asked code in the fields a and b or not."""
        found = (self.live == live) & ((self.scores >= self.component.threshold) == reaching)
        for field, name in enumerate("ab"):
            if name in codes:
                found &= (self.codes[field] == CODES[field]) == codes[name]
        return int(np.flatnonzero(found[: self.segment.count])[0])


def _table(limbs: list[Column]) -> list[Column]:
    """The range table for limbs of which some may not be in it."""
    kept = [limb[limb < 1 << LIMB_BITS] for limb in limbs]
    return [to_rows(column) for column in RangeTable().trace(kept)]


def stored_scores(segment: Segment, component: TopK) -> np.ndarray:
    """In storage order."""
    return scores_reference(segment.columns, segment.norms, component.query, component.metric).astype(np.int32)


def honest(
    metric: str = "l2", seed: int = 0, filtered: tuple[int, ...] = (), log_size: int = LOG_SIZE, k: int = K
) -> Case:
    """`filtered` are payload fields, of two, that must have their code of `CODES`."""
    rng = np.random.default_rng(seed)
    limit = coordinate_bound(DIMENSION)
    count = (1 << log_size) - min(6, 1 << log_size - 3)
    vectors = rng.integers(-limit, limit + 1, (count, DIMENSION)).astype(np.int16)
    vectors[count // 2 :: 3] = vectors[: len(vectors[count // 2 :: 3])]  # equal vectors, so that scores tie
    chances = (0.1, 0.2, 0.6, 0.1), (0.1, 0.6, 0.2, 0.1)
    codes = np.array([rng.choice(4, count, p=p) for p in chances], dtype=np.uint32)
    rows = Rows(np.arange(count) * (1 << 55) // 7 + 3, vectors, codes)
    segment = make_segment(0, 1, rows).without(np.arange(5, count, 4))
    query = tuple(int(v) for v in rng.integers(-limit, limit + 1, DIMENSION))
    component = TopK(log_size, metric, query, 0, 2, filtered, tuple(CODES[field] for field in filtered))
    passing = segment.stored_live & np.all([segment.stored_codes[f] == CODES[f] for f in filtered], axis=0)
    found = best_stored(stored_scores(segment, component), segment.ids, passing, k)
    component = replace(component, threshold=found[-1].score if len(found) == k else -score_bound(DIMENSION, limit))
    scores = stored_scores(segment, component)
    main = topk_trace(component, scores, segment.stored_live, segment.stored_codes)
    chosen = np.flatnonzero(to_rows(passing & (scores >= component.threshold)))
    told = [(int(segment.ids[row]), int(to_rows(scores)[row])) for row in chosen]
    return Case(component, segment, [to_rows(column) for column in main], told)


def at_threshold(case: Case) -> int:
    return int(np.flatnonzero(case.live & (case.scores == case.component.threshold))[0])


FILTERS = ((), (1,), (0, 1))


@pytest.mark.parametrize("filtered", FILTERS)
@pytest.mark.parametrize("metric", METRICS)
def test_stwo_accepts_an_honest_witness(metric: str, filtered: tuple[int, ...], judge) -> None:
    case = honest(metric, filtered=filtered)
    assert len(case.emitted) >= K
    assert case.judged(judge).startswith("ACCEPTED")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(METRICS), st.sampled_from([*FILTERS, (0,)]))
def test_any_honest_witness_holds(seed: int, metric: str, filtered: tuple[int, ...]) -> None:
    case = honest(metric, seed, filtered)
    assert case.failures() == []
    wanted = case.live & np.all([case.codes[f] == CODES[f] for f in filtered], axis=0)
    assert (case.eligible == wanted).all()
    assert (case.main[SELECTED] == (wanted & (case.scores >= case.component.threshold))).all()


@pytest.mark.parametrize("column", range(6))
def test_any_changed_cell_is_found(column: int) -> None:
    case = honest()
    for row in range(0, len(case.main[column]), 17):
        assert case.cell(column, row, int(case.main[column][row]) + 1).failures(), f"row {row}"


def test_any_changed_flag_of_a_filter_is_found() -> None:
    case = honest(filtered=(0, 1))
    for column in (GAP + N_LIMBS, GAP + N_LIMBS + 1):
        for row in range(1 << LOG_SIZE):
            flag = int(case.main[column][row])
            for other in (1 - flag, flag + 1, (P + 1) // 2):
                assert case.cell(column, row, other).failures(), f"row {row}"


def retold(case: Case, id: int = 0, score: int = 0) -> Case:
    """The first result told otherwise."""
    (first_id, first_score), *others = case.emitted
    return replace(case, emitted=[(first_id + id, first_score + score), *others])


def counted(case: Case, times: int) -> Case:
    """A row of no gap with this flag, and told so often."""
    case = case.select(at_threshold(case), times)
    return replace(case, emitted=[*case.emitted, *case.emitted[-1:] * (times - 1)])


# Without filters, by the constraints that they break, beside relations: live and selected are flags, no dead row is
# selected, the gap. A lie mends what it can.
LIES = {
    "one witness cell changed": ([3], lambda case: case.cell(2, 9, int(case.main[2][9]) + 1)),
    "a row left out": ([], lambda case: case.select(int(np.argmax(case.main[0])), 0)),
    "a tie turned": ([], lambda case: case.select(at_threshold(case), 0)),
    "a worse row let in": ([], lambda case: case.select(case.row(reaching=False), 1)),
    "a dead row let in": ([2], lambda case: case.select(5, 1)),
    "a padding row let in": ([2], lambda case: case.select((1 << LOG_SIZE) - 1, 1)),
    "a result not told": ([], lambda case: replace(case, emitted=case.emitted[1:])),
    "a result told twice": ([], lambda case: replace(case, emitted=[*case.emitted, case.emitted[0]])),
    "a result of another score": ([], lambda case: retold(case, score=1)),
    "a result of another id": ([], lambda case: retold(case, id=1)),
    "a row counted half": ([1, 3], lambda case: case.cell(0, int(np.argmax(case.main[0])), (P + 1) // 2)),
    "a row counted twice": ([1], lambda case: counted(case, 2)),
}
# Of two filters: live is a flag; for each filter, no other code and all of this code; then as above.
FILTER_LIES = {
    "another code in the first field": ([1], lambda case: case.let(case.row(a=False, b=True), (1, 1))),
    "another code in the last field": ([3], lambda case: case.let(case.row(a=True, b=False), (1, 1))),
    "left out by the first filter": ([2], lambda case: case.let(case.row(a=True, b=True), (0, 0))),
    "left out by the last filter": ([4], lambda case: case.let(case.row(a=True, b=True), (1, 0))),
    "no result, and left out": ([2], lambda case: case.let(case.row(reaching=False, a=True, b=True), (0, 0))),
    "a dead row eligible": ([2], lambda case: case.let(case.row(live=False, a=True, b=True), (1, 1))),
    "a dead row eligible at last": ([4], lambda case: case.let(case.row(live=False, a=True, b=True), (0, 1))),
    "the first filter forgotten": ([4], lambda case: case.let(case.row(a=False, b=True), (0, 1))),
    "eligible twice": ([4], lambda case: case.let(case.row(reaching=False, a=True, b=True), (1, 2))),
    "selected, not eligible": ([6], lambda case: case.select(case.row(a=True, b=False), 1)),
}


def lie(name: str) -> tuple[list[int], Case]:
    broken, make = (LIES | FILTER_LIES)[name]
    return broken, make(honest(filtered=(0, 1) if name in FILTER_LIES else ()))


@pytest.mark.parametrize("name", LIES | FILTER_LIES)
def test_a_lie_is_found(name: str) -> None:
    broken, case = lie(name)
    assert [v.constraint for v in violations(case.air, case.pre, case.main)] == broken
    assert case.failures()
    assert name in LIES or imbalances(case.air, case.pre, case.main, case.terms) == []


@pytest.mark.parametrize("name", LIES | FILTER_LIES)
def test_stwo_refuses_a_lie(name: str, judge) -> None:
    assert not lie(name)[1].judged(judge).startswith("ACCEPTED")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, P - 1))
def test_no_inverse_leaves_a_row_out(inverse: int) -> None:
    case = honest(filtered=(1,))
    without = case.let(case.row(b=True), (0,), inverse)
    assert [v.constraint for v in violations(without.air, without.pre, without.main)] == [2]


@pytest.mark.parametrize("filtered", FILTERS[1:])
def test_another_code_is_another_statement(filtered: tuple[int, ...]) -> None:
    case = honest(filtered=filtered)
    for codes in ((3, 3), (CODES[0], CODES[0]), (CODES[1], CODES[0])):
        other = replace(case, component=replace(case.component, codes=codes[: len(filtered)]))
        if other.component != case.component:
            assert violations(other.air, other.pre, other.main)
    elsewhere = replace(case, component=replace(case.component, filtered=((0,), (1, 0))[len(filtered) - 1]))
    assert violations(elsewhere.air, elsewhere.pre, elsewhere.main)


@pytest.mark.parametrize("filtered", FILTERS[1:])
def test_stwo_refuses_a_changed_cell(filtered: tuple[int, ...], judge) -> None:
    case, inverse = honest(filtered=filtered), GAP + N_LIMBS + len(filtered)
    rows = dict.fromkeys(range(inverse), case.row(a=True, b=True))
    # An inverse is free, but where its filter is the first one that the row does not pass.
    rows |= {inverse + k: case.row(**{"ab"[f]: f != field for f in filtered}) for k, field in enumerate(filtered)}
    for column, row in rows.items():
        assert not case.cell(column, row, int(case.main[column][row]) + 1).judged(judge).startswith("ACCEPTED"), column


@pytest.mark.parametrize("filtered", FILTERS[1:])
def test_nothing_else_is_free(filtered: tuple[int, ...]) -> None:
    """A search for second witnesses, and for witnesses of other results."""
    case = honest(filtered=filtered, log_size=4, k=3)
    arguments = case.air, case.pre, case.main, case.terms
    found = find_freedoms(*arguments, budget=25)
    assert [str(freedom) for freedom in found if not freedom.reason] == []
    assert {f.column.split("[")[0] for f in found} == {"inverse", "(rows rotate)"}
    forged = find_forgeries(*arguments, at_most=150, budget=40)
    assert [str(forgery) for forgery in forged if not forgery.reason] == []


def test_leaving_a_row_out_breaks_nothing_but_the_range() -> None:
    """The selection constraints alone do not catch it: this is what the range table is for."""
    case = honest()
    failures = case.select(at_threshold(case), 0).failures()
    assert failures
    assert all("relation range_10" in line for line in failures)


def test_the_table_cannot_start_elsewhere() -> None:
    """A run of 1,024 values that starts at 5 satisfies the step constraint, but not the two anchors."""
    case = honest()
    shifted = replace(case, main=[*case.main[:-2], (case.main[-2] + 5) % P, case.main[-1]])
    assert violations(shifted.air, shifted.pre, shifted.main) == []
    assert any("range_10" in line for line in shifted.failures())


@pytest.mark.parametrize("values", [np.zeros(1024), np.arange(1024) // 2, np.arange(1024)[::-1]])
def test_the_table_is_one_run(values: np.ndarray) -> None:
    case = honest()
    table = replace(case, main=[*case.main[:-2], values.astype(np.uint32), case.main[-1]])
    assert violations(table.air, table.pre, table.main)


@pytest.mark.parametrize("filtered", FILTERS)
def test_an_honest_witness_is_proven(filtered: tuple[int, ...]) -> None:
    """By our prover; not for a code or a result less."""
    case, config = honest(filtered=filtered), PRESETS["test"]
    main = [to_storage(column) for column in case.main]
    with device.backend() as backend:
        made = prove(case.air, case.segment.tree0(), main, config=config, statement_u64=(7,), backend=backend)
    sums, root = made.claimed_sums, made.preprocessed_root
    spec = Spec(case.air, "blake2s", config, True, (7,), sums, case.terms, preprocessed_root=root)
    verify_stark(spec, made.proof)
    with pytest.raises(LogupError):
        verify_stark(replace(spec, public_terms=case.terms[:-1]), made.proof)
    if filtered:
        other = replace(case.component, codes=tuple(code + 1 for code in case.component.codes))
        with pytest.raises(OodsError):
            verify_stark(replace(spec, air=topk_air(other)), made.proof)


NO_CODES = np.zeros((0, 16), dtype=np.uint32)


def test_a_gap_beyond_the_limbs_is_refused_by_the_trace() -> None:
    component, scores, live = TopK(4, "ip", (1,), -MAX_GAP), np.zeros(16, dtype=np.int32), np.ones(16, dtype=bool)
    component.trace(scores, live, NO_CODES)
    scores[3] = 1
    with pytest.raises(ValueError, match=f"{MAX_GAP + 1} from the threshold"):
        component.trace(scores, live, NO_CODES)
    live[3] = False
    component.trace(scores, live, NO_CODES)
    codes = np.where(np.arange(16) == 3, 9, 0).astype(np.uint32)[None]  # a row that no filter lets pass has no gap
    replace(component, fields=1, filtered=(0,), codes=(0,)).trace(scores, np.ones(16, dtype=bool), codes)


@pytest.mark.parametrize("dimension", [1, 2, 3, 100, 128, 768, 4096])
def test_no_difference_of_scores_reaches_2_to_29(dimension: int) -> None:
    limit = coordinate_bound(dimension)
    assert 2 * score_bound(dimension, limit) < 1 << 29 <= 2 * score_bound(dimension, limit + 1)


def test_bounds_and_ids() -> None:
    assert coordinate_bound(100) == 945
    assert id_limbs(2**63 - 1) == (2**21 - 1,) * 3
    for bad in (-1, 2**63):
        with pytest.raises(ValueError, match="id"):
            id_limbs(bad)
    for bad in (0, 4097):
        with pytest.raises(ValueError, match="dimension"):
            coordinate_bound(bad)
    with pytest.raises(ValueError, match="metric"):
        topk_air(TopK(4, "cosine", (1,), 0))


def test_tree_0_is_the_whole_segment() -> None:
    """Columns of fields that nobody filters by are part of it, and every AIR over a segment has the same."""
    names = [column.id for column in segment_columns(4, 2, 2)]
    assert names == ["x_0", "x_1", "norm", "id_0", "id_1", "id_2", "live", "code_0", "code_1"]
    for filtered, codes in (((), ()), ((1,), (9,)), ((0, 1), (1, 1))):
        air = topk_air(TopK(4, "ip", (1, 2), 0, 2, filtered, codes))
        assert [column.id for column in air.preprocessed] == names


def test_a_new_query_needs_no_new_kernel() -> None:
    first = topk_air(TopK(8, "l2", (1, 2, 3), 40, 2, (1,), (4,)))
    second = topk_air(TopK(8, "l2", (0, -7, 1), -5, 2, (1,), (3,)))
    assert first.components[0].structure == second.components[0].structure
    assert first.components[0].parameters != second.components[0].parameters
