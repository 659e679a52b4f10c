"""The snapshot commitment: its root binds every field, and a path shows one segment at one place and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2s
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from air.statement import Reader, RootKey, StatementError, Writer
from air.statements.snapshot import (
    MAX_SEGMENTS,
    MAX_VALUES,
    ColumnRoot,
    PayloadField,
    PlacedSegment,
    SegmentLeaf,
    SnapshotHeader,
    SnapshotTree,
    dictionary_digest,
    snapshot_root,
)

WIDTHS = (1, 2, 3, 5, 1025)
KEY = RootKey("blake2s", 1)
FIELDS = (PayloadField("label", 2, dictionary_digest(("noun", "verb"))), PayloadField("ü", 0, dictionary_digest(())))


def leaf(number: int, **changes: Any) -> SegmentLeaf:
    roots = (ColumnRoot(KEY, bytes([9]) * 32), ColumnRoot(RootKey("poseidon252", 2, 12), bytes([3]) * 32))
    return replace(SegmentLeaf(7 * number, 1 + number % 3, 4, 14, 13, bytes([number % 256]) * 32, roots), **changes)


@dataclass(frozen=True)
class World:
    """A snapshot of so many segments, the first of which holds centroids where there are several."""

    header: SnapshotHeader
    leaves: tuple[SegmentLeaf, ...]
    tree: SnapshotTree

    def placed(self, index: int, **changes: Any) -> PlacedSegment:
        return replace(PlacedSegment(index, self.leaves[index], self.tree.path(index)), **changes)

    def refuses(self, placed: PlacedSegment, header: SnapshotHeader | None = None) -> str:
        with pytest.raises(StatementError) as refused:
            placed.check(header or self.header, self.tree.root)
        return str(refused.value)


@cache
def world(width: int) -> World:
    leaves, held = tuple(leaf(k) for k in range(width)), max(1, width - 1)
    header = SnapshotHeader(3, 945, 1 << 32, False, 14 * held, 13 * held, width, width - 1, fields=FIELDS)
    return World(header, leaves, SnapshotTree(header, leaves))


@pytest.mark.parametrize("cells", [0, 1])
def test_the_root_is_what_the_docstring_says(cells: int) -> None:
    """Rebuilt from words, as a contract would."""

    def words(*values: int) -> bytes:
        return b"".join(pack("<q", v) for v in values)

    def text(value: str) -> bytes:
        data = value.encode()
        return pack("<I", len(data)) + data + bytes(-len(data) % 4)

    def tagged(tag: int, data: bytes) -> bytes:
        return blake2s(pack("<I", tag) + data).digest()

    made = [leaf(k) for k in (0, 1)]
    roots = words(0, 1, 0) + bytes([9]) * 32 + words(2, 2, 12) + bytes([3]) * 32
    leaves = [tagged(1, words(7 * k, 1 + k, 4, 14, 13) + bytes([k]) * 32 + pack("<I", 2) + roots) for k in (0, 1)]
    top = tagged(2, leaves[0] + leaves[1])
    noun = tagged(4, pack("<I", 2) + text("noun") + text("verb"))
    fields = text("label") + words(2) + noun + text("ü") + words(0) + tagged(4, pack("<I", 0))
    held = 2 - cells
    header = SnapshotHeader(3, 945, 1 << 32, True, 14 * held, 13 * held, 2, cells, "stoolap", FIELDS)
    told = words(2, 3, 945, 1 << 32, 1, 1, cells, 14 * held, 13 * held, 2) + pack("<I", 2) + fields
    assert tagged(3, told + top) == snapshot_root(header, made) == SnapshotTree(header, made).root


@pytest.mark.parametrize("width", WIDTHS)
def test_every_segment_has_its_path(width: int) -> None:
    here = world(width)
    for index in range(width):
        here.placed(index).check(here.header, here.tree.root)
        assert len(here.tree.path(index)) <= (width - 1).bit_length()


def test_an_odd_last_node_has_a_shorter_path() -> None:
    assert [len(world(5).tree.path(index)) for index in range(5)] == [3, 3, 3, 3, 1]
    assert world(1).tree.path(0) == ()
    assert len(world(1025).tree.path(1024)) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_a_segment_is_at_no_other_index(width: int) -> None:
    here, indices = world(width), range(width) if width < 10 else (0, 1, 2, 511, 512, 1022, 1023, 1024)
    for index in indices:
        for other in {*indices, width - 1} - {index}:
            assert here.refuses(replace(here.placed(index), index=other)).startswith(("snapshot_root", "segment.path"))
        for outside in (-1, width, index + (1 << (width - 1).bit_length()), 1 << 62, -(1 << 62)):
            assert here.refuses(replace(here.placed(index), index=outside)).startswith("snapshot.segment.index")


@pytest.mark.parametrize("width", WIDTHS)
def test_another_leaf_is_not_in_the_snapshot(width: int) -> None:
    """An older version, or the leaf of another segment."""
    here = world(width)
    for index in {0, 1, width // 2, width - 1} & set(range(width)):
        for other in (replace(here.leaves[index], version=77), leaf(width + 5)):
            assert here.refuses(here.placed(index, leaf=other)).startswith("snapshot_root")
        if width > 1:
            assert here.refuses(here.placed(index, leaf=here.leaves[index - 1])).startswith("snapshot_root")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_path_is_neither_shorter_nor_longer_nor_another(width: int) -> None:
    here = world(width)
    for index in {0, width // 2, width - 1}:
        path = here.tree.path(index)
        for extra in ((bytes(32), *path), (*path, bytes(32)), (*path, here.tree.levels[-1][0])):
            assert here.refuses(here.placed(index, path=extra)) == "segment.path: too long"
        for k in range(len(path)):
            assert here.refuses(here.placed(index, path=path[:k] + path[k + 1 :])) == "segment.path: too short"
            changed = bytes([path[k][0] ^ 1]) + path[k][1:]
            assert here.refuses(here.placed(index, path=(*path[:k], changed, *path[k + 1 :]))).startswith(
                "snapshot_root"
            )
        if len(path) > 1:
            assert here.refuses(here.placed(index, path=path[::-1])).startswith("snapshot_root")


@dataclass(frozen=True)
class Forged(SegmentLeaf):
    """A leaf whose hash is chosen: what a forger would have if tags were missing."""

    hash: bytes = b""

    def digest(self) -> bytes:
        return self.hash


def test_a_node_is_no_leaf() -> None:
    """Even one whose hash is an inner node's: the number of segments fixes the length of every path."""
    here = world(5)
    node = Forged(**vars(leaf(0)), hash=here.tree.levels[1][0])
    cut = here.placed(0, leaf=node, path=here.tree.path(0)[1:])
    assert here.refuses(cut) == "segment.path: too short"
    for segments in (3, 4):  # of which the first has a path as long as that
        header = replace(here.header, segments=segments, cells=segments - 1)
        assert here.refuses(cut, header).startswith("snapshot_root")
    # A leaf and a node of the same words hash differently.
    words = Writer().bytes32(bytes(32)).bytes32(bytes(32)).to_bytes()
    assert len({blake2s(pack("<I", tag) + words).digest() for tag in (1, 2, 3, 4)}) == 4
    written = Writer()
    here.leaves[0].write(written)
    assert here.leaves[0].digest() == blake2s(pack("<I", 1) + written.to_bytes()).digest()


def test_an_odd_node_is_not_doubled() -> None:
    """Three segments are no four of which the last two are alike, whatever the header says."""
    three = world(3)
    four = replace(three.header, segments=4, cells=3)
    doubled = three.placed(2, path=(three.leaves[2].digest(), three.tree.path(2)[-1]))
    assert three.refuses(doubled) == "segment.path: too long"
    assert three.refuses(doubled, four).startswith("snapshot_root")


OTHER_HEADERS = {
    "dimension": 4,
    "limit": 944,
    "scale": 7,
    "normalised": True,
    "rows": 14 * 5,
    "live": 3,
    "segments": 6,
    "cells": 0,
    "row_rule": "stoolap",
    "fields": FIELDS[:1],
    "fields ": FIELDS[::-1],
    "fields: name": (replace(FIELDS[0], name="labels"), FIELDS[1]),
    "fields: values": (replace(FIELDS[0], values=3), FIELDS[1]),
    "fields: digest": (replace(FIELDS[0], digest=bytes(32)), FIELDS[1]),
}


@pytest.mark.parametrize("what", OTHER_HEADERS)
def test_the_root_binds_the_header(what: str) -> None:
    here, name = world(5), what.split(":")[0].strip()
    assert getattr(here.header, name) != OTHER_HEADERS[what]
    other = replace(here.header, **{name: OTHER_HEADERS[what]})
    # Of six segments the last one has a longer path; the first has not.
    assert here.refuses(here.placed(0), other).startswith("snapshot_root")


OTHER_LEAVES = {
    "id": {"id": 6},
    "version": {"version": 3},
    "log_size": {"log_size": 5},
    "rows": {"rows": 13},
    "live": {"live": 12},
    "row_root": {"row_root": bytes(32)},
    "column_roots": {"column_roots": leaf(1).column_roots[:1]},
    "column_roots: order": {"column_roots": leaf(1).column_roots[::-1]},
    "column_roots: root": {"column_roots": (ColumnRoot(KEY, bytes(32)), leaf(1).column_roots[1])},
    "column_roots: key": {"column_roots": (ColumnRoot(RootKey("blake2s_m31", 1), bytes([9]) * 32),)},
}


@pytest.mark.parametrize("what", OTHER_LEAVES)
def test_the_root_binds_every_leaf(what: str) -> None:
    here = world(2)
    other = replace(here.leaves[1], **OTHER_LEAVES[what])
    assert other != here.leaves[1]
    assert here.refuses(here.placed(1, leaf=other)).startswith("snapshot_root")
    assert here.refuses(here.placed(0, path=(other.digest(),))).startswith("snapshot_root")


TREES = {
    "segments: 4 are given": lambda h, leaves: (h, leaves[:4]),
    "segments: 6 are given, but the snapshot has 5": lambda h, leaves: (h, (*leaves, leaf(5))),
    "segments: their ids do not ascend": lambda h, leaves: (h, (*leaves[:3], leaves[4], leaves[3])),
    "segments: their ids do": lambda h, leaves: (h, (*leaves[:4], leaves[3])),
    "segments: their rows do not add up to 57": lambda h, leaves: (replace(h, rows=57), leaves),
    "segments: their rows do not add up to 56, 51": lambda h, leaves: (replace(h, live=51), leaves),
    "segments: their rows do not add up": lambda h, leaves: (h, (*leaves[:4], replace(leaves[4], rows=15))),
    "segments: their rows do not": lambda h, leaves: (h, (*leaves[:4], replace(leaves[4], live=12))),
    "segments: their rows": lambda h, leaves: (replace(h, cells=0), leaves),
}


@pytest.mark.parametrize("message", TREES)
def test_a_tree_is_that_of_its_header(message: str) -> None:
    here = world(5)
    with pytest.raises(StatementError) as refused:
        SnapshotTree(*TREES[message](here.header, here.leaves))
    assert str(refused.value).startswith(message)


def test_centroids_are_no_rows_of_the_snapshot() -> None:
    here = world(5)
    more = replace(here.leaves[0], rows=5, live=5)
    assert SnapshotTree(here.header, (more, *here.leaves[1:])).root != here.tree.root
    assert here.header.first_rows == 1
    assert replace(here.header, cells=0).first_rows == 0


HEADERS = {
    "snapshot.dimension": ({"dimension": 0}, {"dimension": 4097}, {"dimension": -1}),
    "snapshot.limit": ({"limit": 0}, {"limit": 30_000}, {"dimension": 4, "limit": 5461}),
    "snapshot.scale": ({"scale": 0}, {"scale": (1 << 53) + 1}),
    "snapshot.segments": ({"segments": 0, "cells": -1}, {"segments": MAX_SEGMENTS + 1}),
    "snapshot.rows": ({"rows": 0}, {"rows": (5 << 26) + 1}),
    "snapshot.live": ({"live": -1}, {"live": 57}),
    "snapshot.cells": ({"cells": 3}, {"cells": 5}, {"cells": -4}, {"segments": 1, "cells": 1, "live": 0}),
    "snapshot.fields: a name": (
        {"fields": (FIELDS[0], FIELDS[0])},
        {"fields": (*FIELDS, replace(FIELDS[1], values=1))},
    ),
    "snapshot.fields.label": (
        {"fields": (replace(FIELDS[0], values=-1),)},
        {"fields": (replace(FIELDS[0], values=MAX_VALUES + 1),)},
    ),
}


@pytest.mark.parametrize("message", HEADERS)
def test_headers_out_of_bounds(message: str) -> None:
    for changes in HEADERS[message]:
        with pytest.raises(StatementError) as refused:
            replace(world(5).header, **changes).check()
        assert str(refused.value).startswith(message), changes
    world(5).header.check()
    replace(world(5).header, cells=0).check()


LEAVES = {
    "snapshot.segment.id": ({"id": -1}, {"id": (1 << 62) + 1}),
    "snapshot.segment.version": ({"version": 0}, {"version": (1 << 62) + 1}),
    "snapshot.segment.log_size": ({"log_size": 3}, {"log_size": 27}, {"log_size": -1}),
    "snapshot.segment.rows": ({"rows": 17}, {"rows": 0}),
    "snapshot.segment.live": ({"live": 15}, {"live": -1}),
}


@pytest.mark.parametrize("message", LEAVES)
def test_leaves_out_of_bounds(message: str) -> None:
    """By themselves, and wherever they are placed."""
    here = world(1)
    for changes in LEAVES[message]:
        lie = replace(here.leaves[0], **changes)
        with pytest.raises(StatementError) as refused:
            lie.check()
        assert str(refused.value).startswith(message), changes
        assert here.refuses(here.placed(0, leaf=lie)).startswith(message)


@pytest.mark.parametrize(
    ("number", "values", "message"),
    [(0, (1, 3, -2), "snapshot.format"), (4, (2, -1), "snapshot.normalised"), (5, (2, -1), "snapshot.row_rule")],
)
def test_headers_that_cannot_be_read(number: int, values: tuple[int, ...], message: str) -> None:
    out = Writer()
    world(5).header.write(out)
    assert SnapshotHeader.read(Reader(out.words)) == world(5).header
    for value in values:
        words = [*out.words[: 2 * number], *Writer().i64(value).words, *out.words[2 * number + 2 :]]
        with pytest.raises(StatementError) as refused:
            SnapshotHeader.read(Reader(words))
        assert str(refused.value).startswith(message)


def test_more_than_can_be_read() -> None:
    for channel in (-1, 3):
        with pytest.raises(StatementError, match=rf"column_roots\.channel: {channel}"):
            ColumnRoot.read(Reader(Writer().i64(channel).i64(1).i64(0).bytes32(bytes(32)).words))
    with pytest.raises(StatementError, match="text of 65 bytes, at most 64"):
        PayloadField.read(Reader(Writer().text("a" * 65).i64(0).bytes32(bytes(32)).words))
    for item in (replace(world(2).header, fields=FIELDS * 9), leaf(0, column_roots=leaf(0).column_roots * 9)):
        out = Writer()
        item.write(out)
        with pytest.raises(StatementError, match="a list of 18 items, at most 16"):
            type(item).read(Reader(out.words))


def test_the_root_of_tree_0_is_that_of_the_key() -> None:
    held = leaf(2)
    assert held.column_root(KEY) == bytes([9]) * 32
    assert held.column_root(RootKey("poseidon252", 2, 12)) == bytes([3]) * 32
    for key in (RootKey("blake2s", 2), RootKey("poseidon252", 2), RootKey("blake2s", 1, 12), RootKey("blake2s_m31", 1)):
        with pytest.raises(StatementError, match="segment 14: committed for blake2s"):
            held.column_root(key)
    with pytest.raises(StatementError, match="committed for nothing"):
        replace(held, column_roots=()).column_root(KEY)


_i64 = st.integers(-(2**63), 2**63 - 1)
_hash = st.binary(min_size=32, max_size=32)
_roots = st.builds(
    ColumnRoot,
    st.builds(RootKey, st.sampled_from(["blake2s", "poseidon252"]), _i64, st.none() | st.integers(1, 2**63 - 1)),
    _hash,
)
_leaves = st.builds(SegmentLeaf, *[_i64] * 5, _hash, st.lists(_roots, max_size=3).map(tuple))
_placed = st.builds(PlacedSegment, _i64, _leaves, st.lists(_hash, max_size=17).map(tuple))


@given(_placed)
def test_placed_segments_are_their_encoding(item: PlacedSegment) -> None:
    out = Writer()
    item.write(out)
    source = Reader(out.words)
    assert PlacedSegment.read(source) == item
    source.end()
    for cut in range(0, len(out.words), 7):
        with pytest.raises(StatementError):
            PlacedSegment.read(Reader(out.words[:cut]))


def test_a_path_is_no_longer_than_that_of_the_most_segments() -> None:
    out = Writer()
    replace(world(2).placed(0), path=(bytes(32),) * 18).write(out)
    with pytest.raises(StatementError, match="a list of 18 items"):
        PlacedSegment.read(Reader(out.words))
