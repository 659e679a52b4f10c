"""Floating-point vectors to integers in [-Q, Q], with one scale a snapshot (DESIGN 5).

Q depends on the dimension alone, and is such that the proof's arithmetic cannot wrap around. The scale is an integer
number of 2^-32, because a statement holds no floats: coordinate = round(value * scale / 2^32), half to even.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, sqrt

import numpy as np
import numpy.typing as npt

from air.statements.topk import coordinate_bound
from octoproof.vectors.errors import VectorError

SCALE_ONE = 1 << 32
MAX_SCALE = 1 << 53  # exact as a float64
_CHUNK = 1 << 15

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

    def __call__(self, vectors: npt.ArrayLike, name: str = "vectors") -> Coordinates:
        """(N, D) int16 coordinates of (N, D) numbers. Raises VectorError naming row and figure; nothing is clipped."""
        rows = as_rows(vectors, self.dimension, name)
        out = np.empty(rows.shape, dtype=np.int16)
        for start in range(0, len(rows), _CHUNK):
            values = _finite(rows[start : start + _CHUNK], start, name)
            if self.normalised:
                values = _unit(values, start, name)
            scaled = np.rint(values * self.factor)
            beyond = np.abs(scaled) > self.limit
            if beyond.any():
                row, column = (int(i[0]) for i in np.nonzero(beyond))
                raise VectorError(
                    f"{name}: row {start + row}, coordinate {column} is {values[row, column]:.6g}, beyond the scale of "
                    f"this snapshot (at most {self.largest:.6g}); build a snapshot with a larger --limit"
                )
            out[start : start + _CHUNK] = scaled
        return out


def fit_quantiser(vectors: npt.ArrayLike, *, normalised: bool = False, limit: float | None = None) -> Quantiser:
    """The quantiser that spends all of [-Q, Q] on values up to `limit`; without it, up to the largest there is.

    Without it, normalised vectors have the limit 1, which no later one can exceed. Raises VectorError for what
    `Quantiser` refuses, for no vectors, and for limits too large or too small to be scaled."""
    rows = as_rows(vectors, None, "vectors")
    if len(rows) == 0:
        raise VectorError("vectors: none; a snapshot needs at least one")
    if limit is None and normalised:
        limit = 1.0
    elif limit is None:
        chunks = (_finite(rows[k : k + _CHUNK], k, "vectors") for k in range(0, len(rows), _CHUNK))
        limit = max(float(np.abs(chunk).max()) for chunk in chunks) or 1.0
    if not limit > 0 or not np.isfinite(limit):
        raise VectorError(f"limit: {limit:.6g} is not a positive number")
    bound = coordinate_bound(rows.shape[1])
    scale = floor(min(bound / limit * SCALE_ONE, float(MAX_SCALE) * 2))
    if not 1 <= scale <= MAX_SCALE:
        raise VectorError(f"limit: values up to {limit:.6g} cannot be scaled to {bound}; multiply the vectors first")
    return Quantiser(rows.shape[1], scale, normalised)


def as_rows(vectors: npt.ArrayLike, dimension: int | None, name: str) -> npt.NDArray[np.generic]:
    """A 2-D array of numbers, of the dimension if one is given. Raises VectorError."""
    rows = np.asarray(vectors)
    if rows.dtype.kind not in "fiu":
        raise VectorError(f"{name}: of type {rows.dtype}; give float16, float32, float64 or integers")
    if rows.ndim != 2:
        raise VectorError(f"{name}: an array of shape {rows.shape}; give one row a vector, (N, D)")
    if dimension is not None and rows.shape[1] != dimension:
        raise VectorError(f"{name}: {rows.shape[1]} coordinates, but this snapshot has {dimension} dimensions")
    try:
        coordinate_bound(rows.shape[1])
    except ValueError as error:
        raise VectorError(f"{name}: {error}") from None
    return rows


def _finite(rows: npt.NDArray[np.generic], start: int, name: str) -> npt.NDArray[np.float64]:
    values = rows.astype(np.float64)
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = (int(i[0]) for i in np.nonzero(bad))
        raise VectorError(f"{name}: row {start + row}, coordinate {column} is {values[row, column]}; remove that row")
    return values


def _unit(values: npt.NDArray[np.float64], start: int, name: str) -> npt.NDArray[np.float64]:
    # Divided by the largest coordinate first, so that squares neither overflow nor vanish.
    largest = np.abs(values).max(axis=1, keepdims=True)
    if not largest.all():
        row = int(np.flatnonzero(largest[:, 0] == 0)[0])
        raise VectorError(f"{name}: row {start + row} is zero, and has no direction to normalise; remove that row")
    scaled = values / largest
    unit: npt.NDArray[np.float64] = scaled / np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    return unit


def distance(metric: str, score: int, query_norm: int, factor: float) -> float:
    """What a score means in units of the input: Euclidean distance for l2, 1 - cosine for cosine, -q.x for ip."""
    if metric == "l2":
        return sqrt(query_norm - score) / factor
    product = score / (factor * factor)
    return 1 - product if metric == "cosine" else -product
