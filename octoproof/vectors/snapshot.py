"""Snapshots: committed sets of vectors in a folder (`manifest`, `store`), opened, checked, changed and asked.

The root (`air.statements.snapshot`) is recomputed from the manifest on opening; the data are compared with it by
`check`, and by every proof.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from air.statement import RootKey
from air.statements.snapshot import PlacedSegment, SnapshotHeader
from octoproof.vectors.errors import VectorError
from octoproof.vectors.manifest import Manifest, numbers, read_manifest
from octoproof.vectors.payload import Dictionary
from octoproof.vectors.quantise import Quantiser
from octoproof.vectors.store import StoredSegment
from verifier.config import PRESETS

if TYPE_CHECKING:
    from octoproof.vectors.answers import Result

CHANNEL = "blake2s"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot version. It never changes: `append`, `delete` and `compact` return the next one."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | os.PathLike[str], at: int | None = None) -> Snapshot:
        """The current version, or the one numbered `at`.

        Raises OSError, ParseError for a manifest that is none, SnapshotError for one that contradicts itself."""
        path = Path(folder)
        known = numbers(path)
        if at is not None and at not in known:
            raise VectorError(f"at: no version {at} of this snapshot; there are {known[0]} to {known[-1]}")
        return cls(path, read_manifest(path, known[-1] if at is None else at))

    @classmethod
    def build(cls, vectors: Any, folder: str | os.PathLike[str], **options: Any) -> Snapshot:
        """Commits vectors into a new folder; `octoproof.vectors.build.build_snapshot` has the options."""
        from octoproof.vectors.build import build_snapshot

        return build_snapshot(vectors, folder, **options)

    @property
    def header(self) -> SnapshotHeader:
        return self.manifest.header

    @property
    def root(self) -> bytes:
        return self.manifest.root

    @property
    def number(self) -> int:
        """Which version of the snapshot this is, from 1."""
        return self.manifest.number

    @property
    def dictionaries(self) -> tuple[Dictionary, ...]:
        return self.manifest.dictionaries

    @property
    def segments(self) -> tuple[StoredSegment, ...]:
        """Those that hold rows."""
        return self.manifest.segments[self.header.first_rows :]

    @property
    def centroids(self) -> StoredSegment:
        """The segment of the cells' centroids. Raises VectorError without an index of cells."""
        if not self.header.cells:
            raise VectorError("mode: ivf needs a snapshot with cells; build one with --cells")
        return self.manifest.segments[0]

    @cached_property
    def quantiser(self) -> Quantiser:
        return Quantiser(self.header.dimension, self.header.scale, self.header.normalised)

    def placed(self, stored: StoredSegment) -> PlacedSegment:
        """The segment's leaf with its path to the root."""
        index = self._indices[stored.leaf.id]
        return PlacedSegment(index, stored.leaf, self.manifest.tree.path(index))

    @cached_property
    def _indices(self) -> dict[int, int]:
        return {stored.leaf.id: index for index, stored in enumerate(self.manifest.segments)}

    def locate(self, id: int) -> tuple[StoredSegment, int] | None:
        """The segment and row of a live vector."""
        for stored in self.segments:
            if (row := stored.segment.row_of(id)) is not None:
                return stored, row
        return None

    def append(self, vectors: Any, **options: Any) -> Snapshot:
        """The next version, with more vectors; `octoproof.vectors.change.append` has the options."""
        from octoproof.vectors.change import append

        return append(self.folder, vectors, **options)

    def delete(self, ids: Iterable[int], **options: Any) -> Snapshot:
        """The next version, without the vectors of these ids; `octoproof.vectors.change.delete` has the options."""
        from octoproof.vectors.change import delete

        return delete(self.folder, ids, **options)

    def compact(self, **options: Any) -> Snapshot:
        """The next version, rewritten as `policy` says; `octoproof.vectors.change.compact` has the options."""
        from octoproof.vectors.change import compact

        return compact(self.folder, **options)

    def query(self, vector: npt.ArrayLike | None = None, **options: Any) -> Result:
        """The nearest vectors, with a receipt if `prove`; `octoproof.vectors.answers.query` has the options."""
        from octoproof.vectors.answers import query

        return query(self, vector, **options)

    def check(self, progress: Progress | None = None) -> None:
        """Recomputes everything from the arrays: checksums, ids, coordinates, codes, row roots, column roots.

        Raises SnapshotError naming the first thing that differs."""
        from octoproof.vectors.check import check_snapshot

        check_snapshot(self, progress)


def preset_key(preset: str) -> RootKey:
    """What a preset's column roots depend on. Raises VectorError for an unknown preset."""
    if preset not in PRESETS:
        raise VectorError(f"preset: {preset!r:.40} is not one of {', '.join(PRESETS)}")
    return RootKey(CHANNEL, PRESETS[preset].log_blowup_factor, PRESETS[preset].lifting_log_size)
