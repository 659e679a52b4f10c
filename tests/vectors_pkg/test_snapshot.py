"""Snapshots on disk: what is opened is what was committed, and every kind of damage is found."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octoproof.vectors.errors import SnapshotError, VectorError
from octoproof.vectors.segment import squared_lengths
from octoproof.vectors.snapshot import Snapshot
from octoproof.vectors.store import ALWAYS, FLOATS, LABELS, StoredSegment, folder_name, write_segment
from verifier.errors import ParseError

RNG = np.random.default_rng(3)
VECTORS = RNG.normal(0, 1, (50, 4)).astype(np.float32)
IDS = RNG.permutation(1000)[:50]
TEXTS = [f"wörd {k % 5}" for k in range(50)]
FILES = sorted(ALWAYS | FLOATS | LABELS)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Snapshot:
    """Three segments, in the second version: one row is deleted."""
    folder = tmp_path_factory.mktemp("built") / "snapshot"
    first = Snapshot.build(VECTORS, folder, ids=IDS, labels=TEXTS, segment_rows=20, presets=("bench",))
    return first.delete([int(IDS[3])])


@pytest.fixture
def copy(built, tmp_path) -> Path:
    shutil.copytree(built.folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_what_is_opened_is_what_was_written(built):
    again = Snapshot.open(built.folder)
    assert again.manifest == replace(built.manifest, tree=again.manifest.tree)
    assert again.root == built.root
    for mine, theirs in zip(again.segments, built.segments, strict=True):
        for name in ("ids", "live", "columns", "norms", "codes", "floats"):
            assert np.array_equal(getattr(mine.segment, name), getattr(theirs.segment, name))
    assert Snapshot.open(str(built.folder)).number == 2


def test_arrays_are_mapped_not_read(built):
    """Opening a large snapshot takes no memory."""
    rows = np.zeros((3000, 4))
    snapshot = Snapshot.build(rows, built.folder.parent / "large", presets=("bench",))
    assert isinstance(snapshot.segments[0].segment.columns, np.memmap)


def test_the_files_of_a_segment(built):
    for stored in built.segments:
        assert sorted(path.name for path in stored.folder.iterdir()) == FILES == sorted(stored.files)
        assert stored.folder.name == folder_name(stored.leaf.id, stored.leaf.version)
        assert stored.bytes == sum(path.stat().st_size for path in stored.folder.iterdir())


# Versions


def test_versions_by_number(built):
    assert [Snapshot.open(built.folder, at=n).number for n in (1, 2)] == [1, 2]
    assert Snapshot.open(built.folder).number == 2
    for at in (0, 3, -1):
        with pytest.raises(VectorError, match=f"at: no version {at} of this snapshot; there are 1 to 2"):
            Snapshot.open(built.folder, at=at)


def test_no_folder_and_no_manifest(tmp_path):
    with pytest.raises(FileNotFoundError):
        Snapshot.open(tmp_path / "none")
    with pytest.raises(SnapshotError, match="no snapshot in this folder"):
        Snapshot.open(tmp_path)
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / ".000001.json.aa.part").write_text("{}")
    with pytest.raises(SnapshotError, match="no snapshot in this folder"):
        Snapshot.open(tmp_path)


# Damaged arrays


def array_files(folder: Path, name: str) -> list[Path]:
    return sorted(folder.rglob(name))


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_found(copy, name):
    for path in array_files(copy, name):
        data = path.read_bytes()
        path.unlink()  # a file may be linked to that of another version
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(SnapshotError, match=rf"{re.escape(name)}: differs from its checksum"):
        Snapshot.open(copy).check()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(copy, name):
    array_files(copy, name)[-1].unlink()
    with pytest.raises(SnapshotError, match=re.escape(name)):
        Snapshot.open(copy).check()


@pytest.mark.parametrize("data", [b"", b"no array", b"PK\x03\x04", "short", "zip"])
@pytest.mark.parametrize("name", ["columns.npy", "ids.npy", "label_text.npy"])
def test_a_file_that_is_no_array(copy, name, data):
    path = array_files(copy, name)[-1]
    whole = path.read_bytes()
    path.unlink()
    if data == "zip":  # numpy reads an archive as something else than an array
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("ids.npy", whole)
    else:
        path.write_bytes(whole[:-8] if data == "short" else data)
    with pytest.raises(SnapshotError, match=re.escape(name)):
        [stored.segment for stored in Snapshot.open(copy).segments]


def rewritten(folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Snapshot:
    """One array of the last segment is another one, and the manifest's checksum is adapted."""
    path = array_files(folder, name)[-1]
    array = change(np.load(path))
    path.unlink()
    np.save(path, array)
    snapshot = Snapshot.open(folder)
    *others, last = snapshot.manifest.segments
    from octoproof.vectors.store import _blake3

    files = {**last.files, name: (path.stat().st_size, _blake3(path))}
    segments = (*others, replace(last, files=files))
    return replace(snapshot, manifest=replace(snapshot.manifest, segments=segments))


def at(index: tuple[int, ...] | int, value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array[index] = value
        return array

    return change


BENT: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], str]] = {
    "ids twice": ("ids.npy", lambda ids: np.array([*ids[:1], *ids[:1], *ids[2:]]), "ids do not ascend"),
    "ids in another order": ("ids.npy", lambda ids: ids[::-1].copy(), "ids do not ascend"),
    "a negative id": ("ids.npy", at(0, -1), "ids do not ascend"),
    "an id of another segment": ("ids.npy", at(9, 999), "row root is another"),
    "another id": ("ids.npy", lambda ids: ids + 1, "row root is another"),
    "a deleted row": ("live.npy", at(0, False), "9 rows are live, the leaf says 10"),
    "a coordinate": ("columns.npy", at((0, 0), 17), "a squared length is not that of its row"),
    "a coordinate out of range": ("columns.npy", at((0, 0), 30000), "coordinates beyond"),
    "a length": ("norms.npy", lambda norms: norms + 1, "a squared length is not that of its row"),
    "a code": ("codes.npy", lambda codes: codes % 5 + 1, "row root is another"),
    "a code of no value": ("codes.npy", at((0, 0), 6), "a code beyond the dictionary of label"),
    "the row tree": ("rowtree.npy", at((-1, 0), 0), "rowtree.npy: not the tree of the row root"),
    "a leaf of the row tree": ("rowtree.npy", lambda nodes: nodes[:-1], "rowtree.npy: nodes"),
    "the type of ids": ("ids.npy", lambda ids: ids.astype(np.uint64), "arrays of another shape"),
    "the type of flags": ("live.npy", lambda live: live.astype(np.uint8), "arrays of another shape"),
    "fewer ids": ("ids.npy", lambda ids: ids[:-1], "arrays of another shape"),
    "fewer columns": ("columns.npy", lambda columns: columns[:-1], "arrays of another shape"),
    "longer columns": ("columns.npy", lambda columns: np.concatenate([columns] * 2, axis=1), "arrays of another shape"),
    "fewer codes": ("codes.npy", lambda codes: codes[:, :-1], "arrays of another shape"),
    "no codes": ("codes.npy", lambda codes: codes[:0], "codes of 0 fields, the snapshot has 1"),
    "fewer labels": ("label_offsets.npy", lambda offsets: offsets[:-1], "labels of another number"),
    "fewer floats": ("floats.npy", lambda floats: floats[:-1], "arrays of another shape"),
}


@pytest.mark.parametrize("name", BENT)
def test_arrays_that_are_not_the_committed_ones(copy, name):
    """Their checksums fit, so that only their content tells."""
    file, change, message = BENT[name]
    with pytest.raises(SnapshotError) as refused:
        rewritten(copy, file, change).check()
    assert message in str(refused.value)


def test_padding_that_is_not_zero(copy):
    """No row has it, so that no row root tells: the column root does."""

    def change(columns: np.ndarray) -> np.ndarray:
        last = Snapshot.open(copy).segments[-1].segment
        assert last.count == 10
        free = np.setdiff1d(np.arange(16), last.positions)
        columns[0, free[0]] = 5
        return columns

    snapshot = rewritten(copy, "columns.npy", change)
    norms = squared_lengths(snapshot.segments[-1].segment.columns)
    folder = snapshot.folder
    manifest = snapshot.manifest
    snapshot = rewritten(folder, "norms.npy", lambda _: norms)
    last = replace(
        snapshot.manifest.segments[-1],
        files={**snapshot.manifest.segments[-1].files, "columns.npy": manifest.segments[-1].files["columns.npy"]},
    )
    segments = (*snapshot.manifest.segments[:-1], last)
    with pytest.raises(SnapshotError, match="the column root is another"):
        replace(snapshot, manifest=replace(snapshot.manifest, segments=segments)).check()


def test_an_id_that_is_live_in_two_segments(copy):
    snapshot = Snapshot.open(copy)
    first, *others = snapshot.manifest.segments
    manifest = replace(snapshot.manifest, segments=(first, first, *others))
    with pytest.raises(SnapshotError, match="is live in another segment, too"):
        replace(snapshot, manifest=manifest).check()


def test_other_vectors_under_the_old_leaves_are_found(copy, tmp_path):
    """Files and checksums replaced together: only the roots tell."""
    bent = VECTORS.copy()
    bent[3] += 0.01
    options = {"ids": IDS, "labels": TEXTS, "segment_rows": 20, "presets": ("bench",)}
    other = Snapshot.build(bent, tmp_path / "other", **options).delete([int(IDS[3])])
    honest = Snapshot.open(copy)
    pairs = zip(other.segments, honest.segments, strict=True)
    forged = tuple(replace(theirs, leaf=mine.leaf) for theirs, mine in pairs)
    with pytest.raises(SnapshotError, match="row root is another"):
        replace(honest, manifest=replace(honest.manifest, segments=forged)).check()


# Manifests


def edited(folder: Path, change: Callable[[dict[str, Any]], object], number: int = 2) -> None:
    path = folder / "snapshots" / f"{number:06}.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


CONTRADICTIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "root": lambda d: d.update(root="00" * 32),
    "number": lambda d: d.update(number=1),
    "scale": lambda d: d["header"].update(scale=d["header"]["scale"] + 1),
    "limit": lambda d: d["header"].update(limit=1 << 20),
    "normalised": lambda d: d["header"].update(normalised=1),
    "cells": lambda d: d["header"].update(cells=2),
    "row rule": lambda d: d["header"].update(row_rule="stoolap"),
    "rows": lambda d: d["header"].update(rows=51),
    "live": lambda d: d["header"].update(live=50),
    "dimension": lambda d: d["header"].update(dimension=0),
    "row root": lambda d: d["segments"][0].update(row_root="11" * 32),
    "column root": lambda d: d["segments"][0]["column_roots"][0].update(root="11" * 32),
    "version": lambda d: d["segments"][1].update(version=2),
    "live rows of a segment": lambda d: d["segments"][0].update(live=20),
    "size of a segment": lambda d: d["segments"][0].update(log_size=6),
    "a segment left out": lambda d: d["segments"].pop(),
    "segments swapped": lambda d: d["segments"].reverse(),
    "a segment twice": lambda d: d["segments"].append(d["segments"][0]),
    "no segments": lambda d: d["segments"].clear(),
    "name of a field": lambda d: d["fields"][0].update(name="kind"),
    "no field": lambda d: d["fields"].clear(),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_manifest_that_contradicts_itself(copy, name):
    edited(copy, CONTRADICTIONS[name])
    with pytest.raises(SnapshotError):
        Snapshot.open(copy)
    assert Snapshot.open(copy, at=1).number == 1


UNREADABLE: dict[str, Callable[[dict[str, Any]], object]] = {
    "format": lambda d: d.update(format=1),
    "unknown field": lambda d: d.update(more=1),
    "missing field": lambda d: d["header"].pop("rows"),
    "no integer": lambda d: d["header"].update(rows="50"),
    "row rule": lambda d: d["header"].update(row_rule="sha256"),
    "no hash": lambda d: d["segments"][0].update(row_root="xyz"),
    "a short hash": lambda d: d["segments"][0].update(row_root="00"),
    "a hash in capitals": lambda d: d["segments"][0].update(row_root="AA" * 32),
    "a file elsewhere": lambda d: d["segments"][0]["files"].append({"name": "../x", "bytes": 1, "blake3": ""}),
    "a file less": lambda d: d["segments"][0]["files"].pop(0),
    "labels without their offsets": lambda d: d["segments"][0].update(
        files=[f for f in d["segments"][0]["files"] if f["name"] != "label_offsets.npy"]
    ),
    "channel": lambda d: d["segments"][0]["column_roots"][0].update(channel="md5"),
    "no rows a segment": lambda d: d.update(segment_rows=0),
    "a digest that is a path": lambda d: d["fields"][0].update(digest="../../secrets"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_manifest_that_is_none(copy, name):
    edited(copy, UNREADABLE[name])
    with pytest.raises(ParseError) as refused:
        Snapshot.open(copy)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2, "format": 2}', "1e9", "\0"])
def test_a_manifest_that_is_no_document(copy, text):
    (copy / "snapshots" / "000002.json").write_text(text)
    with pytest.raises(ParseError):
        Snapshot.open(copy)


def test_a_dictionary_that_is_another(copy):
    [path] = (copy / "dictionaries").iterdir()
    values = json.loads(path.read_text())
    path.write_text(json.dumps([*values, "more"]))
    with pytest.raises(SnapshotError, match="not the values of this digest"):
        Snapshot.open(copy)
    path.write_text(json.dumps({"values": values}))
    with pytest.raises(ParseError, match="values: must be a list"):
        Snapshot.open(copy)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        Snapshot.open(copy)


# Writing


def test_a_segment_left_by_a_killed_writer_is_replaced(built, tmp_path):
    stored: StoredSegment = built.segments[0]
    for name in (folder_name(0, 2), f".{folder_name(0, 2)}.part"):
        (tmp_path / "segments" / name).mkdir(parents=True)
        (tmp_path / "segments" / name / "junk").write_text("half")
    tree = stored.row_tree("native")
    written = write_segment(tmp_path, stored.leaf, stored.segment, tree)
    assert written.files == stored.files
    assert [path.name for path in (tmp_path / "segments").iterdir()] == [folder_name(0, 2)]
    assert sorted(path.name for path in written.folder.iterdir()) == FILES
    assert written.damaged() is None
    assert written.row_tree("native").root == tree.root


def test_files_are_copied_where_they_cannot_be_linked(built, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    shutil.copytree(built.folder, tmp_path / "copy")
    monkeypatch.setattr("os.link", refuse)
    after = Snapshot.open(tmp_path / "copy").delete([int(IDS[30])])
    after.check()
    assert after.segments[1].leaf.version == 2
    assert all(path.stat().st_nlink == 1 for path in after.segments[1].folder.iterdir())


@pytest.mark.parametrize("labels", [True, False])
def test_what_is_written_is_synchronised(labels, tmp_path, monkeypatch):
    """Every file and folder of a new version, whole, before the manifest that names it."""
    texts = {"labels": TEXTS[:3]} if labels else {}  # without fields, the array of codes is empty
    snapshot = Snapshot.build(VECTORS[:3], tmp_path / "snapshot", presets=("bench",), **texts)
    seen: dict[str, int] = {}

    def sync(descriptor: int) -> None:
        seen[Path(f"/proc/self/fd/{descriptor}").readlink().name] = os.fstat(descriptor).st_size

    monkeypatch.setattr("os.fsync", sync)
    after = snapshot.append(VECTORS[:3], **texts)
    files = {name: size for name, (size, _) in after.segments[1].files.items()}
    assert {name: seen[name] for name in files} == files
    *before, manifest, folder = seen
    assert [name for name in before if name not in files] == [".000001-v000001.part", "segments"]
    assert manifest.startswith(".000002.json")
    assert seen[manifest] == (after.folder / "snapshots" / "000002.json").stat().st_size
    assert folder == "snapshots"
