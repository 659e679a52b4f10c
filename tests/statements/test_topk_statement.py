"""The verifier's part of top-k: each check has a test that changes one thing and sees it refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from air.statement import RootKey, StatementError
from air.statements.question import Filter, Question
from air.statements.snapshot import (
    ColumnRoot,
    PayloadField,
    PlacedSegment,
    SegmentLeaf,
    SnapshotHeader,
    SnapshotTree,
    dictionary_digest,
)
from air.statements.topk import score_bound, topk_public_terms
from air.statements.topk_statement import MAX_EMITTED, TOPK, TopkStatement

Parts = list[TopkStatement]

KEY = RootKey("blake2s", 1)
KINDS = ("noun", "verb")
FIELDS = (PayloadField("kind", 2, dictionary_digest(KINDS)),)
VERB = Filter(0, 2, "verb")
QUESTION = Question("l2", (1, -2, 945), 4)
S = score_bound(3, 945)


def leaf(number: int, rows: int = 14) -> SegmentLeaf:
    return SegmentLeaf(number, 1, 4, rows, rows, bytes([number]) * 32, (ColumnRoot(KEY, bytes([9 + number]) * 32),))


def placed(header: SnapshotHeader, leaves: tuple[SegmentLeaf, ...]) -> tuple[PlacedSegment, ...]:
    tree = SnapshotTree(header, leaves)
    return tuple(PlacedSegment(index, leaf, tree.path(index)) for index, leaf in enumerate(leaves))


# Two segments and a question for four rows: 20 is a tie.
LEAVES = leaf(0), leaf(1)
HEADER = SnapshotHeader(3, 945, 1 << 32, False, rows=28, live=28, segments=2, fields=FIELDS)
ROOT, PLACED = SnapshotTree(HEADER, LEAVES).root, placed(HEADER, LEAVES)
ROWS = (((7, 50), (3, 40), (5, 20)), ((101, 40), (100, 20)))


def parts(**changes: Any) -> Parts:
    return [
        replace(TopkStatement(HEADER, ROOT, segment, "strict", QUESTION, 0, 20, rows), **changes)
        for segment, rows in zip(PLACED, ROWS, strict=True)
    ]


def filtered(*filters: Filter, **changes: Any) -> Parts:
    first, second = parts(question=replace(QUESTION, filters=filters), **changes)
    return [replace(first, dictionaries=(KINDS,) * len(filters)), second]


def accept(whole: Parts) -> None:
    """The checks of a verifier, in its order."""
    for part in whole:
        part.check()
    TOPK.check_together(whole)


def refusal(whole: Parts) -> str:
    with pytest.raises(StatementError) as refused:
        accept(whole)
    return str(refused.value)


def test_the_honest_receipt() -> None:
    accept(parts())
    assert TOPK.result(parts()) == [(7, 50), (3, 40), (101, 40), (5, 20)]
    told = parts()[0].describe()
    assert (told["mode"], told["probes"], told["where"]) == ("strict", None, {})
    assert told["emitted"][0] == {"id": 7, "score": 50}
    assert parts()[0].is_probe is False  # index 0 without cells is a segment of rows


def test_the_honest_filtered_receipt() -> None:
    accept(filtered(VERB))
    assert filtered(VERB)[0].describe()["where"] == {"kind": "verb"}


@pytest.mark.parametrize("whole", [parts(), filtered(VERB)])
def test_a_statement_is_its_encoding(whole: Parts) -> None:
    for part in whole:
        words = part.encode()
        assert TOPK.decode(words) == part
        assert part.digest() == TOPK.decode(words).digest()
        for cut in range(0, len(words), 5):
            with pytest.raises(StatementError):
                TOPK.decode(words[:cut])
        with pytest.raises(StatementError, match="trailing"):
            TOPK.decode([*words, 0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([1, 1], "version 1 is no longer read; prove it anew"),
        ([1, 3], "version 3, this reads 1 to 2"),
        ([1, 0], "version 0"),
        ([2, 2], "type is not 1"),
    ],
)
def test_other_versions_are_not_read(words: list[int], message: str) -> None:
    with pytest.raises(StatementError, match=message):
        TOPK.decode([*words, *parts()[0].encode()[2:]])


def test_modes_that_there_are_not() -> None:
    words = parts()[0].encode()
    place = next(k for k in range(len(words)) if [*words[:k], 1, *words[k + 1 :]] == parts(mode="ivf")[0].encode())
    for word in (2, 0xFFFFFFFF):
        with pytest.raises(StatementError, match="mode: "):
            TOPK.decode([*words[:place], word, *words[place + 1 :]])


@given(st.data())
def test_every_word_counts(data: Any) -> None:
    whole = data.draw(st.sampled_from([parts(), filtered(VERB)]))
    words = whole[0].encode()
    index = data.draw(st.integers(0, len(words) - 1))
    words[index] ^= 1 << data.draw(st.integers(0, 31))
    try:
        changed = TOPK.decode(words)
    except StatementError:
        return
    assert changed != whole[0]


HUGE = tuple((id, 30) for id in range(MAX_EMITTED + 1))
ALONE: dict[str, dict[str, Any]] = {
    "query: not of": {"question": replace(QUESTION, query=(1, 2))},
    "query[2]": {"question": replace(QUESTION, query=(1, 2, 946))},
    "query[0]": {"question": replace(QUESTION, query=(-946, 2, 3))},
    "metric: 'hamming'": {"question": replace(QUESTION, metric="hamming")},
    "metric: cosine": {"question": replace(QUESTION, metric="cosine")},
    "k: 0": {"question": replace(QUESTION, k=0)},
    "k: 1001": {"question": replace(QUESTION, k=1001)},
    "filters: field 1": {"question": replace(QUESTION, filters=(Filter(1, 1, "noun"),))},
    "filters.kind: code 3": {"question": replace(QUESTION, filters=(Filter(0, 3, "noun"),))},
    "mode: 'fast'": {"mode": "fast"},
    "probes: 1 of 0 cells": {"probes": 1},
    "probes: -1": {"probes": -1},
    "mode: ivf needs": {"mode": "ivf"},
    "threshold: ": {"threshold": -S - 1},
    f"threshold: {S + 1}": {"threshold": S + 1, "emitted": ()},
    "emitted: the score": {"emitted": ((7, S + 1),)},
    "emitted: id 7 scores 19": {"emitted": ((7, 19),)},
    "emitted: an id appears twice": {"emitted": ((7, 50), (7, 40))},
    "emitted: not in order": {"emitted": ((3, 40), (7, 50))},
    "emitted: not in order, higher score and smaller id first": {"emitted": ((8, 40), (7, 40))},
    "emitted: id: -1": {"emitted": ((-1, 40),)},
    "emitted: 15 rows of 14": {"emitted": HUGE[:15]},
    f"emitted: {MAX_EMITTED + 1} rows, at most": {"emitted": HUGE},
    "snapshot.limit": {"header": replace(HEADER, limit=30_000)},
    "snapshot.dimension": {"header": replace(HEADER, dimension=0)},
    "snapshot.scale": {"header": replace(HEADER, scale=0)},
    "snapshot.segments": {"header": replace(HEADER, segments=0)},
    "snapshot.rows": {"header": replace(HEADER, rows=0)},
    "snapshot.live": {"header": replace(HEADER, live=29)},
    "snapshot.cells": {"header": replace(HEADER, cells=2)},
    "snapshot.segment.log_size": {"segment": replace(PLACED[0], leaf=replace(LEAVES[0], log_size=27))},
    "snapshot.segment.rows": {"segment": replace(PLACED[0], leaf=replace(LEAVES[0], rows=17))},
    "snapshot.segment.version": {"segment": replace(PLACED[0], leaf=replace(LEAVES[0], version=0))},
    "snapshot.segment.id": {"segment": replace(PLACED[0], leaf=replace(LEAVES[0], id=-1))},
    "snapshot.segment.index": {"segment": replace(PLACED[0], index=2)},
    "segment.path: too short": {"segment": replace(PLACED[0], path=())},
    "segment.path: too long": {"segment": replace(PLACED[0], path=PLACED[0].path * 2)},
    "snapshot_root: not that": {"segment": replace(PLACED[0], index=1)},
    "snapshot_root: not that of": {"segment": replace(PLACED[0], leaf=replace(LEAVES[0], version=2))},
    "snapshot_root: not": {"snapshot_root": bytes(32)},
    "snapshot_root: not that of this header": {"header": replace(HEADER, scale=7)},
}


@pytest.mark.parametrize("message", ALONE)
def test_one_part_alone(message: str) -> None:
    lie = parts(**ALONE[message])[0]
    with pytest.raises(StatementError) as refused:
        lie.check()
    assert str(refused.value).startswith(message)


def test_a_normalised_snapshot_may_be_asked_for_cosine() -> None:
    header = replace(HEADER, normalised=True)
    asked = replace(QUESTION, metric="cosine")
    root = SnapshotTree(header, LEAVES).root
    part = parts(question=asked, header=header, snapshot_root=root)[0]
    part.check()
    assert part.component().metric == "ip"


OTHER = parts(
    header=replace(HEADER, scale=7),
    snapshot_root=SnapshotTree(replace(HEADER, scale=7), LEAVES).root,
)
TOGETHER: dict[str, Callable[[TopkStatement, TopkStatement], Parts]] = {
    "header: the parts": lambda a, b: [a, OTHER[1]],
    "question: the parts": lambda a, b: [a, replace(b, question=replace(QUESTION, query=(1, -2, 944)))],
    "question: the parts of": lambda a, b: [a, replace(b, question=replace(QUESTION, metric="ip"))],
    "question: the parts of the": lambda a, b: [a, replace(b, question=replace(QUESTION, k=5))],
    "question: the parts of the receipt": lambda a, b: [a, replace(b, question=replace(QUESTION, filters=(VERB,)))],
    "threshold: 19, but": lambda a, b: [a, replace(b, threshold=19)],
    "threshold: 19": lambda a, b: [replace(a, threshold=19), b],
    "segment.index: not the segments": lambda a, b: [a],
    "segment.index: not the": lambda a, b: [b],
    "segment.index: not": lambda a, b: [a, b, b],
    "segment.index: not the segments that": lambda a, b: [a, a],
    "segment.index: not the segments that are": lambda a, b: [b, a],
    "emitted: an id appears in two": lambda a, b: [a, replace(b, emitted=((7, 40), (100, 20)))],
    "threshold: 20, but": lambda a, b: [a, replace(b, emitted=())],
    "threshold: 20, but the emitted": lambda a, b: parts(question=replace(QUESTION, k=3)),
    f"threshold: 20, but the emitted rows make it {-S}": lambda a, b: parts(question=replace(QUESTION, k=9)),
    "dictionaries: one is needed": lambda a, b: [replace(a, dictionaries=(KINDS,)), b],
    "dictionaries: only the first part": lambda a, b: [a, replace(b, dictionaries=(KINDS,))],
}


@pytest.mark.parametrize("message", TOGETHER)
def test_parts_together(message: str) -> None:
    assert refusal(TOGETHER[message](*parts())).startswith(message)


def test_parts_of_two_snapshots() -> None:
    """With one header, so that it is the root alone that tells them apart."""
    other = (LEAVES[0], replace(LEAVES[1], version=2))
    newer = replace(parts()[1], snapshot_root=SnapshotTree(HEADER, other).root, segment=placed(HEADER, other)[1])
    newer.check()
    assert refusal([parts()[0], newer]).startswith("snapshot_root: the parts")


def test_dictionaries_are_in_the_first_part() -> None:
    first, second = filtered(VERB)
    moved = [replace(first, dictionaries=()), replace(second, dictionaries=(KINDS,))]
    assert refusal(moved) == "dictionaries: one is needed for every filter"
    assert refusal([first, replace(second, dictionaries=(KINDS,))]).startswith("dictionaries: only the first")
    assert (
        refusal([replace(first, dictionaries=(KINDS[::-1],)), second]) == "dictionaries.kind: not that of the snapshot"
    )
    assert refusal([replace(first, dictionaries=(KINDS[:1],)), second]).startswith("dictionaries.kind: not that")


def test_a_filter_is_the_code_of_its_value() -> None:
    assert refusal(filtered(Filter(0, 1, "verb"))) == "filters.kind: code 1 does not stand for 'verb'"


def test_as_many_rows_as_can_be_told() -> None:
    """In one part, and over all segments."""
    leaves = tuple(replace(leaf(k), log_size=13, rows=8000, live=8000) for k in (0, 1))
    header = replace(HEADER, rows=16_000, live=16_000)
    root, here = SnapshotTree(header, leaves).root, placed(header, leaves)

    def telling(*counts: int) -> Parts:
        rows = [tuple((8000 * n + i, 20) for i in range(count)) for n, count in enumerate(counts)]
        return [
            TopkStatement(header, root, segment, "strict", QUESTION, 0, 20, emitted)
            for segment, emitted in zip(here, rows, strict=True)
        ]

    accept(telling(MAX_EMITTED, 0))
    accept(telling(MAX_EMITTED // 2, MAX_EMITTED // 2))
    assert refusal(telling(MAX_EMITTED + 1, 0)).endswith(f"at most {MAX_EMITTED} are told")
    assert refusal(telling(1, MAX_EMITTED)).endswith("over all segments")
    with pytest.raises(StatementError, match=f"a list of {MAX_EMITTED + 1} items"):
        TOPK.decode(telling(MAX_EMITTED + 1, 0)[0].encode())


def test_fewer_live_rows_than_k_are_all_emitted() -> None:
    whole = parts(question=replace(QUESTION, k=9), threshold=-S)
    accept(whole)
    assert len(TOPK.result(whole)) == 5


def test_the_root_of_tree_0_comes_from_the_leaf() -> None:
    first = parts()[0]
    assert first.preprocessed_root(KEY) == bytes([9]) * 32
    for key in (RootKey("blake2s", 2), RootKey("poseidon252", 1), RootKey("blake2s", 1, 12)):
        with pytest.raises(StatementError, match="segment 0"):
            first.preprocessed_root(key)


def test_the_public_terms_are_what_is_emitted() -> None:
    for part in (*parts(), *filtered(VERB)):
        assert part.public_terms() == topk_public_terms(part.emitted)
        assert part.air().components[0].log_size == part.leaf.log_size
