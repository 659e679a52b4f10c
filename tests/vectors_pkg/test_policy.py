"""When segments are rewritten: every threshold, from both sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octoproof.vectors.policy import (
    HARD_DELETED,
    HARD_SEGMENTS,
    SMALL_BYTES,
    SOFT_DELETED,
    SOFT_SEGMENTS,
    Figures,
    Rewrite,
    plan,
)

FULL = 1000


def full(id: int = 0, deleted: int = 0) -> Figures:
    return Figures(id, FULL, FULL - deleted, 1)


def small(id: int, live: int = 10, rows: int | None = None, bytes: int = 1) -> Figures:
    return Figures(id, live if rows is None else rows, live, bytes)


def shape(rewrites: list[Rewrite]) -> list[tuple[tuple[int, ...], bool]]:
    return [(rewrite.ids, rewrite.must) for rewrite in rewrites]


def test_the_thresholds():
    assert (SOFT_DELETED, HARD_DELETED, SOFT_SEGMENTS, HARD_SEGMENTS, SMALL_BYTES) == (0.15, 0.30, 8, 16, 1 << 30)


@pytest.mark.parametrize("cells", [False, True])
@pytest.mark.parametrize(
    ("deleted", "expected"),
    [(0, []), (150, []), (151, [((3,), False)]), (300, [((3,), False)]), (301, [((3,), True)]), (999, [((3,), True)])],
)
def test_deleted_rows(deleted, expected, cells):
    found = plan([full(1), full(3, deleted), full(5)], FULL, cells)
    assert shape(found) == expected
    assert all(rewrite.reason == f"{deleted / FULL:.0%} of its rows are deleted" for rewrite in found)


def test_a_segment_without_live_rows_is_dropped_and_a_cell_kept():
    assert shape(plan([full(1), full(2, FULL)], FULL, cells=False)) == [((2,), True)]
    assert plan([full(1), full(2, FULL)], FULL, cells=True) == []


@pytest.mark.parametrize(("count", "must"), [(8, None), (9, False), (16, False), (17, True)])
def test_undersized_segments(count, must):
    """All of them fit into one full segment."""
    found = plan([full(0), *(small(k) for k in range(1, count + 1))], FULL, cells=False)
    assert shape(found) == ([] if must is None else [(tuple(range(1, count + 1)), must)])
    assert all(rewrite.reason == f"{count} segments have fewer than {FULL} rows" for rewrite in found)


def test_a_segment_is_undersized_by_its_rows_dead_ones_included():
    nine = [small(k, live=FULL - 1) for k in range(8)]
    assert plan([*nine, full(9)], FULL, cells=False) == []
    assert shape(plan([*nine, full(9, deleted=150)], FULL, cells=False)) == []
    assert shape(plan([*(small(k) for k in range(8)), small(9, live=1, rows=FULL - 1)], FULL, cells=False)) == [
        ((9, *range(8)), False)
    ]


@pytest.mark.parametrize("count", [9, 17, 100])
def test_cells_are_never_merged(count):
    assert plan([small(k, bytes=SMALL_BYTES) for k in range(count)], FULL, cells=True) == []


def test_groups_are_of_the_smallest_and_make_at_most_a_full_segment():
    lives = {1: 400, 2: 50, 3: 600, 4: 500, 5: 50, 6: 999, 7: 100, 8: 450, 9: 500}
    found = plan([small(id, live) for id, live in lives.items()], FULL, cells=False)
    assert shape(found) == [((2, 5, 7, 1), False), ((8, 4), False)]  # 600; 950; 500 + 600 is too much; 999 stays
    exactly = plan([small(k, 500) for k in range(10)], FULL, cells=False)
    assert shape(exactly) == [((k, k + 1), False) for k in range(0, 10, 2)]


def test_segments_that_fit_with_no_other_stay():
    assert plan([small(k, 501) for k in range(20)], FULL, cells=False) == []


def test_a_merged_segment_is_not_rewritten_twice():
    segments = [small(k, live=5, rows=10) for k in range(9)]
    assert shape(plan([*segments, full(20, 400)], FULL, cells=False)) == [(tuple(range(9)), False), ((20,), True)]


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(0, 0, []), (1, 0, [((2, 1), False)]), (SMALL_BYTES, 1, [((2, 1), False)])]
)
def test_bytes_of_undersized_segments(first, second, expected):
    """At 1 GiB nothing happens; above, the two smallest are merged."""
    half = SMALL_BYTES // 2
    segments = [small(1, 300, bytes=half + first), small(2, 200, bytes=half + second), small(3, 900, bytes=0)]
    found = plan([*segments, Figures(7, FULL, FULL, 1 << 40)], FULL, cells=False)
    assert shape(found) == expected


def test_bytes_of_undersized_segments_that_make_more_than_a_full_one():
    assert plan([small(1, 500, bytes=SMALL_BYTES), small(2, 501, bytes=1)], FULL, cells=False) == []
    assert shape(plan([small(1, 500, bytes=SMALL_BYTES), small(2, 500, bytes=1)], FULL, cells=False)) == [
        ((1, 2), False)
    ]


def test_one_undersized_segment_of_any_size_stays():
    assert plan([small(1, 500, bytes=SMALL_BYTES + 1)], FULL, cells=False) == []
    assert plan([full(1)], FULL, cells=False) == plan([], FULL, cells=False) == []


@given(
    st.lists(
        st.tuples(st.integers(1, 1200), st.floats(0, 1), st.sampled_from([1, 1 << 28, 1 << 31])),
        min_size=1,
        max_size=40,
    ),
    st.booleans(),
)
def test_every_segment_is_rewritten_at_most_once(drawn, cells):
    segments = [Figures(k, rows, int(rows * share), size) for k, (rows, share, size) in enumerate(drawn)]
    known, seen = {segment.id: segment for segment in segments}, list[int]()
    for rewrite in plan(segments, FULL, cells):
        seen += rewrite.ids
        if len(rewrite.ids) > 1:
            assert not cells
            assert sum(known[id].live for id in rewrite.ids) <= FULL
            assert all(known[id].rows < FULL for id in rewrite.ids)
        else:
            assert known[rewrite.ids[0]].deleted > SOFT_DELETED
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(known)
    left_alone = [s for s in segments if s.id not in seen and s.deleted > SOFT_DELETED]
    assert all(cells and not s.live for s in left_alone)
