"""The k best of many integer scores, ties by the smaller id (`scan` has the scores)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from air.circle import Indices, row_positions

Scores = npt.NDArray[np.int32] | npt.NDArray[np.int64]
_STRIPES = 64


@dataclass(frozen=True, order=True)
class Hit:
    """One found vector; hits sort as they rank, better ones first."""

    rank_score: int  # the score negated
    id: int

    @property
    def score(self) -> int:
        return -self.rank_score


def best_stored(scores: Scores, ids: npt.NDArray[np.int64], eligible: npt.NDArray[np.bool_], k: int) -> list[Hit]:
    """The k >= 1 best eligible rows of one segment (fewer where fewer are), in order.

    `scores` and `eligible` are (2^n,) in storage order, `ids` are in row order, without padding."""
    places = leaders(scores, eligible, k)
    return _ranked(scores[places], ids[storage_rows(len(scores).bit_length() - 1)[places]], k)


def leaders(scores: Scores, eligible: npt.NDArray[np.bool_], k: int) -> Indices:
    """Places, ascending, of the eligible scores that reach the k-th best one: all ties of the last place included."""
    lowest = np.iinfo(scores.dtype).min
    masked = np.where(eligible, scores, lowest)
    places = np.flatnonzero(eligible & (masked >= _floor(masked, k)))
    if len(places) > k:
        kept = scores[places]
        places = places[kept >= np.partition(kept, len(kept) - k)[len(kept) - k]]
    return places


def _floor(scores: Scores, k: int) -> int:
    """A lower bound of the k-th best score that few scores reach, so that few have to be compared with each other.

    The scores are dealt to groups; the k-th best of the groups' best is reached by at least k scores."""
    groups = len(scores) // _STRIPES
    if groups < k:
        return int(np.iinfo(scores.dtype).min)
    tops = scores[: groups * _STRIPES].reshape(_STRIPES, groups).max(axis=0)
    return int(np.partition(tops, groups - k)[groups - k])


def _ranked(scores: Scores, ids: npt.NDArray[np.int64], k: int) -> list[Hit]:
    order = np.lexsort((ids, -scores))[:k]
    return [Hit(-score, id) for score, id in zip(scores[order].tolist(), ids[order].tolist(), strict=True)]


def storage_rows(log_size: int) -> Indices:
    """Row of every storage position. Read-only. The order undoes itself: it reverses all bits of a row but the lowest,
    and where that one is set, inverts them."""
    return row_positions(log_size)
