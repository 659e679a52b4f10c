"""False statements under true proofs, true proofs in another order, and a prover who bends his trace: none is valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import prover.prove as proving
from air.circle import to_rows, to_storage
from air.field import P
from air.statements.question import ranked
from air.statements.topk import RangeTable, topk_trace
from air.statements.topk_statement import TopkStatement, threshold_of
from octoproof.vectors.answers import Result
from octoproof.vectors.claims import proven_claims
from octoproof.vectors.prove import prove_part
from octoproof.vectors.query import Asked, ask, quantise_query
from octoproof.vectors.snapshot import Snapshot, preset_key
from verifier.config import PRESETS
from verifier.errors import VerificationError
from verifier.receipt import Part, Receipt, read_receipt, write_receipt

VECTORS = np.random.default_rng(11).normal(0, 1, (90, 4))
VECTORS[60:70] = VECTORS[0]  # eleven equal vectors, in two segments
PRESET = "bench"
K = 13


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Snapshot:
    """In three segments, of 40, 40 and 10 rows."""
    folder = tmp_path_factory.mktemp("lies") / "snapshot"
    return Snapshot.build(VECTORS, folder, ids=np.arange(90) * 7 + 1, segment_rows=40, presets=(PRESET,))


@pytest.fixture(scope="module")
def honest(snapshot, proved) -> Result:
    return proved(snapshot, id=1, k=K)


Statements = list[TopkStatement]


def with_first(statements: Statements, **changes: Any) -> Statements:
    return [replace(statements[0], **changes), *statements[1:]]


def everywhere(statements: Statements, **changes: Any) -> Statements:
    return [replace(statement, **changes) for statement in statements]


def asking(statements: Statements, **changes: Any) -> Statements:
    return everywhere(statements, question=replace(statements[0].question, **changes))


def placed(statement: TopkStatement, **changes: Any) -> TopkStatement:
    return replace(statement, segment=replace(statement.segment, leaf=replace(statement.leaf, **changes)))


def emitted(statement: TopkStatement, index: int, id: int = 0, score: int = 0) -> tuple[tuple[int, int], ...]:
    rows = list(statement.emitted)
    rows[index] = (rows[index][0] + id, rows[index][1] + score)
    return tuple(ranked(rows))


def settled(statements: Statements) -> Statements:
    """The threshold that the emitted rows make, and no rows below it: nothing for the statement's own checks."""
    rows = ranked(row for statement in statements for row in statement.emitted)
    least = threshold_of(statements[0].header, rows, statements[0].question.k)
    return [replace(s, threshold=least, emitted=tuple(row for row in s.emitted if row[1] >= least)) for s in statements]


UNBALANCED, THRESHOLD, ROOT = "lookups do not balance", "threshold: ", "snapshot_root: not"
Lie = Callable[[Statements], Statements]
LIES: dict[str, tuple[Lie, str]] = {
    "a swapped neighbour": (lambda s: with_first(s, emitted=emitted(s[0], 0, id=1)), UNBALANCED),
    "another distance": (lambda s: with_first(s, emitted=emitted(s[0], 0, score=1)), UNBALANCED),
    "an omitted row": (lambda s: settled(with_first(s, emitted=s[0].emitted[1:])), UNBALANCED),
    "an omitted tie": (lambda s: settled([s[0], replace(s[1], emitted=s[1].emitted[:-1]), s[2]]), UNBALANCED),
    "an invented tie": (lambda s: settled(with_first(s, emitted=(*s[0].emitted, (10**6, s[0].threshold)))), UNBALANCED),
    "an invented row": (lambda s: settled(with_first(s, emitted=((4, 9**8), *s[0].emitted))), UNBALANCED),
    "an id twice": (
        lambda s: settled([s[0], replace(s[1], emitted=(s[0].emitted[0], *s[1].emitted)), s[2]]),
        "appears",
    ),
    "another query": (lambda s: asking(s, query=(s[0].question.query[0] + 1, *s[0].question.query[1:])), UNBALANCED),
    "another metric": (lambda s: asking(s, metric="ip"), "sampled_values"),
    "another k": (lambda s: settled(asking(s, k=K - 1)), UNBALANCED),
    "a k of fewer rows": (lambda s: asking(s, k=1), THRESHOLD),
    "another threshold": (lambda s: everywhere(s, threshold=s[0].threshold - 1), THRESHOLD),
    "another snapshot": (lambda s: everywhere(s, snapshot_root=bytes(32)), ROOT),
    "another version": (lambda s: [placed(s[0], version=2), *s[1:]], ROOT),
    "another number of live rows": (lambda s: [placed(s[0], live=39), *s[1:]], ROOT),
    "another scale": (lambda s: everywhere(s, header=replace(s[0].header, scale=5)), ROOT),
    "another mode": (lambda s: everywhere(s, mode="ivf", probes=1), "probes"),
    "rows of the next segment": (
        lambda s: [replace(s[0], emitted=s[1].emitted), replace(s[1], emitted=s[0].emitted), s[2]],
        UNBALANCED,
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_about_a_proven_answer_is_refused(name, honest, under, verified):
    statements = [statement for _, statement in proven_claims(honest.answer)]
    make, reason = LIES[name]
    lie = make(list(statements))
    assert lie != statements
    with pytest.raises(VerificationError, match=reason):
        verified(under(honest.receipt.data, lie))


OTHERS = "not the segments that are asked for"
PARTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a segment left out": (lambda p: p[:-1], OTHERS),
    "all segments left out but one": (lambda p: p[1:2], OTHERS),
    "a segment twice": (lambda p: (p[0], *p), OTHERS),
    "a segment instead of another": (lambda p: (p[0], p[1], p[1]), OTHERS),
    "another order": (lambda p: (p[1], p[0], p[2]), OTHERS),
    "proofs exchanged": (
        lambda p: (replace(p[0], proof=p[1].proof), replace(p[1], proof=p[0].proof), p[2]),
        "tree 0 is not the prescribed one",
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_a_receipt_belong_together(name, honest, verified):
    make, reason = PARTS[name]
    parts = make(read_receipt(honest.receipt.data).parts)
    with pytest.raises(VerificationError, match=reason):
        verified(write_receipt(Receipt(tuple(parts))))


def test_a_part_for_another_question_is_refused(honest, snapshot, proved, verified):
    parts = read_receipt(honest.receipt.data).parts
    foreign = read_receipt(proved(snapshot, VECTORS[8], k=K).receipt.data).parts
    with pytest.raises(VerificationError, match="question: the parts of the receipt disagree"):
        verified(write_receipt(Receipt((parts[0], foreign[1], parts[2]))))


def lying_prover(snapshot: Snapshot, query: Asked, session: Any, row: int, selected: int) -> bytes:
    """A prover that turns one row's flag in the only segment, fits limbs and table, and claims accordingly."""
    [(scored, old)] = proven_claims(ask(snapshot, query, 3))
    segment = scored.stored.segment
    score, id = int(to_rows(scored.scores)[row]), int(segment.ids[row])
    rows = [item for item in old.emitted if item[0] != id] + [(id, score)] * selected
    statement = replace(old, emitted=tuple(ranked(rows)))
    component = statement.component()
    main = [to_rows(c).copy() for c in topk_trace(component, scored.scores, segment.stored_live, segment.stored_codes)]
    above = score - old.threshold
    gap = (above if selected else -1 - above) % P
    main[0][row] = selected
    for k in range(3):
        main[1 + k][row] = gap >> 10 * k & (P if k == 2 else 1023)
    kept = [limb[limb < 1024] for limb in main[1:4]]
    columns = [*(to_storage(column) for column in main[:4]), *RangeTable().trace(kept)]

    def bent_trace(*_: Any) -> list[Any]:
        return columns

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proving, "_check_composition", lambda *_: None)  # an honest prover stops here
        patch.setattr("octoproof.vectors.prove.topk_trace", bent_trace)
        claim = (scored, statement)
        part = prove_part(claim, preset_key(PRESET), PRESETS[PRESET], backend=session.device, trees=session.trees)
    return write_receipt(Receipt((part,)))


@pytest.mark.parametrize(("row", "selected"), [(1, 0), (0, 0), (2, 1)])
def test_a_lying_prover_is_refused(row, selected, tmp_path, session, verified):
    """Row 1 is nearest, row 0 ties for the last place with others, row 2 is too far."""
    vectors = np.random.default_rng(4).integers(-40, 41, (30, 4)).astype(float)
    vectors[1] = 0
    vectors[[0, 5, 9]] = [1, 0, 0, 0]
    vectors[2] = 40
    snapshot = Snapshot.build(vectors, tmp_path / "one", presets=(PRESET,))
    query = quantise_query(snapshot, [0, 0, 0, 0])
    [(_, statement)] = proven_claims(ask(snapshot, query, 3))
    assert {id for id, _ in statement.emitted} == {1, 0, 5, 9}
    with pytest.raises(VerificationError):
        verified(lying_prover(snapshot, query, session, row, selected))


def test_a_part_is_a_proof(honest, snapshot, proved, verified):
    """The proofs of one receipt do for no other, though both are about the same segments."""
    other = proved(snapshot, VECTORS[8], k=K).receipt
    mine, theirs = (read_receipt(receipt.data).parts for receipt in (honest.receipt, other))
    crossed = [replace(a, proof=b.proof, claimed_sums=b.claimed_sums) for a, b in zip(mine, theirs, strict=True)]
    assert all(isinstance(part, Part) for part in crossed)
    with pytest.raises(VerificationError):
        verified(write_receipt(Receipt(tuple(crossed))))
