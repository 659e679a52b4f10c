"""The verifier's part of top-k: each check has a test that changes one thing and sees it refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from air.statement import RootKey, StatementError
from air.statements.snapshot import ColumnRoot, SegmentLeaf, SnapshotHeader, snapshot_root
from air.statements.topk import score_bound
from air.statements.topk_statement import MAX_EMITTED, TOPK, TopkStatement, topk_result

KEY = RootKey("blake2s", 1)
HEADER = SnapshotHeader(dimension=3, limit=945, scale=1 << 32, normalised=False, rows=28, segments=2)
LEAVES = tuple(SegmentLeaf(k, 1, 4, 14, bytes([k]) * 32, (ColumnRoot(KEY, bytes([9 + k]) * 32),)) for k in (0, 1))
ROOT = snapshot_root(HEADER, LEAVES)
ROWS = (((7, 50), (3, 40), (5, 20)), ((101, 40), (100, 20)))  # of each segment; k = 4, so that 20 is a tie
S = score_bound(3, 945)


def parts(**changes) -> list[TopkStatement]:
    return [
        replace(TopkStatement(HEADER, ROOT, leaf, "l2", (1, -2, 945), 4, 20, rows), **changes)
        for leaf, rows in zip(LEAVES, ROWS, strict=True)
    ]


def test_the_honest_receipt():
    whole = parts()
    for part in whole:
        part.check()
    TOPK.check_together(whole)
    assert topk_result(whole) == [(7, 50), (3, 40), (101, 40), (5, 20)]


def test_a_statement_is_its_encoding():
    for part in parts():
        words = part.encode()
        assert TOPK.decode(words) == part
        assert part.digest() == TOPK.decode(words).digest()
        for cut in range(0, len(words), 5):
            with pytest.raises(StatementError):
                TOPK.decode(words[:cut])
        with pytest.raises(StatementError):
            TOPK.decode([*words, 0])


@given(st.data())
def test_every_word_counts(data):
    words = parts()[0].encode()
    index = data.draw(st.integers(0, len(words) - 1))
    words[index] ^= 1 << data.draw(st.integers(0, 31))
    try:
        changed = TOPK.decode(words)
    except StatementError:
        return
    assert changed != parts()[0]


HUGE = tuple((id, 30) for id in range(MAX_EMITTED + 1))
ALONE = {
    "query: not of": {"query": (1, 2)},
    "query[2]": {"query": (1, 2, 946)},
    "query[0]": {"query": (-946, 2, 3)},
    "metric: 'hamming'": {"metric": "hamming"},
    "metric: cosine": {"metric": "cosine"},
    "k: 0": {"k": 0},
    "k: 1001": {"k": 1001},
    "threshold: ": {"threshold": -S - 1},
    f"threshold: {S + 1}": {"threshold": S + 1, "emitted": ()},
    "emitted: the score": {"emitted": ((7, S + 1),)},
    "emitted: id 7 scores 19": {"emitted": ((7, 19),)},
    "emitted: an id appears twice": {"emitted": ((7, 50), (7, 40))},
    "emitted: not in order": {"emitted": ((3, 40), (7, 50))},
    "emitted: not in order, higher score and smaller id first": {"emitted": ((8, 40), (7, 40))},
    "emitted: id: -1": {"emitted": ((-1, 40),)},
    "emitted: 15 rows of a segment": {"emitted": HUGE[:15]},
    f"emitted: {MAX_EMITTED + 1} rows": {"emitted": HUGE},
    "snapshot.limit": {"header": replace(HEADER, limit=30_000)},
    "snapshot.dimension": {"header": replace(HEADER, dimension=0)},
    "snapshot.scale": {"header": replace(HEADER, scale=0)},
    "snapshot.segments": {"header": replace(HEADER, segments=0)},
    "snapshot.rows": {"header": replace(HEADER, rows=0)},
    "snapshot.segment.log_size": {"leaf": replace(LEAVES[0], log_size=27)},
    "snapshot.segment.rows": {"leaf": replace(LEAVES[0], rows=17)},
    "snapshot.segment.version": {"leaf": replace(LEAVES[0], version=0)},
    "snapshot.segment.id": {"leaf": replace(LEAVES[0], id=-1)},
}


@pytest.mark.parametrize("message", ALONE)
def test_one_part_alone(message):
    lie = parts(**ALONE[message])[0]
    with pytest.raises(StatementError) as refused:
        lie.check()
    assert str(refused.value).startswith(message)


def test_a_normalised_snapshot_may_be_asked_for_cosine():
    parts(metric="cosine", header=replace(HEADER, normalised=True))[0].check()


OTHER_LEAF = replace(LEAVES[1], version=2)
TOGETHER = {
    "query: the parts": lambda a, b: [a, replace(b, query=(1, -2, 944))],
    "metric: the parts": lambda a, b: [a, replace(b, metric="ip")],
    "k: the parts": lambda a, b: [a, replace(b, k=5)],
    "threshold: the parts": lambda a, b: [a, replace(b, threshold=19)],
    "header: the parts": lambda a, b: [a, replace(b, header=replace(HEADER, scale=7))],
    "snapshot_root: the parts": lambda a, b: [a, replace(b, snapshot_root=bytes(32))],
    "segments: 1 are given": lambda a, b: [a],
    "segments: 3 are given": lambda a, b: [a, b, b],
    "segments: their ids do not ascend": lambda a, b: [a, a],
    "segments: their ids": lambda a, b: [b, a],
    "segments: their rows": lambda a, b: [a, replace(b, leaf=replace(LEAVES[1], rows=13))],
    "snapshot_root: not the root": lambda a, b: [a, replace(b, leaf=OTHER_LEAF)],
    "emitted: an id appears in two": lambda a, b: [a, replace(b, emitted=((7, 40), (100, 20)))],
    "threshold: 20, but": lambda a, b: [a, replace(b, emitted=())],
    "threshold: 20, but the emitted": lambda a, b: [replace(a, k=3), replace(b, k=3)],
    f"threshold: 20, but the emitted rows make it {-S}": lambda a, b: [replace(a, k=9), replace(b, k=9)],
}


@pytest.mark.parametrize("message", TOGETHER)
def test_parts_together(message):
    with pytest.raises(StatementError) as refused:
        TOPK.check_together(TOGETHER[message](*parts()))
    assert str(refused.value).startswith(message)


def test_too_many_rows_over_all_segments():
    half = MAX_EMITTED // 2 + 1
    a, b = parts(k=1000)
    lots = [replace(p, emitted=tuple((5000 * n + i, 20) for i in range(half))) for n, p in enumerate((a, b))]
    with pytest.raises(StatementError, match="over all segments"):
        TOPK.check_together(lots)


def test_fewer_live_rows_than_k_are_all_emitted():
    whole = parts(k=9, threshold=-S)
    for part in whole:
        part.check()
    TOPK.check_together(whole)
    assert len(topk_result(whole)) == 5


def test_the_root_of_tree_0_comes_from_the_leaf():
    first = parts()[0]
    assert first.preprocessed_root(KEY) == bytes([9]) * 32
    for key in (RootKey("blake2s", 2), RootKey("poseidon252", 1), RootKey("blake2s", 1, 12)):
        with pytest.raises(StatementError, match="segment 0"):
            first.preprocessed_root(key)


@pytest.mark.parametrize("field", ["dimension", "limit", "scale", "normalised", "rows", "segments"])
def test_the_snapshot_root_binds_the_header(field):
    if field in ("rows", "segments"):  # counted from the leaves
        with pytest.raises(StatementError):
            snapshot_root(replace(HEADER, **{field: 3}), LEAVES)
    else:
        assert snapshot_root(replace(HEADER, **{field: 1}), LEAVES) != ROOT


@pytest.mark.parametrize(
    "change", [{"id": 7}, {"version": 3}, {"log_size": 5}, {"row_root": bytes(32)}, {"column_roots": ()}]
)
def test_the_snapshot_root_binds_every_leaf(change):
    assert snapshot_root(HEADER, (LEAVES[0], replace(LEAVES[1], **change))) != ROOT


def test_the_snapshot_root_is_what_the_docstring_says():
    """Rebuilt from words, as a contract would."""
    from hashlib import blake2s
    from struct import pack

    def words(*values: int) -> bytes:
        return b"".join(pack("<q", v) for v in values)

    def tagged(tag: int, data: bytes) -> bytes:
        return blake2s(pack("<I", tag) + data).digest()

    leaves = [
        tagged(1, words(k, 1, 4, 14) + bytes([k]) * 32 + pack("<I", 1) + words(0, 1, 0) + bytes([9 + k]) * 32)
        for k in (0, 1)
    ]
    top = tagged(2, leaves[0] + leaves[1])
    assert tagged(3, words(1, 3, 945, 1 << 32, 0, 28, 2) + top) == ROOT
