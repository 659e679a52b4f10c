"""How a segment lies on disk: memory-mapped arrays in a folder of their own, written once and never changed.

segments/000000-v000001/columns.npy        (D, 2^n) int16, in storage order
                        norms.npy          (2^n,) int32, |x|^2, in storage order
                        ids.npy live.npy   one entry a row, ids ascending
                        codes.npy          (F, rows) uint32
                        rowtree.npy        (nodes, 32) uint8, leaves first
                        floats.npy         (rows, D) float32, where the original numbers are kept
                        label_offsets.npy label_text.npy    (`labels`), if there are labels

A version that differs from the one before in a few files shares the others with it, as hard links.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from air.statements.snapshot import SegmentLeaf
from octoproof.vectors.errors import SnapshotError
from octoproof.vectors.labels import Labels
from octoproof.vectors.rowtree import NATIVE, STOOLAP, RowTree
from octoproof.vectors.segment import Segment

SEGMENTS = "segments"
ALWAYS = {"columns.npy", "norms.npy", "ids.npy", "live.npy", "codes.npy", "rowtree.npy"}
FLOATS, LABELS = {"floats.npy"}, {"label_offsets.npy", "label_text.npy"}


@dataclass(frozen=True)
class StoredSegment:
    """A segment's leaf with the folder that holds its arrays. Everything is mapped when it is first used."""

    leaf: SegmentLeaf
    folder: Path
    files: Mapping[str, tuple[int, str]] = field(repr=False)  # name: bytes, blake3

    @cached_property
    def segment(self) -> Segment:
        """Raises SnapshotError where the arrays are not those of the leaf."""
        leaf = self.leaf
        names = ("ids", "live", "columns", "norms", "codes")
        ids, live, columns, norms, codes = (self._array(f"{name}.npy") for name in names)
        floats = self._array("floats.npy") if "floats.npy" in self.files else None
        size = 1 << leaf.log_size
        shapes = ids.shape == live.shape == (leaf.rows,) and columns.shape[1:] == norms.shape == (size,)
        shapes = shapes and codes.shape[1:] == (leaf.rows,)
        shapes = shapes and (floats is None or floats.shape == (leaf.rows, len(columns)))
        kinds = (
            ids.dtype,
            live.dtype,
            columns.dtype,
            norms.dtype,
            codes.dtype,
            np.float32 if floats is None else floats.dtype,
        )
        if not shapes or kinds != (np.int64, np.bool_, np.int16, np.int32, np.uint32, np.float32):
            raise SnapshotError(f"{self.folder}: arrays of another shape than the manifest says; restore the folder")
        return Segment(leaf.id, leaf.version, ids, live, columns, norms, codes, floats, self._labels())

    def _labels(self) -> Labels | None:
        if "label_text.npy" not in self.files:
            return None
        labels = Labels(self._array("label_offsets.npy"), self._array("label_text.npy"))
        if labels.offsets.shape != (self.leaf.rows + 1,) or labels.offsets.dtype != np.uint64:
            raise SnapshotError(f"{self.folder}: labels of another number than the manifest says; restore the folder")
        return labels

    def row_tree(self, rule: str) -> RowTree:
        """The tree under the leaf's row root. Raises SnapshotError where the file is not that tree."""
        kind, size = (STOOLAP, self.leaf.live) if rule == STOOLAP.name else (NATIVE, self.leaf.rows)
        try:
            tree = RowTree(self._array("rowtree.npy"), size, kind)
        except ValueError as error:
            raise SnapshotError(f"{self.folder}: rowtree.npy: {error}; restore the folder") from None
        if tree.root != self.leaf.row_root:
            raise SnapshotError(f"{self.folder}: rowtree.npy: not the tree of the row root; restore the folder")
        return tree

    @property
    def bytes(self) -> int:
        return sum(size for size, _ in self.files.values())

    def damaged(self) -> str | None:
        """The first file that differs from the manifest."""
        for name, (size, digest) in self.files.items():
            path = self.folder / name
            if not path.is_file() or path.stat().st_size != size or _blake3(path) != digest:
                return str(path)
        return None

    def _array(self, name: str) -> Any:
        path = self.folder / name
        try:
            # An empty array cannot be mapped.
            array = np.load(path, mmap_mode="r" if self.files[name][0] > 1024 else None, allow_pickle=False)
        except (ValueError, EOFError, BadZipFile) as error:
            raise SnapshotError(f"{path}: damaged ({error}); restore the folder") from None
        if not isinstance(array, np.ndarray):  # an archive of arrays
            raise SnapshotError(f"{path}: damaged (no array); restore the folder")
        return array


def folder_name(id: int, version: int) -> str:
    """The name of a segment version's folder."""
    return f"{id:06}-v{version:06}"


def write_segment(
    folder: Path, leaf: SegmentLeaf, segment: Segment, tree: RowTree, before: StoredSegment | None = None
) -> StoredSegment:
    """Writes a segment version below `folder`: aside, then renamed. Files that `before` has alike are linked.

    Raises OSError. No manifest names the folder yet: if the program is killed here, the next writer removes it."""
    path = folder / SEGMENTS / folder_name(leaf.id, leaf.version)
    aside = path.with_name(f".{path.name}.part")
    for stale in (aside, path):  # left by a writer that was killed: no manifest names them
        shutil.rmtree(stale, ignore_errors=True)
    aside.mkdir(parents=True)
    arrays: dict[str, npt.NDArray[Any]] = {
        "columns.npy": segment.columns,
        "norms.npy": segment.norms,
        "ids.npy": segment.ids,
        "live.npy": segment.live,
        "codes.npy": segment.codes,
        "rowtree.npy": tree.nodes,
    }
    if segment.floats is not None:
        arrays["floats.npy"] = segment.floats
    if segment.labels is not None:
        arrays |= {"label_offsets.npy": segment.labels.offsets, "label_text.npy": segment.labels.text}
    shared = _shared(arrays, before)
    files = {}
    for name, array in arrays.items():
        if before is not None and name in shared:
            _link(before.folder / name, aside / name)
            files[name] = before.files[name]
            continue
        with open(aside / name, "xb") as file:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())
        files[name] = ((aside / name).stat().st_size, _blake3(aside / name))
    sync_folder(aside)
    os.rename(aside, path)
    sync_folder(path.parent)
    return StoredSegment(leaf, path, files)


def _shared(arrays: Mapping[str, npt.NDArray[Any]], before: StoredSegment | None) -> set[str]:
    """Names of files that the version before holds as the very same arrays."""
    if before is None:
        return set()
    old = before.segment
    same = {
        "columns.npy": old.columns,
        "norms.npy": old.norms,
        "ids.npy": old.ids,
        "codes.npy": old.codes,
        "floats.npy": old.floats,
    }
    if old.labels is not None:
        same |= {"label_offsets.npy": old.labels.offsets, "label_text.npy": old.labels.text}
    return {name for name, array in arrays.items() if same.get(name) is array}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def sync_folder(folder: Path) -> None:
    """Makes what was made or renamed in a folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _blake3(path: Path) -> str:
    hasher = blake3()
    hasher.update_mmap(path)
    return hasher.hexdigest()
