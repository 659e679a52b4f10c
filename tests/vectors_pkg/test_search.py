"""The k best against the definition, ties included, in row order and in storage order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.circle import to_storage
from octoproof.vectors.search import Hit, best_stored, leaders, storage_rows

KINDS = st.sampled_from([np.int32, np.int64])


def by_definition(scores, ids, eligible, k):
    ranked = sorted((-int(scores[r]), int(ids[r])) for r in range(len(scores)) if eligible[r])
    return [Hit(*pair) for pair in ranked[:k]]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(4, 11), st.integers(1, 40), st.sampled_from([2, 50, 2**29]), KINDS)
def test_the_best_rows(seed, log_size, k, spread, kind):
    rng = np.random.default_rng(seed)
    size = 1 << log_size
    rows = int(rng.integers(1, size + 1))  # the others are padding
    scores = rng.integers(-spread, spread, size).astype(kind)  # with a spread of 2, nearly all are tied
    ids = np.sort(rng.permutation(5000)[:rows])
    eligible = (np.arange(size) < rows) & (rng.random(size) < rng.choice([0.02, 0.8, 1.0]))
    found = best_stored(to_storage(scores), ids, to_storage(eligible), k)
    assert found == by_definition(scores[:rows], ids, eligible[:rows], k)


@pytest.mark.parametrize("order", ["rising", "falling", "one group"])
def test_the_best_are_found_wherever_they_lie(order):
    scores = np.arange(6400, dtype=np.int32)
    if order == "falling":
        scores = scores[::-1].copy()
    elif order == "one group":  # the 64 best share what `leaders` takes for one group
        scores = scores.reshape(100, 64).T.ravel().copy()
    eligible = np.ones(6400, dtype=bool)
    assert np.sort(scores[leaders(scores, eligible, 64)]).tolist() == list(range(6336, 6400))


def test_leaders_hold_all_ties_of_the_last_place_and_nothing_else():
    scores = np.zeros(640, dtype=np.int32)
    scores[[5, 300, 400]] = 1, 1, 2
    eligible = np.ones(640, dtype=bool)
    assert leaders(scores, eligible, 1).tolist() == [400]
    assert leaders(scores, eligible, 2).tolist() == [5, 300, 400]
    assert len(leaders(scores, eligible, 4)) == 640
    eligible[300] = False
    assert leaders(scores, eligible, 2).tolist() == [5, 400]


def test_one_eligible_score_too_many_is_left_out():
    assert leaders(np.array([3, 1, 2], dtype=np.int32), np.ones(3, dtype=bool), 2).tolist() == [0, 2]


def test_the_least_score_that_a_dtype_has_is_eligible_too():
    scores = np.full(100, np.iinfo(np.int32).min + 1, dtype=np.int32)
    scores[3] = np.iinfo(np.int32).min
    eligible = np.arange(100) == 3
    assert leaders(scores, eligible, 5).tolist() == [3]


@pytest.mark.parametrize("log_size", [1, 2, 5, 12])
def test_storage_rows_invert_row_positions(log_size):
    rows = np.arange(1 << log_size)
    assert to_storage(rows).tolist() == storage_rows(log_size).tolist()
