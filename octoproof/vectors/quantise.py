"""Floating-point vectors to integers in [-Q, Q], with one scale a snapshot (DESIGN 5).

Q depends on the dimension alone, and is such that the proof's arithmetic cannot wrap around. The scale is an integer
number of 2^-32, because a statement holds no floats: coordinate = round(value * scale / 2^32), half to even, the
product taken in float64. A row's coordinates do not depend on the rows around it, nor on how memory is laid out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import floor, isfinite, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from air.statements.topk import coordinate_bound
from octoproof.vectors.errors import VectorError

SCALE_ONE = 1 << 32
MAX_SCALE = 1 << 53  # exact as a float64
_BLOCK_VALUES = 1 << 15  # float64 values that stay in the cache of one core

Coordinates = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Quantiser:
    """Turns vectors of one dimension into coordinates. `normalised` ones are brought to unit length first."""

    dimension: int
    scale: int
    normalised: bool = False

    @property
    def limit(self) -> int:
        """Q, the largest coordinate."""
        return coordinate_bound(self.dimension)

    @property
    def factor(self) -> float:
        """Coordinates per unit of the input."""
        return self.scale / SCALE_ONE

    @property
    def largest(self) -> float:
        """The largest value that has a coordinate."""
        return (self.limit + 0.5) / self.factor

    def __call__(self, vectors: npt.ArrayLike, name: str = "vectors", first_row: int = 0) -> Coordinates:
        """(N, D) int16 coordinates of (N, D) numbers. Raises VectorError naming row and figure; nothing is clipped.

        `first_row` is the row of the whole input that these begin with, for the message."""
        rows = as_rows(vectors, self.dimension, name)
        out = np.empty(rows.shape, dtype=np.int16)
        limit, factor = self.limit, self.factor
        with np.errstate(all="ignore"):  # what overflows or has no direction is refused
            for start, values in _blocks(rows):
                stop = start + len(values)
                if self.normalised:
                    _normalise(values)
                values *= factor
                np.rint(values, out=values)
                if not (values.max() <= limit and values.min() >= -limit):  # false for NaN too
                    self._refuse(rows[start:stop], name, first_row + start)
                np.copyto(out[start:stop], values, casting="unsafe")
        return out

    def _refuse(self, rows: npt.NDArray[np.generic], name: str, first_row: int) -> None:
        """Raises VectorError about the first of these rows that has no coordinates."""
        for number, row in enumerate(rows.astype(np.float64, order="C"), first_row):
            _refuse_infinite(row, name, number)
            if self.normalised:
                if not row.any():
                    raise VectorError(
                        f"{name}: row {number} is zero, and has no direction to normalise; remove that row"
                    )
                _normalise(row[None, :])
            beyond = np.flatnonzero(np.abs(np.rint(row * self.factor)) > self.limit)
            if len(beyond):
                raise VectorError(
                    f"{name}: row {number}, coordinate {beyond[0]} is {row[beyond[0]]:.6g}, beyond the scale of "
                    f"this snapshot (at most {self.largest:.6g}); build a snapshot with a larger --limit"
                )


def fit_quantiser(vectors: npt.ArrayLike, *, normalised: bool = False, limit: float | None = None) -> Quantiser:
    """`fit_chunks` for vectors that are all in one (N, D) array."""
    rows = as_rows(vectors, None, "vectors")
    return fit_chunks([rows], rows.shape[1], normalised=normalised, limit=limit)


def fit_chunks(
    chunks: Iterable[npt.ArrayLike], dimension: int, *, normalised: bool = False, limit: float | None = None
) -> Quantiser:
    """The quantiser that spends all of [-Q, Q] on values up to `limit`; without it, up to the largest there is.

    Without it, normalised vectors have the limit 1, which no later one can exceed. `chunks` are (n, D) arrays, one
    after the other; they are read no further than is needed. Raises VectorError for what `Quantiser` refuses, for no
    vectors, and for limits too large or too small to be scaled."""
    if limit is None and normalised:
        limit = 1.0
    count, largest = 0, 0.0
    for chunk in chunks:
        rows = as_rows(chunk, dimension, "vectors")
        if limit is None:
            largest = max(largest, _largest(rows, count))
        count += len(rows)
        if limit is not None and count:
            break
    if count == 0:
        raise VectorError("vectors: none; a snapshot needs at least one")
    if limit is None:
        limit = largest or 1.0
    if not limit > 0 or not isfinite(limit):
        raise VectorError(f"limit: {limit:.6g} is not a positive number")
    bound = coordinate_bound(dimension)
    scale = floor(min(bound / limit * SCALE_ONE, float(MAX_SCALE) * 2))
    if not 1 <= scale <= MAX_SCALE:
        raise VectorError(f"limit: values up to {limit:.6g} cannot be scaled to {bound}; multiply the vectors first")
    return Quantiser(dimension, scale, normalised)


def as_rows(vectors: npt.ArrayLike, dimension: int | None, name: str) -> npt.NDArray[np.generic]:
    """A 2-D array of numbers, of the dimension if one is given. Raises VectorError."""
    try:
        rows = np.asarray(vectors)
    except ValueError:
        raise VectorError(f"{name}: not one array; give all rows the same number of coordinates") from None
    check_rows(rows.dtype, rows.shape, dimension, name)
    return rows


def check_rows(dtype: np.dtype[Any], shape: tuple[int, ...], dimension: int | None, name: str) -> None:
    """What `as_rows` checks, for an array of which only this much is known. Raises VectorError."""
    if dtype.kind not in "fiu":
        raise VectorError(f"{name}: of type {dtype}; give float16, float32, float64 or integers")
    if len(shape) != 2:
        raise VectorError(f"{name}: an array of shape {shape}; give one row a vector, (N, D)")
    if dimension is not None and shape[1] != dimension:
        raise VectorError(f"{name}: {shape[1]} coordinates, but this snapshot has {dimension} dimensions")
    try:
        coordinate_bound(shape[1])
    except ValueError as error:
        raise VectorError(f"{name}: {error}") from None


def _blocks(rows: npt.NDArray[np.generic]) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """(first row, a copy in C order) of so many rows as one core's cache holds; the next copy overwrites the last."""
    step = max(1, _BLOCK_VALUES // rows.shape[1])
    scratch = np.empty((step, rows.shape[1]))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        values = scratch[: len(block)]
        np.copyto(values, block, casting="unsafe")
        yield start, values


def _largest(rows: npt.NDArray[np.generic], first_row: int) -> float:
    """The largest absolute value. Raises VectorError unless all are finite."""
    largest = 0.0
    for start, values in _blocks(rows):
        low, high = float(values.min()), float(values.max())
        if not (isfinite(low) and isfinite(high)):
            for number, row in enumerate(values, first_row + start):
                _refuse_infinite(row, "vectors", number)
        largest = max(largest, -low, high)
    return largest


def _refuse_infinite(row: npt.NDArray[np.float64], name: str, number: int) -> None:
    bad = np.flatnonzero(~np.isfinite(row))
    if len(bad):
        raise VectorError(f"{name}: row {number}, coordinate {bad[0]} is {row[bad[0]]}; remove that row")


def _normalise(values: npt.NDArray[np.float64]) -> None:
    """Divides the rows of a C-contiguous array by their lengths, in place."""
    # By the largest coordinate first, so that squares neither overflow nor vanish.
    values /= np.maximum(values.max(axis=1, keepdims=True), -values.min(axis=1, keepdims=True))
    values /= np.sqrt(_sums(values * values))


def _sums(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 1) sums of the rows of (N, D) numbers, halves added to each other: in one order, whatever NumPy's own is, so
    that the same vectors have the same coordinates on every machine."""
    while (width := values.shape[1]) > 1:
        half = width // 2
        folded = values[:, :half] + values[:, half : 2 * half]
        if width % 2:
            folded[:, 0] += values[:, -1]
        values = folded
    return values


def distance(metric: str, score: int, query_norm: int, factor: float) -> float:
    """What a score means in units of the input: Euclidean distance for l2, 1 - cosine for cosine, -q.x for ip."""
    if metric == "l2":
        return sqrt(query_norm - score) / factor
    product = score / (factor * factor)
    return 1 - product if metric == "cosine" else -product
