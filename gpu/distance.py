"""Scores of all rows for a batch of queries, and the floating-point sums of their candidates, on the device: the same
integers as `octoproof.vectors.scan` and the same floats as `octoproof.vectors.rerank`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from air.statements.question import METRICS as FLOAT_METRICS
from air.statements.topk import METRICS
from gpu.device import Array, Device, kernel

_THREADS = 256
_TOGETHER = 8  # queries of one launch


@dataclass(frozen=True)
class Rows:
    """The rows of a segment on the device: (dimension, rows) int16 coordinates, two to a word, and (2, rows) words: the
    norms |x|^2, then zeros."""

    dimension: int
    count: int
    columns: Array
    norms: Array


def upload_rows(device: Device, columns: npt.NDArray[np.int16], norms: npt.NDArray[np.int32]) -> Rows:
    """(D, N) coordinates and (N,) norms of an even number of rows. Raises ValueError for other shapes, MemoryError."""
    dimension, count = columns.shape
    if columns.dtype != np.int16 or count % 2 or norms.shape != (count,):
        raise ValueError(f"columns: {columns.dtype} {columns.shape} with norms {norms.shape}; give int16, even, (N,)")
    both = np.stack([norms.astype(np.int32), np.zeros(count, dtype=np.int32)])
    return Rows(dimension, count, device.upload(np.ascontiguousarray(columns).view(np.uint32)), device.upload(both))


def scan(device: Device, rows: Rows, queries: npt.NDArray[np.integer], metric: str) -> Array:
    """(Q, N) i32 words: q.x for ip, 2 q.x - |x|^2 for l2, of all rows for (Q, D) queries with |q_i| <= 32767.

    Eight queries share one reading of the columns. Raises ValueError for other shapes and numbers."""
    if metric not in METRICS:
        raise ValueError(f"metric: {metric!r:.40} is not one of {', '.join(METRICS)}")
    wide = np.asarray(queries, dtype=np.int64)
    if wide.ndim != 2 or wide.shape[1] != rows.dimension or np.abs(wide).max(initial=0) > 32767:
        raise ValueError(f"queries: {wide.shape} for {rows.dimension} dimensions; give (Q, D) within +-32767")
    count, pairs, squared = len(wide), rows.count // 2, metric == "l2"
    weights = device.upload((2 * wide if squared else wide).astype(np.int32).view(np.uint32))
    norms = rows.norms[: rows.count] if squared else rows.norms[rows.count :]
    out = device.empty(count * rows.count)
    first = 0
    while first < count:
        many = count - first >= _TOGETHER
        name, step = ("scores_of_many", _TOGETHER) if many else ("scores_of_one", 1)
        target, own = out[first * rows.count :], weights[first * rows.dimension :]
        device.launch(
            kernel("scores.cu", name), _grid(pairs), _THREADS, rows.columns, norms, pairs, rows.dimension, own, target
        )
        first += step
    return out


def distances(
    device: Device,
    vectors: npt.NDArray[np.float32],
    queries: npt.NDArray[np.float32],
    asked: npt.NDArray[np.integer],
    metric: str,
) -> npt.NDArray[np.float64]:
    """(n,) distances of (n, D) candidates to the queries (Q, D) that `asked` (n,) numbers for them, as `rerank` has
    them: Euclidean for l2, 1 - cosine for cosine, -q.x for ip. Zero vectors have no cosine: NaN. Waits for them."""
    if metric not in FLOAT_METRICS:
        raise ValueError(f"metric: {metric!r:.40} is not one of {', '.join(FLOAT_METRICS)}")
    (n, dimension), numbers = vectors.shape, np.asarray(asked, dtype=np.uint32)
    if vectors.dtype != np.float32 or queries.dtype != np.float32 or queries.shape[1:] != (dimension,):
        raise ValueError(f"queries: {queries.dtype} {queries.shape}, vectors {vectors.dtype}; give float32, (Q, D)")
    if numbers.shape != (n,) or (n and numbers.max() >= len(queries)):
        raise ValueError(f"asked: {numbers.shape} for {n} candidates of {len(queries)} queries")
    if not n:
        return np.empty(0)
    product, squares = _float_sums(device, vectors, queries, numbers, metric == "l2").T
    if metric == "l2":
        return np.sqrt(product)
    if metric == "ip":
        return np.negative(product)
    own = _float_sums(device, queries, queries, np.arange(len(queries), dtype=np.uint32), False)[:, 1]
    with np.errstate(invalid="ignore"):
        return np.subtract(1.0, np.divide(product, np.multiply(np.sqrt(squares), np.sqrt(own[numbers]))))


def _float_sums(
    device: Device,
    vectors: npt.NDArray[np.float32],
    queries: npt.NDArray[np.float32],
    numbers: npt.NDArray[np.uint32],
    squares: bool,
) -> npt.NDArray[np.float64]:
    """(n, 2): sums of (x - q)^2 with `squares`, of x q without, and of x^2."""
    n, dimension = vectors.shape
    places = [device.upload(np.ascontiguousarray(part)) for part in (vectors, queries, numbers)]
    out = device.empty(4 * n)
    step = kernel("distance.cu", "float_sums")
    device.launch(step, _grid(n), _THREADS, places[0], n, dimension, places[1], places[2], int(squares), out)
    return device.download(out).view(np.float64).reshape(n, 2)


def _grid(threads: int) -> tuple[int]:
    return (-(-threads // _THREADS),)
