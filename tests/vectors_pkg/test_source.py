"""Sources: what comes back, in which chunks and in how little memory, and every refusal with its row."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octoproof.vectors import source as sources
from octoproof.vectors.errors import VectorError
from octoproof.vectors.load import open_source
from octoproof.vectors.source import Chunk, Source, chunk_rows, source_from_arrays, source_from_iterator

RNG = np.random.default_rng(4)
VECTORS = RNG.normal(0, 1, (10, 3)).astype(np.float32)
IDS = np.arange(10) * 7
LABELS = [f"wörd {k}\n" for k in range(10)]


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of four rows, so that a few rows are several."""
    monkeypatch.setattr(sources, "CHUNK_ROWS", 4)


def whole(source: Source) -> Chunk:
    """All chunks as one; a source must give the same twice, also when two passes take turns."""
    first, second = source.chunks(), source.chunks()
    chunks = []
    for chunk, again in zip(first, second, strict=True):
        assert chunk.vectors.tolist() == again.vectors.tolist()
        assert (chunk.labels, chunk.payload) == (again.labels, again.payload)
        chunks.append(chunk)
    assert sum(len(chunk.vectors) for chunk in chunks) == source.rows
    none = [name for name in ("ids", "labels") if chunks[0].__dict__[name] is None]
    return Chunk(
        np.concatenate([chunk.vectors for chunk in chunks]),
        None if "ids" in none else np.concatenate([chunk.ids for chunk in chunks]),
        None if "labels" in none else [label for chunk in chunks for label in chunk.labels],
        {name: [text for chunk in chunks for text in chunk.payload[name]] for name in source.fields},
    )


def assert_same(found: Chunk, vectors, ids=None, labels=None, payload=None) -> None:
    assert found.vectors.tolist() == np.asarray(vectors).tolist()
    assert (found.ids is None) == (ids is None)
    assert ids is None or (found.ids.dtype == np.int64 and found.ids.tolist() == list(ids))
    assert found.labels == labels
    assert found.payload == (payload or {})


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_arrays(dtype):
    vectors = (VECTORS * 9).astype(dtype)
    plain = source_from_arrays(vectors)
    assert (plain.dimension, plain.rows, plain.fields) == (3, 10, ())
    assert [len(chunk.vectors) for chunk in plain.chunks()] == [4, 4, 2]
    assert_same(whole(plain), vectors)
    full = source_from_arrays(vectors, IDS, LABELS, {"ids": ["a"] * 10, "labels": np.arange(10)})
    assert full.fields == ("ids", "labels")
    assert_same(whole(full), vectors, IDS, LABELS, {"ids": ["a"] * 10, "labels": [str(k) for k in range(10)]})


def test_lists_are_vectors_too():
    assert_same(whole(source_from_arrays([[1, 2.5]], ids=[3], labels=("x",))), [[1, 2.5]], [3], ["x"])


def test_what_slices_like_an_array_is_never_copied_whole():
    class Lazy:
        shape, dtype, asked = (10, 3), np.dtype(np.float32), []

        def __len__(self):
            return 10

        def __getitem__(self, part):
            self.asked.append(len(VECTORS[part]))
            return VECTORS[part]

    assert_same(whole(source_from_arrays(Lazy())), VECTORS)
    assert Lazy.asked[0] == 0  # to see its type


def test_chunks_are_bounded_in_rows_and_bytes():
    assert chunk_rows(400) == 1 << 15
    assert chunk_rows(4096 * 8) == 1024
    assert chunk_rows(1 << 40) == 1
    assert chunk_rows(0) == 1 << 15


TEXTS = {
    "text": (["a", np.str_("b")], ["a", "b"]),
    "bytes": (np.array(["ä".encode(), b"b"]), ["ä", "b"]),
    "numbers": ([1, Fraction(1, 2)], ["1", "1/2"]),
    "float32": (np.array([0.1, 2], dtype=np.float32), ["0.1", "2.0"]),
    "dates": (np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"), ["2020-01-01", "2020-01-02"]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_becomes_text(name):
    given_texts, texts = TEXTS[name]
    assert_same(whole(source_from_arrays(VECTORS[:2], labels=given_texts)), VECTORS[:2], labels=texts)


REFUSED = {
    "vectors: an array of shape (3,)": {"vectors": VECTORS[0]},
    "vectors: an array of shape ()": {"vectors": np.float32(1)},
    "vectors: of type <U1": {"vectors": [["a"]]},
    "vectors: dimension: 0 is outside": {"vectors": np.zeros((3, 0))},
    "vectors: not one array": {"vectors": [[1.0], [1.0, 2.0]]},
    "ids: 9 for 10 vectors; give one each": {"ids": IDS[:9]},
    "ids: float64 of shape (4,); give 4 integers": {"ids": IDS * 0.5},
    "ids: int64 of shape (4, 1); give 4 integers": {"ids": IDS[:, None]},
    "ids: row 7 has -1; they must lie in 0..2^63 - 1": {"ids": np.where(IDS == 49, -1, IDS)},
    "ids: row 9 has 9223372036854775808; they": {"ids": np.where(IDS == 63, np.uint64(2**63), IDS.astype(np.uint64))},
    "labels: 11 for 10 vectors; give one each": {"labels": [*LABELS, "x"]},
    "labels: a single int": {"labels": 3},
    "labels: row 9 is missing": {"labels": [*LABELS[:9], None]},
    "labels: row 8 is of type list; give one text": {"labels": [*LABELS[:8], [], "x"]},
    "labels: row 4 is not UTF-8": {"labels": np.array([b"a"] * 4 + [b"\xff"] * 6)},
    "labels: row 5 holds half a surrogate pair": {"labels": ["a"] * 5 + ["\ud800"] * 5},
    "lang: 1 for 10 vectors": {"payload": {"lang": ["en"]}},
    "lang: row 6 is missing": {"payload": {"lang": ["en"] * 6 + [None] * 4}},
}


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(message):
    with pytest.raises(VectorError) as refused:
        list(source_from_arrays(**{"vectors": VECTORS} | REFUSED[message]).chunks())
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_fewer_rows_than_announced():
    with pytest.raises(VectorError, match="vectors: 10, where 11 are announced"):
        list(Source(3, 11, (), lambda: iter([Chunk(VECTORS)])).chunks())


# Iterators.


def as_arrays(start: int, stop: int) -> object:
    return VECTORS[start:stop]


def as_pairs(start: int, stop: int) -> object:
    return IDS[start:stop], VECTORS[start:stop].astype(np.float64)


def as_chunks(start: int, stop: int) -> object:
    return Chunk(VECTORS[start:stop], IDS[start:stop], LABELS[start:stop], {"labels": ["x"] * (stop - start)})


def as_dicts(start: int, stop: int) -> object:
    return {"embedding": VECTORS[start:stop], "word": LABELS[start:stop], "n": list(range(start, stop))}


PARTS = {
    as_arrays: {},
    as_pairs: {"ids": IDS},
    as_chunks: {"ids": IDS, "labels": LABELS, "payload": {"labels": ["x"] * 10}},
    as_dicts: {"labels": LABELS, "payload": {"n": [str(k) for k in range(10)]}},
}


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("item", PARTS)
@pytest.mark.parametrize("cuts", [range(11), (0, 10), (0, 0, 7, 7, 10)])
def test_an_iterator_is_read_once_and_given_twice(item, cuts, tmp_path):
    items = (item(start, stop) for start, stop in pairwise(cuts))
    with source_from_iterator(items, folder=tmp_path) as source:
        assert (source.dimension, source.rows) == (3, 10)
        assert [len(chunk.vectors) for chunk in source.chunks()] == [4, 4, 2]
        assert_same(whole(source), VECTORS, **PARTS[item])
        assert next(source.chunks()).vectors.dtype == (np.float64 if item is as_pairs else np.float32)
        assert list(tmp_path.iterdir()) == []  # its files have no names
    with pytest.raises(ValueError, match="closed"):
        list(source.chunks())


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=9), st.integers(1, 5))
def test_any_text_survives(labels, size):
    vectors = np.zeros((1, 2))
    chunks = [
        {"vectors": np.repeat(vectors, len(part), axis=0), "labels": part} for part in batched_lists(labels, size)
    ]
    with source_from_iterator(chunks) as source:
        assert whole(source).labels == labels


def batched_lists(values: list[str], size: int) -> list[list[str]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


@pytest.mark.parametrize("dtype", ["float16", "int16", "float64", "longdouble", "int64", ">f8"])
def test_spooled_numbers_are_those_that_a_quantiser_sees(dtype):
    vectors = (VECTORS * 1000).astype(dtype)
    with source_from_iterator([vectors[:, ::-1]]) as source:
        assert whole(source).vectors.astype(np.float64).tolist() == vectors[:, ::-1].astype(np.float64).tolist()


def test_a_buffer_may_be_used_again():
    def items():
        buffer = np.empty((1, 3))
        for row in VECTORS:
            buffer[:] = row
            yield buffer

    with source_from_iterator(items()) as source:
        assert_same(whole(source), VECTORS)


def test_no_items():
    with pytest.raises(VectorError, match="none; a snapshot needs at least one"):
        source_from_iterator([])
    with source_from_iterator([], 3) as source:
        assert list(source.chunks()) == []


REFUSED_ITEMS = {
    "vectors: 2 coordinates, but": [VECTORS, VECTORS[:, :2]],
    "vectors: with row 10 come ids, vectors, but with the first came vectors": [VECTORS, (IDS, VECTORS)],
    "vectors: with row 10 come vectors, but with the first came payload n, vectors": [
        {"vectors": VECTORS, "n": LABELS},
        {"vectors": VECTORS},
    ],
    "vectors: row 10 is float64, but the first rows fit float32": [VECTORS, VECTORS.astype(np.float64)],
    "this chunk: no array `vectors`, only 'a'": [{"a": VECTORS}],
    "ids: row 10 has -1": [(IDS, VECTORS), (-1 - IDS, VECTORS)],
    "ids: int64 of shape (9,); give 10": [(IDS[1:], VECTORS)],
    "labels: row 10 is missing": [Chunk(VECTORS, labels=LABELS), Chunk(VECTORS, labels=[None] * 10)],
    "vectors: an array of shape (3,)": VECTORS,
}


@pytest.mark.parametrize("message", REFUSED_ITEMS)
def test_refused_items(message):
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    with pytest.raises(VectorError) as refused:
        source_from_iterator(REFUSED_ITEMS[message])
    assert str(refused.value).startswith(message)
    if before:
        assert len(os.listdir("/proc/self/fd")) == before  # the files are closed


def test_the_dimension_that_is_asked_for():
    with pytest.raises(VectorError, match="3 coordinates, but this snapshot has 4"):
        source_from_iterator([VECTORS], 4)


def test_an_iterator_is_never_held_whole():
    items = (np.full((1000, 100), k, dtype=np.float32) for k in range(300))  # 120 MB
    tracemalloc.start()
    with source_from_iterator(items) as source:
        assert sum(len(chunk.vectors) for chunk in source.chunks()) == 300_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


# Memory, of files as well.


BIG_ROWS, BIG_DIMENSION = 300_000, 100  # 120 MB


@pytest.mark.parametrize("kind", ["npy", "by columns", "npz", "packed", "parquet", "arrow"])
def test_memory_is_bounded_by_a_chunk(kind, tmp_path):
    """A file of 120 MB, in a process of its own that says how much NumPy, Python and Arrow held at most."""
    vectors, path = np.zeros((BIG_ROWS, BIG_DIMENSION), dtype=np.float32), tmp_path / "big"
    if kind in ("parquet", "arrow"):
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        table = pa.table({"vectors": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), BIG_DIMENSION)})
        if kind == "parquet":
            parquet.write_table(table, path, row_group_size=BIG_ROWS, compression="none", use_dictionary=False)
        else:
            with pa.ipc.new_file(path, table.schema) as writer:
                writer.write_table(table, BIG_ROWS)
    else:
        with open(path, "wb") as file:
            if kind in ("npy", "by columns"):
                np.save(file, vectors if kind == "npy" else np.asfortranarray(vectors))
            else:
                (np.savez if kind == "npz" else np.savez_compressed)(file, vectors=vectors)
    done = subprocess.run([sys.executable, __file__, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    rows, peak = map(int, done.stdout.split())
    assert rows == BIG_ROWS
    assert peak < 64 << 20


def rows_and_peak(path: str) -> tuple[int, int]:
    tracemalloc.start()
    rows = sum(len(chunk.vectors) for chunk in open_source(path).chunks())
    arrow = sys.modules.get("pyarrow")
    peak = 0 if arrow is None else arrow.default_memory_pool().max_memory()
    return rows, peak + tracemalloc.get_traced_memory()[1]


if __name__ == "__main__":
    print(*rows_and_peak(sys.argv[1]))
