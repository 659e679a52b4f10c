"""Queries with proofs: right answers, in the modes strict and ivf and with filters, and what cannot be asked."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octoproof.vectors.answers import Result
from octoproof.vectors.claims import proven_claims
from octoproof.vectors.errors import SnapshotError, VectorError
from octoproof.vectors.prove import prove_answer
from octoproof.vectors.query import ask, find, quantise_query
from octoproof.vectors.snapshot import Snapshot

RNG = np.random.default_rng(11)
VECTORS = RNG.normal(0, 1, (90, 4))
VECTORS[60:70] = VECTORS[0]  # eleven equal vectors, in two segments
IDS = np.arange(90) * 7 + 1
KINDS = np.where(RNG.random(90) < 0.5, "noun", "verb")
KINDS[::11] = "rare"
TONES = [("warm", "cold", "")[k % 3] for k in range(90)]
PRESET = "bench"
K = 13
WAYS = {"l2": False, "ip": False, "cosine": True}  # metric: on a normalised snapshot


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory) -> dict[bool, Snapshot]:
    """In three segments, of 40, 40 and 10 rows; normalised or not."""
    folder = tmp_path_factory.mktemp("query")
    options = {"ids": IDS, "segment_rows": 40, "presets": (PRESET,), "payload": {"kind": KINDS, "tone": TONES}}
    return {n: Snapshot.build(VECTORS, folder / str(n), normalise=n, **options) for n in (False, True)}


@pytest.fixture(scope="module")
def celled(tmp_path_factory) -> dict[bool, Snapshot]:
    """In six cells."""
    folder = tmp_path_factory.mktemp("cells")
    options = {"ids": IDS, "cells": 6, "presets": (PRESET,), "payload": {"kind": KINDS, "tone": TONES}}
    return {n: Snapshot.build(VECTORS, folder / str(n), normalise=n, **options) for n in (False, True)}


@pytest.fixture(scope="module")
def honest(snapshots, proved) -> Result:
    return proved(snapshots[False], id=1, k=K)


def live_rows(snapshot: Snapshot, cells: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(coordinates, ids) of all live rows, or of those in these cells."""
    chosen = [s.segment for n, s in enumerate(snapshot.segments) if cells is None or n in cells]
    live = [segment.live_rows() for segment in chosen]
    return np.concatenate([rows.coordinates for rows in live]), np.concatenate([rows.ids for rows in live])


def pairs(result: Result) -> list[tuple[int, int]]:
    return [(match.id, match.score) for match in result.matches]


@pytest.mark.parametrize("metric", WAYS)
def test_the_answer_is_exact_and_proven(metric, snapshots, proved, verified, exact):
    snapshot = snapshots[WAYS[metric]]
    result = proved(snapshot, VECTORS[3], k=12, metric=metric)
    query = quantise_query(snapshot, VECTORS[3]).coordinates
    assert pairs(result) == exact(*live_rows(snapshot), query, 12, metric)
    verdict = verified(result.receipt, root=snapshot.root)
    assert list(verdict.results) == pairs(result)
    assert (verdict.mode, verdict.metric, verdict.k, verdict.where) == ("strict", metric, 12, {})
    assert len(verdict.verdict.parts) == 3


def test_the_same_question_gives_the_same_bytes(honest, snapshots, proved):
    assert proved(snapshots[False], id=1, k=K).receipt == honest.receipt


def test_more_asked_for_than_there_are(snapshots, proved, verified):
    result = proved(snapshots[False], VECTORS[1], k=200)
    assert sorted(result.ids) == IDS.tolist()
    assert len(verified(result.receipt).results) == 90


def test_all_ties_of_the_last_place_are_told(snapshots):
    """Eleven rows tie, in two segments: the smaller ids are the answer, and all are in the statements."""
    answer = ask(snapshots[False], find(snapshots[False], id=1), 6)
    assert [match.id for match in answer.matches] == [1, *(60 * 7 + 1 + 7 * k for k in range(5))]
    assert [len(statement.emitted) for _, statement in proven_claims(answer)] == [1, 10, 0]


@pytest.mark.parametrize("metric", WAYS)
def test_deleted_rows_are_no_results(metric, snapshots, proved, verified, exact, tmp_path):
    before = snapshots[WAYS[metric]]
    folder = tmp_path / "copy"
    shutil.copytree(before.folder, folder)
    nearest = proved(before, VECTORS[0], k=14, metric=metric).ids
    after = Snapshot.open(folder).delete(nearest[::2])
    result = proved(after, VECTORS[0], k=14, metric=metric)
    assert not set(nearest[::2].tolist()) & set(result.ids.tolist())
    query = quantise_query(after, VECTORS[0]).coordinates
    assert pairs(result) == exact(*live_rows(after), query, 14, metric)
    assert list(verified(result.receipt, root=after.root).results) == pairs(result)


# Cells


def probed_cells(snapshot: Snapshot, query: Sequence[int], probes: int, metric: str, exact: Any) -> list[int]:
    centroids = snapshot.centroids.segment
    return [id for id, _ in exact(centroids.vectors(), centroids.ids, query, probes, metric)]


@pytest.mark.parametrize("metric", WAYS)
@pytest.mark.parametrize("probes", [1, 2, 5])
def test_the_probed_cells_are_searched_exactly(metric, probes, celled, proved, verified, exact):
    snapshot = celled[WAYS[metric]]
    result = proved(snapshot, VECTORS[3], k=8, metric=metric, mode="ivf", probes=probes)
    query = quantise_query(snapshot, VECTORS[3]).coordinates
    cells = probed_cells(snapshot, query, probes, metric, exact)
    assert pairs(result) == exact(*live_rows(snapshot, cells), query, 8, metric)
    verdict = verified(result.receipt, root=snapshot.root)
    assert verdict.mode == "ivf"
    assert list(verdict.results) == pairs(result)
    assert [part.statement.segment.index for part in verdict.verdict.parts] == [0, *sorted(c + 1 for c in cells)]


@pytest.mark.parametrize("metric", WAYS)
def test_all_cells_give_the_strict_answer(metric, celled, proved):
    snapshot = celled[WAYS[metric]]
    whole = proved(snapshot, VECTORS[3], k=20, metric=metric)
    assert pairs(proved(snapshot, VECTORS[3], k=20, metric=metric, mode="ivf", probes=6)) == pairs(whole)


def test_fewer_rows_in_the_probed_cells_than_asked_for(celled, proved, verified, exact):
    snapshot = celled[False]
    result = proved(snapshot, VECTORS[3], k=60, mode="ivf", probes=1)
    query = quantise_query(snapshot, VECTORS[3]).coordinates
    rows = live_rows(snapshot, probed_cells(snapshot, query, 1, "l2", exact))
    assert 0 < len(result.ids) == len(rows[1]) < 60
    assert list(verified(result.receipt).results) == pairs(result)


def test_without_a_number_of_probes_sixteen_or_all_cells_are_probed(celled):
    assert ask(celled[False], find(celled[False], id=1), 3, mode="ivf").probes == 6


# Filters

WHERE = [{"kind": "noun"}, {"kind": "rare"}, {"tone": "warm"}, {"kind": "rare", "tone": "cold"}]
MODES = [("strict", {}), ("ivf", {"probes": 4}), ("candidates", {"probes": 6}), ("fast", {"probes": 6})]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("mode", "options"), MODES)
def test_only_rows_that_pass_all_filters(where, mode, options, celled, proved, verified, exact):
    """Of `rare` there are fewer rows than asked for, and of the two fields together fewer still."""
    snapshot = celled[False]
    result = proved(snapshot, VECTORS[3], k=15, mode=mode, where=where, **options)
    query = quantise_query(snapshot, VECTORS[3]).coordinates
    cells = probed_cells(snapshot, query, options.get("probes", 6), "l2", exact)
    coordinates, ids = live_rows(snapshot, cells)
    texts = {"kind": dict(zip(IDS, KINDS, strict=True)), "tone": dict(zip(IDS, TONES, strict=True))}
    passing = np.array([all(texts[name][id] == value for name, value in where.items()) for id in ids])
    assert pairs(result) == exact(coordinates[passing], ids[passing], query, 15)
    verdict = verified(result.receipt, root=snapshot.root)
    assert verdict.where == where
    assert list(verdict.results) == pairs(result)


@pytest.mark.parametrize(("mode", "options"), MODES)
def test_a_deleted_row_of_the_right_label(mode, options, celled, proved, verified, tmp_path):
    """`rare` is left without rows: the dictionary keeps it, and the answer is empty."""
    shutil.copytree(celled[False].folder, tmp_path / "copy")
    rare = IDS[KINDS == "rare"].tolist()
    assert 1 < len(rare) < 15
    one = Snapshot.open(tmp_path / "copy").delete(rare[1:])
    asked: dict[str, Any] = {"k": 5, "mode": mode, "where": {"kind": "rare"}} | options
    assert proved(one, VECTORS[3], **asked | {"probes": 6}).ids.tolist() == rare[:1]
    none = one.delete(rare[:1])
    result = proved(none, VECTORS[3], **asked)
    assert result.matches == ()
    assert verified(result.receipt, root=none.root).results == ()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"kind": "adverb"}, "where: no row of this snapshot has kind='adverb'"),
        ({"kind": ""}, "where: no row of this snapshot has kind=''"),
        ({"colour": "red"}, "where: no field 'colour' in this snapshot, which has kind, tone"),
    ],
)
def test_filters_that_cannot_be(where, message, snapshots):
    with pytest.raises(VectorError) as refused:
        snapshots[False].query(VECTORS[0], where=where)
    assert str(refused.value).startswith(message)


# What cannot be asked, and data that are not the committed ones


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k: 0"),
        ({"k": 1001}, "k: 1001"),
        ({"k": 129, "mode": "candidates"}, "k: 129"),
        ({"metric": "hamming"}, "metric: 'hamming'"),
        ({"metric": "cosine"}, "metric: cosine needs"),
        ({"mode": "exact"}, "mode: 'exact'"),
        ({"mode": "ivf"}, "mode: ivf needs a snapshot with cells"),
        ({"vector": (1, 2, 3)}, "query: 3 coordinates"),
        ({"vector": (1, 2, 3, 99_999)}, "query: row 0, coordinate 3 is 99999"),
        ({"vector": [[1.0, 2.0, 3.0, 4.0]]}, "query: an array of shape"),
        ({"vector": [1.0, 2.0, 0.0, float("nan")]}, "query: row 0, coordinate 3 is nan"),
        ({"vector": None, "id": 2}, "id: 2 is not"),
        ({"vector": None, "id": 1 << 70}, "id: 1180591620717411303424 is not"),
        ({"vector": None, "label": "word"}, "label: this snapshot has no labels"),
        ({"vector": None}, "query: give one of"),
        ({"id": 1}, "query: give one of"),
    ],
)
def test_questions_that_cannot_be_asked(options, message, snapshots):
    with pytest.raises(VectorError) as refused:
        snapshots[False].query(**({"vector": (0.1, 0.2, 0.3, 0.4)} | options))
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("probes", [0, -1, 7])
def test_probes_that_cannot_be(probes, celled):
    with pytest.raises(VectorError, match=rf"probes: {probes} is outside 1\.\.6"):
        celled[False].query(VECTORS[0], mode="ivf", probes=probes)


def test_too_many_equal_vectors(tmp_path, proved):
    snapshot = Snapshot.build(np.ones((5000, 1)), tmp_path / "equal", presets=(PRESET,))
    with pytest.raises(VectorError, match="k: 5000 rows reach the score of place 1"):
        proved(snapshot, [1.0], k=1)


@pytest.mark.parametrize("name", ["columns", "norms", "ids", "live", "codes"])
def test_data_that_are_not_the_committed_ones_are_not_proven(name, snapshots, device, tmp_path):
    """The file is a whole array with one number changed, so that only the commitment tells."""
    shutil.copytree(snapshots[False].folder, tmp_path / "copy")
    path = next((tmp_path / "copy").rglob(f"000001-*/{name}.npy"))
    bend(path)
    snapshot = Snapshot.open(tmp_path / "copy")
    answer = ask(snapshot, find(snapshot, id=1), 3)
    with pytest.raises(SnapshotError, match="segment 1: its columns are not the committed ones"):
        prove_answer(answer, PRESET, backend=device)


def bend(path: Path) -> None:
    array = np.load(path)
    array.flat[-1] ^= array.dtype.type(1)
    np.save(path, array)


def test_a_preset_that_the_snapshot_is_not_committed_for(snapshots, device):
    snapshot = snapshots[False]
    first, *rest = snapshot.manifest.segments
    bare = replace(first, leaf=replace(first.leaf, column_roots=()))
    other = replace(snapshot, manifest=replace(snapshot.manifest, segments=(bare, *rest)))
    with pytest.raises(VectorError, match="preset: segment 0 was not committed for it"):
        prove_answer(ask(other, find(other, id=8), 3), PRESET, backend=device)
