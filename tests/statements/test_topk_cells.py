"""Top-k of some cells: the probed ones are exactly the nearest by their centroids, and strict takes all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

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
from air.statements.topk import score_bound
from air.statements.topk_statement import MAX_PROBES, TOPK, TopkStatement

Parts = list[TopkStatement]

KINDS = ("noun", "verb")
FIELDS = (PayloadField("kind", 2, dictionary_digest(KINDS)),)
QUESTION = Question("l2", (1, -2, 945), 4)
FILTERED = replace(QUESTION, filters=(Filter(0, 2, "verb"),))
S = score_bound(3, 945)


def leaf(number: int, rows: int = 14) -> SegmentLeaf:
    roots = (ColumnRoot(RootKey("blake2s", 1), bytes(32)),)
    return SegmentLeaf(number, 1, 4, rows, rows, number.to_bytes(32, "big"), roots)


# Five cells, of which three are probed. Cells 2 and 4 tie for the last place, and the smaller id has it.
HEADER = SnapshotHeader(3, 945, 1 << 32, False, rows=70, live=70, segments=6, cells=5, fields=FIELDS)
TREE = SnapshotTree(HEADER, LEAVES := (leaf(0, rows=5), *(leaf(number) for number in range(1, 6))))
CENTROIDS = ((1, 30), (3, 30), (2, 20), (4, 20))
ROWS = {1: (), 2: ((20, 40), (21, 15)), 3: (), 4: ((40, 15), (41, 15)), 5: ()}
NEAREST = (2, 3, 4)  # the segments of cells 1, 2 and 3


def probed(*indices: int, **changes: Any) -> Parts:
    """The centroids' part, then these."""
    placed = [PlacedSegment(k, LEAVES[k], TREE.path(k)) for k in (0, *indices)]
    told = [(20, CENTROIDS), *((15, ROWS[k]) for k in indices)]
    whole = [
        TopkStatement(HEADER, TREE.root, segment, "ivf", QUESTION, 3, threshold, rows)
        for segment, (threshold, rows) in zip(placed, told, strict=True)
    ]
    return [replace(part, **changes) for part in whole]


def accept(whole: Parts) -> None:
    """The checks of a verifier, in its order."""
    for part in whole:
        part.check()
    TOPK.check_together(whole)


def refusal(whole: Parts) -> str:
    with pytest.raises(StatementError) as refused:
        accept(whole)
    return str(refused.value)


def test_the_honest_receipt_of_some_cells() -> None:
    accept(probed(*NEAREST))
    assert TOPK.result(probed(*NEAREST)) == [(20, 40), (21, 15), (40, 15), (41, 15)]
    assert [part.is_probe for part in probed(*NEAREST)] == [True, False, False, False]
    told = probed(*NEAREST)[0].describe()
    assert (told["probes"], told["mode"], told["segment"]["index"]) == (3, "ivf", 0)
    assert "nothing about rows in other cells" in told["proves"]


def test_filters_select_rows_and_not_cells() -> None:
    first, second, *others = probed(*NEAREST, question=FILTERED)
    accept([replace(first, dictionaries=(KINDS,)), second, *others])
    assert (first.component().filtered, first.component().codes, first.component().fields) == ((), (), 1)
    assert (second.component().filtered, second.component().codes, second.component().fields) == ((0,), (2,), 1)


@pytest.mark.parametrize("probes", [-1, 0, 6, MAX_PROBES + 1, 1 << 62])
def test_as_many_cells_are_probed_as_there_are(probes: int) -> None:
    for part in probed(*NEAREST, probes=probes):
        with pytest.raises(StatementError, match=f"probes: {probes} of 5 cells"):
            part.check()


def test_as_many_cells_as_may_be_probed() -> None:
    many = MAX_PROBES + 5
    header = replace(HEADER, segments=many + 1, cells=many, rows=14 * many, live=14 * many)
    tree = SnapshotTree(header, leaves := [leaf(number) for number in range(many + 1)])
    held = PlacedSegment(9, leaves[9], tree.path(9))
    claim = replace(probed(2)[1], header=header, snapshot_root=tree.root, segment=held)
    replace(claim, probes=MAX_PROBES).check()
    with pytest.raises(StatementError, match=f"probes: {MAX_PROBES + 1} of {many} cells"):
        replace(claim, probes=MAX_PROBES + 1).check()


def changed(number: int, **changes: Any) -> Parts:
    """The honest receipt of some cells with one part changed; 0 is the centroids'."""
    whole = probed(*NEAREST)
    return [*whole[:number], replace(whole[number], **changes), *whole[number + 1 :]]


def emitting(threshold: int, *emitted: tuple[int, int]) -> Parts:
    return changed(0, threshold=threshold, emitted=emitted)


CELLS: dict[str, tuple[str, Callable[[], Parts]]] = {
    "another cell": ("segment.index: not the segments", lambda: probed(2, 3, 5)),
    "the other one of a tie": ("segment.index: not the segments", lambda: probed(2, 4, 5)),
    "one too few": ("segment.index: not the segments", lambda: probed(2, 3)),
    "one too many": ("segment.index: not the segments", lambda: probed(2, 3, 4, 5)),
    "all cells": ("segment.index: not the segments", lambda: probed(1, 2, 3, 4, 5)),
    "wrong order": ("segment.index: not the segments", lambda: probed(2, 4, 3)),
    "a cell twice": ("segment.index: not the segments", lambda: probed(2, 3, 3)),
    "the centroids alone": ("segment.index: no segment", lambda: probed()),
    "no centroid and no cell": ("segment.index: no segment", lambda: [replace(probed()[0], threshold=-S, emitted=())]),
    "the centroids twice": ("segment.index: not the segments", lambda: [probed()[0], *probed(*NEAREST)]),
    "the centroids for rows": ("segment.index: not the segments", lambda: [*probed(2, 3), probed()[0]]),
    "no centroids": ("segment.index: the first part", lambda: probed(*NEAREST)[1:]),
    "the centroids last": ("segment.index: the first part", lambda: [*probed(*NEAREST)[1:], probed()[0]]),
    "a centroid dropped": (f"threshold: 20, but the emitted rows make it {-S}", lambda: emitting(20, *CENTROIDS[:2])),
    "a raised threshold": (f"threshold: 30, but the emitted rows make it {-S}", lambda: emitting(30, *CENTROIDS[:2])),
    "a lowered threshold": (
        "threshold: 10, but the emitted rows make it 20",
        lambda: emitting(10, *CENTROIDS, (0, 10)),
    ),
    "no centroid emitted": (f"threshold: 20, but the emitted rows make it {-S}", lambda: emitting(20)),
    "another probe count": ("probes: the parts", lambda: changed(2, probes=2)),
    "another probe count in all": (
        "threshold: 20, but the emitted rows make it 30",
        lambda: probed(*NEAREST, probes=2),
    ),
    "more probes than that": ("segment.index: not the segments", lambda: probed(*NEAREST, probes=4)),
    "strict in one part": ("mode: the parts", lambda: changed(2, mode="strict", probes=0)),
    "another threshold for a cell": ("threshold: 16, but", lambda: changed(2, threshold=16)),
    "the centroids' threshold": (
        f"threshold: 20, but the emitted rows make it {-S}",
        lambda: [
            probed()[0],
            *(replace(part, threshold=20, emitted=part.emitted[:0]) for part in probed(*NEAREST)[1:]),
        ],
    ),
    "a dictionary with the cells": ("dictionaries: only the first", lambda: changed(1, dictionaries=(KINDS,))),
    "strict, by some cells": (
        "segment.index: not the segments",
        lambda: probed(*NEAREST, mode="strict", probes=0, threshold=15)[1:],
    ),
    "strict, with the centroids": (
        "segment.index: not the segments",
        lambda: probed(1, 2, 3, 4, 5, mode="strict", probes=0, threshold=15),
    ),
    "strict, with probes": ("probes: 3 of 5 cells", lambda: probed(1, 2, 3, 4, 5, mode="strict")[1:]),
}


@pytest.mark.parametrize("what", CELLS)
def test_cells_are_the_nearest_ones(what: str) -> None:
    message, lie = CELLS[what]
    assert refusal(lie()).startswith(message)


def test_strict_takes_every_cell_and_no_centroid() -> None:
    whole = probed(1, 2, 3, 4, 5, mode="strict", probes=0)[1:]
    accept(whole)
    assert TOPK.result(whole) == [(20, 40), (21, 15), (40, 15), (41, 15)]


def test_all_cells_may_be_probed() -> None:
    first, *others = probed(1, 2, 3, 4, 5, probes=5)
    accept([replace(first, threshold=10, emitted=(*CENTROIDS, (0, 10))), *others])


def test_fewer_live_rows_in_the_probed_cells_than_k() -> None:
    """All that live are emitted. Rows of other cells do not fill up."""
    asked = replace(QUESTION, k=9)
    first, *others = probed(*NEAREST, question=asked)
    accept([first, *(replace(part, threshold=-S) for part in others)])
    assert refusal([first, *others]) == f"threshold: 15, but the emitted rows make it {-S}"


def test_fewer_centroids_than_probes_are_all_probed() -> None:
    """A deleted centroid is no cell."""
    first = replace(probed()[0], threshold=-S, emitted=((3, 30), (1, 10)))
    accept([first, *probed(2, 4)[1:]])
    assert refusal([first, *probed(2, 3, 4)[1:]]).startswith("segment.index: not the segments")


def test_a_centroid_that_is_no_cell() -> None:
    """A snapshot whose centroids have other ids than 0, 1, 2 ... shows no segment for them."""
    first = replace(probed()[0], emitted=((1, 30), (3, 30), (5, 20)))
    assert refusal([first, *probed(2, 4, 5)[1:]]).startswith("segment.index: not the segments")
