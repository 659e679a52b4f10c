"""Vectors from files: every format there and back, and every kind of damage refused."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from octoproof.vectors import source as sources
from octoproof.vectors.errors import VectorError
from octoproof.vectors.load import load_arrays, open_source
from octoproof.vectors.source import Chunk, source_from_arrays

RNG = np.random.default_rng(6)
ROWS = 10
VECTORS = RNG.normal(0, 1, (ROWS, 3)).astype(np.float32)
IDS = np.arange(ROWS) * 7
LABELS = [f"wörd {k}" for k in range(ROWS)]
LANG, YEAR = ["en", "de"] * 5, np.arange(ROWS) + 1990


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of four rows, so that a few rows are several."""
    monkeypatch.setattr(sources, "CHUNK_ROWS", 4)


def whole(source, most: int = 4) -> Chunk:
    """All chunks as one; the second pass must give the same."""
    chunks = list(source.chunks())
    assert [chunk.vectors.tolist() for chunk in source.chunks()] == [chunk.vectors.tolist() for chunk in chunks]
    assert max(len(chunk.vectors) for chunk in chunks) <= most
    return Chunk(
        np.concatenate([chunk.vectors for chunk in chunks]),
        None if chunks[0].ids is None else np.concatenate([chunk.ids for chunk in chunks]),
        None if chunks[0].labels is None else [label for chunk in chunks for label in chunk.labels],
        {name: [text for chunk in chunks for text in chunk.payload[name]] for name in source.fields},
    )


def assert_plain(source, vectors) -> None:
    found = whole(source)
    assert (source.dimension, source.fields) == (3, ())
    assert next(source.chunks()).vectors.dtype == vectors.dtype
    assert found.vectors.tolist() == vectors.tolist()
    assert (found.ids, found.labels) == (None, None)


def assert_full(source, vectors) -> None:
    found = whole(source)
    assert source.fields == ("lang", "year")
    assert next(source.chunks()).vectors.dtype == vectors.dtype
    assert found.vectors.tolist() == vectors.tolist()
    assert found.ids.dtype == np.int64
    assert found.ids.tolist() == IDS.tolist()
    assert found.labels == LABELS
    assert found.payload == {"lang": LANG, "year": [str(year) for year in YEAR]}


def save_arrow(table, path: Path, kind: str, compression: str | None = None, rows: int = 6) -> Path:
    """The table in batches of so many rows."""
    pa = pytest.importorskip("pyarrow")
    if kind == "parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(table, path, row_group_size=rows, compression=compression or "none")
        return path
    options = pa.ipc.IpcWriteOptions(compression=compression)
    opened = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with pa.OSFile(str(path), "wb") as file, opened(file, table.schema, options=options) as writer:
        writer.write_table(table, rows)
    return path


def column(vectors, kind: str = "fixed"):
    pa = pytest.importorskip("pyarrow")
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    offsets = np.arange(len(vectors) + 1) * vectors.shape[1]
    made = pa.ListArray if kind == "list" else pa.LargeListArray
    return made.from_arrays(pa.array(offsets, pa.int32() if kind == "list" else pa.int64()), pa.array(vectors.ravel()))


def full_table(vectors, kind: str = "fixed"):
    pa = pytest.importorskip("pyarrow")
    parts = {"embedding": column(vectors, kind), "id": IDS, "word": LABELS, "lang": LANG, "year": YEAR, "x": YEAR}
    return pa.table(parts)


# There and back.


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["npy", "npz", "packed"])
def test_numpy_files(kind, order, dtype, tmp_path):
    vectors, path = np.asarray(VECTORS, dtype=dtype, order=order), tmp_path / "vectors"
    with open(path, "wb") as file:
        if kind == "npy":
            np.save(file, vectors)
        else:
            parts = {"ids": IDS, "words": LABELS, "lang": np.char.encode(LANG), "year": YEAR, "other": 1}
            (np.savez if kind == "npz" else np.savez_compressed)(file, vectors=vectors, **parts)
    if kind == "npy":
        assert_plain(open_source(path), vectors)
    else:
        assert_full(open_source(path, ["lang", "year", "lang"]), vectors)
    assert open_source(path).rows == ROWS


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("lists", ["fixed", "list", "large"])
@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_arrow_files(kind, lists, dtype, tmp_path):
    pa = pytest.importorskip("pyarrow")
    vectors = VECTORS.astype(dtype)
    plain = save_arrow(pa.table({"vector": column(vectors, lists)}), tmp_path / "plain", kind)
    assert_plain(open_source(plain), vectors)
    full = save_arrow(full_table(vectors, lists), tmp_path / "full", kind, "zstd")
    assert_full(open_source(full, ["lang", "year"]), vectors)
    assert open_source(full).rows == (None if kind == "stream" else ROWS)


@pytest.mark.usefixtures("small_chunks")
def test_a_table_in_memory():
    pa = pytest.importorskip("pyarrow")
    assert_full(source_from_arrays(full_table(VECTORS), payload=["lang", "year"]), VECTORS)
    chunked = pa.concat_tables([full_table(VECTORS).slice(0, 3), full_table(VECTORS).slice(3)])
    assert_full(source_from_arrays(chunked, payload=("lang", "year")), VECTORS)
    for more in ({"ids": IDS}, {"labels": LABELS}, {"payload": {"lang": LANG}}):
        with pytest.raises(VectorError, match="vectors: a table; give ids"):
            source_from_arrays(full_table(VECTORS), **more)


@pytest.mark.usefixtures("small_chunks")
def test_texts_of_other_types(tmp_path):
    pa = pytest.importorskip("pyarrow")
    texts = (
        pa.array(LANG).dictionary_encode(),
        pa.array([lang.encode() for lang in LANG]),
        pa.array(LANG, pa.large_string()),
    )
    table = pa.table({"vectors": column(VECTORS), "a": texts[0], "b": texts[1], "c": texts[2]})
    for kind in ("parquet", "file"):
        found = whole(open_source(save_arrow(table, tmp_path / kind, kind), ("a", "b", "c")))
        assert found.payload == {"a": LANG, "b": LANG, "c": LANG}


def test_the_first_name_counts(tmp_path):
    np.savez(
        tmp_path / "both.npz", embedding=VECTORS + 1, vectors=VECTORS, id=IDS + 1, ids=IDS, words=LANG, labels=LABELS
    )
    found = whole(open_source(tmp_path / "both.npz"), ROWS)
    assert (found.vectors.tolist(), found.ids.tolist(), found.labels) == (VECTORS.tolist(), IDS.tolist(), LABELS)


def test_all_of_a_file(tmp_path):
    np.save(tmp_path / "one", VECTORS[0])
    assert load_arrays(tmp_path / "one.npy").vectors.tolist() == VECTORS[0].tolist()
    np.savez(tmp_path / "named", vectors=np.asfortranarray(VECTORS), ids=IDS, words=LABELS, other=np.array([{}]))
    found = load_arrays(tmp_path / "named.npz")
    assert (found.vectors.tolist(), found.ids.tolist(), found.labels.tolist()) == (
        VECTORS.tolist(),
        IDS.tolist(),
        LABELS,
    )
    np.savez(tmp_path / "alone", vectors=VECTORS)
    assert (load_arrays(tmp_path / "alone.npz").ids, load_arrays(tmp_path / "alone.npz").labels) == (None, None)


# Refused.


def npy(array, **options) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array), **options)
    return out.getvalue()


def npz(packed: int = zipfile.ZIP_STORED, **members: object) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packed) as archive:
        for name, value in members.items():
            archive.writestr(f"{name}.npy", value if isinstance(value, bytes) else npy(value))
    return out.getvalue()


def claiming(shape: tuple[int, ...], descr: str = "<f4", held: int = 800) -> bytes:
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(held)


def changed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) == 1
    return data.replace(old, new)


def with_directory(data: bytes, offset: int, number: int) -> bytes:
    """A .npz of one member whose central directory says something else."""
    at = data.rindex(b"PK\x01\x02") + offset
    return data[:at] + struct.pack("<I", number) + data[at + 4 :]


FULL = {"vectors": VECTORS, "ids": IDS, "labels": LABELS}


def encrypted(data: bytes) -> bytes:
    bent = bytearray(data)
    bent[6] |= 1
    bent[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(bent)


def undeflatable(data: bytes) -> bytes:
    at = data.index(b"vectors.npy") + len(b"vectors.npy")
    return data[:at] + b"\xff" * 20 + data[at + 20 :]


CLAIM = "its header claims shape"
OBJECTS = npy([{}], allow_pickle=True)
PLAIN, PACKED = npz(vectors=VECTORS), npz(zipfile.ZIP_DEFLATED, vectors=VECTORS)
DAMAGED = {
    "empty": (b"", "neither .npy, .npz, Parquet nor Arrow"),
    "text": (b"text" * 100, "neither .npy, .npz, Parquet nor Arrow"),
    "rows": (claiming((10**9, 3)), CLAIM),
    "negative": (claiming((-1, 3)), CLAIM),
    "huge": (claiming((10**30, 3)), CLAIM),
    "cut": (npy(VECTORS)[:-1], CLAIM),
    "objects": (OBJECTS, "objects, which only pickle can read"),
    "version": (npy(VECTORS, version=(3, 0)), "format version (3, 0)"),
    "npz cut": (npz(**FULL)[:-30], "not a zip file"),
    "npz changed": (changed(PLAIN, VECTORS.tobytes(), (VECTORS + 1).tobytes()), "Bad CRC-32"),
    "npz rows": (npz(vectors=claiming((10**9, 3))), CLAIM),
    "npz packed rows": (npz(zipfile.ZIP_DEFLATED, vectors=claiming((10**9, 3), held=1 << 20)), CLAIM),
    "npz size": (with_directory(npz(vectors=claiming((10**8, 3))), 24, 2**32 - 16), "claims 4294967280 bytes, packed"),
    "npz packed size": (with_directory(PLAIN, 20, 2**31), "packed into 2147483648, in a file of"),
    "npz ends": (with_directory(npz(zipfile.ZIP_DEFLATED, vectors=claiming((100, 3))), 24, 1328), "ends within row 66"),
    "npz lzma": (npz(zipfile.ZIP_LZMA, vectors=VECTORS), "packed as NumPy packs nothing"),
    "npz encrypted": (encrypted(PLAIN), "encrypted"),
    "npz objects": (npz(vectors=OBJECTS), "objects, which only pickle can read"),
    "npz deflate": (undeflatable(PACKED), "Error -3"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_numpy_files(name, tmp_path):
    data, message = DAMAGED[name]
    path = tmp_path / "vectors"
    path.write_bytes(data)
    with pytest.raises(VectorError) as refused:
        list(open_source(path).chunks())
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(VectorError, match=r"not a \.npy or \.npz file that can be read"):
        load_arrays(path)


UNFIT = {
    "vectors: an array of shape (3,)": {"vectors": VECTORS[0]},
    "vectors: an array of shape ()": {"vectors": 1.5},
    "vectors: an array of shape (1, 10, 3)": {"vectors": VECTORS[None]},
    "vectors: of type <U6": {"vectors": [LABELS]},
    "vectors: dimension: 5000 is outside": {"vectors": np.zeros((2, 5000), dtype=np.float16)},
    "ids: an array of shape (9,) for 10 vectors": {"ids": IDS[:9]},
    "ids: an array of shape () for 10 vectors": {"ids": 3},
    "ids: float64 of shape (10,); give 10 integers": {"ids": IDS / 2},
    "ids: row 9 has -1": {"ids": [*IDS[:9], -1]},
    "labels: an array of shape (11,) for 10 vectors": {"labels": [*LABELS, "x"]},
    "labels: row 4 is not UTF-8": {"labels": [b"a"] * 4 + [b"\xff"] * 6},
    "lang: an array of shape (1,) for 10 vectors": {"lang": ["en"]},
    "lang: row 0 is of type list": {"lang": [["en"]] * 10},
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("message", UNFIT)
def test_arrays_that_do_not_fit(message, packed, tmp_path):
    parts = FULL | {"lang": LANG} | UNFIT[message]
    (np.savez_compressed if packed else np.savez)(tmp_path / "unfit.npz", **parts)
    with pytest.raises(VectorError) as refused:
        list(open_source(tmp_path / "unfit.npz", ["lang"]).chunks())
    assert str(refused.value).startswith(message)


def test_names_that_are_not_there(tmp_path):
    np.savez(tmp_path / "named.npz", vectors=VECTORS, lang=LANG, other=YEAR)
    with pytest.raises(VectorError, match=r"payload: .* has no 'long', only 'lang', 'other'$"):
        open_source(tmp_path / "named.npz", ["lang", "long"])
    np.save(tmp_path / "plain.npy", VECTORS)
    with pytest.raises(VectorError, match=r"payload: .* has no 'long', only vectors$"):
        open_source(tmp_path / "plain.npy", ["long"])
    np.savez(tmp_path / "empty.npz", lang=LANG)
    with pytest.raises(VectorError, match="no array `vectors`, only 'lang'"):
        open_source(tmp_path / "empty.npz")
    with pytest.raises(FileNotFoundError):
        open_source(tmp_path / "nothing")
    pa = pytest.importorskip("pyarrow")
    path = save_arrow(pa.table({"vectors": column(VECTORS), "lang": LANG}), tmp_path / "t", "parquet")
    with pytest.raises(VectorError, match="has no 'long', only 'lang'"):
        open_source(path, ["long"])


def bad_tables() -> dict[str, object]:
    pa = pytest.importorskip("pyarrow")
    rows, fixed = VECTORS.tolist(), pa.list_(pa.float32(), 3)
    return {
        "vectors: row 8 has 2 coordinates, but the first has 3": {"vectors": [*rows[:8], [1.0, 2.0], rows[9]]},
        "vectors: row 7 has a missing value": {"vectors": pa.array([*rows[:7], None, *rows[8:]], fixed)},
        "vectors: row 9 has a missing value": {"vectors": pa.array([*rows[:9], [1.0, None, 2.0]], fixed)},
        "vectors: row 0 has a missing value": {"vectors": pa.array([None, *rows[1:]])},
        "vectors: none; a snapshot needs": {"vectors": pa.array([], pa.list_(pa.float32()))},
        "vectors: column 'vectors' is of type float; give lists": {"vectors": VECTORS[:, 0]},
        "vectors: of type object": {"vectors": pa.array([["a"]] * ROWS, pa.list_(pa.string(), 1))},
        "vectors: dimension: 0 is outside": {"vectors": pa.array([[]] * ROWS, pa.list_(pa.float32()))},
        "ids: column 'ids' is of type string; give integers": {"ids": LABELS},
        "ids: row 6 has a missing value": {"ids": [*range(6), None, *range(7, 10)]},
        "labels: row 8 has a missing value": {"labels": [*LABELS[:8], None, "x"]},
        "lang: row 0 is of type ndarray": {"lang": pa.array([[1]] * ROWS)},
    }


@pytest.mark.parametrize("kind", ["parquet", "file", "stream", "memory"])
def test_tables_that_do_not_fit(kind, tmp_path):
    pa = pytest.importorskip("pyarrow")
    for message, parts in bad_tables().items():
        columns = {"vectors": column(VECTORS), "ids": IDS, "labels": LABELS, "lang": LANG} | parts
        table = pa.table({name: values[: len(columns["vectors"])] for name, values in columns.items()})
        with pytest.raises(VectorError) as refused:
            list(opened(table, kind, tmp_path).chunks())
        assert str(refused.value).startswith(message)


def opened(table, kind: str, folder: Path):
    if kind == "memory":
        return source_from_arrays(table, payload=["lang"])
    return open_source(save_arrow(table, folder / "table", kind), ["lang"])


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_damaged_arrow_files(kind, tmp_path):
    """Cut short, and with single bytes changed: read, or refused in one line."""
    path = save_arrow(full_table(VECTORS), tmp_path / "whole", kind, "zstd")
    data, bad, rng = path.read_bytes(), tmp_path / "bad", np.random.default_rng(1)
    for cut in (9, 100, len(data) // 2, len(data) - 20):
        bad.write_bytes(data[:cut])
        with pytest.raises(VectorError, match="bad: not a Parquet or Arrow file that can be read: "):
            list(open_source(bad).chunks())
    refusals = []
    for at in rng.integers(8, len(data), 300):
        bad.write_bytes(data[:at] + bytes(rng.integers(0, 256, 1, dtype=np.uint8)) + data[at + 1 :])
        try:
            list(open_source(bad, ["lang"]).chunks())
        except VectorError as error:
            refusals.append(str(error))
    assert len(refusals) > 20
    assert not any("\n" in message for message in refusals)


def test_pages_with_checksums(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    options = {"compression": "none", "use_dictionary": False, "write_page_checksum": True, "write_statistics": False}
    parquet.write_table(pa.table({"vectors": column(VECTORS)}), tmp_path / "t", **options)
    (tmp_path / "t").write_bytes(changed((tmp_path / "t").read_bytes(), VECTORS.tobytes(), (VECTORS + 1).tobytes()))
    with pytest.raises(VectorError, match="could not verify page integrity"):
        list(open_source(tmp_path / "t").chunks())


def test_without_pyarrow(tmp_path, monkeypatch):
    path = save_arrow(full_table(VECTORS), tmp_path / "t", "parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(VectorError, match=r"pyarrow: not installed, .* install octoproof\[arrow\]"):
        open_source(path)
