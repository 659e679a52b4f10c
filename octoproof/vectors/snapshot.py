"""Snapshots: committed sets of vectors in a folder (`store`), opened and checked; `build` makes them.

The root (`air.statements.snapshot`) is recomputed from the manifest on opening; the data are compared with it by
`check`, and by every proof.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from air.statement import RootKey
from air.statements.snapshot import SnapshotHeader
from octoproof.device import backend
from octoproof.vectors.commit import column_root
from octoproof.vectors.errors import SnapshotError, VectorError
from octoproof.vectors.quantise import Quantiser
from octoproof.vectors.segment import Segment
from octoproof.vectors.store import StoredSegment, read_manifest
from verifier.config import PRESETS

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
    def build(cls, vectors: npt.ArrayLike, folder: str | os.PathLike[str], **options: Any) -> Snapshot:
        """Commits vectors into a new folder; `octoproof.vectors.build.build_snapshot` has the options."""
        from octoproof.vectors.build import build_snapshot

        return build_snapshot(vectors, folder, **options)

    def check(self, progress: Progress | None = None) -> None:
        """Recomputes everything from the arrays: checksums, ids, coordinates, row roots, column roots.

        Raises SnapshotError naming the first thing that differs."""
        with backend() as device:
            self._check(device, progress)

    def _check(self, device: Any, progress: Progress | None) -> None:
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
            if segment.dimension != self.header.dimension or not _within(segment, self.header.limit):
                raise SnapshotError(f"{where}: coordinates beyond +-{self.header.limit}, or of another dimension")
            if segment.row_tree().root != stored.leaf.row_root:
                raise SnapshotError(f"{where}: the row root is another")
            for item in stored.leaf.column_roots:
                if column_root(segment, item.key, device) != item.root:
                    raise SnapshotError(f"{where}: the column root is another")


def _within(segment: Segment, limit: int) -> bool:
    return -limit <= int(segment.columns.min()) and int(segment.columns.max()) <= limit


def preset_key(preset: str) -> RootKey:
    """What a preset's column roots depend on. Raises VectorError for an unknown preset."""
    if preset not in PRESETS:
        raise VectorError(f"preset: {preset!r:.40} is not one of {', '.join(PRESETS)}")
    return RootKey(CHANNEL, PRESETS[preset].log_blowup_factor, PRESETS[preset].lifting_log_size)
