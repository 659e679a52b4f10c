"""Building a snapshot: quantise, split into segments, commit, write; whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from air.statement import RootKey
from air.statements.snapshot import ColumnRoot, SegmentLeaf, SnapshotHeader
from octoproof.device import backend
from octoproof.vectors.commit import column_root
from octoproof.vectors.errors import VectorError
from octoproof.vectors.labels import pack_labels
from octoproof.vectors.quantise import as_rows, fit_quantiser
from octoproof.vectors.segment import Segment, make_segment, sorted_ids
from octoproof.vectors.snapshot import Progress, Snapshot, preset_key
from octoproof.vectors.store import StoredSegment, write_arrays, write_manifest

SEGMENT_ROWS = 1 << 16
MIN_SEGMENT_ROWS, MAX_SEGMENT_ROWS = 16, 1 << 24

Names = Sequence[object] | npt.NDArray[np.generic]


def build_snapshot(
    vectors: npt.ArrayLike,
    folder: str | os.PathLike[str],
    *,
    ids: npt.ArrayLike | None = None,
    labels: Names | None = None,
    normalise: bool = False,
    limit: float | None = None,
    segment_rows: int = SEGMENT_ROWS,
    presets: Sequence[str] = ("standard",),
    progress: Progress | None = None,
) -> Snapshot:
    """A snapshot of (N, D) vectors in a new folder, in segments of `segment_rows` by ascending id.

    `ids` default to 0, 1, 2 ...; `limit` is the largest coordinate that a later vector or query may have. It is
    written aside and renamed. Raises VectorError for data that cannot be used or a folder that exists, OSError;
    nothing is left behind then."""
    target = Path(folder)
    if target.exists():
        raise VectorError(f"{target}: exists already; choose another folder or remove it")
    if not MIN_SEGMENT_ROWS <= segment_rows <= MAX_SEGMENT_ROWS:
        raise VectorError(f"segment_rows: {segment_rows} is outside {MIN_SEGMENT_ROWS}..{MAX_SEGMENT_ROWS}")
    rows = as_rows(vectors, None, "vectors")
    ordered, order = sorted_ids(ids, len(rows))
    if labels is not None and len(labels) != len(rows):
        raise VectorError(f"labels: {len(labels)} for {len(rows)} vectors; give one each")
    keys = list(dict.fromkeys(preset_key(preset) for preset in presets))
    tell = progress or (lambda _: None)
    tell("quantising")
    quantiser = fit_quantiser(rows, normalised=normalise, limit=limit)
    coordinates = quantiser(rows)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        aside.mkdir()
        stored: list[StoredSegment] = []
        starts = range(0, len(rows), segment_rows)
        with backend() as device:
            for number, start in enumerate(starts):
                tell(f"committing segment {number + 1} of {len(starts)}")
                part = order[start : start + segment_rows]
                segment = make_segment(number, 1, ordered[start : start + segment_rows], coordinates[part])
                named = None if labels is None else pack_labels([labels[k] for k in part], len(part))
                stored.append(write_arrays(aside, leaf_of(segment, keys, device), segment, named))
        header = SnapshotHeader(
            quantiser.dimension, quantiser.limit, quantiser.scale, normalise, len(rows), len(stored)
        )
        write_manifest(aside, header, stored)
        os.rename(aside, target)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return Snapshot.open(target)


def leaf_of(segment: Segment, keys: Sequence[RootKey], device: Any) -> SegmentLeaf:
    """What the snapshot root says of a segment: row root, and column root under each key."""
    roots = tuple(ColumnRoot(key, column_root(segment, key, device)) for key in keys)
    return SegmentLeaf(segment.id, segment.version, segment.log_size, segment.rows, segment.row_tree().root, roots)
