"""What a snapshot is built from: vectors chunk by chunk, with ids, labels and payload texts where there are any.

A source is read twice, to fit the scale and to quantise, and never lies in memory as a whole. Whatever it comes from,
here is where each chunk is checked, and where the rows are counted that a refusal names.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from numbers import Number
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from octoproof.vectors.errors import VectorError
from octoproof.vectors.quantise import as_rows

CHUNK_ROWS, CHUNK_BYTES = 1 << 15, 1 << 25
MAX_ID = (1 << 63) - 1

# Under which names vectors, ids and labels are found; the first one that is there counts.
VECTORS, IDS, LABELS = ("vectors", "vector", "embedding"), ("ids", "id"), ("labels", "label", "words", "word")


@dataclass(frozen=True)
class Chunk:
    """`vectors` (n, D), `ids` (n,) int64; `labels` and every payload field have one text a row."""

    vectors: npt.NDArray[Any]
    ids: npt.NDArray[Any] | None = None
    labels: Sequence[str] | None = None
    payload: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Vectors of one dimension. `rows` is None where only reading tells; every chunk has the payload `fields`.

    `read` yields chunks as they are found, from the first row each time. Use as a context manager, or call `close`:
    some sources hold a file."""

    dimension: int
    rows: int | None
    fields: tuple[str, ...]
    read: Callable[[], Iterator[Chunk]]
    close: Callable[[], None] = lambda: None

    def chunks(self) -> Iterator[Chunk]:
        """Every chunk, checked. Raises VectorError naming the row of the whole input that is wrong, OSError."""
        count = 0
        for chunk in self.read():
            yield checked(chunk, self.dimension, count)
            count += len(chunk.vectors)
        if self.rows is not None and count != self.rows:
            raise VectorError(f"vectors: {count}, where {self.rows} are announced; write the file again")

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@dataclass(frozen=True)
class Names:
    """Which arrays or columns hold what."""

    vectors: str
    ids: str | None
    labels: str | None
    payload: tuple[str, ...]

    @property
    def all(self) -> list[str]:
        """Each once."""
        return list(dict.fromkeys(n for n in (self.vectors, self.ids, self.labels, *self.payload) if n is not None))

    def chunk(self, values: Mapping[str, Any]) -> Chunk:
        """The chunk that these arrays or texts make."""
        ids, labels = (None if name is None else values[name] for name in (self.ids, self.labels))
        return Chunk(values[self.vectors], ids, labels, {name: values[name] for name in self.payload})


def find_names(available: Collection[str], payload: Sequence[str], where: object) -> Names:
    """Raises VectorError if there are no vectors, or a payload field is not there."""
    vectors, ids, labels = (next((n for n in names if n in available), None) for names in (VECTORS, IDS, LABELS))
    if vectors is None:
        raise VectorError(f"{where}: no array `vectors`, only {', '.join(map(repr, available))[:200]}")
    for name in payload:
        if name not in available:
            others = ", ".join(repr(n) for n in available if n != vectors)[:200]
            raise VectorError(f"payload: {where} has no {name!r:.100}, only {others or 'vectors'}")
    return Names(vectors, ids, labels, tuple(dict.fromkeys(payload)))


def chunk_rows(row_bytes: int) -> int:
    """How many rows of this size a chunk has."""
    return max(1, min(CHUNK_ROWS, CHUNK_BYTES // max(1, row_bytes)))


def source_from_arrays(
    vectors: Any,
    ids: npt.ArrayLike | None = None,
    labels: Sequence[object] | npt.NDArray[np.generic] | None = None,
    payload: Mapping[str, Sequence[object]] | Sequence[str] | None = None,
) -> Source:
    """A source of an (N, D) array, or of what has a shape and slices like one, with one id, label and text a row.

    Or of a pyarrow Table that has all this as columns; `payload` is then names of columns. Raises VectorError for
    what is no such array, and for parts of another length."""
    if hasattr(vectors, "to_batches"):
        from octoproof.vectors.load import source_from_table

        if ids is not None or labels is not None or isinstance(payload, Mapping):
            raise VectorError("vectors: a table; give ids and labels as its columns, and payload as names of columns")
        return source_from_table(vectors, tuple(payload or ()))
    rows = vectors if hasattr(vectors, "shape") and hasattr(vectors, "dtype") else as_rows(vectors, None, "vectors")
    none = as_rows(rows[:0] if len(rows.shape) == 2 else rows, None, "vectors")  # checked without a copy of all
    count, dimension = rows.shape
    fields: dict[str, Any] = dict(payload or {})
    whole: list[Any] = [None if ids is None else np.asarray(ids), labels, *fields.values()]
    for name, values in zip(("ids", "labels", *fields), whole, strict=True):
        if values is not None:
            check_length(values, count, name)

    def read() -> Iterator[Chunk]:
        step = chunk_rows(none.dtype.itemsize * dimension)
        for start in range(0, count, step):
            rows_of = slice(start, start + step)
            some_ids, some_labels, *texts = (None if values is None else values[rows_of] for values in whole)
            yield Chunk(rows[rows_of], some_ids, some_labels, dict(zip(fields, texts, strict=True)))

    return Source(dimension, count, tuple(fields), read)


def source_from_iterator(
    items: Iterable[Any], dimension: int | None = None, *, folder: str | os.PathLike[str] | None = None
) -> Source:
    """A source of (n, D) arrays, (ids, vectors) pairs, chunks, or mappings with names as in a .npz file.

    An iterator can be read once only, so everything is written to unnamed temporary files, in `folder` if one is
    given; vectors as float32 where that holds them, else as float64. `close` frees them. Raises VectorError for what
    cannot be used, for items that differ in dimension or in what they hold, and for no items at all; OSError."""
    spool = _Spool(dimension, folder)
    try:
        for item in items:
            spool.add(checked(_chunk_of(item), spool.dimension, spool.rows))
        if spool.dimension is None:
            raise VectorError("vectors: none; a snapshot needs at least one")
    except BaseException:
        spool.opened.close()
        raise
    return Source(spool.dimension, spool.rows, spool.fields, spool.read, spool.opened.close)


def _chunk_of(item: Any) -> Chunk:
    if isinstance(item, Chunk):
        return item
    if isinstance(item, Mapping):
        known = {*VECTORS, *IDS, *LABELS}
        return find_names(item, [name for name in item if name not in known], "this chunk").chunk(item)
    if isinstance(item, tuple) and len(item) == 2:
        return Chunk(item[1], item[0])
    return Chunk(item)


class _Spool:
    """Chunks of any size, one after the other in files: one of vectors, of ids, and of each kind of text."""

    def __init__(self, dimension: int | None, folder: str | os.PathLike[str] | None) -> None:
        self.dimension, self.folder = dimension, folder
        self.rows = 0
        self.fields: tuple[str, ...] = ()
        self.dtype: np.dtype[Any] = np.dtype(np.float64)
        self.files: dict[str, IO[bytes]] = {}
        self.opened = ExitStack()

    def add(self, chunk: Chunk) -> None:
        """Raises VectorError unless it holds what the first one held."""
        fits = np.can_cast(chunk.vectors.dtype, np.float32)
        texts = {_field(name): values for name, values in chunk.payload.items()}
        if chunk.labels is not None:
            texts["labels"] = chunk.labels
        names = {"vectors", *texts} | ({"ids"} if chunk.ids is not None else set())
        if not self.files:
            for name in sorted(names):
                file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115 (until the source is closed)
                self.files[name] = self.opened.enter_context(file)
            self.dimension, self.fields = chunk.vectors.shape[1], tuple(chunk.payload)
            self.dtype = np.dtype(np.float32 if fits else np.float64)
        if names != self.files.keys():
            raise VectorError(
                f"vectors: with row {self.rows} come {', '.join(sorted(names))}, but with the first came "
                f"{', '.join(self.files)}; give all rows the same"
            )
        if self.dtype == np.float32 and not fits:
            raise VectorError(
                f"vectors: row {self.rows} is {chunk.vectors.dtype}, but the first rows fit float32; give one type"
            )
        self.files["vectors"].write(chunk.vectors.astype(self.dtype, order="C").data)
        if chunk.ids is not None:
            self.files["ids"].write(chunk.ids.data)
        for name, values in texts.items():
            self.files[name].writelines(json.dumps(text).encode() + b"\n" for text in values)
        self.rows += len(chunk.vectors)

    def read(self) -> Iterator[Chunk]:
        """All rows again, in chunks of one size."""
        assert self.dimension is not None
        step = chunk_rows(self.dtype.itemsize * self.dimension)
        places = dict.fromkeys(self.files, 0)  # two passes may take turns
        for start in range(0, self.rows, step):
            rows = min(step, self.rows - start)
            for name, file in self.files.items():
                file.seek(places[name])
            data = self.files["vectors"].read(rows * self.dimension * self.dtype.itemsize)
            ids = np.frombuffer(self.files["ids"].read(8 * rows), np.int64) if "ids" in self.files else None
            labels = self._texts("labels", rows) if "labels" in self.files else None
            payload = {name: self._texts(_field(name), rows) for name in self.fields}
            places = {name: file.tell() for name, file in self.files.items()}
            yield Chunk(np.frombuffer(data, self.dtype).reshape(rows, self.dimension), ids, labels, payload)

    def _texts(self, name: str, rows: int) -> list[str]:
        return [json.loads(line) for line in islice(self.files[name], rows)]


def _field(name: str) -> str:
    return f"payload {name}"  # a payload field may be called `ids` or `labels` too


def checked(chunk: Chunk, dimension: int | None, first_row: int) -> Chunk:
    """The chunk as documented, from one with parts as they were found. Raises VectorError naming the row."""
    vectors = as_rows(chunk.vectors, dimension, "vectors")
    rows = len(vectors)
    return Chunk(
        vectors,
        None if chunk.ids is None else _ids(chunk.ids, rows, first_row),
        None if chunk.labels is None else _texts(chunk.labels, rows, "labels", first_row),
        {name: _texts(values, rows, name, first_row) for name, values in chunk.payload.items()},
    )


def check_length(values: Any, rows: int, name: str) -> None:
    """Raises VectorError unless there is one value a row."""
    try:
        count = len(values)
    except TypeError:
        raise VectorError(f"{name}: a single {type(values).__name__}; give a list or an array of {rows}") from None
    if count != rows:
        raise VectorError(f"{name}: {count} for {rows} vectors; give one each")


def _ids(given: npt.ArrayLike, rows: int, first_row: int) -> npt.NDArray[np.int64]:
    ids = np.asarray(given)
    if ids.dtype.kind not in "iu" or ids.shape != (rows,):
        raise VectorError(f"ids: {ids.dtype} of shape {ids.shape}; give {rows} integers, one a vector")
    outside = np.flatnonzero((ids < 0) | (ids > MAX_ID))
    if len(outside):
        row = int(outside[0])
        raise VectorError(f"ids: row {first_row + row} has {ids[row]}; they must lie in 0..2^63 - 1")
    return np.ascontiguousarray(ids, dtype=np.int64)


def _texts(values: Any, rows: int, name: str, first_row: int) -> list[str]:
    check_length(values, rows, name)
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        values = values.tolist()
    texts = [v if type(v) is str else _text(v, name, row) for row, v in enumerate(values, first_row)]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        row = next(row for row, text in enumerate(texts, first_row) if _is_broken(text))
        raise VectorError(f"{name}: row {row} holds half a surrogate pair; give text that UTF-8 can hold") from None
    return texts


def _text(value: object, name: str, row: int) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise VectorError(f"{name}: row {row} is not UTF-8; decode it first") from None
    if value is None:
        raise VectorError(f"{name}: row {row} is missing; give one text a row")
    if not isinstance(value, (str, Number, np.generic)):
        raise VectorError(f"{name}: row {row} is of type {type(value).__name__}; give one text or number a row")
    return str(value)


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
