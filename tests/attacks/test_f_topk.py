"""F30. Top-k: a receipt of two segments, one lie each, and a prover that does its best for it (ANCHORS 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from air.circle import to_rows, to_storage
from air.field import P
from air.relation import public_sum
from air.statement import RootKey
from air.statements.snapshot import ColumnRoot, SegmentLeaf, SnapshotHeader, snapshot_root
from air.statements.topk import LIMB_BITS, N_LIMBS, RangeTable, TopK, coordinate_bound, score_bound, topk_trace
from air.statements.topk_statement import TOPK, TopkStatement, ranked, threshold_of, topk_result
from octoproof.vectors.search import scores
from octoproof.vectors.segment import Segment, make_segment
from verifier.config import PRESETS
from verifier.errors import (
    LogupError,
    OodsError,
    PreprocessedRootError,
    SecurityError,
    ShapeError,
    StatementError,
    VerificationError,
)
from verifier.hashes import hasher
from verifier.merkle import commit
from verifier.polynomial import extend
from verifier.receipt import Part, Receipt, registry, statement_spec, verify, write_receipt
from verifier.stark import verify_stark

CONFIG = PRESETS["test"]
KEY = RootKey("blake2s", CONFIG.log_blowup_factor)
QUERY, K = (3, -1, 2), 4
ACCEPTED = registry(TOPK)


@dataclass(frozen=True)
class World:
    """A snapshot of two segments of 16 rows, 12 of which hold vectors; two rows tie for the last place."""

    segments: tuple[Segment, Segment]
    header: SnapshotHeader
    leaves: tuple[SegmentLeaf, SegmentLeaf]
    root: bytes


@cache
def world(version: int = 1) -> World:
    rng = np.random.default_rng(version)
    segments, leaves = [], []
    for number in (0, 1):
        vectors = rng.integers(-20, 21, (12, 3)).astype(np.int16)
        vectors[1], vectors[2] = (20, -20, 20), (19, -20, 20)
        vectors[[3, 4]] = (18, -18, 18)
        segment = make_segment(number, version, np.arange(12) * 5 + 100 * number, vectors)
        segment.live[7] = False
        root = commit([extend(column, 1) for column in segment.tree0()], None, hasher("blake2s"))
        leaf = SegmentLeaf(number, version, 4, 12, bytes(32), (ColumnRoot(KEY, bytes(root)),))
        segments.append(segment)
        leaves.append(leaf)
    header = SnapshotHeader(3, coordinate_bound(3), 1 << 32, False, 24, 2)
    return World(tuple(segments), header, tuple(leaves), snapshot_root(header, leaves))


def own_scores(segment: Segment, metric: str, query: tuple[int, ...]) -> Any:
    """In row order, padding included."""
    return to_rows(scores(segment.columns, segment.norm, query, metric))


def claims(where: World, metric: str = "ip", query: tuple[int, ...] = QUERY, k: int = K) -> list[TopkStatement]:
    """The honest statements."""
    alive = [alive_rows(segment, metric, query) for segment in where.segments]
    threshold = threshold_of(where.header, ranked([row for rows in alive for row in rows]), k)
    return [
        TopkStatement(where.header, where.root, leaf, metric, query, k, threshold, emitted_of(rows, threshold))
        for leaf, rows in zip(where.leaves, alive, strict=True)
    ]


def alive_rows(segment: Segment, metric: str, query: tuple[int, ...]) -> list[tuple[int, int]]:
    """(id, score) of every live row."""
    found = own_scores(segment, metric, query)[: segment.rows].tolist()
    rows = zip(segment.ids.tolist(), found, segment.live.tolist(), strict=True)
    return [(id, score) for id, score, live in rows if live]


def emitted_of(rows: list[tuple[int, int]], threshold: int) -> tuple[tuple[int, int], ...]:
    return tuple(ranked(row for row in rows if row[1] >= threshold))


def witness(segment: Segment, claim: TopkStatement) -> list[Any]:
    """The honest main columns, in storage order."""
    component = TopK(4, claim.metric, claim.query, claim.threshold)
    return topk_trace(component, own_scores(segment, claim.metric, claim.query), segment.padded_live)


def turned(segment: Segment, claim: TopkStatement, row: int, selected: int) -> list[Any]:
    """The honest columns, but for one row's flag and the limbs and table that come nearest to satisfying it."""
    columns = [to_rows(c).copy() for c in witness(segment, claim)]
    above = int(own_scores(segment, claim.metric, claim.query)[row]) - claim.threshold
    gap = (selected * above + (int(segment.padded_live[row]) - selected) * (-1 - above)) % P
    columns[0][row] = selected % P
    for k in range(N_LIMBS):
        columns[1 + k][row] = gap >> LIMB_BITS * k & ((1 << LIMB_BITS) - 1 if k < N_LIMBS - 1 else P)
    kept = [limb[limb < 1 << LIMB_BITS] for limb in columns[1 : 1 + N_LIMBS]]
    return [*(to_storage(c) for c in columns[: 1 + N_LIMBS]), *RangeTable().trace(kept)]


@pytest.fixture
def part(reference: Any) -> Callable[..., Part]:
    """part(statement, segment, columns, free): its proof; with `free`, the claimed sums are made to balance."""

    class FreeSums(reference.ReferenceProver):
        def interaction(self) -> Any:
            columns, sums = super().interaction()
            surplus = sum(sums, public_sum(self.spec.balancing_terms, self.elements))
            return columns, [sums[0] - surplus, *sums[1:]]

    def prove(claim: TopkStatement, segment: Segment, columns: list[Any] | None = None, free: bool = False) -> Part:
        spec = statement_spec(claim, KEY.channel, CONFIG)
        prover = FreeSums if free else reference.ReferenceProver
        made = witness(segment, claim) if columns is None else columns
        spec, proof = prover(spec, segment.tree0(), made).prove()
        return Part(tuple(claim.encode()), KEY.channel, spec.claimed_sums, proof)

    return prove


def judged(*parts: Part) -> Any:
    return verify(write_receipt(Receipt(parts)), ACCEPTED, min_conjectured=0)


def refusal(error: type[VerificationError], *parts: Part) -> None:
    with pytest.raises(VerificationError) as caught:
        judged(*parts)
    assert caught.type is error, f"{caught.type.__name__}: {caught.value}"


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_f30_honest(metric: str, part: Any) -> None:
    where = world()
    made = claims(where, metric)
    verdict = judged(*(part(c, s) for c, s in zip(made, where.segments, strict=True)))
    found = topk_result([p.statement for p in verdict.parts])
    everything = [row for segment in where.segments for row in alive_rows(segment, metric, QUERY)]
    assert found == ranked(everything)[:K]


def lie(number: int, **changes: Any) -> TopkStatement:
    return replace(claims(world())[number], **changes)


def first_selected(claim: TopkStatement, segment: Segment) -> int:
    return int(np.flatnonzero(to_rows(witness(segment, claim)[0]))[0])


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("which", ["best", "tie"])
def test_f30_omitted_candidate(which: str, free: bool, part: Any) -> None:
    """A live row above the threshold, or one of a tie, is left out: its gap is negative, which no limbs express."""
    segment, claim = world().segments[0], claims(world())[0]
    id = claim.emitted[0][0] if which == "best" else claim.emitted[-1][0]
    row = int(np.flatnonzero(segment.ids == id)[0])
    emitted = tuple(r for r in claim.emitted if r[0] != id)
    claim = replace(claim, emitted=emitted)
    forged = part(claim, segment, turned(segment, claim, row, 0), free)
    spec = statement_spec(claim, KEY.channel, CONFIG, forged.claimed_sums)
    with pytest.raises(VerificationError) as caught:
        verify_stark(spec, forged.proof)
    assert caught.type is (OodsError if free else LogupError)


INVENTED = {
    "padding row": (14, 1),
    "dead row": (7, 1),
    "row below the threshold": (None, 1),
    "row counted twice": ("best", 2),
    "row counted half": ("best", (P + 1) // 2),
    "row counted negatively": ("best", P - 1),
}


@pytest.mark.parametrize("what", INVENTED)
def test_f28_f30_rows_that_do_not_count(what: str, part: Any, reference: Any) -> None:
    """Selectors are boolean and off on dead and padding rows; here even the claimed sums are made to balance."""
    row, selected = INVENTED[what]
    segment, claim = world().segments[0], claims(world())[0]
    ordered = own_scores(segment, claim.metric, claim.query)
    if row is None:
        row = int(np.flatnonzero(segment.live & (ordered[:12] < claim.threshold))[0])
    elif row == "best":
        row = first_selected(claim, segment)
    forged = part(claim, segment, turned(segment, claim, row, selected), free=True)
    refusal(OodsError, forged, part(claims(world())[1], world().segments[1]))


@pytest.mark.parametrize("what", ["id", "score", "withheld", "invented"])
def test_f30_emitted_rows_are_the_witness(what: str, part: Any) -> None:
    """What a part tells the verifier is balanced against its selected rows, tuple by tuple."""
    claim, segment = claims(world())[1], world().segments[1]
    (id, score), *others = claim.emitted
    emitted = {
        "id": ((id + 1, score), *others),
        "score": ((id, score + 1), *others),
        "withheld": tuple(others),
        "invented": ((77, score), (id, score), *others),
    }[what]
    told = replace(claim, emitted=tuple(ranked(emitted)))
    forged = part(told, segment, witness(segment, claim))
    first = claims(world())[0]
    try:
        TOPK.check_together([first, told])
    except ValueError:
        refusal(StatementError, part(first, world().segments[0]), forged)
    else:
        refusal(LogupError, part(first, world().segments[0]), forged)


QUESTIONS = {
    "query": ({"query": (3, -1, 3)}, StatementError),
    "metric": ({"metric": "l2"}, StatementError),
    "k": ({"k": K - 1}, StatementError),
    "threshold": ({"threshold": 5}, StatementError),
    "snapshot root": ({"snapshot_root": bytes(32)}, StatementError),
    "segment": ({"leaf": world().leaves[0]}, StatementError),
    "row root": ({"leaf": replace(world().leaves[1], row_root=b"\1" * 32)}, StatementError),
}


@pytest.mark.parametrize("what", QUESTIONS)
def test_f30_one_part_answers_another_question(what: str, part: Any) -> None:
    changes, error = QUESTIONS[what]
    honest = [part(c, s) for c, s in zip(claims(world()), world().segments, strict=True)]
    refusal(error, honest[0], replace(honest[1], statement=tuple(lie(1, **changes).encode())))


@pytest.mark.parametrize("what", ["query", "metric", "k"])
def test_f30_the_question_is_bound_to_the_proof(what: str, part: Any) -> None:
    """All parts claim the same other question with its right answer; the proofs are of the first one."""
    changes = {"query": {"query": (3, -1, 3)}, "metric": {"metric": "l2"}, "k": {"k": K - 1}}[what]
    honest = [part(c, s) for c, s in zip(claims(world()), world().segments, strict=True)]
    other = claims(world(), **changes)
    forged = [replace(p, statement=tuple(c.encode())) for p, c in zip(honest, other, strict=True)]
    # Another metric reads other columns of the segment, which shows before any challenge is drawn.
    refusal(ShapeError if what == "metric" else LogupError, *forged)


def test_f30_parts_missing_twice_or_swapped(part: Any) -> None:
    one, two = (part(c, s) for c, s in zip(claims(world()), world().segments, strict=True))
    for parts in ((one,), (two,), (one, one), (two, one), (one, two, two), (one, two, one)):
        refusal(StatementError, *parts)
    judged(one, two)


def test_f30_two_parts_are_worth_less_than_one(part: Any) -> None:
    """A forger needs to break one of them: what is demanded is demanded of the whole."""
    data = write_receipt(Receipt(tuple(part(c, s) for c, s in zip(claims(world()), world().segments, strict=True))))
    found = verify(data, ACCEPTED, min_conjectured=0)
    assert found.security.conjectured == found.parts[0].security.conjectured - 1
    verify(data, ACCEPTED, min_conjectured=found.security.conjectured, min_proven=found.security.proven)
    for demand in (
        {"min_conjectured": found.parts[0].security.conjectured},
        {"min_conjectured": 0.0, "min_proven": min(p.security.proven for p in found.parts)},
        {"min_conjectured": 0.0, "min_proven": float("nan")},
    ):
        with pytest.raises(SecurityError):
            verify(data, ACCEPTED, **demand)


def test_f30_stale_snapshot(part: Any) -> None:
    """Proofs over version 1 of the segments, claimed of version 2: the root of tree 0 is the leaf's."""
    old, new = world(1), world(2)
    made = claims(new)
    forged = [part(c, s, witness(s, c)) for c, s in zip(made, old.segments, strict=True)]
    refusal(PreprocessedRootError, *forged)


def test_f30_a_config_that_the_snapshot_was_not_committed_for(part: Any) -> None:
    """Without a root for this blow-up there is nothing to compare tree 0 with."""
    honest = [part(c, s) for c, s in zip(claims(world()), world().segments, strict=True)]
    config = replace(CONFIG, log_blowup_factor=2)
    refusal(StatementError, *(replace(p, proof=replace(p.proof, config=config)) for p in honest))


def test_f30_duplicate_ids(part: Any) -> None:
    """One vector told twice would take two places."""
    claim = claims(world())[0]
    doubled = replace(claim, emitted=(claim.emitted[0], *claim.emitted))
    honest = [part(c, s) for c, s in zip(claims(world()), world().segments, strict=True)]
    refusal(StatementError, replace(honest[0], statement=tuple(doubled.encode())), honest[1])


def test_f29_scores_that_could_wrap(part: Any) -> None:
    """A snapshot whose bound lets a difference of scores pass P/2: a far row would look near."""
    honest = [part(c, s) for c, s in zip(claims(world()), world().segments, strict=True)]
    header = replace(world().header, limit=coordinate_bound(3) + 1)
    forged = [
        replace(p, statement=tuple(replace(c, header=header).encode()))
        for p, c in zip(honest, claims(world()), strict=True)
    ]
    refusal(StatementError, *forged)
    bound = score_bound(3, world().header.limit)
    assert 2 * bound < 1 << 29


def test_f31_nothing_selected(part: Any) -> None:
    """All zeros and nothing emitted: fewer than k rows are only believed at the lowest threshold."""
    made = [replace(c, emitted=()) for c in claims(world())]
    zero = [np.zeros(16, dtype=np.uint32)] * (1 + N_LIMBS)
    columns = [*zero, *RangeTable().trace(zero[1:])]
    forged = [part(c, s, columns, free=True) for c, s in zip(made, world().segments, strict=True)]
    refusal(StatementError, *forged)
    lowest = -score_bound(3, world().header.limit)
    made = [replace(c, threshold=lowest) for c in made]
    forged = [part(c, s, columns, free=True) for c, s in zip(made, world().segments, strict=True)]
    refusal(OodsError, *forged)
