"""Building a snapshot: what it holds, what is refused, and nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from air.circle import to_rows
from air.field import P
from octoproof.vectors import build as building
from octoproof.vectors.build import build_snapshot
from octoproof.vectors.cells import assign
from octoproof.vectors.errors import VectorError
from octoproof.vectors.payload import AUTOMATIC
from octoproof.vectors.rowtree import NATIVE, STOOLAP, RowTree, row_leaf, stoolap_leaf
from octoproof.vectors.segment import Rows, make_segment
from octoproof.vectors.snapshot import Snapshot, preset_key
from octoproof.vectors.source import source_from_arrays, source_from_iterator

RNG = np.random.default_rng(3)
VECTORS = RNG.normal(0, 1, (50, 4)).astype(np.float32)
IDS = RNG.permutation(1000)[:50]
LABELS = [f"wörd {k % 7}" for k in range(50)]
TONES = [["warm", "", "cold"][k % 3] for k in range(50)]
BENCH = {"presets": ("bench",)}


def whole(tmp_path: Path, **options: Any) -> Snapshot:
    vectors = options.pop("vectors", VECTORS)
    return build_snapshot(vectors, tmp_path / "new", **BENCH | {"ids": IDS, "labels": LABELS} | options)


def test_what_it_holds(tmp_path):
    """Full segments in the order of the input, each in ascending id; codes in order of appearance."""
    built = whole(tmp_path, payload={"tone": TONES}, segment_rows=20)
    assert (built.number, built.header.rows, built.header.live, built.header.segments) == (1, 50, 50, 3)
    assert [(s.leaf.id, s.leaf.version, s.leaf.rows, s.leaf.log_size) for s in built.segments] == [
        (0, 1, 20, 5),
        (1, 1, 20, 5),
        (2, 1, 10, 4),
    ]
    assert [(item.name, item.values) for item in built.dictionaries] == [
        ("tone", ("warm", "cold")),
        ("label", tuple(f"wörd {k}" for k in range(7))),
    ]
    coordinates = built.quantiser(VECTORS)
    for number, stored in enumerate(built.segments):
        segment, mine = stored.segment, list(range(20 * number, min(20 * number + 20, 50)))
        assert segment.live.all()
        order = sorted(mine, key=lambda k: IDS[k])
        assert segment.ids.tolist() == IDS[order].tolist()
        assert segment.vectors().tolist() == coordinates[order].tolist()
        assert segment.floats.tolist() == VECTORS[order].tolist()
        for row, k in enumerate(order):
            assert segment.row_of(int(IDS[k])) == row
            assert segment.labels[row] == LABELS[k]
            assert segment.vector(row).tolist() == coordinates[k].tolist()
            assert segment.codes[:, row].tolist() == [(1, 0, 2)[k % 3], k % 7 + 1]
            assert built.locate(int(IDS[k])) == (stored, row)
        assert segment.row_of(-1) is None
        assert list(segment.labels.find("wörd")) == []
        wanted = [row for row, k in enumerate(order) if k % 7 == 3]
        assert list(segment.labels.find("wörd 3")) == wanted
    assert built.locate(1000) is None
    built.check()


def test_the_row_roots(tmp_path):
    """Leaf by leaf, as `rowtree` says."""
    native = whole(tmp_path, segment_rows=64).segments[0]
    order = np.argsort(IDS)
    rows = [(int(IDS[k]), native.segment.vector(row), [k % 7 + 1]) for row, k in enumerate(order)]
    leaves = [row_leaf(id, True, x.tolist(), codes) for id, x, codes in rows]
    assert native.leaf.row_root == RowTree.build(np.array([list(leaf) for leaf in leaves], np.uint8), NATIVE).root
    stoolap = whole(tmp_path / "other", row_rule="stoolap", segment_rows=64)
    leaves = [stoolap_leaf(int(IDS[k]), VECTORS[k]) for k in order]
    root = RowTree.build(np.array([list(leaf) for leaf in leaves], np.uint8), STOOLAP).root
    assert stoolap.segments[0].leaf.row_root == root
    stoolap.check()


def test_the_same_input_gives_the_same_root(tmp_path):
    """Whatever it comes from, and for presets of one key."""
    root = whole(tmp_path, segment_rows=20).root
    sources = {
        "source": {"vectors": source_from_arrays(VECTORS, IDS, LABELS), "ids": None, "labels": None},
        "presets": {"presets": ("standard", "stwo96", "bench")},
        "floats dropped": {"floats": False},
        "double": {"vectors": VECTORS.astype(np.float64)},
    }
    for name, options in sources.items():
        assert whole(tmp_path / name, segment_rows=20, **options).root == root, name
    chunks = (
        {"vectors": VECTORS[k : k + 7], "ids": IDS[k : k + 7], "labels": LABELS[k : k + 7]} for k in range(0, 50, 7)
    )
    with source_from_iterator(chunks) as source:
        assert build_snapshot(source, tmp_path / "chunks", segment_rows=20, **BENCH).root == root


def test_another_input_gives_another_root(tmp_path):
    roots = [whole(tmp_path, segment_rows=20).root]
    bent = VECTORS.copy()
    bent[7, 1] += 0.01
    others: list[dict[str, Any]] = [
        {"vectors": bent},
        {"ids": IDS + 1},
        {"labels": None},
        {"labels": LABELS[1:] + LABELS[:1]},
        {"payload": {"tone": TONES}},
        {"limit": 100.0},
        {"normalise": True},
        {"segment_rows": 25},
        {"row_rule": "stoolap"},
        {"cells": 3},
        {"cells": 3, "seed": 1},
    ]
    for number, options in enumerate(others):
        roots.append(whole(tmp_path / str(number), **{"segment_rows": 20} | options).root)
    assert len(set(roots)) == len(roots)


def test_an_arrow_table_is_a_source(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    columns = {"vector": VECTORS.tolist(), "id": IDS, "label": LABELS, "tone": TONES}
    table = pyarrow.table(columns)
    options: dict[str, Any] = {"ids": None, "labels": None, "payload": ["tone"], "segment_rows": 20}
    built = whole(tmp_path, vectors=table, **options)
    assert built.root == whole(tmp_path / "arrays", payload={"tone": TONES}, segment_rows=20).root


def test_ids_are_numbers_from_zero_without_any(tmp_path):
    built = build_snapshot(VECTORS, tmp_path / "new", segment_rows=20, **BENCH)
    assert np.concatenate([s.segment.ids for s in built.segments]).tolist() == list(range(50))
    assert built.dictionaries == ()
    assert all(s.segment.labels is None for s in built.segments)


def test_the_largest_id(tmp_path):
    built = build_snapshot(VECTORS[:2], tmp_path / "new", ids=[2**63 - 1, 0], **BENCH)
    assert built.segments[0].segment.ids.tolist() == [0, 2**63 - 1]
    assert built.query(VECTORS[0], k=1).ids.tolist() == [2**63 - 1]
    built.check()


def test_the_columns_of_tree_0():
    vectors = np.array([[3, -4], [-1, 0], [945, -945]], dtype=np.int16)
    codes = np.array([[0, 7, 65536]], dtype=np.uint32)
    segment = make_segment(0, 1, Rows(np.array([1, 2**21 + 5, 2**62]), vectors, codes))
    expected = [
        [3, P - 1, 945, 0],
        [P - 4, 0, P - 945, 0],
        [25, 1, 2 * 945**2, 0],
        [1, 5, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 2**20, 0],
        [1, 1, 1, 0],
        [0, 7, 65536, 0],
    ]
    assert [to_rows(column)[:4].tolist() for column in segment.tree0()] == expected
    expected[6] = [1, 0, 1, 0]
    assert [to_rows(column)[:4].tolist() for column in segment.without(np.array([1])).tree0()] == expected


def test_a_segment_needs_ascending_ids():
    rows = Rows(np.array([1, 1]), np.zeros((2, 1), dtype=np.int16), np.zeros((0, 2), dtype=np.uint32))
    for bad in (rows, rows.take(np.zeros(0, dtype=int))):
        with pytest.raises(VectorError, match="strictly ascending id"):
            make_segment(0, 1, bad)


def test_cells(tmp_path):
    """The centroids come first, then each cell with the rows that are nearest to its centroid."""
    built = whole(tmp_path, cells=5)
    assert (built.header.cells, built.header.segments, built.header.rows) == (5, 6, 50)
    centroids = built.centroids.segment
    assert centroids.ids.tolist() == [0, 1, 2, 3, 4]
    assert built.manifest.segments[0] is built.centroids
    for number, stored in enumerate(built.segments):
        assert stored.leaf.id == number + 1
        assert set(assign(stored.segment.vectors(), centroids.vectors()).tolist()) == {number}
    assert sorted(np.concatenate([s.segment.ids for s in built.segments])) == sorted(IDS)
    assert built.root == whole(tmp_path / "again", cells=5).root
    built.check()


# Labels as fields


def test_labels_of_few_values_are_a_field(tmp_path):
    few = [str(k % AUTOMATIC) for k in range(AUTOMATIC + 40)]
    vectors = np.arange(len(few), dtype=np.float32)[:, None] % 100
    built = build_snapshot(vectors, tmp_path / "few", labels=few, **BENCH)
    assert [item.name for item in built.dictionaries] == ["label"]
    many = [*few[:-1], "one more"]
    built = build_snapshot(vectors, tmp_path / "many", labels=many, **BENCH)
    assert built.dictionaries == ()
    assert built.segments[0].segment.labels[AUTOMATIC + 39] == "one more"


def test_labels_that_are_too_long_to_filter_by_are_none(tmp_path):
    """They are for people all the same."""
    long = ["x" * 300, *LABELS[1:]]
    built = whole(tmp_path, labels=long)
    assert built.dictionaries == ()
    assert built.query(label="x" * 300, k=1).labels == ["x" * 300]


def test_empty_labels_are_no_field(tmp_path):
    assert whole(tmp_path, labels=[""] * 50).dictionaries == ()


def test_a_payload_field_may_be_called_label(tmp_path):
    built = whole(tmp_path, payload={"label": TONES})
    assert [(item.name, item.values) for item in built.dictionaries] == [("label", ("warm", "cold"))]
    assert built.segments[0].segment.labels[0] == LABELS[int(np.argmin(IDS))]


# What cannot be built


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ids": np.zeros(50, dtype=int)}, "ids: 0 appears twice"),
        ({"ids": np.arange(49)}, "ids: 49 for 50"),
        ({"ids": -np.arange(50)}, "ids: row 1 has -1"),
        ({"ids": np.arange(50) * 0.5}, "ids: float64"),
        ({"labels": LABELS[1:]}, "labels: 49 for 50"),
        ({"labels": ["x" * 5000] * 50}, "labels: one has 5000"),
        ({"payload": {"tone": TONES[1:]}}, "tone: 49 for 50"),
        ({"payload": {"a=b": TONES}}, "fields: 'a=b'"),
        ({"payload": {"tone": ["x" * 300] * 50}}, "tone: a value has 300"),
        ({"segment_rows": 15}, "segment_rows: 15"),
        ({"segment_rows": (1 << 24) + 1}, "segment_rows: 16777217"),
        ({"presets": ("fastest",)}, "preset: 'fastest'"),
        ({"limit": 0.01}, "vectors: row 0, coordinate"),
        ({"limit": -1.0}, "limit: -1"),
        ({"cells": -1}, "cells: -1"),
        ({"cells": 51}, "cells: 51 for 50"),
        ({"cells": 1 << 16}, "cells: 65536"),
        ({"cells": 3, "seed": -1}, "seed: -1"),
        ({"row_rule": "sha256"}, "row_rule: 'sha256'"),
        ({"row_rule": "stoolap", "floats": False}, "floats: Stoolap"),
        ({"vectors": np.zeros((0, 4)), "ids": None, "labels": None}, "vectors: none"),
        ({"vectors": np.zeros(50)}, "vectors: an array of shape (50,)"),
        ({"vectors": np.full((50, 4), np.nan)}, "vectors: row 0, coordinate 0 is nan"),
        ({"vectors": np.zeros((50, 4)), "normalise": True}, "vectors: row 0 is zero"),
        ({"vectors": np.zeros((50, 4097))}, "vectors: dimension: 4097"),
        ({"vectors": np.array([["a"] * 4] * 50)}, "vectors: of type <U1"),
        ({"vectors": np.ones((50, 4)), "cells": 2}, "cells: cell 1 of 2 would be empty"),
        ({"vectors": source_from_arrays(VECTORS)}, "ids, labels, payload: a source brings its own"),
    ],
)
def test_what_cannot_be_built(options, message, tmp_path):
    with pytest.raises(VectorError) as refused:
        whole(tmp_path, **options)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_alone(tmp_path):
    built = whole(tmp_path)
    with pytest.raises(VectorError, match="exists already"):
        whole(tmp_path)
    Snapshot.open(built.folder).check()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(VectorError, match="exists already"):
        build_snapshot(VECTORS, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(building, "write_manifest", full)
    with pytest.raises(OSError, match="No space"):
        whole(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_synchronised_before_and_after_it_has_its_name(tmp_path, monkeypatch):
    seen: list[str] = []
    monkeypatch.setattr("os.fsync", lambda descriptor: seen.append(Path(f"/proc/self/fd/{descriptor}").readlink().name))
    whole(tmp_path)
    assert seen[-3] == "snapshots"
    assert seen[-2].startswith(".new.")
    assert seen[-1] == tmp_path.name


def test_presets_share_a_key():
    assert preset_key("standard") == preset_key("stwo96") == preset_key("bench")


def test_progress_names_the_segments(tmp_path):
    told: list[str] = []
    whole(tmp_path, segment_rows=20, progress=told.append)
    assert told == ["reading", *(f"committing segment {k} of 3" for k in (1, 2, 3))]
    told.clear()
    whole(tmp_path / "cells", cells=2, progress=told.append)
    assert told == ["reading", "finding cells", *(f"committing segment {k} of 3" for k in (1, 2, 3))]
