"""When segments are rewritten: which have too many deleted rows, and which are too small to stay apart.

Pure functions over figures; `change.compact` carries them out. A query never waits for it: it reads a snapshot, and a
compaction makes a new one. Cells of an index are never merged, since a cell is what a query probes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SOFT_DELETED, HARD_DELETED = 0.15, 0.30  # share of deleted rows at which a segment may be, and must be, rewritten
SOFT_SEGMENTS, HARD_SEGMENTS = 8, 16  # undersized segments that may stay
SMALL_BYTES = 1 << 30  # more than this in undersized segments, and the two smallest are merged


@dataclass(frozen=True)
class Figures:
    """What the policy knows of a segment."""

    id: int
    rows: int
    live: int
    bytes: int

    @property
    def deleted(self) -> float:
        """Share of deleted rows."""
        return (self.rows - self.live) / self.rows


@dataclass(frozen=True)
class Rewrite:
    """Segments whose live rows become one new segment. `must`: a hard bound is passed."""

    ids: tuple[int, ...]
    must: bool
    reason: str


def plan(segments: Sequence[Figures], segment_rows: int, cells: bool) -> list[Rewrite]:
    """What is to be rewritten, each segment at most once; none overlap."""
    merges = [] if cells else _merges(segments, segment_rows)
    merged = {id for merge in merges for id in merge.ids}
    return merges + [
        Rewrite((s.id,), s.deleted > HARD_DELETED, f"{s.deleted:.0%} of its rows are deleted")
        for s in segments
        if s.deleted > SOFT_DELETED and s.id not in merged and (s.live or not cells)  # a cell cannot vanish
    ]


def _merges(segments: Sequence[Figures], segment_rows: int) -> list[Rewrite]:
    small = sorted((s for s in segments if s.rows < segment_rows), key=lambda s: (s.live, s.id))
    if len(small) > SOFT_SEGMENTS:
        must, reason = len(small) > HARD_SEGMENTS, f"{len(small)} segments have fewer than {segment_rows} rows"
        return [Rewrite(tuple(s.id for s in group), must, reason) for group in _groups(small, segment_rows)]
    fit = len(small) > 1 and small[0].live + small[1].live <= segment_rows
    if fit and sum(s.bytes for s in small) > SMALL_BYTES:
        return [Rewrite((small[0].id, small[1].id), False, "undersized segments have more than 1 GiB")]
    return []


def _groups(small: Sequence[Figures], segment_rows: int) -> list[list[Figures]]:
    """The smallest first, as many together as make at most one full segment; groups of one are left alone."""
    groups: list[list[Figures]] = [[]]
    for segment in small:
        if groups[-1] and sum(s.live for s in groups[-1]) + segment.live > segment_rows:
            groups.append([])
        groups[-1].append(segment)
    return [group for group in groups if len(group) > 1]
