"""The SLA AIR: honest logs hold and are proven; every way of hiding, inventing or bending a request is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import run
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.check import imbalances, violations
from air.circle import Column, to_rows, to_storage
from air.field import P
from air.layout import MAX_LOG_SIZE, Air
from air.relation import PublicTerm
from air.soundness import find_forgeries, find_freedoms, without
from air.statements.sla import (
    COLUMNS,
    MAX_SLA_LOG,
    MAX_VALUE,
    Sla,
    Totals,
    count_totals,
    sla_air,
    sla_public_terms,
    sla_trace,
)
from air.statements.sla_report import report_of
from air.statements.topk import LIMB_BITS, RangeTable
from octoproof import device
from prover.prove import ProvingError, prove
from verifier.config import PRESETS
from verifier.errors import LogupError
from verifier.proof import StarkProof, proof_to_json
from verifier.spec import Spec, spec_to_json
from verifier.stark import verify_stark

EDGES = (999, 1049, 1099, 1250)
SEQUENCE, LATENCY, TOKENS, OK, VALID, ACKNOWLEDGED, LIVE = range(len(COLUMNS))
BAND, ABOVE, BELOW, TOKENS_LOW = 0, 4, 5, 6  # main columns, for four edges


@dataclass(frozen=True)
class Case:
    """A segment's columns in row order, and what is told of it."""

    component: Sla
    first: int
    rows: int
    columns: list[Column]

    @property
    def air(self) -> Air:
        return sla_air(self.component)

    @property
    def stored(self) -> list[Column]:
        return [to_storage(column) for column in self.columns]

    @property
    def totals(self) -> Totals:
        return count_totals(self.component, self.columns)

    @property
    def terms(self) -> tuple[PublicTerm, ...]:
        return sla_public_terms(self.first, self.rows, self.totals)

    @property
    def terms_of_sequence(self) -> tuple[PublicTerm, ...]:
        """Those of the verifier that nobody tells: the ends of the range table and of the sequence."""
        return sla_public_terms(self.first, self.rows, Totals((), (0, 0), (0, 0)))

    def trace(self) -> list[Column]:
        return sla_trace(self.component, self.stored)

    @property
    def main(self) -> list[Column]:
        return [to_rows(column) for column in self.trace()]

    def failures(self, main: list[Column] | None = None, terms: tuple[PublicTerm, ...] | None = None) -> list[str]:
        main, terms = main or self.main, self.terms if terms is None else terms
        found = (*violations(self.air, self.columns, main), *imbalances(self.air, self.columns, main, terms))
        return [str(failure) for failure in found]

    def but(self, column: int, row: int, value: int) -> Case:
        """One committed cell changed."""
        columns = [c.copy() for c in self.columns]
        columns[column][row] = value % P
        return replace(self, columns=columns)


def case(
    log_size: int = 4, rows: int = 11, first: int = 0, edges: tuple[int, ...] = EDGES, seed: int = 0, far: bool = True
) -> Case:
    rng = np.random.default_rng(seed)
    latency = rng.integers(0, min(2 * edges[-1] + 2, MAX_VALUE + 1), rows)
    if far:
        corners = [0, MAX_VALUE, *edges, *(edge + 1 for edge in edges)]
        latency[: len(corners)] = corners[:rows]
    ok = rng.random(rows) < 0.8
    flags = ok, ok & (rng.random(rows) < 0.8), rng.random(rows) < 0.8, np.ones(rows)
    own = np.arange(first, first + rows), latency, rng.integers(0, MAX_VALUE + 1, rows), *flags
    padded = [np.pad(np.asarray(column, dtype=np.uint32), (0, (1 << log_size) - rows)) for column in own]
    return Case(Sla(log_size, edges), first, rows, padded)


SHAPES = {
    "padding": case(),
    "no padding": case(rows=16),
    "one request": case(rows=1),
    "a run within an agreement": case(first=1 << 20),
    "one edge": case(edges=(0,)),
    "the largest edges": case(edges=(MAX_VALUE - 2, MAX_VALUE - 1)),
    "eight edges": case(log_size=6, rows=50, edges=tuple(range(100, 900, 100))),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_honest_segments_hold(shape: str) -> None:
    assert SHAPES[shape].failures() == []


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 16), st.sets(st.integers(0, MAX_VALUE - 1), min_size=1, max_size=8), st.integers(0, 2**32))
def test_any_honest_segment_holds(rows: int, edges: set[int], seed: int) -> None:
    assert case(rows=rows, edges=tuple(sorted(edges)), seed=seed, far=seed % 2 == 0).failures() == []


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 16), st.integers(0, 2**32))
def test_totals_are_those_of_counting_one_by_one(rows: int, seed: int) -> None:
    honest = case(rows=rows, seed=seed)
    counts = np.zeros((len(EDGES) + 1, 3, 2), dtype=int)
    for row in range(rows):
        _, latency, _, ok, valid, acknowledged, _ = (int(column[row]) for column in honest.columns)
        counts[sum(latency > edge for edge in EDGES), ok + valid, acknowledged] += 1
    report = report_of(EDGES, [honest.totals])
    assert np.array_equal(np.array(honest.totals.counts), counts)
    assert report.latency_sum == int(honest.columns[LATENCY].sum(dtype=np.int64))
    assert report.tokens == int(honest.columns[TOKENS].sum(dtype=np.int64))


def test_counting_refuses_what_has_no_limbs() -> None:
    for column, name in ((LATENCY, "latency"), (TOKENS, "tokens")):
        with pytest.raises(ValueError, match=f"{name}: {MAX_VALUE + 1} is more than {MAX_VALUE}"):
            _ = case().but(column, 3, MAX_VALUE + 1).totals


Proven = Callable[..., tuple[Spec, StarkProof]]


@pytest.fixture(scope="module")
def proven() -> Iterator[Proven]:
    """proven(case) is our proof with the spec that its verifier starts from."""
    with device.backend() as backend:

        def make(honest: Case, lifting: int | None = None) -> tuple[Spec, StarkProof]:
            config = replace(PRESETS["test"], lifting_log_size=lifting)
            words = (honest.component.log_size, 7)
            made = prove(honest.air, honest.stored, honest.trace(), config=config, statement_u64=words, backend=backend)
            spec = Spec(
                air=honest.air,
                channel="blake2s",
                config=config,
                mix_config=True,
                statement_u64=words,
                claimed_sums=made.claimed_sums,
                public_terms=honest.terms,
                preprocessed_root=made.preprocessed_root,
            )
            return spec, made.proof

        yield make


def lies(honest: Case) -> Iterator[tuple[str, tuple[PublicTerm, ...]]]:
    """Public terms that say something else of the same segment."""
    totals, first, rows = honest.totals, honest.first, honest.rows
    bands = [[list(pair) for pair in band] for band in totals.counts]
    late = next(k for k in range(1, len(bands)) if sum(map(sum, bands[k])))
    outcome, mark = next((o, a) for o in range(3) for a in range(2) if bands[late][o][a])

    def counted(*changes: tuple[int, int, int, int]) -> Totals:
        told = [[list(pair) for pair in band] for band in bands]
        for band, result, acknowledged, change in changes:
            told[band][result][acknowledged] += change
        return replace(totals, counts=tuple(tuple(tuple(pair) for pair in band) for band in told))

    yield (
        "a late one is said to be in time",
        sla_public_terms(first, rows, counted((late, outcome, mark, -1), (late - 1, outcome, mark, 1))),
    )
    yield "one is not told", sla_public_terms(first, rows, counted((late, outcome, mark, -1)))
    yield (
        "another outcome",
        sla_public_terms(first, rows, counted((late, outcome, mark, -1), (late, (outcome + 1) % 3, mark, 1))),
    )
    yield (
        "acknowledged or not",
        sla_public_terms(first, rows, counted((late, outcome, mark, -1), (late, outcome, 1 - mark, 1))),
    )
    yield "one more is told", sla_public_terms(first, rows, counted((0, 2, 1, 1)))
    yield "fewer requests", sla_public_terms(first, rows - 1, totals)
    yield "more requests", sla_public_terms(first, rows + 1, totals)
    yield "other requests", sla_public_terms(first + 1, rows, totals)
    for name in ("latency", "tokens"):
        low, high = getattr(totals, name)
        for other in ((low - 1, high), (low, high - 1), (high, low)):
            yield f"{name} {other}", sla_public_terms(first, rows, replace(totals, **{name: other}))


def test_honest_segments_are_proven_and_say_nothing_else(proven: Proven) -> None:
    honest = case(log_size=6, rows=50, first=3)
    spec, proof = proven(honest)
    verify_stark(spec, proof)
    told = dict(lies(honest))
    assert len(told) == 14
    for what, terms in told.items():
        assert terms != honest.terms, what
        with pytest.raises(LogupError):
            verify_stark(replace(spec, public_terms=terms), proof)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_proven(shape: str, proven: Proven) -> None:
    verify_stark(*proven(SHAPES[shape]))


@pytest.mark.parametrize("lifting", [None, 11])
def test_stwo_accepts_our_proof(lifting: int | None, proven: Proven, oracle: Path, tmp_path: Path) -> None:
    """StarkWare's verifier, with the AIR as JSON; not for other counts or sums."""
    honest = SHAPES["padding"]
    spec, proof = proven(honest, lifting)
    (tmp_path / "proof").write_text(proof_to_json(proof, spec.channel))
    told = [(spec, 0), *((replace(spec, public_terms=terms), 1) for _, terms in lies(honest))]
    for claim, code in told:
        (tmp_path / "spec").write_text(json.dumps(spec_to_json(claim)))
        done = run([oracle, "verify", tmp_path / "spec", tmp_path / "proof"], capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr


def test_stwo_refuses_a_changed_cell(judge: Any) -> None:
    honest = SHAPES["no padding"]
    assert judge(honest.air, honest.stored, honest.trace(), honest.terms).startswith("ACCEPTED")
    for tree, count in ((0, len(COLUMNS)), (1, TOKENS_LOW + 1)):
        for column in range(count):
            columns = honest.stored, honest.trace()
            columns[tree][column][5] ^= 1
            assert not judge(honest.air, *columns, honest.terms).startswith("ACCEPTED"), (tree, column)


def test_our_prover_refuses_a_changed_cell() -> None:
    honest = SHAPES["no padding"]
    with device.backend() as backend:
        for column in range(TOKENS_LOW + 1):
            main = honest.trace()
            main[column][5] ^= 1
            try:
                made = prove(
                    honest.air, honest.stored, main, config=PRESETS["test"], statement_u64=(1,), backend=backend
                )
            except ProvingError:
                continue
            spec = Spec(
                air=honest.air,
                channel="blake2s",
                config=PRESETS["test"],
                mix_config=True,
                statement_u64=(1,),
                claimed_sums=made.claimed_sums,
                public_terms=honest.terms,
                preprocessed_root=made.preprocessed_root,
            )
            with pytest.raises(LogupError):
                verify_stark(spec, made.proof)


HALF = (P + 1) // 2
BOOLEAN_LIVE, BOOLEAN_OK, BOOLEAN_VALID, BOOLEAN_ACKNOWLEDGED, BOOLEAN_BAND = range(5)
ONE_BAND, VALID_IF_OK, NO_LATENCY, NO_TOKENS = range(8, 12)
TWO_HALVES = [(LIVE, 5, HALF), (LIVE, 13, HALF), (SEQUENCE, 13, 5), (OK, 13, 1), (VALID, 13, 1), (ACKNOWLEDGED, 13, 1)]

# Cells (column, row, value) of tree 0, and the constraint that stops it; None where lookups do.
MALFORMED: dict[str, tuple[list[tuple[int, int, int]], int | None]] = {
    "a latency below zero": ([(LATENCY, 5, -1)], None),
    "a latency that wraps around": ([(LATENCY, 5, P - MAX_VALUE)], None),
    "a latency beyond the largest": ([(LATENCY, 5, MAX_VALUE + 1)], None),
    "half a millisecond": ([(LATENCY, 5, HALF)], None),
    "tokens below zero": ([(TOKENS, 5, -1)], None),
    "tokens beyond the largest": ([(TOKENS, 5, MAX_VALUE + 1)], None),
    "half an answer": ([(OK, 5, HALF), (VALID, 5, 0)], BOOLEAN_OK),
    "two answers": ([(OK, 5, 2), (VALID, 5, 0)], BOOLEAN_OK),
    "half a valid answer": ([(VALID, 5, HALF)], BOOLEAN_VALID),
    "half an acknowledgement": ([(ACKNOWLEDGED, 5, HALF)], BOOLEAN_ACKNOWLEDGED),
    "a valid failure": ([(OK, 5, 0)], VALID_IF_OK),
    "a request in two halves": (TWO_HALVES, BOOLEAN_LIVE),
    "a request that counts twice": ([(LIVE, 5, 2)], None),
    "a request that is taken for padding": ([(LIVE, 5, 0)], None),
    "padding that is taken for a request": ([(LIVE, 13, 1)], None),
    "latency in the padding": ([(LATENCY, 13, 7)], NO_LATENCY),
    "tokens in the padding": ([(TOKENS, 13, 7)], NO_TOKENS),
    "a sequence number twice": ([(SEQUENCE, 5, 6)], None),
    "a sequence number beyond the count": ([(SEQUENCE, 5, 11)], None),
    "a sequence number below zero": ([(SEQUENCE, 0, -1)], None),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_columns_have_no_witness(what: str) -> None:
    """The forger chooses bands and limbs, what the table provides, and what is told of classes and sums."""
    cells, constraint = MALFORMED[what]
    good = case()
    for column, value in ((OK, 1), (VALID, 1), (ACKNOWLEDGED, 1), (LATENCY, 0), (TOKENS, 0)):
        good = good.but(column, 5, value)
    assert forged(good, good.air) == []
    bent = good
    for column, row, value in cells:
        bent = bent.but(column, row, value)
    assert forged(bent, bent.air) != []
    if constraint is not None:
        assert forged(bent, without(bent.air, 0, constraint)) == []


def forged(bent: Case, air: Air) -> list[str]:
    """What fails in the forger's best witness."""
    edges, latency, tokens = bent.component.edges, bent.columns[LATENCY].astype(np.int64), bent.columns[TOKENS]
    number = np.searchsorted(np.array(edges), latency)  # an element of the field beyond all bands is put into the last
    values = (
        latency - np.array([0, *(edge + 1 for edge in edges)])[number],
        np.array([*edges, MAX_VALUE])[number] - latency,
        tokens.astype(np.int64),
    )
    low = [v % P & (1 << LIMB_BITS) - 1 for v in values]
    high = [(v - digit) * pow(1 << LIMB_BITS, -1, P) % P for v, digit in zip(values, low, strict=True)]
    own = [(number == k).astype(np.uint32) for k in range(1, len(edges) + 1)] + [v.astype(np.uint32) for v in low]
    in_table = [v[v < 1 << LIMB_BITS] for v in high]
    main = [*own, *(to_rows(column) for column in RangeTable().trace([*low, *in_table]))]
    found = [
        w for w in imbalances(air, bent.columns, main, bent.terms_of_sequence) if w.relation not in ("class", "sum")
    ]
    return [str(failure) for failure in (*violations(air, bent.columns, main), *found)]


def test_bands_are_forced() -> None:
    """No second witness, and none for other counts: but in the table, where the run of values may begin anywhere."""
    honest = SHAPES["padding"]
    arguments = honest.air, honest.columns, honest.main, honest.terms
    found = find_freedoms(*arguments, budget=12)
    assert [str(freedom) for freedom in found if not freedom.reason] == []
    assert {freedom.component for freedom in found} == {"RangeTable"}
    forgeries = find_forgeries(*arguments, at_most=60, budget=40)
    assert [str(forgery) for forgery in forgeries if not forgery.reason] == []


def test_a_row_is_in_one_band() -> None:
    """A flag of another value, or two flags, would shift the least latency and so the band of any row."""
    honest = case(edges=(4, 9))
    latency = next(row for row in range(11) if honest.columns[LATENCY][row] == 0)
    for flags, constraint in (((3, 0), BOOLEAN_BAND), ((0, 3), BOOLEAN_BAND + 1), ((1, 1), BOOLEAN_BAND + 2)):
        # least = 5 a + 10 b and most = 4 + 5 a + (MAX - 4) b: a latency in between is taken for one of band a + 2 b.
        least = 5 * flags[0] + 10 * flags[1]
        bent = honest.but(LATENCY, latency, least)
        main = bent.main
        above, below = 0, 4 + 5 * flags[0] + (MAX_VALUE - 4) * flags[1] - least
        row = [*flags, above, below & 1023, int(bent.columns[TOKENS][latency]) & 1023]
        for column, value in enumerate(row):
            main[column][latency] = value
        names = {w.constraint for w in violations(bent.air, bent.columns, main)}
        assert constraint in names
        assert names <= {constraint, BOOLEAN_BAND + 2}


def test_no_value_is_looked_up_so_often_that_it_vanishes() -> None:
    fractions = sla_air(Sla(4, EDGES)).components[0].fractions
    for relation in range(4):
        assert sum(f.relation == relation for f in fractions) << MAX_LOG_SIZE < P
    assert ((1 << LIMB_BITS) - 1) << MAX_SLA_LOG < P  # nor does a sum of limbs


def test_tiers_share_their_kernels() -> None:
    one, other = sla_air(Sla(4, EDGES)), sla_air(Sla(6, (5, 6, 7, 8)))
    assert [c.structure for c in one.components] == [c.structure for c in other.components]
