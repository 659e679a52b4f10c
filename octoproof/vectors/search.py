"""Exact search over integer vectors: every score, the k best, ties by the smaller id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.int64]
_CHUNK = 1 << 14


@dataclass(frozen=True, order=True)
class Hit:
    """One found vector; hits sort as they rank, better ones first."""

    rank_score: int  # the score negated
    id: int

    @property
    def score(self) -> int:
        return -self.rank_score


def scores(columns: npt.NDArray[np.int16], norm: Scores, query: Iterable[int], metric: str) -> Scores:
    """Score of every row of (D, N) columns, in their order: q.x, or 2 q.x - |x|^2 for l2.

    Computed in float64, where these integers, all below 2^53, and their sums are exact."""
    weights = np.array(list(query), dtype=np.float64)
    product = np.empty(columns.shape[1], dtype=np.int64)
    for start in range(0, len(product), _CHUNK):
        product[start : start + _CHUNK] = weights @ columns[:, start : start + _CHUNK].astype(np.float64)
    return 2 * product - norm if metric == "l2" else product


def best(score: Scores, ids: npt.NDArray[np.int64], live: npt.NDArray[np.bool_], k: int) -> list[Hit]:
    """The k best live rows of one segment (fewer where fewer live), in order."""
    rows = np.flatnonzero(live)
    if len(rows) > k:
        kept = score[rows]
        kth = np.partition(kept, len(kept) - k)[len(kept) - k]
        rows = rows[kept >= kth]  # all ties of the last place: the ids decide
    order = np.lexsort((ids[rows], -score[rows]))[:k]
    return [Hit(-int(score[r]), int(ids[r])) for r in rows[order]]


def merge(parts: Iterable[list[Hit]], k: int) -> list[Hit]:
    """The k best of several segments' hits, in order."""
    return sorted(hit for part in parts for hit in part)[:k]
