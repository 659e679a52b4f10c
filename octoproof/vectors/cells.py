"""k-means over integer vectors, the same to the last bit on every machine: cells that a query can be limited to.

Distances come from float64 matrix products. They are exact: their terms and sums are integers below 2^53 (dimensions
up to 4096), so neither the order of summation nor a fused multiply-add changes them, whatever library computes them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from octoproof.vectors.errors import VectorError

Vectors = npt.NDArray[np.int16]
Cells = npt.NDArray[np.int32]
Distances = npt.NDArray[np.float64]

_CHUNK_ROWS = 1 << 11
_CHUNK_DISTANCES = 1 << 21


def fit_cells(vectors: Vectors, cells: int, seed: int, iterations: int = 10, sample: int = 128) -> Vectors:
    """(cells, D) centroids of (N, D) vectors, fitted to a seeded choice of `sample` rows a cell (all, if fewer).

    Every cell is the nearest of at least one row it was fitted to, unless fewer than `cells` of these differ. Raises
    VectorError for more cells than rows, or a negative seed."""
    if not 1 <= cells <= len(vectors):
        raise VectorError(f"cells: {cells} for {len(vectors)} vectors; give 1 to {len(vectors)}")
    if seed < 0:
        raise VectorError(f"seed: {seed} is negative; give 0 or more")
    # The raw stream of PCG64 is the same in all versions of NumPy, which that of its distributions is not.
    keys = np.random.PCG64(seed).random_raw(len(vectors))
    rows = vectors[np.argsort(keys, kind="stable")[: cells * sample]]
    centroids = _first_distinct(rows, cells)
    for _ in range(iterations):
        _move_to_means(rows, centroids, _filled(rows, centroids))
    _filled(rows, centroids)
    return centroids


def assign(vectors: Vectors, centroids: Vectors) -> Cells:
    """(N,) cell of every vector: the centroid at the least squared distance, of equal ones the first."""
    return _nearest(vectors, centroids)[0]


def _first_distinct(rows: Vectors, count: int) -> Vectors:
    """The first `count` different rows; where there are fewer, the last repeats."""
    found: dict[bytes, int] = {}
    for index, row in enumerate(rows):
        found.setdefault(row.tobytes(), index)
        if len(found) == count:
            break
    chosen = list(found.values())
    return rows[chosen + chosen[-1:] * (count - len(chosen))]


def _nearest(vectors: Vectors, centroids: Vectors) -> tuple[Cells, Distances]:
    """(N,) cells as `assign` has them, and the squared distances to their centroids."""
    wide = centroids.astype(np.float64)
    # |x - c|^2 = |x|^2 + (x, 1).(-2c, |c|^2)
    weights = np.vstack([-2 * wide.T, (wide * wide).sum(axis=1)])
    cells, distances = np.empty(len(vectors), dtype=np.int32), np.empty(len(vectors))
    step = max(1, min(_CHUNK_ROWS, _CHUNK_DISTANCES // len(centroids)))
    extended = np.ones((step, vectors.shape[1] + 1))
    for start in range(0, len(vectors), step):
        part = vectors[start : start + step]
        own = extended[: len(part)]
        own[:, :-1] = part
        relative = own @ weights
        chosen = relative.argmin(axis=1)
        norms = (own[:, :-1] * own[:, :-1]).sum(axis=1)
        cells[start : start + step] = chosen
        distances[start : start + step] = norms + relative[np.arange(len(part)), chosen]
    return cells, distances


def _filled(rows: Vectors, centroids: Vectors) -> Cells:
    """(N,) cells, once the centroids of empty ones have been moved, in place, to the rows farthest from their own.

    It ends: of the rows that are not centroids yet, every round makes at least one a centroid."""
    while True:
        nearest, distances = _nearest(rows, centroids)
        empty = np.flatnonzero(np.bincount(nearest, minlength=len(centroids)) == 0)
        if not empty.size or not distances.any():
            return nearest
        centroids[empty] = rows[np.argsort(-distances, kind="stable")[: empty.size]]


def _move_to_means(rows: Vectors, centroids: Vectors, nearest: Cells) -> None:
    """In place: every centroid to the mean of its rows, rounded half to even; those of empty cells stay."""
    counts = np.bincount(nearest, minlength=len(centroids))
    used = counts > 0
    for column, values in zip(centroids.T, rows.T, strict=True):
        # Sums of integers below 2^53: exact in float64.
        sums = np.bincount(nearest, weights=values, minlength=len(centroids)).astype(np.int64)
        column[used] = _rounded_ratio(sums[used], counts[used])


def _rounded_ratio(numerator: npt.NDArray[np.int64], denominator: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    up, rest = np.divmod(2 * numerator + denominator, 2 * denominator)  # halves upwards
    return up - ((rest == 0) & (up % 2 == 1))
