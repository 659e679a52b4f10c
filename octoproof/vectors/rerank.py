"""The deterministic second layer: candidates ranked by float64 distances that are the same bits on every machine.

Strict IEEE 754: coordinates from left to right, every product and every sum rounded on its own. So there is one NumPy
operation a step, across all candidates: nothing that could fuse a multiply with an add, or sum in pairs. Inputs are
float32, whose products neither overflow nor come near the subnormals that some processors flush to zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from air.statements.question import METRICS
from octoproof.vectors.errors import VectorError

MIN_CANDIDATES, MAX_CANDIDATES = 40, 512
CANDIDATES_A_PLACE = 4
MAX_K = MAX_CANDIDATES // CANDIDATES_A_PLACE
_TOGETHER = 32

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How two rankings compare: the same ids or not, in the same order or not, how many places differ, and how many
    ids both have."""

    same_set: bool
    same_order: bool
    differing: int
    overlap: int


def candidate_count(k: int, requested: int, rows: int) -> int:
    """How many candidates are ranked for k results: at least 4k and 40, at most 512 and all rows. Raises VectorError.

    `requested` asks for more than the least."""
    if not 1 <= k <= MAX_K:
        raise VectorError(f"k: {k} is outside 1..{MAX_K}, what {MAX_CANDIDATES} candidates serve; use the strict mode")
    return min(rows, MAX_CANDIDATES, max(MIN_CANDIDATES, CANDIDATES_A_PLACE * k, requested))


def rerank(
    vectors: npt.NDArray[np.float32],
    ids: npt.NDArray[np.int64],
    query: npt.NDArray[np.float32],
    metric: str,
    k: int,
) -> tuple[npt.NDArray[np.int64], Floats]:
    """(ids, distances) of the k nearest of (n, D) vectors with (n,) ids, equal distances by the smaller id.

    Distances are Euclidean for l2, 1 - cosine for cosine, -q.x for ip. Raises VectorError for other shapes, types and
    metrics, for NaN and infinity, and for a zero vector that has no cosine."""
    _check(vectors, ids, query, metric)
    found = _distances(vectors, ids, query, metric)
    order = np.lexsort((ids, found))[:k]
    return ids[order], found[order]


def agreement(float_ids: Iterable[int], integer_ids: Iterable[int]) -> Agreement:
    """Compares the ranking in floats with the proven one in integers, each without repeated ids."""
    ours, proven = list(map(int, float_ids)), list(map(int, integer_ids))
    differing = sum(a != b for a, b in zip_longest(ours, proven))
    return Agreement(set(ours) == set(proven), differing == 0, differing, len(set(ours) & set(proven)))


def _check(
    vectors: npt.NDArray[np.float32], ids: npt.NDArray[np.int64], query: npt.NDArray[np.float32], metric: str
) -> None:
    if metric not in METRICS:
        raise VectorError(f"metric: {metric!r:.40} is not one of {', '.join(METRICS)}")
    for name, array in (("vectors", vectors), ("query", query)):
        if array.dtype != np.float32:
            raise VectorError(f"{name}: of type {array.dtype}; give float32, so that every machine reads the same bits")
    if vectors.ndim != 2 or query.shape != vectors.shape[1:] or ids.shape != vectors.shape[:1]:
        raise VectorError(
            f"vectors: {vectors.shape} with ids {ids.shape} and query {query.shape}; give the shapes (n, D), (n,), (D,)"
        )
    if not np.isfinite(query).all():
        raise VectorError("query: holds NaN or infinity; give finite numbers")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise VectorError(f"vectors: the one of id {ids[bad[0]]} holds NaN or infinity; remove it")


def _distances(
    vectors: npt.NDArray[np.float32], ids: npt.NDArray[np.int64], query: npt.NDArray[np.float32], metric: str
) -> Floats:
    """(n,) distances of (n, D) vectors."""
    count = len(vectors)
    if metric == "l2":
        differences = (np.subtract(x, q) for x, q in _columns(vectors, query))
        return np.sqrt(_sum((np.multiply(d, d) for d in differences), count))
    product = _sum((np.multiply(x, q) for x, q in _columns(vectors, query)), count)
    if metric == "ip":
        return np.negative(product)
    own = _sum((np.multiply(q, q) for _, q in _columns(query[None], query)), 1)
    if own[0] == 0:
        raise VectorError("query: is zero, and has no cosine to anything; use another metric")
    squares = _sum((np.multiply(x, x) for x, _ in _columns(vectors, query)), count)
    zero = np.flatnonzero(squares == 0)
    if zero.size:
        raise VectorError(f"vectors: the one of id {ids[zero[0]]} is zero, and has no cosine to anything; remove it")
    return np.subtract(1.0, np.divide(product, np.multiply(np.sqrt(squares), np.sqrt(own))))


def _columns(vectors: npt.NDArray[np.float32], query: npt.NDArray[np.float32]) -> Iterator[tuple[Floats, Floats]]:
    """A few coordinates at a time, which stay in the cache: (d, n) of the vectors and (d, 1) of the query."""
    for start in range(0, len(query), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        yield np.ascontiguousarray(vectors[:, part].T, dtype=np.float64), query[part, None].astype(np.float64)


def _sum(terms: Iterable[Floats], count: int) -> Floats:
    """(count,) sums over the rows of all terms, from zero on, from the first row to the last."""
    total = np.zeros(count)
    for term in terms:
        for row in term:
            np.add(total, row, out=total)
    return total
