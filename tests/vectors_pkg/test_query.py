"""Queries end to end: right answers with receipts that verify, and every false answer refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from air.circle import to_rows, to_storage
from air.field import P
from air.statements.topk import TopK, topk_trace
from air.statements.topk_statement import TOPK, TopkStatement, ranked, score_metric, threshold_of, topk_result
from octoproof.vectors.build import build_snapshot
from octoproof.vectors.commit import commit_segment
from octoproof.vectors.errors import SnapshotError, VectorError
from octoproof.vectors.query import Answer, ask, find, prove_answer, quantise_query
from octoproof.vectors.snapshot import Snapshot, preset_key
from prover.prove import ProvingError, prove
from verifier.config import PRESETS
from verifier.errors import VerificationError
from verifier.receipt import Part, Receipt, read_receipt, registry, statement_spec, write_receipt
from verifier.receipt import verify as verify_receipt

RNG = np.random.default_rng(11)
VECTORS = RNG.normal(0, 1, (90, 4))
VECTORS[60:70] = VECTORS[0]  # eleven equal vectors, in two segments
IDS = np.arange(90) * 7 + 1
PRESET = "bench"
K = 13


def verify(receipt: bytes):
    return verify_receipt(receipt, registry(TOPK), min_conjectured=0.0)


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory) -> dict[bool, Snapshot]:
    folder = tmp_path_factory.mktemp("query")
    return {n: build_snapshot(VECTORS, folder / str(n), ids=IDS, segment_rows=40, normalise=n) for n in (False, True)}


@pytest.fixture(scope="module")
def trees() -> dict[bytes, Any]:
    return {}


@pytest.fixture(scope="module")
def honest(snapshots, device, trees) -> tuple[Snapshot, Answer, bytes]:
    snapshot = snapshots[False]
    answer = ask(snapshot, find(snapshot, id=1), K, "l2")
    return snapshot, answer, prove_answer(snapshot, answer, PRESET, backend=device, trees=trees)


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_the_answer_is_proven(metric, snapshots, device, trees):
    snapshot = snapshots[metric == "cosine"]
    query = quantise_query(snapshot, VECTORS[3])
    answer = ask(snapshot, query, 12, metric)
    wide = np.concatenate([s.segment.vectors() for s in snapshot.segments]).astype(int)
    score = 2 * wide @ query - (wide * wide).sum(axis=1) if metric == "l2" else wide @ query
    expected = sorted(zip(-score, IDS, strict=True))[:12]
    assert [(m.id, m.score) for m in answer.matches] == [(id, -negative) for negative, id in expected]
    verdict = verify(prove_answer(snapshot, answer, PRESET, backend=device, trees=trees))
    claims = [part.statement for part in verdict.parts]
    assert topk_result(claims) == [(m.id, m.score) for m in answer.matches]
    assert claims[0].snapshot_root == snapshot.root


def test_the_same_question_gives_the_same_bytes(honest, device, trees):
    snapshot, answer, receipt = honest
    assert prove_answer(snapshot, answer, PRESET, backend=device, trees=trees) == receipt


def test_more_asked_for_than_there_are(snapshots, device, trees):
    snapshot = snapshots[False]
    answer = ask(snapshot, (1, 2, 3, 4), 200)
    assert len(answer.matches) == 90
    verdict = verify(prove_answer(snapshot, answer, PRESET, backend=device, trees=trees))
    assert len(topk_result([part.statement for part in verdict.parts])) == 90


def test_all_ties_of_the_last_place_are_told(snapshots):
    answer = ask(snapshots[False], find(snapshots[False], id=1), 6)
    assert [m.id for m in answer.matches] == [1, *(60 * 7 + 1 + 7 * k for k in range(5))]
    assert sum(len(statement.emitted) for statement in answer.statements) == 11


def forge(receipt: bytes, statements) -> bytes:
    """The same proofs under other statements."""
    parts = read_receipt(receipt).parts
    return write_receipt(
        Receipt(tuple(replace(p, statement=tuple(s.encode())) for p, s in zip(parts, statements, strict=True)))
    )


def with_first(statements, **changes):
    return [replace(statements[0], **changes), *statements[1:]]


def everywhere(statements, **changes):
    return [replace(statement, **changes) for statement in statements]


def emitted(statement: TopkStatement, index: int, id: int = 0, score: int = 0):
    rows = list(statement.emitted)
    rows[index] = (rows[index][0] + id, rows[index][1] + score)
    return tuple(sorted(rows, key=lambda row: (-row[1], row[0])))


def settled(statements):
    """The threshold that the emitted rows make, and no rows below it: nothing for the statement's own checks."""
    rows = ranked(row for statement in statements for row in statement.emitted)
    least = threshold_of(statements[0].header, rows, statements[0].k)
    return [replace(s, threshold=least, emitted=tuple(row for row in s.emitted if row[1] >= least)) for s in statements]


UNBALANCED, THRESHOLD = "lookups do not balance", "threshold: "
LIES = {
    "a swapped neighbour": (lambda s: with_first(s, emitted=emitted(s[0], 0, id=1)), UNBALANCED),
    "another distance": (lambda s: with_first(s, emitted=emitted(s[0], 0, score=1)), UNBALANCED),
    "an omitted row": (lambda s: settled(with_first(s, emitted=s[0].emitted[1:])), UNBALANCED),
    "an omitted tie": (lambda s: settled([s[0], replace(s[1], emitted=s[1].emitted[:-1]), s[2]]), UNBALANCED),
    "an invented tie": (lambda s: settled(with_first(s, emitted=(*s[0].emitted, (10**6, s[0].threshold)))), UNBALANCED),
    "an invented row": (lambda s: settled(with_first(s, emitted=((4, 9**8), *s[0].emitted))), UNBALANCED),
    "another query": (lambda s: everywhere(s, query=(s[0].query[0] + 1, *s[0].query[1:])), UNBALANCED),
    "another metric": (lambda s: everywhere(s, metric="ip"), "sampled_values"),
    "another k": (lambda s: settled(everywhere(s, k=K - 1)), UNBALANCED),
    "a k of fewer rows": (lambda s: everywhere(s, k=1), THRESHOLD),
    "another threshold": (lambda s: everywhere(s, threshold=s[0].threshold - 1), THRESHOLD),
    "another snapshot": (lambda s: everywhere(s, snapshot_root=bytes(32)), "snapshot_root: not"),
    "another version": (lambda s: with_first(s, leaf=replace(s[0].leaf, version=2)), "snapshot_root: not"),
    "another scale": (lambda s: everywhere(s, header=replace(s[0].header, scale=5)), "snapshot_root: not"),
    "rows of the next segment": (
        lambda s: [replace(s[0], emitted=s[1].emitted), replace(s[1], emitted=s[0].emitted), s[2]],
        UNBALANCED,
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_about_a_proven_answer_is_refused(name, honest):
    _, answer, receipt = honest
    make, reason = LIES[name]
    lie = make(list(answer.statements))
    assert lie != list(answer.statements)
    with pytest.raises(VerificationError, match=reason):
        verify(forge(receipt, lie))


PARTS = {
    "a segment left out": (lambda p: p[:-1], "segments: 2 are given"),
    "a segment twice": (lambda p: (p[0], *p), "segments: 4 are given"),
    "a segment instead of another": (lambda p: (p[0], p[1], p[1]), "do not ascend"),
    "another order": (lambda p: (p[1], p[0], p[2]), "do not ascend"),
    "proofs exchanged": (
        lambda p: (replace(p[0], proof=p[1].proof), replace(p[1], proof=p[0].proof), p[2]),
        "tree 0 is not the prescribed one",
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_a_receipt_belong_together(name, honest):
    make, reason = PARTS[name]
    parts = make(read_receipt(honest[2]).parts)
    with pytest.raises(VerificationError, match=reason):
        verify(write_receipt(Receipt(tuple(parts))))


def test_a_part_for_another_question_is_refused(honest, snapshots, device, trees):
    snapshot, _, receipt = honest
    other = ask(snapshot, (5, 5, 5, 5), 6)
    parts = read_receipt(receipt).parts
    foreign = read_receipt(prove_answer(snapshot, other, PRESET, backend=device, trees=trees)).parts
    with pytest.raises(VerificationError, match="query"):
        verify(write_receipt(Receipt((parts[0], foreign[1], parts[2]))))


def lying_prover(snapshot: Snapshot, answer: Answer, device, row: int, selected: int) -> bytes:
    """A prover that turns one row's flag in the first segment, fits limbs and table, and claims accordingly."""
    segment, old, own = snapshot.segments[0].segment, answer.statements[0], answer.scores[0]
    rows = [r for r in old.emitted if r[0] != int(segment.ids[row])]
    if selected:
        rows.append((int(segment.ids[row]), int(own[row])))
    statement = replace(old, emitted=tuple(sorted(rows, key=lambda r: (-r[1], r[0]))))
    component = TopK(segment.log_size, score_metric(old.metric), old.query, old.threshold)
    padded = np.zeros(1 << segment.log_size, dtype=np.int64)
    padded[: segment.rows] = own
    main = [to_rows(column).copy() for column in topk_trace(component, padded, segment.padded_live)]
    above = int(own[row]) - old.threshold
    gap = (above if selected else -1 - above) % P
    for k in range(3):
        main[5][int(main[1 + k][row])] -= 1
        main[1 + k][row] = gap >> 10 * k & (P if k == 2 else 1023)
        main[5][min(int(main[1 + k][row]), 1023)] += 1
    main[0][row] = selected
    spec = statement_spec(statement, "blake2s", PRESETS[PRESET])
    tree, _ = commit_segment(segment, preset_key(PRESET), device)
    proved = prove(
        spec.air,
        tree,
        [to_storage(column) for column in main],
        config=PRESETS[PRESET],
        backend=device,
        statement_u64=spec.statement_u64,
    )
    return write_receipt(Receipt((Part(tuple(statement.encode()), "blake2s", proved.claimed_sums, proved.proof),)))


@pytest.mark.parametrize(("row", "selected"), [(1, 0), (0, 0), (2, 1)])
def test_a_lying_prover_is_refused(row, selected, tmp_path, device):
    """Row 1 is nearest, row 0 ties for the last place with others, row 2 is too far."""
    vectors = np.random.default_rng(4).integers(-40, 41, (30, 4)).astype(float)
    vectors[1] = 0
    vectors[[0, 5, 9]] = [1, 0, 0, 0]
    vectors[2] = 40
    snapshot = build_snapshot(vectors, tmp_path / "one")
    answer = ask(snapshot, (0, 0, 0, 0), 3)
    told = {id for id, _ in answer.statements[0].emitted}
    assert {1, 0, 5, 9} == told
    with pytest.raises((VerificationError, ProvingError)):
        verify(lying_prover(snapshot, answer, device, row, selected))


def test_a_deleted_row_is_no_result(tmp_path, device):
    """Tombstones come with a later issue; the proof knows them already."""
    vectors = np.eye(4).repeat(5, axis=0)
    snapshot = build_snapshot(vectors, tmp_path / "dead")
    stored = snapshot.segments[0]
    live = stored.segment.live.copy()
    live[3] = False
    segment = replace(stored.segment, live=live)
    key = preset_key(PRESET)
    _, root = commit_segment(segment, key, device)
    assert root != stored.leaf.column_root(key)
    component = TopK(segment.log_size, "l2", (0, 0, 0, 0), -(10**6))
    score = np.zeros(1 << segment.log_size, dtype=np.int64)
    selected = to_rows(topk_trace(component, score, segment.padded_live)[0])
    assert selected[:20].tolist() == [1, 1, 1, 0] + [1] * 16
    assert not selected[20:].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k: 0"),
        ({"k": 1001}, "k: 1001"),
        ({"metric": "hamming"}, "metric: 'hamming'"),
        ({"metric": "cosine"}, "metric: cosine needs"),
        ({"query": (1, 2, 3)}, "query: 3 coordinates"),
        ({"query": (1, 2, 3, 99_999)}, "query: coordinates beyond"),
    ],
)
def test_questions_that_cannot_be_asked(options, message, snapshots):
    with pytest.raises(VectorError) as refused:
        ask(snapshots[False], **({"query": (1, 2, 3, 4)} | options))
    assert str(refused.value).startswith(message)


def test_vectors_that_are_not_there(snapshots):
    snapshot = snapshots[False]
    with pytest.raises(VectorError, match="id: 2 is not"):
        find(snapshot, id=2)
    with pytest.raises(VectorError, match="no labels"):
        find(snapshot, label="word")
    with pytest.raises(VectorError, match="query: an array of shape"):
        quantise_query(snapshot, [[1.0, 2.0, 3.0, 4.0]])
    with pytest.raises(VectorError, match="query: row 0, coordinate 3 is nan"):
        quantise_query(snapshot, [1.0, 2.0, 0.0, float("nan")])


def test_too_many_equal_vectors(tmp_path):
    snapshot = build_snapshot(np.ones((5000, 1)), tmp_path / "equal")
    with pytest.raises(VectorError, match="5000 rows"):
        ask(snapshot, (1,), 1)


def test_data_that_are_not_the_committed_ones(honest, device):
    snapshot, answer, _ = honest
    stored = snapshot.segments[0]
    bent = replace(stored.leaf, column_roots=(replace(stored.leaf.column_roots[0], root=bytes(32)),))
    statements = (replace(answer.statements[0], leaf=bent), *answer.statements[1:])
    with pytest.raises(SnapshotError, match="segment 0"):
        prove_answer(snapshot, replace(answer, statements=statements), PRESET, backend=device)
    none = replace(stored.leaf, column_roots=())
    statements = (replace(answer.statements[0], leaf=none), *answer.statements[1:])
    with pytest.raises(VectorError, match="segment 0 was not committed"):
        prove_answer(snapshot, replace(answer, statements=statements), PRESET, backend=device)
