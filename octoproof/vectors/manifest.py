"""Manifests: one JSON document a snapshot version, which names everything that belongs to it.

snapshots/000001.json      header, segment leaves with the size and blake3 of their files, root
dictionaries/DIGEST.json   the values of a payload field
segments/...               (`store`)
certificates/DIGEST        the certificate of the segment with this leaf digest (`certify`)
lock                       held by who writes

The manifest of the highest number is the current snapshot. It is written last and by renaming, so that a snapshot is
there whole or not at all; earlier ones stay, and stay queryable.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from air.statement import RootKey, StatementError
from air.statements.snapshot import CHANNELS, ROW_RULES, ColumnRoot, SegmentLeaf, SnapshotHeader, SnapshotTree
from octoproof.files import write_atomically
from octoproof.vectors.errors import SnapshotError
from octoproof.vectors.payload import Dictionary
from octoproof.vectors.store import ALWAYS, FLOATS, LABELS, SEGMENTS, StoredSegment, folder_name
from verifier.errors import ParseError
from verifier.strict import fields, integer, items, load_json, string

SNAPSHOTS, DICTIONARIES = "snapshots", "dictionaries"
FORMAT = 2
MAX_MANIFEST_BYTES = 256 << 20


@dataclass(frozen=True)
class Manifest:
    """One snapshot version. `segment_rows` is how many rows a full segment has; `tree` is over all leaves."""

    number: int
    header: SnapshotHeader
    dictionaries: tuple[Dictionary, ...]
    segments: tuple[StoredSegment, ...]
    segment_rows: int
    tree: SnapshotTree

    @property
    def root(self) -> bytes:
        return self.tree.root


def new_manifest(
    number: int,
    header: SnapshotHeader,
    dictionaries: Sequence[Dictionary],
    segments: Sequence[StoredSegment],
    segment_rows: int,
) -> Manifest:
    """Raises StatementError where the header does not fit the segments."""
    header.check()
    for stored in segments:
        stored.leaf.check()
    tree = SnapshotTree(header, [stored.leaf for stored in segments])
    return Manifest(number, header, tuple(dictionaries), tuple(segments), segment_rows, tree)


def numbers(folder: Path) -> list[int]:
    """The versions of a snapshot that there are, ascending. Raises SnapshotError if there is none."""
    found = sorted(int(path.stem) for path in (folder / SNAPSHOTS).glob("[0-9]*.json") if path.stem.isdecimal())
    if not found:
        if not folder.is_dir():
            raise FileNotFoundError(2, "No such file or directory", str(folder))
        raise SnapshotError(f"{folder}: no snapshot in this folder; make one with `octoproof snapshot build`")
    return found


def manifest_path(folder: Path, number: int) -> Path:
    return folder / SNAPSHOTS / f"{number:06}.json"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes dictionaries, then the manifest: with it, the snapshot is there. Raises OSError."""
    for name in (SNAPSHOTS, DICTIONARIES):
        (folder / name).mkdir(exist_ok=True)
    for item in manifest.dictionaries:
        path = folder / DICTIONARIES / f"{item.field.digest.hex()}.json"
        if not path.exists():
            write_atomically(path, json.dumps(list(item.values), ensure_ascii=False))
    document = {
        "format": FORMAT,
        "number": manifest.number,
        "root": manifest.root.hex(),
        "segment_rows": manifest.segment_rows,
        "header": {name: int(getattr(manifest.header, name)) for name in _HEADER_NUMBERS}
        | {"row_rule": manifest.header.row_rule},
        "fields": [{"name": item.name, "digest": item.field.digest.hex()} for item in manifest.dictionaries],
        "segments": [_segment_document(stored) for stored in manifest.segments],
    }
    write_atomically(manifest_path(folder, manifest.number), json.dumps(document, indent=1))


def read_manifest(folder: Path, number: int) -> Manifest:
    """One version, its root recomputed. Raises OSError, ParseError, SnapshotError."""
    path = manifest_path(folder, number)
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise ParseError(f"{path}: more than the {MAX_MANIFEST_BYTES} bytes that are read")
    document = fields(load_json(path.read_bytes(), str(path), MAX_MANIFEST_BYTES), str(path), _MANIFEST_FIELDS)
    if (version := integer(document["format"], "format")) != FORMAT:
        raise ParseError(f"{path}: format {version}, this reads {FORMAT}; build the snapshot anew")
    head = fields(document["header"], "header", (*_HEADER_NUMBERS, "row_rule"))
    known = {name: integer(head[name], f"header.{name}") for name in _HEADER_NUMBERS}
    if known["normalised"] not in (0, 1):
        raise ParseError(f"{path}: header.normalised: {known['normalised']} is neither 0 nor 1")
    if (rule := string(head["row_rule"], "header.row_rule")) not in ROW_RULES:
        raise ParseError(f"{path}: header.row_rule: {rule!r:.40} is unknown")
    if (segment_rows := integer(document["segment_rows"], "segment_rows")) < 1:
        raise ParseError(f"{path}: segment_rows: {segment_rows} is not positive")
    dictionaries = tuple(_dictionary(folder, item) for item in items(document["fields"], "fields"))
    segments = tuple(_stored(folder, item) for item in items(document["segments"], "segments"))
    header = SnapshotHeader(
        **(known | {"normalised": bool(known["normalised"])}),
        row_rule=rule,
        fields=tuple(item.field for item in dictionaries),
        segments=len(segments),
    )
    try:
        manifest = new_manifest(number, header, dictionaries, segments, segment_rows)
    except StatementError as error:
        raise SnapshotError(f"{path}: {error}") from None
    if manifest.root.hex() != document["root"] or integer(document["number"], "number") != number:
        raise SnapshotError(f"{path}: root: not that of this header and these segments; restore the folder")
    return manifest


_MANIFEST_FIELDS = ("format", "number", "root", "segment_rows", "header", "fields", "segments")
_HEADER_NUMBERS = ("dimension", "limit", "scale", "normalised", "cells", "rows", "live")
_LEAF_NUMBERS = ("id", "version", "log_size", "rows", "live")
_KEY_NUMBERS = ("log_blowup_factor", "lifting_log_size")


def _segment_document(stored: StoredSegment) -> dict[str, Any]:
    leaf = stored.leaf
    return {name: getattr(leaf, name) for name in _LEAF_NUMBERS} | {
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


def _stored(folder: Path, value: Any) -> StoredSegment:
    doc = fields(value, "segments", (*_LEAF_NUMBERS, "row_root", "column_roots", "files"))
    known = [integer(doc[k], f"segments.{k}") for k in _LEAF_NUMBERS]
    roots = tuple(_column_root(item) for item in items(doc["column_roots"], "segments.column_roots"))
    leaf = SegmentLeaf(*known, _hash(doc["row_root"], "segments.row_root"), roots)
    files = {}
    for item in items(doc["files"], "segments.files"):
        entry = fields(item, "segments.files", ("name", "bytes", "blake3"))
        name = string(entry["name"], "segments.files.name")
        if any(name <= other for other in files):
            raise ParseError("segments.files.name: names must ascend, each once")
        files[name] = integer(entry["bytes"], "segments.files.bytes"), string(entry["blake3"], "segments.files.blake3")
    if set(files) - FLOATS - LABELS != ALWAYS or len(LABELS & set(files)) == 1:
        raise ParseError(f"segments.files: {', '.join(files)[:200]} are not the files of a segment")
    return StoredSegment(leaf, folder / SEGMENTS / folder_name(leaf.id, leaf.version), files)


def _column_root(value: Any) -> ColumnRoot:
    doc = fields(value, "segments.column_roots", ("channel", *_KEY_NUMBERS, "root"))
    channel = string(doc["channel"], "segments.column_roots.channel")
    if channel not in CHANNELS:
        raise ParseError(f"segments.column_roots.channel: {channel!r:.40} is unknown")
    blowup, lifting = (integer(doc[k], f"segments.column_roots.{k}") for k in _KEY_NUMBERS)
    return ColumnRoot(RootKey(channel, blowup, lifting or None), _hash(doc["root"], "segments.column_roots.root"))


def _dictionary(folder: Path, value: Any) -> Dictionary:
    doc = fields(value, "fields", ("name", "digest"))
    digest = _hash(doc["digest"], "fields.digest")
    path = folder / DICTIONARIES / f"{digest.hex()}.json"
    document = load_json(path.read_bytes(), str(path), MAX_MANIFEST_BYTES)
    found = Dictionary(
        string(doc["name"], "fields.name"), tuple(string(v, str(path)) for v in items(document, "values"))
    )
    if found.field.digest != digest:
        raise SnapshotError(f"{path}: not the values of this digest; restore the file")
    return found


def _hash(value: Any, where: str) -> bytes:
    text = string(value, where)
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32 or raw.hex() != text:
        raise ParseError(f"{where}: not 64 hexadecimal digits")
    return raw
