"""The approximate first layer: what it finds, what it must never return, and files that are none."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from octoproof.vectors import hnsw
from octoproof.vectors.errors import SnapshotError, VectorError
from octoproof.vectors.hnsw import HnswParameters, open_index, write_index

ROWS, DIMENSION = 1500, 12


@pytest.fixture(scope="module")
def vectors():
    pytest.importorskip("usearch")
    rng = np.random.default_rng(1)
    lengths = rng.uniform(0.1, 1, (ROWS, 1))  # so that each metric has nearest ones of its own
    return (rng.integers(-900, 901, (ROWS, DIMENSION)) * lengths).astype(np.int16)


def nearest(vectors, query, metric, count):
    wide, q = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        distance = ((wide - q) ** 2).sum(axis=1)
    else:
        distance = -(wide @ q) / (np.linalg.norm(wide, axis=1) if metric == "cosine" else 1)
    return set(np.argsort(distance)[:count].tolist())


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
def test_nearly_all_of_the_nearest_are_found(metric, vectors, tmp_path):
    path = tmp_path / "graph"
    write_index(path, vectors, np.arange(ROWS), metric)
    index = open_index(path)
    assert len(index) == ROWS
    queries = np.random.default_rng(2).integers(-900, 901, (50, DIMENSION))
    found = [len(nearest(vectors, q, metric, 10) & set(index.search(q, 40).tolist())) for q in queries]
    assert sum(found) / 500 > 0.95
    assert [path.name for path in tmp_path.iterdir()] == ["graph"]


def test_dead_rows_are_left_out_and_ids_are_kept(vectors, tmp_path):
    ids = 2**63 - 1 - np.arange(ROWS, dtype=np.int64)  # no float holds these
    live = np.arange(ROWS) % 3 > 0
    write_index(tmp_path / "graph", vectors, ids, "l2", live)
    index = open_index(tmp_path / "graph")
    assert len(index) == live.sum()
    for row in range(30):
        found = index.search(vectors[row], 40)
        assert found.dtype == np.int64
        assert len(found) == 40
        assert set(found.tolist()) <= set(ids[live].tolist())
        assert (found[0] == ids[row]) == live[row]


def test_fewer_vectors_than_asked_for(vectors, tmp_path):
    for rows in (0, 3):
        write_index(tmp_path / "graph", vectors[:5], np.arange(5), "l2", np.arange(5) < rows)
        assert sorted(open_index(tmp_path / "graph").search(vectors[0], 40).tolist()) == list(range(rows))


def test_an_opened_index_outlives_its_replacement(vectors, tmp_path):
    path = tmp_path / "graph"
    write_index(path, vectors, np.arange(ROWS), "l2")
    before = open_index(path)
    write_index(path, vectors[::-1], np.arange(ROWS), "l2")
    assert before.search(vectors[1000], 1).tolist() == [1000]
    assert open_index(path).search(vectors[1000], 1).tolist() == [ROWS - 1001]


@pytest.mark.parametrize(
    "damage", [lambda raw: b"", lambda raw: raw[:20], lambda raw: raw[: len(raw) // 2], lambda raw: bytes(len(raw))]
)
def test_files_that_are_no_index(damage, vectors, tmp_path):
    path = tmp_path / "graph"
    write_index(path, vectors[:100], np.arange(100), "l2")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SnapshotError, match="not an index"):
        open_index(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        open_index(path)


def test_questions_that_an_index_cannot_answer(vectors, tmp_path):
    write_index(tmp_path / "graph", vectors[:100], np.arange(100), "l2")
    index = open_index(tmp_path / "graph")
    with pytest.raises(VectorError, match="query: shape"):
        index.search(vectors[0, :3], 5)
    with pytest.raises(VectorError, match="count: 0"):
        index.search(vectors[0], 0)
    with pytest.raises(VectorError, match="metric: 'hamming'"):
        write_index(tmp_path / "graph", vectors, np.arange(ROWS), "hamming")


@pytest.mark.parametrize(
    ("name", "value"),
    [("m", 1), ("m", 129), ("ef_construction", 63), ("ef_construction", 513), ("ef_search", 0), ("ef_search", 513)],
)
def test_parameters_out_of_bounds(name, value):
    with pytest.raises(VectorError, match=rf"{name}: {value} is outside"):
        HnswParameters(**{name: value})


def test_parameters_reach_the_graph(vectors, tmp_path, monkeypatch):
    from usearch.index import Index

    made = []

    class Recorder(Index):
        def __init__(self, **options):
            made.append(options)
            super().__init__(**options)

    monkeypatch.setattr(hnsw, "_index_class", lambda: Recorder)
    for parameters in (HnswParameters(), HnswParameters(2, 64, 1), HnswParameters(128, 512, 512)):
        write_index(tmp_path / "graph", vectors[:50], np.arange(50), "l2", parameters=parameters)
        search = open_index(tmp_path / "graph", parameters).graph.expansion_search
        used = HnswParameters(made[-1]["connectivity"], made[-1]["expansion_add"], search)
        assert used == parameters
    assert HnswParameters() == HnswParameters(16, 200, 200)


def test_without_usearch(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    for call in (
        lambda: write_index(tmp_path / "graph", np.ones((2, 2)), np.arange(2), "l2"),
        lambda: open_index(tmp_path / "graph"),
    ):
        with pytest.raises(VectorError, match=r"hnsw: needs the package usearch; install octoproof\[ann\]"):
            call()
