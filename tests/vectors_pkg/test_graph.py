"""A graph as the first layer of the modes that open rows: it proposes, and nothing that is shown rests on it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from octoproof.vectors.errors import SnapshotError, VectorError
from octoproof.vectors.graph import build_graph, graph_of, graph_path
from octoproof.vectors.hnsw import HnswParameters, write_index
from octoproof.vectors.snapshot import Snapshot

RNG = np.random.default_rng(4)
VECTORS = RNG.normal(0, 1, (600, 6)).astype(np.float32)
KINDS = [("noun", "verb")[k % 2] for k in range(600)]
QUERIES = RNG.normal(0, 1, (20, 6))
OPENING = ("fast", "candidates")


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Snapshot:
    folder = tmp_path_factory.mktemp("graph") / "snapshot"
    options = {"normalise": True, "segment_rows": 256, "labels": KINDS, "presets": ("bench",)}
    return Snapshot.build(VECTORS, folder, **options)


@pytest.fixture
def snapshot(template, tmp_path) -> Snapshot:
    pytest.importorskip("usearch")
    shutil.copytree(template.folder, tmp_path / "snapshot")
    return Snapshot.open(tmp_path / "snapshot")


@contextmanager
def without_scans() -> Iterator[None]:
    """Who scans now fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("a scan")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("octoproof.vectors.query.scan", refuse)
        yield


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("mode", OPENING)
def test_the_graph_proposes_nearly_the_best(mode, metric, snapshot, proved, verified):
    expected = [snapshot.query(query, k=5, metric=metric).ids for query in QUERIES]
    with pytest.raises(AssertionError, match="a scan"), without_scans():
        snapshot.query(QUERIES[0], mode=mode, metric=metric)
    path = build_graph(snapshot, metric)
    assert (
        path == graph_path(snapshot, metric) == snapshot.folder / "graphs" / f"{snapshot.root.hex()}-{metric}.usearch"
    )
    with without_scans():
        results = [proved(snapshot, query, k=5, metric=metric, mode=mode) for query in QUERIES]
    shared = sum(len(set(result.ids) & set(ids)) for result, ids in zip(results, expected, strict=True))
    assert shared >= 95
    for result in results:
        assert list(verified(result.receipt, root=snapshot.root).results) == [(m.id, m.score) for m in result.matches]
        assert len(result.answer.rows.best) >= 40
    snapshot.check()


@pytest.mark.parametrize("mode", ["strict", "ivf"])
def test_what_is_proven_does_not_ask_the_graph(mode, snapshot, tmp_path):
    if mode == "ivf":
        snapshot = Snapshot.build(VECTORS, tmp_path / "cells", cells=4, presets=("bench",))
    build_graph(snapshot)
    with pytest.raises(AssertionError, match="a scan"), without_scans():
        snapshot.query(QUERIES[0], mode=mode)


def test_filters_and_other_metrics_are_scanned(snapshot):
    build_graph(snapshot)
    for options in ({"where": {"label": "noun"}}, {"metric": "cosine"}):
        with pytest.raises(AssertionError, match="a scan"), without_scans():
            snapshot.query(QUERIES[0], mode="fast", **options)
    assert set(snapshot.query(QUERIES[0], mode="fast", k=20, where={"label": "noun"}).labels) == {"noun"}


def test_a_graph_is_of_one_version(snapshot):
    """The next version has none until one is built; of deleted rows it has none."""
    build_graph(snapshot)
    nearest = snapshot.query(VECTORS[7], mode="fast", k=3).ids
    after = snapshot.delete(nearest[:2])
    assert graph_of(after, "l2") is None
    assert after.query(VECTORS[7], mode="fast", k=1).ids == nearest[2]
    build_graph(after)
    graph = graph_of(after, "l2")
    assert graph is not None
    assert len(graph) == 598
    with without_scans():
        assert after.query(VECTORS[7], mode="fast", k=1).ids == nearest[2]
        assert snapshot.query(VECTORS[7], mode="fast", k=1).ids == nearest[0]


@pytest.mark.parametrize("k", [40, 300, 600, 1000])
def test_many_results(k, snapshot, proved, verified):
    build_graph(snapshot)
    result = proved(snapshot, QUERIES[0], k=k, mode="fast")
    assert len(result.ids) == min(k, 600)
    assert len(set(result.ids)) == len(result.ids)
    assert len(verified(result.receipt).results) == min(k, 600)


@pytest.mark.parametrize("mode", OPENING)
def test_a_graph_that_leads_to_too_few_rows(mode, snapshot, proved, verified):
    """Built over a part of the rows, as a graph may fall apart: what has to be shown is then found by a scan."""
    path = graph_path(snapshot, "l2")
    path.parent.mkdir()
    few = snapshot.segments[0].segment
    write_index(path, few.vectors()[:10], few.ids[:10], "l2")
    result = proved(snapshot, QUERIES[0], k=20, mode=mode)
    assert result.ids.tolist() == snapshot.query(QUERIES[0], k=20).ids.tolist()
    assert len(verified(result.receipt).results) == 20


@pytest.mark.parametrize("mode", OPENING)
def test_a_graph_of_other_rows(mode, snapshot, proved, verified):
    """Ids that are not there are passed over, and scores are computed anew: the answer is worse, and still true."""
    path = graph_path(snapshot, "l2")
    path.parent.mkdir()
    vectors = np.concatenate([stored.segment.vectors() for stored in snapshot.segments])
    write_index(path, vectors[::-1], np.arange(600) * 2, "l2")
    result = proved(snapshot, QUERIES[0], k=5, mode=mode)
    assert len(result.ids) == 5
    assert verified(result.receipt, root=snapshot.root).results == tuple((m.id, m.score) for m in result.matches)


def test_a_file_that_is_no_graph(snapshot):
    path = build_graph(snapshot)
    path.write_bytes(b"no graph")
    with pytest.raises(SnapshotError, match=r"\.usearch: not an index"):
        snapshot.query(QUERIES[0], mode="fast")
    assert len(snapshot.query(QUERIES[0], mode="strict").ids) == 10


def test_parameters_and_metrics(snapshot):
    small, large = (
        build_graph(snapshot, "ip", HnswParameters(m=m, ef_construction=64)).stat().st_size for m in (4, 64)
    )
    assert small < large
    with pytest.raises(VectorError, match="metric: 'hamming'"):
        build_graph(snapshot, "hamming")
    assert [path.name for path in (snapshot.folder / "graphs").iterdir()] == [graph_path(snapshot, "ip").name]


def test_without_the_package_it_says_so(template, monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    with pytest.raises(VectorError, match="hnsw: needs the package usearch"):
        build_graph(template)
    assert len(template.query(QUERIES[0], mode="fast").ids) == 10
