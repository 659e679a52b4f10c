"""Snapshots on disk: what they hold, what is refused, and every kind of damage found."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from air.circle import to_rows
from air.field import P
from octoproof.vectors import build as building
from octoproof.vectors.build import build_snapshot
from octoproof.vectors.errors import SnapshotError, VectorError
from octoproof.vectors.load import load_arrays
from octoproof.vectors.segment import make_segment
from octoproof.vectors.snapshot import Snapshot, preset_key
from verifier.errors import ParseError

RNG = np.random.default_rng(3)
VECTORS = RNG.normal(0, 1, (50, 4))
IDS = RNG.permutation(1000)[:50]
LABELS = [f"wörd {k}" for k in range(50)]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Snapshot:
    folder = tmp_path_factory.mktemp("built") / "snapshot"
    return Snapshot.build(VECTORS, folder, ids=IDS, labels=LABELS, segment_rows=20)


@pytest.fixture
def copy(built, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(built.folder, folder)
    return folder


def test_what_it_holds(built):
    assert built.header.rows == 50
    assert [s.leaf.rows for s in built.segments] == [20, 20, 10]
    assert [s.leaf.log_size for s in built.segments] == [5, 5, 4]
    coordinates = built.quantiser(VECTORS)
    order = np.argsort(IDS)
    ids = np.concatenate([s.segment.ids for s in built.segments])
    assert ids.tolist() == IDS[order].tolist()
    assert np.concatenate([s.segment.vectors() for s in built.segments]).tolist() == coordinates[order].tolist()
    for stored in built.segments:
        for row, id in enumerate(stored.segment.ids):
            place = IDS.tolist().index(id)
            assert stored.row_of(int(id)) == row
            assert stored.labels[row] == LABELS[place]
            assert stored.labels.find(LABELS[place]) == row
            assert stored.segment.vector(row).tolist() == coordinates[place].tolist()
        assert stored.row_of(-1) is None
        assert stored.labels.find("wörd") is None
    built.check()


def test_the_same_input_gives_the_same_root(built, tmp_path):
    shuffled = RNG.permutation(50)
    again = build_snapshot(
        VECTORS[shuffled],
        tmp_path / "again",
        ids=IDS[shuffled],
        labels=[LABELS[k] for k in shuffled],
        segment_rows=20,
        presets=("standard", "stwo96", "bench"),
    )
    assert again.root == built.root
    changed = VECTORS.copy()
    changed[7, 1] += 0.01
    assert build_snapshot(changed, tmp_path / "changed", ids=IDS, segment_rows=20).root != built.root


def test_the_columns_of_tree_0():
    vectors = np.array([[3, -4], [-1, 0], [945, -945]], dtype=np.int16)
    segment = make_segment(0, 1, np.array([1, 2**21 + 5, 2**62]), vectors)
    columns = [to_rows(c)[:4].tolist() for c in segment.tree0()]
    assert columns == [
        [3, P - 1, 945, 0],
        [P - 4, 0, P - 945, 0],
        [25, 1, 2 * 945**2, 0],
        [1, 5, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 2**20, 0],
        [1, 1, 1, 0],
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ids": np.zeros(50, dtype=int)}, "ids: 0 appears twice"),
        ({"ids": np.arange(49)}, "ids: "),
        ({"ids": -np.arange(50)}, "ids: from -49"),
        ({"ids": np.arange(50) * 0.5}, "ids: float64"),
        ({"labels": LABELS[1:]}, "labels: 49 for 50"),
        ({"labels": ["x" * 5000] * 50}, "labels: one has 5000"),
        ({"segment_rows": 3}, "segment_rows"),
        ({"presets": ("fastest",)}, "preset: 'fastest'"),
        ({"limit": 0.01}, "vectors: row 0, coordinate"),
    ],
)
def test_what_cannot_be_built(options, message, tmp_path):
    with pytest.raises(VectorError) as refused:
        build_snapshot(VECTORS, tmp_path / "new", **options)
    assert str(refused.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_alone(built):
    with pytest.raises(VectorError, match="exists already"):
        build_snapshot(VECTORS, built.folder)
    built.check()


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(building, "write_manifest", full)
    with pytest.raises(OSError, match="No space"):
        build_snapshot(VECTORS, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["columns", "ids", "live", "label_offsets", "label_text"])
def test_a_changed_file_is_found(copy, name):
    path = next(copy.rglob(f"{name}.npy"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(SnapshotError, match="checksum"):
        Snapshot.open(copy).check()


@pytest.mark.parametrize("data", [b"", b"no array", None])
def test_a_file_that_is_no_array(copy, data):
    path = next(copy.rglob("columns.npy"))
    path.write_bytes(path.read_bytes()[:-8] if data is None else data)
    snapshot = Snapshot.open(copy)
    with pytest.raises(SnapshotError, match=r"columns\.npy"):
        [stored.segment for stored in snapshot.segments]


def manifest(copy, change):
    path = copy / "snapshot.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


CONTRADICTIONS = {
    "root": lambda d: d.update(root="00" * 32),
    "scale": lambda d: d["header"].update(scale=d["header"]["scale"] + 1),
    "row root": lambda d: d["segments"][0].update(row_root="11" * 32),
    "version": lambda d: d["segments"][1].update(version=2),
    "a segment left out": lambda d: d["segments"].pop(),
    "segments swapped": lambda d: d["segments"].reverse(),
    "limit": lambda d: d["header"].update(limit=1 << 20),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_manifest_that_contradicts_itself(copy, name):
    manifest(copy, CONTRADICTIONS[name])
    with pytest.raises(SnapshotError):
        Snapshot.open(copy)


UNREADABLE = {
    "format": lambda d: d.update(format=2),
    "unknown field": lambda d: d.update(more=1),
    "missing field": lambda d: d["header"].pop("rows"),
    "no integer": lambda d: d["header"].update(rows="50"),
    "no hash": lambda d: d["segments"][0].update(row_root="xyz"),
    "another file": lambda d: d["segments"][0]["files"].append({"name": "../x", "bytes": 1, "blake3": ""}),
    "channel": lambda d: d["segments"][0]["column_roots"][0].update(channel="md5"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_manifest_that_is_none(copy, name):
    manifest(copy, UNREADABLE[name])
    with pytest.raises(ParseError):
        Snapshot.open(copy)


def test_other_vectors_under_the_old_roots_are_found(copy, tmp_path):
    """Files and checksums replaced together: only the roots tell."""
    bent = VECTORS.copy()
    bent[3] += 0.01
    other = build_snapshot(bent, tmp_path / "other", ids=IDS, labels=LABELS, segment_rows=20, limit=None)
    honest = Snapshot.open(copy)
    forged = replace(
        honest, segments=tuple(replace(o, leaf=h.leaf) for o, h in zip(other.segments, honest.segments, strict=True))
    )
    with pytest.raises(SnapshotError, match="root is another"):
        forged.check()


def test_no_folder_and_no_manifest(tmp_path):
    with pytest.raises(FileNotFoundError):
        Snapshot.open(tmp_path)


def test_presets_share_a_key():
    assert preset_key("standard") == preset_key("stwo96") == preset_key("bench")


def test_files_with_vectors(tmp_path):
    np.save(tmp_path / "plain.npy", VECTORS)
    np.savez(tmp_path / "named.npz", vectors=VECTORS, ids=IDS, words=np.array(LABELS), other=1)
    assert load_arrays(tmp_path / "plain.npy").vectors.tolist() == VECTORS.tolist()
    named = load_arrays(tmp_path / "named.npz")
    assert named.ids.tolist() == IDS.tolist()
    assert named.labels.tolist() == LABELS
    np.savez(tmp_path / "empty.npz", other=1)
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "text.npz").write_text("vectors")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "named.npz").read_bytes()[:-100])
    for name in ("empty.npz", "objects.npy", "text.npz", "cut.npz"):
        with pytest.raises(VectorError, match=name):
            load_arrays(tmp_path / name)
