"""Checking a snapshot against its data: what whoever has the folder can know without a certificate."""

from __future__ import annotations

from typing import Any

import numpy as np

from octoproof.device import backend
from octoproof.vectors.commit import column_root
from octoproof.vectors.errors import SnapshotError
from octoproof.vectors.segment import squared_lengths
from octoproof.vectors.snapshot import Progress, Snapshot
from octoproof.vectors.store import StoredSegment


def check_snapshot(snapshot: Snapshot, progress: Progress | None = None) -> None:
    """Raises SnapshotError naming the first thing that differs, OSError."""
    live: set[int] = set()
    with backend() as device:
        stored_segments = snapshot.manifest.segments
        for number, stored in enumerate(stored_segments):
            if progress:
                progress(f"segment {number + 1} of {len(stored_segments)}")
            _check_segment(snapshot, stored, device)
            if number >= snapshot.header.first_rows:
                own = set(stored.segment.ids[stored.segment.live].tolist())
                if live & own:
                    raise SnapshotError(f"{stored.folder}: id {min(live & own)} is live in another segment, too")
                live |= own


def _check_segment(snapshot: Snapshot, stored: StoredSegment, device: Any) -> None:
    if (path := stored.damaged()) is not None:
        raise SnapshotError(f"{path}: differs from its checksum; restore it")
    segment, leaf, header, where = stored.segment, stored.leaf, snapshot.header, f"{stored.folder}"
    if (segment.ids[1:] <= segment.ids[:-1]).any() or int(segment.ids[0]) < 0:
        raise SnapshotError(f"{where}: ids do not ascend")
    if int(segment.live.sum()) != leaf.live:
        raise SnapshotError(f"{where}: {int(segment.live.sum())} rows are live, the leaf says {leaf.live}")
    within = -header.limit <= int(segment.columns.min()) and int(segment.columns.max()) <= header.limit
    if segment.dimension != header.dimension or not within:
        raise SnapshotError(f"{where}: coordinates beyond +-{header.limit}, or of another dimension")
    if not np.array_equal(segment.norms, squared_lengths(segment.columns)):
        raise SnapshotError(f"{where}: a squared length is not that of its row")
    if len(segment.codes) != len(snapshot.dictionaries):
        raise SnapshotError(f"{where}: codes of {len(segment.codes)} fields, the snapshot has {len(header.fields)}")
    for codes, dictionary in zip(segment.codes, snapshot.dictionaries, strict=True):
        if int(codes.max()) > len(dictionary.values):
            raise SnapshotError(f"{where}: a code beyond the dictionary of {dictionary.name}")
    if segment.row_tree(header.row_rule).root != leaf.row_root:
        raise SnapshotError(f"{where}: the row root is another")
    stored.row_tree(header.row_rule)
    for item in leaf.column_roots:
        if column_root(segment, item.key, device) != item.root:
            raise SnapshotError(f"{where}: the column root is another")
