"""How a snapshot lies on disk: memory-mapped arrays, and a manifest that names them with size and checksum.

snapshot.json                         header, segment leaves, files with size and blake3, root
segments/000000-v000001/columns.npy   (D, 2^n) int16, in storage order
                        ids.npy live.npy                        one entry a row, ids ascending
                        label_offsets.npy label_text.npy        (`labels`), if there are labels
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from air.statement import RootKey, StatementError
from air.statements.snapshot import CHANNELS, ColumnRoot, SegmentLeaf, SnapshotHeader, snapshot_root
from octoproof.vectors.errors import SnapshotError
from octoproof.vectors.labels import Labels
from octoproof.vectors.segment import Segment
from verifier.errors import ParseError
from verifier.strict import fields, integer, items, load_json, string

MANIFEST = "snapshot.json"
FORMAT = 1
MAX_MANIFEST_BYTES = 64 << 20
_ARRAYS = {"columns.npy", "ids.npy", "live.npy"}
_LABELS = {"label_offsets.npy", "label_text.npy"}


@dataclass(frozen=True)
class StoredSegment:
    """A segment's leaf with the folder that holds its arrays."""

    leaf: SegmentLeaf
    folder: Path
    files: dict[str, tuple[int, str]] = field(repr=False)  # name: bytes, blake3

    @cached_property
    def segment(self) -> Segment:
        """The arrays, memory-mapped. Raises SnapshotError where they are not those of the leaf."""
        ids, live, columns = (self._array(name) for name in ("ids.npy", "live.npy", "columns.npy"))
        leaf = self.leaf
        shapes = ids.shape == live.shape == (leaf.rows,) and columns.shape[1:] == (1 << leaf.log_size,)
        if not shapes or (ids.dtype, live.dtype, columns.dtype) != (np.int64, np.bool_, np.int16):
            raise SnapshotError(f"{self.folder}: arrays of another shape than the manifest says; restore the folder")
        return Segment(leaf.id, leaf.version, ids, live, columns)

    @cached_property
    def labels(self) -> Labels | None:
        if "label_text.npy" not in self.files:
            return None
        labels = Labels(self._array("label_offsets.npy"), self._array("label_text.npy"))
        if labels.offsets.shape != (self.leaf.rows + 1,) or labels.offsets.dtype != np.uint64:
            raise SnapshotError(f"{self.folder}: labels of another number than the manifest says; restore the folder")
        return labels

    def row_of(self, id: int) -> int | None:
        """The live row of an id."""
        ids = self.segment.ids
        row = int(np.searchsorted(ids, id))
        found = row < len(ids) and int(ids[row]) == id and bool(self.segment.live[row])
        return row if found else None

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
            return np.load(path, mmap_mode="r" if self.files[name][0] > 1024 else None, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise SnapshotError(f"{path}: damaged ({error}); restore the folder") from None


def write_arrays(folder: Path, leaf: SegmentLeaf, segment: Segment, labels: Labels | None) -> StoredSegment:
    """Writes a segment's folder below `folder`, which is not a snapshot yet. Raises OSError."""
    path = folder / _folder_of(leaf)
    path.mkdir(parents=True)
    arrays: dict[str, npt.NDArray[Any]] = {
        "columns.npy": segment.columns,
        "ids.npy": segment.ids,
        "live.npy": segment.live,
    }
    if labels is not None:
        arrays |= {"label_offsets.npy": labels.offsets, "label_text.npy": labels.text}
    files = {}
    for name, array in arrays.items():
        with open(path / name, "xb") as file:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())
        files[name] = ((path / name).stat().st_size, _blake3(path / name))
    return StoredSegment(leaf, path, files)


def write_manifest(folder: Path, header: SnapshotHeader, stored: Sequence[StoredSegment]) -> None:
    """Written last: with it, the folder is a snapshot. Raises OSError."""
    document = {
        "format": FORMAT,
        "root": snapshot_root(header, [s.leaf for s in stored]).hex(),
        "header": {
            "dimension": header.dimension,
            "limit": header.limit,
            "scale": header.scale,
            "normalised": int(header.normalised),
            "rows": header.rows,
        },
        "segments": [_segment_document(s) for s in stored],
    }
    with open(folder / MANIFEST, "x") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _segment_document(stored: StoredSegment) -> dict[str, Any]:
    leaf = stored.leaf
    return {
        "id": leaf.id,
        "version": leaf.version,
        "log_size": leaf.log_size,
        "rows": leaf.rows,
        "row_root": leaf.row_root.hex(),
        "column_roots": [
            {
                "channel": item.key.channel,
                "log_blowup_factor": item.key.log_blowup_factor,
                "lifting_log_size": item.key.lifting_log_size or 0,
                "root": item.root.hex(),
            }
            for item in leaf.column_roots
        ],
        "files": [
            {"name": name, "bytes": size, "blake3": digest} for name, (size, digest) in sorted(stored.files.items())
        ],
    }


def read_manifest(folder: Path) -> tuple[SnapshotHeader, tuple[StoredSegment, ...], bytes]:
    """Header, segments and root, the root recomputed. Raises OSError, ParseError, SnapshotError."""
    path = folder / MANIFEST
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise ParseError(f"{path}: more than the {MAX_MANIFEST_BYTES} bytes that are read")
    document = fields(load_json(path.read_bytes(), str(path), MAX_MANIFEST_BYTES), str(path), _MANIFEST_FIELDS)
    if (version := integer(document["format"], "format")) != FORMAT:
        raise ParseError(f"{path}: format {version}, this reads {FORMAT}; update the program")
    head = fields(document["header"], "header", _HEADER_FIELDS)
    dimension, limit, scale, normalised, rows = (integer(head[k], f"header.{k}") for k in _HEADER_FIELDS)
    segments = tuple(_stored(folder, item) for item in items(document["segments"], "segments"))
    header = SnapshotHeader(dimension, limit, scale, bool(normalised), rows, len(segments))
    try:
        header.check()
        for stored in segments:
            stored.leaf.check()
        root = snapshot_root(header, [stored.leaf for stored in segments])
    except StatementError as error:
        raise SnapshotError(f"{path}: {error}") from None
    if root.hex() != document["root"]:
        raise SnapshotError(f"{path}: root: not that of this header and these segments; restore the folder")
    return header, segments, root


_MANIFEST_FIELDS = ("format", "root", "header", "segments")
_HEADER_FIELDS = ("dimension", "limit", "scale", "normalised", "rows")
_LEAF_FIELDS = ("id", "version", "log_size", "rows")
_KEY_FIELDS = ("log_blowup_factor", "lifting_log_size")


def _stored(folder: Path, value: Any) -> StoredSegment:
    doc = fields(value, "segments", (*_LEAF_FIELDS, "row_root", "column_roots", "files"))
    id, version, log_size, rows = (integer(doc[k], f"segments.{k}") for k in _LEAF_FIELDS)
    roots = tuple(_column_root(item) for item in items(doc["column_roots"], "segments.column_roots"))
    leaf = SegmentLeaf(id, version, log_size, rows, _hash(doc["row_root"], "segments.row_root"), roots)
    files = {}
    for item in items(doc["files"], "segments.files"):
        entry = fields(item, "segments.files", ("name", "bytes", "blake3"))
        name = string(entry["name"], "segments.files.name")
        files[name] = integer(entry["bytes"], "segments.files.bytes"), string(entry["blake3"], "segments.files.blake3")
    if set(files) not in (_ARRAYS, _ARRAYS | _LABELS):
        raise ParseError(f"segments.files: {', '.join(files)[:200]} are not the files of a segment")
    return StoredSegment(leaf, folder / _folder_of(leaf), files)


def _column_root(value: Any) -> ColumnRoot:
    doc = fields(value, "segments.column_roots", ("channel", *_KEY_FIELDS, "root"))
    channel = string(doc["channel"], "segments.column_roots.channel")
    if channel not in CHANNELS:
        raise ParseError(f"segments.column_roots.channel: {channel!r:.40} is unknown")
    blowup, lifting = (integer(doc[k], f"segments.column_roots.{k}") for k in _KEY_FIELDS)
    return ColumnRoot(RootKey(channel, blowup, lifting or None), _hash(doc["root"], "segments.column_roots.root"))


def _hash(value: Any, where: str) -> bytes:
    text = string(value, where)
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32 or raw.hex() != text:
        raise ParseError(f"{where}: not 64 hexadecimal digits")
    return raw


def _folder_of(leaf: SegmentLeaf) -> str:
    return f"segments/{leaf.id:06}-v{leaf.version:06}"


def _blake3(path: Path) -> str:
    hasher = blake3()
    hasher.update_mmap(path)
    return hasher.hexdigest()
