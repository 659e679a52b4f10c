"""F30. Top-k: a receipt of two segments, one lie each, and a prover that does its best for it (ANCHORS 5.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from topk_world import (
    ACCEPTED,
    CONFIG,
    KEY,
    KINDS,
    NOUN,
    QUESTION,
    VERB,
    World,
    alive_rows,
    claims,
    claims_of,
    judged,
    own_scores,
    reaching,
    refusal,
    turned,
    under,
    witness,
    world,
)

from air.circle import to_rows
from air.field import P
from air.statements.question import ranked
from air.statements.topk import N_LIMBS, RangeTable, coordinate_bound, score_bound
from air.statements.topk_statement import TOPK, TopkStatement
from octoproof.vectors.segment import Segment
from verifier.errors import (
    LogupError,
    OodsError,
    PreprocessedRootError,
    SecurityError,
    ShapeError,
    StatementError,
    VerificationError,
)
from verifier.receipt import Receipt, statement_spec, verify, write_receipt
from verifier.stark import verify_stark


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_f30_honest(metric: str, part: Any) -> None:
    where, question = world(), replace(QUESTION, metric=metric)
    made = claims(where, question)
    verdict = judged(*(part(c, s) for c, s in zip(made, where.segments, strict=True)))
    found = TOPK.result([p.statement for p in verdict.parts])
    everything = [row for segment in where.segments for row in alive_rows(segment, question)]
    assert found == ranked(everything)[: question.k]


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
    ordered = to_rows(own_scores(segment, claim.question))
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


OTHER_QUESTIONS = {
    "query": {"query": (3, -1, 3)},
    "metric": {"metric": "l2"},
    "k": {"k": QUESTION.k - 1},
    "filter": {"filters": (VERB,)},
}
OTHER_CLAIMS = {
    **{name: {"question": replace(QUESTION, **changes)} for name, changes in OTHER_QUESTIONS.items()},
    "threshold": {"threshold": 5},
    "snapshot root": {"snapshot_root": bytes(32)},
    "segment": {"segment": world().placed[0]},
    "segment's index": {"segment": replace(world().placed[1], index=0)},
    "row root": {"segment": replace(world().placed[1], leaf=replace(world().placed[1].leaf, row_root=b"\1" * 32))},
    "mode": {"mode": "ivf", "probes": 1},
}


@pytest.mark.parametrize("what", OTHER_CLAIMS)
def test_f30_one_part_answers_another_question(what: str, part: Any) -> None:
    honest = [part(c, s) for c, s in zip(claims(world()), world().segments, strict=True)]
    refusal(StatementError, honest[0], *under([lie(1, **OTHER_CLAIMS[what])], honest[1:]))


@pytest.mark.parametrize("what", OTHER_QUESTIONS)
def test_f30_the_question_is_bound_to_the_proof(what: str, part: Any) -> None:
    """All parts claim the same other question with its right answer; the proofs are of the first one."""
    honest = [part(c, s) for c, s in zip(claims(world()), world().segments, strict=True)]
    forged = under(claims(world(), replace(QUESTION, **OTHER_QUESTIONS[what])), honest)
    # Another metric or filter reads other columns of the segment, which shows before any challenge is drawn.
    refusal(ShapeError if what in ("metric", "filter") else LogupError, *forged)


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
    forged = [part(c, s) for c, s in zip(made, old.segments, strict=True)]
    refusal(PreprocessedRootError, *forged)


def test_f30_a_config_that_the_snapshot_was_not_committed_for(part: Any) -> None:
    """Without a root for this blow-up there is nothing to compare tree 0 with."""
    honest = [part(c, s) for c, s in zip(claims(world()), world().segments, strict=True)]
    config = replace(CONFIG, log_blowup_factor=2)
    told = refusal(StatementError, *(replace(p, proof=replace(p.proof, config=config)) for p in honest))
    assert "committed for blake2s with log blow-up 1" in told


def test_f30_duplicate_ids(part: Any) -> None:
    """One vector told twice would take two places."""
    claim = claims(world())[0]
    doubled = replace(claim, emitted=(claim.emitted[0], *claim.emitted))
    honest = [part(c, s) for c, s in zip(claims(world()), world().segments, strict=True)]
    told = refusal(StatementError, *under([doubled], honest[:1]), honest[1])
    assert "an id appears twice" in told


def test_f29_scores_that_could_wrap(part: Any) -> None:
    """A snapshot whose bound lets a difference of scores pass P/2: a far row would look near."""
    honest = [part(c, s) for c, s in zip(claims(world()), world().segments, strict=True)]
    header = replace(world().header, limit=coordinate_bound(3) + 1)
    forged = under([replace(claim, header=header) for claim in claims(world())], honest)
    assert "limit" in refusal(StatementError, *forged)
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


VERBS = replace(QUESTION, filters=(VERB,))


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_f30_filtered(metric: str, part: Any) -> None:
    where, question = world(), replace(VERBS, metric=metric)
    verdict = judged(*(part(c, s) for c, s in zip(claims(where, question), where.segments, strict=True)))
    assert (
        TOPK.result([p.statement for p in verdict.parts])
        == ranked(row for segment in where.segments for row in alive_rows(segment, question))[: question.k]
    )


# Row, selected, eligible: what the prover's columns say of a row; its filter is all that they do not satisfy.
UNFILTERED = {
    "of another code": (2, 1, 1),
    "of another code, not eligible": (2, 1, None),
    "of this code, left out": (1, 0, 0),
    "of this code, dead": (7, 1, 1),
}


@pytest.mark.parametrize("what", UNFILTERED)
def test_f30_rows_that_the_filter_decides(what: str, part: Any) -> None:
    """What is told is what the columns select, so that every lookup balances."""
    row, selected, eligible = UNFILTERED[what]
    segment, claim = world().segments[0], replace(claims(world(), VERBS)[0], threshold=-100)
    rows = reaching(alive_rows(segment, VERBS), claim.threshold)
    told = (int(segment.ids[row]), int(to_rows(own_scores(segment, QUESTION))[row]))
    others = [r for r in rows if r != told]
    claim = replace(claim, emitted=tuple(ranked([*others, told] if selected else others)))
    forged = part(claim, segment, turned(segment, claim, row, selected, eligible))
    with pytest.raises(VerificationError) as caught:
        verify_stark(statement_spec(claim, KEY.channel, CONFIG, forged.claimed_sums), forged.proof)
    assert caught.type is OodsError


def test_f30_rows_of_one_value_told_as_anothers(part: Any) -> None:
    """The statement holds in itself, and was proven anew over the same rows: only the constraints know their codes."""
    verbs, nouns = claims(world(), VERBS), replace(QUESTION, filters=(NOUN,))
    told = [replace(claim, question=nouns) for claim in verbs]
    columns = [witness(s, c) for s, c in zip(world().segments, verbs, strict=True)]
    refusal(OodsError, *(part(c, s, m) for c, s, m in zip(told, world().segments, columns, strict=True)))


def test_f30_a_dictionary_of_the_provers_own(part: Any) -> None:
    """Which value a code stands for is the snapshot's to say, or verbs could be sold as nouns."""
    one, two = (part(c, s) for c, s in zip(claims(world(), VERBS), world().segments, strict=True))
    verbs, others = claims(world(), VERBS)
    for code, value, dictionaries, message in (
        (2, "noun", (KINDS[::-1],), "not that of the snapshot"),
        (2, "noun", (KINDS,), "code 2 does not stand for 'noun'"),
        (2, "verb", (), "one is needed for every filter"),
    ):
        question = replace(QUESTION, filters=(replace(VERB, code=code, value=value),))
        told = replace(verbs, question=question, dictionaries=dictionaries), replace(others, question=question)
        assert message in refusal(StatementError, *under(told, (one, two)))


CELLS, PROBES = 4, 2  # cells 1 and 2 are the nearest, in the segments 2 and 3


def proven(where: World, made: list[TopkStatement], part: Any) -> list[Any]:
    return [part(claim, where.segments[claim.segment.index]) for claim in made]


def test_f30_cells(part: Any) -> None:
    where = world(cells=CELLS)
    verdict = judged(*proven(where, claims(where, probes=PROBES), part))
    claimed = [p.statement for p in verdict.parts]
    assert [claim.segment.index for claim in claimed] == [0, 2, 3]
    inside = [row for k in (2, 3) for row in alive_rows(where.segments[k], QUESTION)]
    assert TOPK.result(claimed) == ranked(inside)[: QUESTION.k]


@pytest.mark.parametrize("free", [False, True])
def test_f30_a_nearer_cell_withheld(free: bool, part: Any) -> None:
    """The centroids' part leaves the best one out; all else is honest, and the cells are those that it then names."""
    where = world(cells=CELLS)
    honest, centroids = claims(where, probes=PROBES), where.segments[0]
    rest = ranked(row for row in alive_rows(centroids, QUESTION) if row[0] != 1)
    first = replace(honest[0], threshold=rest[1][1], emitted=tuple(rest[:2]))
    cells = sorted(id + 1 for id, _ in first.emitted)
    made = claims_of(where, QUESTION, PROBES, QUESTION.k, cells, ())
    TOPK.check_together([first, *made])
    forged = part(first, centroids, turned(centroids, first, 1, 0), free)
    told = refusal(OodsError if free else LogupError, forged, *proven(where, made, part))
    assert told.startswith("part 1 of 3")


def test_f30_other_cells_than_the_probed_ones(part: Any) -> None:
    where = world(cells=CELLS)
    first, *probed = proven(where, claims(where, probes=PROBES), part)
    (other,) = proven(where, claims_of(where, QUESTION, PROBES, QUESTION.k, [4], ()), part)
    for parts in (probed, (first,), (first, *probed[:1]), (first, *probed[::-1]), (first, *probed, other)):
        assert "segment.index" in refusal(StatementError, *parts)
    assert "segment.index" in refusal(StatementError, first, probed[0], other)
    judged(first, *probed)


def test_f30_some_cells_told_as_the_whole_snapshot(part: Any) -> None:
    """Strict says more than ivf: neither passes for the other, whatever number of probes is told."""
    where = world(cells=CELLS)
    some, every = claims(where, probes=PROBES), claims_of(where, QUESTION, 0, QUESTION.k, [1, 2, 3, 4], ())
    judged(*proven(where, every, part))
    for made, changes in (
        (some, {"mode": "strict", "probes": 0}),
        (some[1:], {"mode": "strict", "probes": 0}),
        (every, {"mode": "ivf", "probes": CELLS}),
        (every, {"mode": "ivf", "probes": 1}),
    ):
        lies = under([replace(claim, **changes) for claim in made], proven(where, made, part))
        assert "segment.index" in refusal(StatementError, *lies)
    refusal(LogupError, *under(claims(where, probes=1), proven(where, some[:2], part)))
