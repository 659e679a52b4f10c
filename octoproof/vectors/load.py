"""Vectors from files: NumPy's .npz and .npy, Parquet, and Arrow's files and streams.

No file is believed: what its header claims is compared with its size before memory is taken, and everything that a
damaged one makes the libraries raise becomes one VectorError.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from octoproof.vectors.errors import VectorError
from octoproof.vectors.quantise import check_rows
from octoproof.vectors.source import VECTORS, Chunk, Source, chunk_rows, find_names

if TYPE_CHECKING:
    import pyarrow as pa

# What NumPy and zipfile raise for damaged files: headers that do not parse, encrypted or exotically packed members.
_UNREADABLE = (
    ValueError,
    OverflowError,
    EOFError,
    RuntimeError,  # which has NotImplementedError under it
    SyntaxError,  # NumPy parses a header as Python, and compares its keys
    TypeError,
    KeyError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_NUMPY, _ZIP, _PARQUET, _ARROW, _STREAM = b"\x93NUMPY", b"PK", b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff"
_INFLATES = 1032  # how many times larger deflate can make a member
_ONE_OF_NUMPY = "a .npy or .npz file"
_ONE_OF_ARROW = "a Parquet or Arrow file"


@dataclass(frozen=True)
class Arrays:
    """(N, D) vectors; ids and labels have one entry each, or are None."""

    vectors: npt.NDArray[Any]
    ids: npt.NDArray[Any] | None = None
    labels: npt.NDArray[Any] | None = None


def load_arrays(path: str | os.PathLike[str]) -> Arrays:
    """All of a small .npy or .npz file, of any shape; other arrays are left alone. Raises VectorError, OSError."""
    with _readable(path, _ONE_OF_NUMPY):
        stored = _stored_arrays(path)
        names = find_names(stored, (), path)
        beside = (None if name is None else stored[name]().whole() for name in (names.ids, names.labels))
        return Arrays(stored[names.vectors]().whole(), *beside)


def open_source(path: str | os.PathLike[str], payload: Sequence[str] = ()) -> Source:
    """The vectors of a file in chunks, with ids and labels if there are any; `payload` names texts beside them.

    .npy, .npz, Parquet, Arrow (Feather) file or stream, told apart by their first bytes. Raises VectorError, which
    reading may do too, and OSError."""
    with open(path, "rb") as file:
        begins = file.read(8)
    if begins.startswith((_NUMPY, _ZIP)):
        return _numpy_source(path, payload)
    if begins.startswith((_PARQUET, _ARROW, _STREAM)):
        with _readable(path, _ONE_OF_ARROW, _arrow_errors()):
            return _table_source(_parquet(path) if begins.startswith(_PARQUET) else _ipc(path, begins), payload)
    raise VectorError(f"{path}: neither .npy, .npz, Parquet nor Arrow; save the vectors as one of these")


def source_from_table(table: Any, payload: Sequence[str] = ()) -> Source:
    """The columns of a pyarrow Table, named as in a file. Raises VectorError."""
    return _table_source(
        _Table("the table", table.schema, table.num_rows, lambda names, n: iter(table.select(names).to_batches(n))),
        payload,
    )


@contextmanager
def _readable(path: object, what: str, unreadable: tuple[type[Exception], ...] = _UNREADABLE) -> Iterator[None]:
    try:
        yield
    except unreadable as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())[:200]
        raise VectorError(f"{path}: not {what} that can be read: {reason}") from None


# NumPy's files.


def _numpy_source(path: str | os.PathLike[str], payload: Sequence[str]) -> Source:
    with _readable(path, _ONE_OF_NUMPY):
        stored = _stored_arrays(path)
        names = find_names(stored, payload, path)
        arrays = {name: stored[name]() for name in names.all}
    vectors = arrays[names.vectors]
    check_rows(vectors.dtype, vectors.shape, None, "vectors")
    rows, dimension = vectors.shape
    for name, array in arrays.items():
        if array.shape[:1] != (rows,):
            raise VectorError(f"{name}: an array of shape {array.shape} for {rows} vectors; give one each")

    def read() -> Iterator[Chunk]:
        step = chunk_rows(sum(array.row_bytes for array in arrays.values()))
        with _readable(path, _ONE_OF_NUMPY):
            for pieces in zip(*(array.pieces(step) for array in arrays.values()), strict=True):
                yield names.chunk(dict(zip(arrays, pieces, strict=True)))

    return Source(dimension, rows, names.payload, read)


@dataclass(frozen=True)
class _Stored:
    """One array in a file: `open` gives the bytes of its .npy form, of which `header` come before the numbers."""

    open: Callable[[], IO[bytes]]
    header: int
    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * prod(self.shape[1:])

    def whole(self) -> npt.NDArray[Any]:
        with self.open() as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    def pieces(self, step: int) -> Iterator[npt.NDArray[Any]]:
        """`step` rows at a time; the last piece may have fewer."""
        if self.by_columns and self.shape[0]:
            mapped = self._mapped()
            yield from (mapped[start : start + step] for start in range(0, len(mapped), step))
            return
        with self.open() as stream:
            stream.read(self.header)
            for start in range(0, self.shape[0], step):
                rows = min(step, self.shape[0] - start)
                data = stream.read(rows * self.row_bytes)
                if len(data) < rows * self.row_bytes:
                    raise EOFError(f"it ends within row {start + len(data) // self.row_bytes}")
                yield np.frombuffer(data, self.dtype).reshape(rows, *self.shape[1:])

    def _mapped(self) -> npt.NDArray[Any]:
        # Rows that are scattered over the file; a member of a .npz is unpacked into an unnamed one first.
        with self.open() as stream, tempfile.TemporaryFile() as unpacked:
            file: IO[bytes] = stream
            if isinstance(stream, zipfile.ZipExtFile):
                shutil.copyfileobj(stream, unpacked)
                file = unpacked
            return np.memmap(file, self.dtype, "r", self.header, self.shape, "F")


def _stored_arrays(path: str | os.PathLike[str]) -> dict[str, Callable[[], _Stored]]:
    """By name, every array of a file, whose header is read when it is called."""
    with open(path, "rb") as file:
        begins = file.read(len(_NUMPY))
        size = os.fstat(file.fileno()).st_size
    if begins == _NUMPY:
        return {VECTORS[0]: lambda: _stored(lambda: open(path, "rb"), size)}
    if not begins.startswith(_ZIP):
        raise ValueError("it begins like neither")
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    return {info.filename.removesuffix(".npy"): partial(_stored_member, path, info, size) for info in members}


def _stored_member(path: str | os.PathLike[str], info: zipfile.ZipInfo, size: int) -> _Stored:
    def opened() -> IO[bytes]:
        with zipfile.ZipFile(path) as archive:
            return archive.open(info)  # which keeps the file open until it is closed itself

    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is packed as NumPy packs nothing")
    if info.compress_size > size or info.file_size > _INFLATES * (info.compress_size + 1):
        raise ValueError(
            f"{info.filename} claims {info.file_size} bytes, packed into {info.compress_size}, in a file of {size}"
        )
    return _stored(opened, info.file_size)


def _stored(opened: Callable[[], IO[bytes]], size: int) -> _Stored:
    """Raises ValueError for a header that does not fit the size."""
    with opened() as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"format version {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_columns, dtype = read(stream)
        header = stream.tell()
    if dtype.hasobject:
        raise ValueError("objects, which only pickle can read; save plain arrays")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > size - header:
        raise ValueError(f"its header claims shape {shape} of {dtype}, but {size - header} bytes follow")
    return _Stored(opened, header, shape, by_columns and len(shape) > 1, dtype)


# Arrow's files, and its tables in memory.


@dataclass(frozen=True)
class _Table:
    """Record batches that can be read over again: `batches(columns, rows)`, of at most so many rows where that can be
    had. `rows` in all, None where only reading tells."""

    where: object
    schema: pa.Schema
    rows: int | None
    batches: Callable[[list[str], int], Iterator[pa.RecordBatch]]


def _arrow_errors() -> tuple[type[Exception], ...]:
    try:
        import pyarrow
    except ImportError:
        raise VectorError("pyarrow: not installed, and Parquet and Arrow need it; install octoproof[arrow]") from None
    return (*_UNREADABLE, pyarrow.ArrowException, OSError)


def _parquet(path: str | os.PathLike[str]) -> _Table:
    from pyarrow.parquet import ParquetFile

    # Mapped, since a row group that is read is first held whole.
    opened = partial(ParquetFile, os.fspath(path), memory_map=True, pre_buffer=False, page_checksum_verification=True)

    def batches(columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        with opened() as file:
            yield from file.iter_batches(rows, columns=columns)

    with opened() as file:
        return _Table(path, file.schema_arrow, file.metadata.num_rows, batches)


def _ipc(path: str | os.PathLike[str], begins: bytes) -> _Table:
    """A compressed batch is unpacked whole, whatever its size: nothing less can be read of it."""
    import pyarrow

    is_file = begins == _ARROW
    opened = pyarrow.ipc.open_file if is_file else pyarrow.ipc.open_stream

    def batches(columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        with pyarrow.memory_map(os.fspath(path)) as file, opened(file) as reader:
            for batch in map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader:
                yield from (batch.slice(start, rows) for start in range(0, len(batch), rows))

    with pyarrow.memory_map(os.fspath(path)) as file, opened(file) as reader:
        return _Table(path, reader.schema, reader.count_rows() if is_file else None, batches)


def _table_source(table: _Table, payload: Sequence[str]) -> Source:
    from pyarrow.types import is_integer

    names = find_names(table.schema.names, payload, table.where)
    if names.ids is not None and not is_integer(kind := table.schema.field(names.ids).type):
        raise VectorError(f"ids: column {names.ids!r} is of type {kind}; give integers, or rename the column")
    dimension = _dimension(table, names.vectors)

    def read() -> Iterator[Chunk]:
        row = 0
        with _readable(table.where, _ONE_OF_ARROW, _arrow_errors()):
            for batch in table.batches(names.all, chunk_rows(8 * dimension)):
                columns = {name: _column(batch, name, row) for name in names.all}
                vectors = _rows(columns.pop(names.vectors), dimension, row)
                texts = {name: column.to_numpy(zero_copy_only=False) for name, column in columns.items()}
                yield names.chunk({names.vectors: vectors, **texts})
                row += len(batch)

    return Source(dimension, table.rows, names.payload, read)


def _dimension(table: _Table, name: str) -> int:
    """How many coordinates the lists of a column have: their type says it, or else the first row."""
    from pyarrow.types import is_fixed_size_list, is_large_list, is_list

    kind = table.schema.field(name).type
    if is_fixed_size_list(kind):
        dimension = kind.list_size
    elif is_list(kind) or is_large_list(kind):
        batches = table.batches([name], 1)
        first = next((_column(batch, name, 0) for batch in batches if len(batch)), None)
        if first is None:
            raise VectorError("vectors: none; a snapshot needs at least one")
        dimension = first.value_lengths()[0].as_py()
    else:
        raise VectorError(f"vectors: column {name!r} is of type {kind}; give lists of float16, float32 or float64")
    check_rows(np.dtype(kind.value_type.to_pandas_dtype()), (0, dimension), None, "vectors")
    return dimension


def _column(batch: pa.RecordBatch, name: str, row: int) -> pa.Array:
    """Raises VectorError for a null; the batch begins with this row of the whole."""
    column = batch.column(name)
    column.validate(full=True)  # what comes from a file may point anywhere
    _refuse_null(column, name, row, 1)
    return column


def _rows(lists: pa.Array, dimension: int, row: int) -> npt.NDArray[Any]:
    """(n, D) numbers of n lists."""
    from pyarrow.types import is_fixed_size_list

    if not is_fixed_size_list(lists.type):
        lengths = lists.value_lengths().to_numpy()
        if len(other := np.flatnonzero(lengths != dimension)):
            raise VectorError(
                f"vectors: row {row + other[0]} has {lengths[other[0]]} coordinates, but the first has {dimension}; "
                f"give lists of one length"
            )
    values = lists.flatten()
    _refuse_null(values, "vectors", row, dimension)
    return values.to_numpy(zero_copy_only=False).reshape(-1, dimension)


def _refuse_null(values: pa.Array, name: str, row: int, per_row: int) -> None:
    if values.null_count:
        first = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        raise VectorError(f"{name}: row {row + first // per_row} has a missing value; fill it in or remove that row")
