"""Queries as a program asks them: results, receipts as files, verdicts, and a verifier that needs no compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octoproof.vectors.answers import Session
from octoproof.vectors.commit import commit_segment
from octoproof.vectors.errors import VectorError
from octoproof.vectors.prove import Trees
from octoproof.vectors.receipts import QueryReceipt, together
from octoproof.vectors.segment import Segment
from octoproof.vectors.snapshot import Snapshot
from verifier.errors import ParseError, SecurityError, VerificationError

RNG = np.random.default_rng(9)
VECTORS = RNG.normal(0, 1, (64, 5)).astype(np.float32)
LABELS = [f"wörd {k}" for k in range(64)]
KINDS = [("noun", "verb")[k % 2] for k in range(64)]
MODES = ("strict", "ivf", "candidates", "fast")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Snapshot:
    """Eight cells of about eight rows."""
    folder = tmp_path_factory.mktemp("answers") / "snapshot"
    options = {"labels": LABELS, "payload": {"kind": KINDS}, "cells": 8, "presets": ("bench",)}
    return Snapshot.build(VECTORS, folder, **options)


@pytest.fixture(scope="module")
def receipts(snapshot, proved) -> dict[str, QueryReceipt]:
    return {mode: proved(snapshot, VECTORS[3], k=3, mode=mode, probes=2).receipt for mode in MODES}


def test_from_vectors_to_a_verdict(tmp_path, session):
    """The whole way, as the manual shows it."""
    first = Snapshot.build(VECTORS[:60], tmp_path / "s", labels=KINDS[:60], presets=("bench",))
    second = first.append(VECTORS[60:], labels=KINDS[60:]).delete([3])
    result = second.query(VECTORS[3], k=5, prove=True, session=session)
    result.receipt.save(tmp_path / "answer.octoproof")
    receipt = QueryReceipt.load(tmp_path / "answer.octoproof")
    verdict = receipt.verify(second.root, min_conjectured=0.0)
    assert [id for id, _ in verdict.results] == result.ids.tolist()
    assert 3 not in result.ids
    assert Snapshot.open(tmp_path / "s").root == verdict.snapshot_root == second.root
    assert Snapshot.open(tmp_path / "s", at=1).query(VECTORS[3], k=1).ids.tolist() == [3]


# Results


def test_results_as_arrays(snapshot):
    result = snapshot.query(VECTORS[3], k=4, mode="strict")
    assert (result.ids.dtype, result.scores.dtype, result.distances.dtype) == (np.int64, np.int64, np.float64)
    assert result.ids[0] == 3
    assert result.labels == [LABELS[id] for id in result.ids]
    exact = np.sqrt(((VECTORS - VECTORS[3]) ** 2).sum(axis=1, dtype=np.float64))
    assert result.ids.tolist() == np.argsort(exact)[:4].tolist()
    assert np.allclose(result.distances, np.sort(exact)[:4], atol=5 / snapshot.quantiser.factor)
    assert result.scores.tolist() == sorted(result.scores.tolist(), reverse=True)
    assert (result.receipt, result.verdict) == (None, None)
    assert result.timings["search_s"] > 0
    assert (result.timings["prove_s"], result.timings["verify_s"]) == (None, None)


def test_results_as_an_arrow_table(snapshot):
    pyarrow = pytest.importorskip("pyarrow")
    result = snapshot.query(VECTORS[3], k=4)
    table = result.to_arrow()
    assert table.schema.names == ["id", "label", "score", "distance"]
    assert table.schema.types == [pyarrow.int64(), pyarrow.string(), pyarrow.int64(), pyarrow.float64()]
    assert table.column("id").to_pylist() == result.ids.tolist()
    assert table.column("label").to_pylist() == result.labels
    assert table.column("score").to_pylist() == result.scores.tolist()
    assert table.column("distance").to_pylist() == result.distances.tolist()


def test_an_empty_result(snapshot, tmp_path):
    pytest.importorskip("pyarrow")
    only = Snapshot.build(VECTORS[:2], tmp_path / "s", labels=["a", "b"], presets=("bench",)).delete([1])
    result = only.query(VECTORS[0], where={"label": "b"})
    assert (len(result.ids), len(result.scores), len(result.distances), result.labels) == (0, 0, 0, [])
    assert result.to_arrow().num_rows == 0
    assert result.agreement.same_order


def test_without_pyarrow_it_says_so(snapshot, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(VectorError, match="arrow: needs the package pyarrow"):
        snapshot.query(VECTORS[0]).to_arrow()


def test_a_vector_of_the_snapshot_as_the_query(snapshot):
    for asked in ({"id": 7}, {"label": "wörd 7"}, {"vector": VECTORS[7]}, {"vector": VECTORS[7].tolist()}):
        assert snapshot.query(k=1, **asked).ids.tolist() == [7]
    for asked in ({}, {"id": 7, "label": "wörd 7"}, {"id": 7, "vector": VECTORS[7]}):
        with pytest.raises(VectorError, match="query: give one of vector, id and label"):
            snapshot.query(**asked)


# Agreement with floating point


def test_agreement_with_the_floating_point_order(tmp_path):
    """Integers tell apart what differs by a coordinate's step, and no less."""
    far = [[1.0, 1.0]]
    plain = Snapshot.build(np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.2], *far]), tmp_path / "plain", presets=("bench",))
    same = plain.query([0.0, 0.0], k=3).agreement
    assert (same.same_set, same.same_order, same.differing, same.overlap) == (True, True, 0, 3)
    close = np.array([[1e-5, 0.0], [0.0, 0.0], *far])  # in integers both are zero, and the smaller id is first
    result = Snapshot.build(close, tmp_path / "close", presets=("bench",)).query([0.0, 0.0], k=2)
    assert result.ids.tolist() == [0, 1]
    assert result.scores.tolist() == [0, 0]
    found = result.agreement
    assert (found.same_set, found.same_order, found.differing, found.overlap) == (True, False, 2, 2)
    one = Snapshot.open(tmp_path / "close").query([0.0, 0.0], k=1).agreement
    assert (one.same_set, one.differing, one.overlap) == (False, 1, 0)


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_agreement_of_a_normalised_snapshot(metric, tmp_path):
    for floats in (True, False):
        built = Snapshot.build(VECTORS, tmp_path / str(floats), normalise=True, floats=floats, presets=("bench",))
        result = built.query(VECTORS[3] * 7, k=5, metric=metric)
        assert result.agreement.same_order
        cosine = VECTORS @ VECTORS[3] / np.linalg.norm(VECTORS, axis=1) / np.linalg.norm(VECTORS[3])
        assert result.ids.tolist() == np.argsort(-cosine)[:5].tolist()
        if metric == "cosine":
            assert np.allclose(result.distances, np.sort(1 - cosine)[:5], atol=1e-2)


# Rows that have to be shown


@pytest.mark.parametrize(("mode", "k", "shown"), [("fast", 30, 30), ("candidates", 3, 40), ("candidates", 16, 64)])
@pytest.mark.parametrize("probes", [None, 1])
def test_more_cells_are_searched_where_these_hold_too_few_rows(mode, k, shown, probes, snapshot, proved, verified):
    result = proved(snapshot, VECTORS[3], k=k, mode=mode, probes=probes)
    assert len(result.ids) == k
    statement = verified(result.receipt, root=snapshot.root).verdict.parts[0].statement
    assert len(statement.rows) == shown
    assert result.ids[0] == 3


def test_more_candidates_on_request(snapshot, proved):
    def shown(**options) -> int:
        return len(proved(snapshot, VECTORS[3], mode="candidates", **options).verdict.verdict.parts[0].statement.rows)

    assert shown(k=3, candidates=50) == 50
    assert shown(k=3, candidates=5) == 40
    assert shown(k=3, candidates=1000) == 64


# Receipts


def test_a_verdict_says_what_is_known(snapshot, receipts, verified):
    for mode in MODES:
        verdict = verified(receipts[mode], root=snapshot.root)
        assert (verdict.mode, verdict.metric, verdict.k, verdict.where) == (mode, "l2", 3, {})
        assert verdict.root_checked
        assert verdict.certified == (False if mode in ("strict", "ivf") else None)
        assert verdict.snapshot_root == snapshot.root
        assert verdict.query == tuple(snapshot.quantiser(VECTORS[3:4])[0].tolist())
        assert not verified(receipts[mode]).root_checked
        assert verified(receipts[mode], root=snapshot.root.hex()).results == verdict.results


@pytest.mark.parametrize("mode", MODES)
def test_another_root(mode, receipts, verified):
    with pytest.raises(VerificationError, match="snapshot root: the receipt is about another snapshot"):
        verified(receipts[mode], root="ab" * 32)


@pytest.mark.parametrize("root", ["", "xyz", "ab" * 31, "ab" * 33, b"", bytes(31)])
def test_a_root_that_is_none(root, receipts, verified):
    with pytest.raises(ParseError, match=r"root: .* is no snapshot root; give 32 bytes or 64 hexadecimal digits"):
        verified(receipts["fast"], root=root)


def test_a_receipt_is_a_file(receipts, tmp_path):
    path = tmp_path / "answer.octoproof"
    for receipt in receipts.values():
        receipt.save(path)
        assert path.read_bytes() == receipt.data
        assert QueryReceipt.load(path) == receipt
        assert len(receipt) == path.stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == ["answer.octoproof"]
    with pytest.raises(FileNotFoundError):
        QueryReceipt.load(tmp_path / "none")


@pytest.mark.parametrize("data", [b"", b"OCTOPROOF-RECEIPT", bytes(1000)])
def test_a_file_that_is_no_receipt(data, tmp_path, verified):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ParseError):
        verified(QueryReceipt.load(tmp_path / "file"))


@pytest.mark.parametrize("mode", MODES)
def test_a_damaged_receipt(mode, receipts, verified):
    data = receipts[mode].data
    for place in range(0, len(data), max(1, len(data) // 60)):
        bent = bytearray(data)
        bent[place] ^= 1 << place % 8
        with pytest.raises((ParseError, VerificationError)):
            verified(bytes(bent))
    for cut in range(0, len(data), max(1, len(data) // 20)):
        with pytest.raises((ParseError, VerificationError)):
            verified(data[:cut])


def test_a_weak_receipt_is_refused_by_default(receipts):
    for mode in ("strict", "ivf"):
        with pytest.raises(SecurityError, match=r"at least 96\.0 are demanded"):
            receipts[mode].verify()
    for mode in ("candidates", "fast"):  # which rest on hashes alone
        assert receipts[mode].verify().security.conjectured >= 96


def test_the_security_of_several_receipts(receipts, verified):
    worths = [verified(receipt).security for receipt in receipts.values()]
    whole = together(worths)
    assert whole.conjectured == min(worth.conjectured for worth in worths) - 2
    assert together(worths[:1]) == worths[0]


# Sessions


def test_a_session_keeps_committed_segments(snapshot, monkeypatch):
    made: list[int] = []

    def commit(segment: Segment, *rest: Any) -> Any:
        made.append(segment.id)
        return commit_segment(segment, *rest)

    monkeypatch.setattr("octoproof.vectors.prove.commit_segment", commit)
    with Session("bench", threads=1) as own:
        for _ in range(2):
            snapshot.query(VECTORS[3], k=3, prove=True, session=own)
        assert made == list(range(1, 9))
        snapshot.query(VECTORS[3], k=3, mode="ivf", probes=2, prove=True, session=own)
        assert made == [*range(1, 9), 0]
        own.trees = Trees(0)  # which holds no more than the last one
        for _ in range(2):
            snapshot.query(VECTORS[3], k=3, prove=True, session=own)
        assert made[9:] == [*range(1, 9), *range(1, 9)]


def test_without_a_session_the_standard_preset_is_proven(tmp_path):
    built = Snapshot.build(VECTORS[:16], tmp_path / "s")
    result = built.query(VECTORS[3], k=2, prove=True)
    assert result.receipt.verify(built.root).security.conjectured >= 96
    assert result.timings["prove_s"] > 0
    assert result.timings["verify_s"] > 0


def test_progress_names_the_segments(snapshot, session):
    told: list[str] = []
    snapshot.query(VECTORS[3], k=2, prove=True, session=session, progress=told.append)
    assert [line for line in told if line.startswith("segment")] == [f"segment {k} of 8" for k in range(1, 9)]


# A verifier without a compiler

VERIFIER = """
import sys
from pathlib import Path
from octoproof.vectors.receipts import Certificate, QueryReceipt
for path in map(Path, sys.argv[2:]):
    verdict = QueryReceipt.load(path).verify(sys.argv[1], min_conjectured=0.0)
    print(verdict.mode, *(id for id, _ in verdict.results))
heavy = {"numba", "llvmlite", "ray", "cupy", "pyarrow", "usearch", "prover"} & set(sys.modules)
assert not heavy, heavy
"""


def test_verifying_loads_no_compiler(snapshot, receipts, proved, tmp_path):
    """A fresh process, of which all that it loaded is known: all modes, and rows of both rules."""
    paths = []
    for mode, receipt in receipts.items():
        paths.append(tmp_path / mode)
        receipt.save(paths[-1])
    done = verifier(snapshot.root, paths)
    expected = [" ".join(map(str, (mode, *ids(receipt)))) for mode, receipt in receipts.items()]
    assert done == expected
    stoolap = Snapshot.build(VECTORS, tmp_path / "s", row_rule="stoolap", normalise=True, presets=("bench",))
    proved(stoolap, VECTORS[3], k=16, mode="candidates", metric="cosine").receipt.save(tmp_path / "stoolap")
    assert verifier(stoolap.root, [tmp_path / "stoolap"])[0].startswith("candidates 3 ")


def ids(receipt: QueryReceipt) -> list[int]:
    return [id for id, _ in receipt.verify(min_conjectured=0.0).results]


def verifier(root: bytes, paths: list[Path]) -> list[str]:
    command = [sys.executable, "-c", VERIFIER, root.hex(), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
