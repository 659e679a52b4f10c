"""Changing a snapshot: append, delete, compact; every version stays what it was, and only what changes is committed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octoproof.vectors.cells import assign
from octoproof.vectors.change import due
from octoproof.vectors.errors import VectorError
from octoproof.vectors.manifest import numbers
from octoproof.vectors.snapshot import Snapshot

RNG = np.random.default_rng(6)
VECTORS = RNG.normal(0, 1, (50, 3)).astype(np.float32)
KINDS = [("noun", "verb", "")[k % 3] for k in range(50)]
TONES = [("warm", "cold")[k % 2] for k in range(50)]
MORE = RNG.normal(0, 0.5, (5, 3)).astype(np.float32)
NEW: dict[str, Any] = {"labels": ["noun"] * 5, "payload": {"tone": ["warm"] * 5}}


@pytest.fixture(scope="module")
def templates(tmp_path_factory) -> dict[str, Snapshot]:
    """Ids 0 to 49, in segments of 20 rows or in four cells."""
    folder = tmp_path_factory.mktemp("templates")
    options = {"labels": KINDS, "payload": {"tone": TONES}, "presets": ("bench",), "segment_rows": 20}
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "cells": {"cells": 4},
        "stoolap": {"row_rule": "stoolap"},
        "no floats": {"floats": False},
    }
    return {name: Snapshot.build(VECTORS, folder / name, **options, **more) for name, more in kinds.items()}


@pytest.fixture
def copies(templates, tmp_path) -> Any:
    def copy(name: str) -> Snapshot:
        shutil.copytree(templates[name].folder, tmp_path / name)
        return Snapshot.open(tmp_path / name)

    return copy


@pytest.fixture
def plain(copies) -> Snapshot:
    return copies("plain")


@pytest.fixture
def celled(copies) -> Snapshot:
    return copies("cells")


def sound(snapshot: Snapshot) -> Snapshot:
    """Checked, the newest, and without folders that no version names."""
    snapshot.check()
    assert Snapshot.open(snapshot.folder).root == snapshot.root
    assert orphans(snapshot.folder) == set()
    return snapshot


def orphans(folder: Path) -> set[str]:
    versions = [Snapshot.open(folder, at=number) for number in numbers(folder)]
    named = {stored.folder.name for version in versions for stored in version.manifest.segments}
    return {path.name for path in (folder / "segments").iterdir()} - named


def live(snapshot: Snapshot) -> dict[int, tuple[int, ...]]:
    """{id: coordinates} of all live rows."""
    rows = [stored.segment.live_rows() for stored in snapshot.segments]
    return {int(id): tuple(x.tolist()) for part in rows for id, x in zip(part.ids, part.coordinates, strict=True)}


def leaves(snapshot: Snapshot) -> list[Any]:
    return [stored.leaf for stored in snapshot.manifest.segments]


def shape(snapshot: Snapshot) -> list[tuple[int, int, int, int]]:
    """(id, version, rows, live rows) of every segment."""
    return [(leaf.id, leaf.version, leaf.rows, leaf.live) for leaf in leaves(snapshot)]


@pytest.mark.parametrize("kind", ["plain", "cells", "stoolap", "no floats"])
def test_one_of_each(kind, copies, proved, verified):
    """Appended rows are found and proven, deleted ones are not, and all versions are queried as they were."""
    first = copies(kind)
    second = sound(first.append(MORE, **NEW))
    third = sound(second.delete([0, 51]))
    fourth = sound(third.append(VECTORS[:1], ids=[0], labels=["adverb"], payload={"tone": ["dull"]}))
    assert [s.number for s in (first, second, third, fourth)] == [1, 2, 3, 4]
    assert [(s.header.live, len(live(s))) for s in (first, second, third, fourth)] == [(n, n) for n in (50, 55, 53, 54)]
    nearest = [set(proved(s, VECTORS[0], k=1).ids.tolist()) for s in (first, second, third, fourth)]
    assert nearest[0] == nearest[1] == nearest[3] == {0} != nearest[2]
    for number, known in enumerate((first, second, third, fourth), 1):
        again = Snapshot.open(first.folder, at=number)
        assert again.root == known.root
        assert live(again) == live(known)
        for mode in ("strict", "fast"):
            result = proved(again, MORE[1], k=3, mode=mode)
            assert verified(result.receipt, root=known.root).results == tuple((m.id, m.score) for m in result.matches)
            assert (51 in result.ids) == (number == 2)
    assert fourth.query(VECTORS[0], k=1, where={"label": "adverb", "tone": "dull"}).ids.tolist() == [0]


# Append


def test_ids_continue_after_the_largest(plain):
    after = sound(plain.append(MORE, **NEW))
    assert sorted(live(after)) == list(range(55))
    assert shape(after)[3] == (3, 1, 5, 5)
    assert sorted(live(after.delete([54]).append(MORE[:1], labels=["noun"], payload={"tone": ["warm"]})))[-2:] == [
        53,
        55,
    ]


def test_given_ids(plain):
    after = sound(plain.append(MORE, ids=[900, 70, 80, 60, 99], **NEW))
    assert after.segments[3].segment.ids.tolist() == [60, 70, 80, 99, 900]
    assert live(after)[900] == tuple(plain.quantiser(MORE)[0].tolist())
    assert after.locate(900)[1] == 4


def test_more_rows_than_a_segment_holds(plain):
    vectors = np.tile(MORE, (9, 1))
    after = sound(plain.append(vectors, labels=["noun"] * 45, payload={"tone": ["warm"] * 45}))
    assert shape(after)[3:] == [(3, 1, 20, 20), (4, 1, 20, 20), (5, 1, 5, 5)]


def test_untouched_segments_are_the_same(plain):
    after = plain.append(MORE, **NEW)
    assert leaves(after)[:3] == leaves(plain)
    assert [s.folder for s in after.segments[:3]] == [s.folder for s in plain.segments]
    one = after.delete([25])
    assert [a == b for a, b in zip(leaves(one), leaves(after), strict=True)] == [True, False, True, True]


def test_ids_that_are_taken(plain):
    for ids, taken in (([100, 7, 101, 102, 103], 7), ([49, 3, 100, 101, 102], 3)):
        with pytest.raises(VectorError, match=f"ids: {taken} is in this snapshot already; append with --replace"):
            plain.append(MORE, ids=ids, **NEW)
    with pytest.raises(VectorError, match="ids: 100 appears twice"):
        plain.append(MORE, ids=[100, 101, 100, 102, 103], **NEW)
    assert numbers(plain.folder) == [1]
    sound(plain)
    dead = plain.delete([7])
    assert live(sound(dead.append(MORE, ids=[100, 7, 101, 102, 103], **NEW)))[7] == tuple(plain.quantiser(MORE)[1])


@pytest.mark.parametrize("kind", ["plain", "cells", "stoolap"])
def test_replacing(kind, copies):
    before = copies(kind)
    after = sound(before.append(MORE, ids=[7, 8, 25, 100, 49], replace=True, **NEW))
    assert after.number == 2
    assert (after.header.live, len(live(after))) == (51, 51)
    expected = live(before) | dict(zip([7, 8, 25, 100, 49], map(tuple, before.quantiser(MORE).tolist()), strict=True))
    assert live(after) == expected
    assert live(Snapshot.open(before.folder, at=1)) == live(before)
    assert after.query(id=7, k=1, where={"label": "noun", "tone": "warm"}).ids.tolist() == [7]


def test_replacing_nothing_and_everything(plain):
    assert sound(plain.append(MORE, replace=True, **NEW)).header.live == 55
    whole = {"labels": KINDS, "payload": {"tone": TONES}}
    after = sound(plain.append(VECTORS[::-1].copy(), ids=range(50), replace=True, **whole))
    assert live(after) == dict(
        zip(range(55), map(tuple, plain.quantiser([*VECTORS[::-1], *MORE]).tolist()), strict=True)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": None}, "label: missing, and this snapshot is filtered by it"),
        ({"payload": None}, "tone: missing, and this snapshot is filtered by it"),
        ({"payload": {"tone": ["warm"] * 5, "colour": ["red"] * 5}}, "colour: not a field of this snapshot"),
        ({"labels": ["noun"]}, "labels: 1 for 5"),
        ({"labels": ["x" * 300] * 5}, "label: a value has 300 bytes"),
        ({"vectors": np.zeros((5, 4))}, "vectors: 4 coordinates, but this snapshot has 3 dimensions"),
        ({"vectors": np.full((5, 3), 99.0)}, "vectors: row 0, coordinate 0 is 99, beyond the scale"),
        ({"vectors": np.full((5, 3), np.nan)}, "vectors: row 0, coordinate 0 is nan"),
        ({"vectors": np.zeros((0, 3)), "labels": None, "payload": None}, "vectors: none"),
        ({"ids": [1 << 63] * 5}, "ids: row 0 has 9223372036854775808"),
        ({"ids": [-1] * 5}, "ids: row 0 has -1"),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "cells"])
def test_what_cannot_be_appended(kind, options, message, copies):
    before = copies(kind)
    asked: dict[str, Any] = {"vectors": MORE, **NEW, **options}
    with pytest.raises(VectorError) as refused:
        before.append(asked.pop("vectors"), **asked)
    assert str(refused.value).startswith(message)
    assert numbers(before.folder) == [1]
    sound(before)


def test_no_ids_are_left(plain):
    last = plain.append(MORE[:1], ids=[2**63 - 1], labels=[""], payload={"tone": [""]})
    with pytest.raises(VectorError, match="ids: from 9223372036854775808"):
        last.append(MORE, **NEW)


def test_a_dictionary_only_grows(plain):
    """Old codes, and with them the old segments, stay; the header has the new dictionary."""
    assert [item.values for item in plain.dictionaries] == [("warm", "cold"), ("noun", "verb")]
    labels = ["adverb", "noun", "", "x", "adverb"]
    after = sound(plain.append(MORE, labels=labels, payload={"tone": ["cold", "", "dull", "warm", "dull"]}))
    assert [item.values for item in after.dictionaries] == [("warm", "cold", "dull"), ("noun", "verb", "adverb", "x")]
    assert after.segments[3].segment.codes.tolist() == [[2, 0, 3, 1, 3], [3, 1, 0, 4, 3]]
    assert leaves(after)[:3] == leaves(plain)
    assert [field.values for field in after.header.fields] == [3, 4]
    assert after.query(MORE[2], k=5, where={"tone": "dull"}).ids.tolist() == [52, 54]
    same = after.append(MORE, **NEW)
    assert same.dictionaries == after.dictionaries
    assert [item.values for item in Snapshot.open(plain.folder, at=1).dictionaries] == [
        ("warm", "cold"),
        ("noun", "verb"),
    ]


def test_labels_for_people_may_come_and_go(tmp_path):
    """A snapshot that is not filtered by labels: some segments have them, and they are found."""
    first = Snapshot.build(VECTORS, tmp_path / "bare", presets=("bench",))
    second = sound(first.append(MORE, labels=["a", "b", "c", "d", "e"]))
    third = sound(second.append(MORE + 0.1))
    assert third.query(label="c", k=1).ids.tolist() == [52]
    assert third.query(id=57, k=1).labels == [None]
    with pytest.raises(VectorError, match="label: 'f' is not in this snapshot"):
        third.query(label="f")
    with pytest.raises(VectorError, match="label: this snapshot has no labels"):
        first.query(label="c")


def test_a_deleted_label_is_not_found(plain):
    row = plain.query(label="verb", k=1).ids[0]
    assert plain.delete([row]).query(label="verb", k=1).ids[0] != row


# Delete


def test_only_flags_and_trees_are_written_anew(plain):
    """The rest of a segment is the very same file."""
    after = sound(plain.delete([5, 6]))
    old, new = plain.segments[0], after.segments[0]
    assert shape(after)[0] == (0, 2, 20, 18)
    for name in sorted(new.files):
        same = (old.folder / name).stat().st_ino == (new.folder / name).stat().st_ino
        assert same == (name not in ("live.npy", "rowtree.npy")), name
    assert np.flatnonzero(~new.segment.live).tolist() == [5, 6]
    assert old.segment.live.all()
    assert new.leaf.row_root == new.segment.row_tree("native").root != old.leaf.row_root


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([50], "ids: 50 is not in this snapshot"),
        ([3, 4, 1000], "ids: 1000 is not in this snapshot"),
        ([-1], "ids: -1 is not in this snapshot"),
        ([1 << 63], "ids: 9223372036854775808 is not in this snapshot"),
        ([1.5], "ids: 1.5 is no id"),
        (["3"], "ids: '3' is no id"),
        ([], "ids: none given"),
        (range(50), "ids: no vector would be left"),
    ],
)
def test_what_cannot_be_deleted(ids, message, plain):
    with pytest.raises(VectorError) as refused:
        plain.delete(ids)
    assert str(refused.value).startswith(message)
    assert numbers(plain.folder) == [1]
    plain.check()
    sound(plain.delete([0]))  # also tidies up what was written before the refusal


def test_twice(plain):
    once = plain.delete([5, 5])
    assert once.header.live == 49
    with pytest.raises(VectorError, match="ids: 5 is not in this snapshot"):
        once.delete([5])
    assert 5 in live(Snapshot.open(plain.folder, at=1))
    assert plain.delete(np.array([6, 7], dtype=np.uint8)).header.live == 47


# Cells


def test_appended_rows_go_to_the_nearest_cell(celled):
    after = sound(celled.append(MORE, **NEW))
    centroids = celled.centroids.segment.vectors()
    assert leaves(after)[0] == leaves(celled)[0]
    touched = set((assign(celled.quantiser(MORE), centroids) + 1).tolist())
    for old, new in zip(celled.segments, after.segments, strict=True):
        assert (new.leaf == old.leaf) == (new.leaf.id not in touched)
        assert set(assign(new.segment.vectors(), centroids).tolist()) == {new.leaf.id - 1}
    assert after.header.rows == after.header.live == 55


def test_a_cell_that_gets_rows_loses_its_deleted_ones(celled):
    cell = celled.segments[0]
    victims = cell.segment.ids[:1].tolist()
    deleted = celled.delete(victims)
    assert (deleted.segments[0].leaf.rows, deleted.segments[0].leaf.live) == (cell.leaf.rows, cell.leaf.rows - 1)
    centre = celled.centroids.segment.vectors()[0] / celled.quantiser.factor
    after = sound(deleted.append([centre], labels=["noun"], payload={"tone": ["warm"]}))
    assert (after.segments[0].leaf.rows, after.segments[0].leaf.version) == (cell.leaf.rows, 3)


@pytest.mark.parametrize("kind", ["cells", "stoolap cells"])
def test_a_cell_may_be_empty(kind, celled, tmp_path, proved, verified):
    if kind != "cells":
        options = {"labels": KINDS, "payload": {"tone": TONES}, "presets": ("bench",), "row_rule": "stoolap"}
        celled = Snapshot.build(VECTORS, tmp_path / kind, cells=4, **options)
    cell = celled.segments[2]
    after = sound(celled.delete(cell.segment.ids))
    assert after.segments[2].leaf.live == 0
    assert after.header.cells == 4
    result = proved(after, VECTORS[int(cell.segment.ids[0])], k=3, mode="ivf", probes=1)
    assert result.matches == ()
    assert verified(result.receipt, root=after.root).results == ()
    assert len(proved(after, VECTORS[0], k=60).ids) == after.header.live
    back = sound(after.append(VECTORS[cell.segment.ids[:1]], labels=["noun"], payload={"tone": ["warm"]}))
    assert (back.segments[2].leaf.rows, back.segments[2].leaf.live) == (1, 1)


# Compaction


def test_few_deleted_rows_are_left_and_more_rewritten_when_asked(plain):
    few = plain.delete([0, 1, 2])
    assert due(few) == []
    assert few.compact().number == few.number
    more = few.delete([3])
    assert [(r.ids, r.must) for r in due(more)] == [((0,), False)]
    assert more.compact(only_must=True).number == more.number
    done = sound(more.compact())
    assert shape(done) == [(0, 4, 16, 16), (1, 1, 20, 20), (2, 1, 10, 10)]
    assert live(done) == live(more)
    assert leaves(done)[1:] == leaves(more)[1:]
    assert due(done) == []


def test_many_deleted_rows_are_rewritten_at_once(plain):
    """As a version of its own, after the one that deletes."""
    after = sound(plain.delete(range(7)))
    assert numbers(plain.folder) == [1, 2, 3]
    assert shape(Snapshot.open(plain.folder, at=2))[0] == (0, 2, 20, 13)
    assert shape(after)[0] == (0, 3, 13, 13)
    assert live(after) == live(Snapshot.open(plain.folder, at=2))


def test_a_segment_without_live_rows_goes_and_its_id_does_not_return(plain):
    after = sound(plain.delete(range(40, 50)))
    assert [leaf.id for leaf in leaves(after)] == [0, 1]
    more = sound(after.append(MORE, **NEW))
    assert [leaf.id for leaf in leaves(more)] == [0, 1, 3]
    assert sorted(live(more))[-5:] == list(range(40, 45))


def test_many_small_segments_are_merged(plain):
    """Up to 8 stay, up to 16 until somebody compacts; then the smallest are put together."""
    snapshot = plain
    for count in range(2, 18):
        assert [rewrite.must for rewrite in due(snapshot)] == [False] * (count > 9)
        snapshot = snapshot.append(VECTORS[:1], labels=["noun"], payload={"tone": ["warm"]})
        assert live(snapshot).keys() == set(range(50 + count - 1))
    sound(snapshot)
    assert shape(Snapshot.open(plain.folder, at=17))[-1] == (18, 1, 1, 1)
    assert numbers(plain.folder)[-1] == snapshot.number == 18
    assert shape(snapshot) == [(0, 1, 20, 20), (1, 1, 20, 20), (2, 1, 10, 10), (3, 2, 16, 16)]


def test_cells_are_rewritten_but_never_merged(celled):
    half = [id for stored in celled.segments for id in stored.segment.ids[::2].tolist()]
    after = sound(celled.delete(half))
    assert after.number == 3
    assert [leaf.id for leaf in leaves(after)] == [0, 1, 2, 3, 4]
    assert all(leaf.rows == leaf.live for leaf in leaves(after))
    assert leaves(after)[0] == leaves(celled)[0]
