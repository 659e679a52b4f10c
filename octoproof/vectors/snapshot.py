"""Snapshots: committed sets of vectors in a folder (`store`), built, opened and checked.

A snapshot is whole or absent: `build` writes a folder aside and renames it. The root (`air.statements.snapshot`) is
recomputed from the manifest on opening; the data are compared with it by `check`, and by every proof.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from air.statement import RootKey
from air.statements.snapshot import ColumnRoot, SegmentLeaf, SnapshotHeader
from octoproof.vectors.errors import SnapshotError, VectorError
from octoproof.vectors.labels import pack_labels
from octoproof.vectors.quantise import Quantiser, as_rows, fit_quantiser
from octoproof.vectors.segment import Segment, make_segment, sorted_ids
from octoproof.vectors.store import StoredSegment, read_manifest, write_arrays, write_manifest
from verifier.config import PRESETS

SEGMENT_ROWS = 1 << 16
CHANNEL = "blake2s"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot. `root` has been recomputed from header and leaves."""

    folder: Path
    header: SnapshotHeader
    segments: tuple[StoredSegment, ...]
    root: bytes

    @property
    def quantiser(self) -> Quantiser:
        return Quantiser(self.header.dimension, self.header.scale, self.header.normalised)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Snapshot:
        """Raises OSError, ParseError for a manifest that is none, SnapshotError for one that contradicts itself."""
        path = Path(folder)
        header, segments, root = read_manifest(path)
        return cls(path, header, segments, root)

    @classmethod
    def build(
        cls,
        vectors: npt.ArrayLike,
        folder: str | os.PathLike[str],
        *,
        ids: npt.ArrayLike | None = None,
        labels: Sequence[object] | npt.NDArray[np.generic] | None = None,
        normalise: bool = False,
        limit: float | None = None,
        segment_rows: int = SEGMENT_ROWS,
        presets: Sequence[str] = ("standard",),
        progress: Progress | None = None,
    ) -> Snapshot:
        """Quantises (N, D) vectors, splits them into segments by ascending id, commits these, writes the folder.

        `ids` default to 0, 1, 2 ...; `limit` is the largest coordinate that a later vector or query may have. Raises
        VectorError for data that cannot be used or a folder that exists, OSError; nothing is left behind then."""
        target = Path(folder)
        if target.exists():
            raise VectorError(f"{target}: exists already; choose another folder or remove it")
        if not 16 <= segment_rows <= 1 << 24:
            raise VectorError(f"segment_rows: {segment_rows} is outside 16..{1 << 24}")
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
            stored = []
            starts = range(0, len(rows), segment_rows)
            for number, start in enumerate(starts):
                tell(f"committing segment {number + 1} of {len(starts)}")
                part = order[start : start + segment_rows]
                segment = make_segment(number, 1, ordered[start : start + segment_rows], coordinates[part])
                named = None if labels is None else pack_labels([labels[k] for k in part], len(part))
                stored.append(write_arrays(aside, leaf_of(segment, keys), segment, named))
            header = SnapshotHeader(
                quantiser.dimension, quantiser.limit, quantiser.scale, normalise, len(rows), len(stored)
            )
            write_manifest(aside, header, stored)
            os.rename(aside, target)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return cls.open(target)

    def check(self, progress: Progress | None = None) -> None:
        """Recomputes everything from the arrays: checksums, ids, coordinates, row roots, column roots.

        Raises SnapshotError naming the first thing that differs."""
        last = -1
        for number, stored in enumerate(self.segments):
            if progress:
                progress(f"segment {number + 1} of {len(self.segments)}")
            if (path := stored.damaged()) is not None:
                raise SnapshotError(f"{path}: differs from its checksum; restore it")
            segment, where = stored.segment, f"{stored.folder}"
            ids = segment.ids
            if int(ids[0]) <= last or (ids[1:] <= ids[:-1]).any():
                raise SnapshotError(f"{where}: ids do not ascend")
            last = int(ids[-1])
            if segment.dimension != self.header.dimension or np.abs(segment.columns).max() > self.header.limit:
                raise SnapshotError(f"{where}: coordinates beyond {self.header.limit}, or of another dimension")
            if segment.row_tree().root != stored.leaf.row_root:
                raise SnapshotError(f"{where}: the row root is another")
            for item in stored.leaf.column_roots:
                if column_root(segment, item.key) != item.root:
                    raise SnapshotError(f"{where}: the column root is another")


def preset_key(preset: str) -> RootKey:
    """What a preset's column roots depend on. Raises VectorError for an unknown preset."""
    if preset not in PRESETS:
        raise VectorError(f"preset: {preset!r:.40} is not one of {', '.join(PRESETS)}")
    return RootKey(CHANNEL, PRESETS[preset].log_blowup_factor, PRESETS[preset].lifting_log_size)


def column_root(segment: Segment, key: RootKey) -> bytes:
    """The root of the segment's tree 0, 32 bytes."""
    from octoproof.vectors.commit import commit_segment  # compiles kernels: only who commits pays for it

    return commit_segment(segment, key)[1]


def leaf_of(segment: Segment, keys: Sequence[RootKey]) -> SegmentLeaf:
    """What the snapshot root says of a segment: row root, and column root under each key."""
    roots = tuple(ColumnRoot(key, column_root(segment, key)) for key in keys)
    return SegmentLeaf(segment.id, segment.version, segment.log_size, segment.rows, segment.row_tree().root, roots)
