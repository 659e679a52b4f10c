"""Opened rows: every byte of an opening counts, and rows that a malicious snapshot commits to are still held to its
header."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.statement import StatementError
from air.statements.question import Question
from air.statements.snapshot import PlacedSegment, SegmentLeaf, SnapshotHeader, snapshot_root
from air.statements.topk import coordinate_bound
from octoproof.vectors.answers import Result
from octoproof.vectors.errors import VectorError
from octoproof.vectors.opened import OPENED, OpenedRow, OpenedStatement, write_opening
from octoproof.vectors.rowtree import NATIVE, STOOLAP, RowTree, row_leaves, stoolap_leaf, stoolap_leaves
from octoproof.vectors.snapshot import Snapshot
from verifier.errors import ParseError, VerificationError
from verifier.receipt import OpenedPart, Receipt, read_receipt, write_receipt

VECTORS = np.random.default_rng(8).normal(0, 1, (70, 3)).astype(np.float32)
KINDS = ["noun" if k % 3 else "verb" for k in range(70)]
RULES = ("native", "stoolap")
DIMENSION, LIMIT, SCALE = 3, coordinate_bound(3), 500 << 32


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory) -> dict[str, Snapshot]:
    """Two segments of 40 and 30 rows, in their second version: without row 7, which was the nearest to itself."""
    folder, out = tmp_path_factory.mktemp("opened"), {}
    for rule in RULES:
        options = {"segment_rows": 40, "row_rule": rule, "payload": {"kind": KINDS}, "presets": ("bench",)}
        Snapshot.build(VECTORS, folder / rule, **options).delete([7])
        out[rule] = Snapshot.open(folder / rule)
    return out


@pytest.fixture(scope="module")
def shown(snapshots, proved) -> dict[str, Result]:
    return {rule: proved(snapshots[rule], VECTORS[7], k=3, mode="fast") for rule in RULES}


def parts_of(result: Result) -> tuple[OpenedStatement, bytes]:
    assert result.receipt is not None
    [part] = read_receipt(result.receipt.data).parts
    assert isinstance(part, OpenedPart)
    return OPENED.decode(part.statement), part.opening


def receipt_of(statement: OpenedStatement, opening: bytes) -> bytes:
    return write_receipt(Receipt((OpenedPart(tuple(statement.encode()), opening),)))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize(("mode", "k"), [("fast", 5), ("fast", 60), ("candidates", 5), ("candidates", 12)])
def test_the_shown_rows_are_the_best(mode, k, metric, rule, snapshots, proved, verified, exact):
    snapshot = snapshots[rule]
    result = proved(snapshot, VECTORS[20], k=k, metric=metric, mode=mode)
    rows = [stored.segment.live_rows() for stored in snapshot.segments]
    coordinates, ids = (np.concatenate([getattr(part, name) for part in rows]) for name in ("coordinates", "ids"))
    expected = exact(coordinates, ids, result.answer.question.query, k, metric)
    assert [(match.id, match.score) for match in result.matches] == expected
    verdict = verified(result.receipt, root=snapshot.root)
    assert list(verdict.results) == expected
    statement, _ = parts_of(result)
    assert len(statement.rows) == (k if mode == "fast" else max(40, 4 * k))
    assert verdict.certified is None


@pytest.mark.parametrize("rule", RULES)
def test_every_byte_of_an_opening_counts(rule, shown, verified):
    statement, opening = parts_of(shown[rule])
    verified(receipt_of(statement, opening))
    for place in range(len(opening)):
        bent = bytearray(opening)
        bent[place] ^= 1 << place % 8
        with pytest.raises(VerificationError):
            verified(receipt_of(statement, bytes(bent)))


@pytest.mark.parametrize("rule", RULES)
def test_an_opening_is_neither_shorter_nor_longer(rule, shown, verified):
    statement, opening = parts_of(shown[rule])
    for cut in range(len(opening)):
        with pytest.raises(VerificationError):
            verified(receipt_of(statement, opening[:cut]))
    for more in (b"\0", bytes(32), opening):
        with pytest.raises(VerificationError, match="opening: trailing bytes"):
            verified(receipt_of(statement, opening + more))


def test_an_opening_without_hashes_says_that_it_has_none(verified):
    """The only row of a segment has no siblings: their number, zero, is there nevertheless."""
    statement, opening = crafted("native", ROWS["native"][:1])
    verified(receipt_of(statement, opening))
    for cut in range(1, 5):
        with pytest.raises(VerificationError, match="opening: truncated"):
            verified(receipt_of(statement, opening[:-cut]))


def first_row(statement: OpenedStatement, **changes: int) -> OpenedStatement:
    return replace(statement, rows=(replace(statement.rows[0], **changes), *statement.rows[1:]))


LIES: dict[str, Callable[[OpenedStatement], OpenedStatement]] = {
    "id": lambda s: first_row(s, id=s.rows[0].id + 1000),
    "score": lambda s: first_row(s, score=s.rows[0].score + 1),
    "position": lambda s: first_row(s, position=s.rows[0].position + 1),
    "position before the first": lambda s: first_row(s, position=-1),
    "position beyond all": lambda s: first_row(s, position=1 << 62),
    "segment": lambda s: first_row(s, segment=1 - s.rows[0].segment),
    "no segment": lambda s: first_row(s, segment=2),
    "a segment before the first": lambda s: first_row(s, segment=-1),
    "rows in another order": lambda s: replace(s, rows=s.rows[::-1]),
    "a row left out": lambda s: replace(s, rows=s.rows[:-1]),
    "a row more": lambda s: replace(s, rows=(*s.rows, replace(s.rows[-1], id=5000, position=0))),
    "the same row twice": lambda s: replace(s, rows=(*s.rows[:2], replace(s.rows[1], id=s.rows[1].id + 1000))),
    "segments in another order": lambda s: replace(s, segments=s.segments[::-1]),
    "a segment twice": lambda s: replace(s, segments=(s.segments[0], *s.segments)),
    "a segment less": lambda s: replace(s, segments=s.segments[:1]),
    "no segments": lambda s: replace(s, segments=()),
    "index": lambda s: placed(s, index=1),
    "path": lambda s: placed(s, path=(bytes(32),)),
    "no path": lambda s: placed(s, path=()),
    "a longer path": lambda s: placed(s, path=s.segments[0].path * 2),
    "row root": lambda s: placed(s, leaf=replace(s.segments[0].leaf, row_root=bytes(32))),
    "number of rows": lambda s: placed(s, leaf=replace(s.segments[0].leaf, rows=39)),
    "number of live rows": lambda s: placed(s, leaf=replace(s.segments[0].leaf, live=40)),
    "mode": lambda s: replace(s, mode="candidates"),
    "root": lambda s: replace(s, snapshot_root=bytes(32)),
    "scale": lambda s: replace(s, header=replace(s.header, scale=s.header.scale + 1)),
    "row rule": lambda s: replace(s, header=replace(s.header, row_rule=RULES[s.header.row_rule == "native"])),
    "live rows of the snapshot": lambda s: replace(s, header=replace(s.header, live=3)),
}


def placed(statement: OpenedStatement, **changes: Any) -> OpenedStatement:
    first, *rest = statement.segments
    return replace(statement, segments=(replace(first, **changes), *rest))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", LIES)
def test_a_statement_that_is_not_the_opened_one(name, rule, shown, verified):
    statement, opening = parts_of(shown[rule])
    assert len(statement.segments) == 2
    lie = LIES[name](statement)
    assert lie != statement
    with pytest.raises(VerificationError):
        verified(receipt_of(lie, opening))


def test_segments_are_in_one_order(snapshots, shown, provider, verified):
    """The same claim with its segments in another order, opened accordingly, would be a second receipt of it."""
    statement, opening = parts_of(shown["native"])
    assert provider.opening(snapshots["native"], statement) == opening
    rows = tuple(replace(row, segment=1 - row.segment) for row in statement.rows)
    other = replace(statement, segments=statement.segments[::-1], rows=rows)
    with pytest.raises(VerificationError, match="segments: not in ascending order"):
        verified(receipt_of(other, provider.opening(snapshots["native"], other)))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_word_of_a_statement_counts(shown, verified, data):
    statement, opening = parts_of(shown["native"])
    words = statement.encode()
    words[data.draw(st.integers(0, len(words) - 1))] ^= 1 << data.draw(st.integers(0, 31))
    with pytest.raises((VerificationError, ParseError)):
        verified(write_receipt(Receipt((OpenedPart(tuple(words), opening),))), root=statement.snapshot_root)


def test_two_openings_are_no_receipt(shown, verified):
    [part] = read_receipt(shown["native"].receipt.data).parts
    with pytest.raises(VerificationError, match="parts: 2, where one says all"):
        verified(write_receipt(Receipt((part, part))))


def test_centroids_are_no_rows(tmp_path, proved, verified):
    """The first segment of a snapshot with cells, opened as if it held vectors."""
    snapshot = Snapshot.build(VECTORS, tmp_path / "cells", cells=2, presets=("bench",))
    statement, _ = parts_of(proved(snapshot, VECTORS[0], k=2, mode="fast"))
    centroids = snapshot.centroids
    query = np.array(statement.question.query)
    rows = sorted((int((2 * query - c) @ c), k) for k, c in enumerate(centroids.segment.vectors().astype(int)))[::-1]
    lie = replace(
        statement,
        segments=(snapshot.placed(centroids),),
        rows=tuple(OpenedRow(0, id, id, score) for score, id in rows),
    )
    vectors = centroids.segment.vectors()
    codes = np.zeros((2, 0), dtype=np.uint32)
    opening = write_opening(snapshot.header, [(vectors, codes)], [centroids.row_tree("native").prove([0, 1])])
    with pytest.raises(VerificationError, match="centroids are no rows"):
        verified(receipt_of(lie, opening))


def test_a_filtered_answer_without_rows_is_still_about_the_snapshot(snapshots, proved, verified, tmp_path):
    """No row is opened then, but a segment is named, without which nothing would tie the header to the root."""
    shutil.copytree(snapshots["native"].folder, tmp_path / "copy")
    verbs = [k for k in range(70) if KINDS[k] == "verb"]
    snapshot = Snapshot.open(tmp_path / "copy").delete(verbs)
    result = proved(snapshot, VECTORS[0], k=3, mode="fast", where={"kind": "verb"})
    assert verified(result.receipt, root=snapshot.root).results == ()
    statement, opening = parts_of(result)
    assert len(statement.segments) == 1
    for lie, data in (
        (replace(statement, segments=()), b""),
        (replace(statement, header=replace(statement.header, rows=71)), opening),
        (statement, opening[:-4] + bytes([1, 0, 0, 0]) + bytes(32)),
    ):
        with pytest.raises(VerificationError):
            verified(receipt_of(lie, data))


# What a malicious snapshot may commit to


def crafted(
    rule: str,
    numbers: np.ndarray,
    *,
    position: int = 0,
    limit: int = LIMIT,
    normalised: bool = False,
    live: np.ndarray | None = None,
    size: int | None = None,
) -> tuple[OpenedStatement, bytes]:
    """One row opened, of a snapshot of one segment with these numbers: honest, but for what they are."""
    count = len(numbers)
    flags = np.ones(count, dtype=bool) if live is None else live
    ids, codes = np.arange(count), np.zeros((0, count), dtype=np.uint32)
    if rule == "native":
        tree = RowTree.build(row_leaves(ids, flags, numbers, codes), NATIVE)
    else:
        tree = RowTree.build(stoolap_leaves(ids, numbers), STOOLAP)
    told = count if size is None else size
    header = SnapshotHeader(DIMENSION, limit, SCALE, normalised, told, told, 1, row_rule=rule)
    leaf = SegmentLeaf(0, 1, 4, told, told, tree.root, ())
    with np.errstate(all="ignore"):
        x = numbers[position].astype(np.float64) * (1 if rule == "native" else SCALE / 2**32)
        whole = np.nan_to_num(np.rint(x), nan=0, posinf=0, neginf=0).astype(np.int64)
    score = int(-(whole @ whole)) if abs(whole).max() < 1 << 20 else 0
    row = OpenedRow(0, position, position, score)
    question = Question("l2", (0, 0, 0), 1)
    root = snapshot_root(header, [leaf])
    statement = OpenedStatement(header, root, "fast", question, (PlacedSegment(0, leaf, ()),), (row,))
    return statement, write_opening(header, [(numbers[[position]], codes[:, :1].T)], [tree.prove([position])])


ROWS = {
    "native": np.arange(15, dtype=np.int16).reshape(5, 3),
    "stoolap": np.arange(15, dtype=np.float32).reshape(5, 3) / 10,
}


@pytest.mark.parametrize("rule", RULES)
def test_the_crafted_snapshot_is_valid_as_it_is(rule, verified):
    for position in range(5):
        assert verified(receipt_of(*crafted(rule, ROWS[rule], position=position))).results[0][0] == position


@pytest.mark.parametrize("value", [LIMIT + 1, -LIMIT - 1, 9000])
def test_a_coordinate_beyond_the_limit(value, verified):
    numbers = ROWS["native"].copy()
    numbers[0] = [0, value, 0]
    with pytest.raises(VerificationError, match=rf"a coordinate is outside \+-{LIMIT}"):
        verified(receipt_of(*crafted("native", numbers)))
    assert verified(receipt_of(*crafted("native", np.sign(numbers) * LIMIT))).k == 1


def test_a_coordinate_beyond_the_limit_of_the_header(verified):
    with pytest.raises(VerificationError, match=r"a coordinate is outside \+-13"):
        verified(receipt_of(*crafted("native", ROWS["native"], position=4, limit=13)))
    assert verified(receipt_of(*crafted("native", ROWS["native"], position=4, limit=14))).k == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e6])
def test_a_number_that_has_no_coordinate(value, verified):
    numbers = ROWS["stoolap"].copy()
    numbers[0, 1] = value
    with pytest.raises(VerificationError, match="opening: row 0, coordinate 1 is"):
        verified(receipt_of(*crafted("stoolap", numbers)))


def test_a_zero_row_of_a_normalised_snapshot(verified):
    numbers = np.zeros((3, 3), dtype=np.float32)
    with pytest.raises(VerificationError, match="opening: row 0 is zero"):
        verified(receipt_of(*crafted("stoolap", numbers, normalised=True)))


def test_a_row_that_is_committed_as_dead(verified):
    live = np.array([True, False, True, True, True])
    assert verified(receipt_of(*crafted("native", ROWS["native"], live=live))).k == 1
    with pytest.raises(VerificationError, match="not the rows of segment 0"):
        verified(receipt_of(*crafted("native", ROWS["native"], live=live, position=1)))


@pytest.mark.parametrize("rule", RULES)
def test_a_position_beyond_the_rows_that_the_leaf_counts(rule, verified):
    """Stoolap's root does not bind how many leaves there are: the segment's leaf does."""
    statement, opening = crafted(rule, ROWS[rule], position=4, size=4)
    with pytest.raises(VerificationError, match="not the rows of segment 0"):
        verified(receipt_of(statement, opening))


# Stoolap's rule


def test_the_rows_of_a_stoolap_snapshot_are_its_numbers(shown, snapshots):
    """What is opened are the very float32 that were given, in a tree of live rows alone."""
    statement, opening = parts_of(shown["stoolap"])
    count = len(statement.rows)
    numbers = np.frombuffer(opening[: 12 * count], dtype="<f4").reshape(count, 3)
    order = [row.id for rows in statement.in_order() for row in rows]
    assert numbers.tolist() == VECTORS[order].tolist()
    first = snapshots["stoolap"].segments[0]
    alive = [k for k in range(40) if k != 7]
    leaves = np.array([list(stoolap_leaf(k, VECTORS[k])) for k in alive], dtype=np.uint8)
    assert first.leaf.row_root == RowTree.build(leaves, STOOLAP).root
    assert all(row.position == row.id - (row.id > 7) for row in statement.rows if row.segment == 0)


def test_a_deleted_row_of_a_stoolap_snapshot(shown, snapshots, verified):
    """It was the nearest; its leaf is in the tree of the first version alone."""
    statement, _ = parts_of(shown["stoolap"])
    old = Snapshot.open(snapshots["stoolap"].folder, at=1).segments[0]
    query = np.array(statement.question.query)
    row = OpenedRow(0, 7, 7, int(query @ query))
    lie = replace(
        statement,
        question=replace(statement.question, k=1),
        segments=statement.segments[:1],
        rows=(row,),
    )
    path = old.row_tree("stoolap").prove([7])
    opening = write_opening(statement.header, [(VECTORS[[7]], np.zeros((1, 0)))], [path])
    with pytest.raises(VerificationError, match="not the rows of segment 0"):
        verified(receipt_of(lie, opening))


@pytest.mark.parametrize("mode", ["fast", "candidates"])
def test_stoolap_leaves_hold_no_labels(mode, snapshots, proved, shown, verified):
    with pytest.raises(VectorError, match="where: rows by the rule stoolap are committed without labels"):
        proved(snapshots["stoolap"], VECTORS[0], mode=mode, where={"kind": "noun"})
    assert proved(snapshots["stoolap"], VECTORS[0], where={"kind": "noun"}).receipt
    statement, opening = parts_of(shown["stoolap"])
    filtered, _ = parts_of(proved(snapshots["native"], VECTORS[0], k=3, mode="fast", where={"kind": "noun"}))
    lie = replace(
        statement,
        mode="fast",
        question=replace(statement.question, filters=filtered.question.filters),
        dictionaries=filtered.dictionaries,
    )
    with pytest.raises(VerificationError, match="Stoolap's leaves hold no codes"):
        verified(receipt_of(lie, opening))


def test_modes_that_open_rows_are_two(shown):
    statement, _ = parts_of(shown["native"])
    with pytest.raises(StatementError, match="mode: 'strict'"):
        replace(statement, mode="strict").check()
