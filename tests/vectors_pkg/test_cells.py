"""k-means against integer arithmetic, and against a digest fixed once for all machines."""

from __future__ import annotations

from fractions import Fraction
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.vectors.cells import assign, fit_cells
from octoproof.vectors.errors import VectorError

SEEDS = st.integers(0, 2**32)


def squared_distances(vectors, centroids):
    """(N, cells), in int64."""
    difference = vectors[:, None, :].astype(np.int64) - centroids[None, :, :]
    return (difference * difference).sum(axis=2)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 300), st.integers(1, 40), st.integers(1, 5), st.sampled_from([1, 945, 32767]))
def test_the_nearest_cell_by_integers(seed, rows, cells, dimension, limit):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-limit, limit + 1, (rows, dimension)).astype(np.int16)
    centroids = rng.integers(-limit, limit + 1, (cells, dimension)).astype(np.int16)
    got = assign(vectors, centroids)
    assert got.dtype == np.int32
    assert got.tolist() == squared_distances(vectors, centroids).argmin(axis=1).tolist()  # ties: the smaller cell


def test_more_vectors_than_are_compared_at_once():
    rng = np.random.default_rng(2)
    vectors, centroids = (rng.integers(-9, 10, (n, 2)).astype(np.int16) for n in (5001, 3))
    assert assign(vectors, centroids).tolist() == squared_distances(vectors, centroids).argmin(axis=1).tolist()


def test_distances_beyond_the_reach_of_float32_differ_by_one():
    vectors = np.full((1, 4096), 32767, dtype=np.int16)
    centroids = np.full((3, 4096), -32768, dtype=np.int16)
    centroids[:, 0] = 32765, 32766, 32765  # squared distances of 2^44, and 3 apart
    assert assign(vectors, centroids).tolist() == [1]
    assert assign(vectors, centroids[::2]).tolist() == [0]


def plain_fit(vectors, cells, seed, iterations, sample):
    """`fit_cells` by definition, in integers and fractions."""
    keys = np.random.PCG64(seed).random_raw(len(vectors)).tolist()
    rows = vectors[sorted(range(len(vectors)), key=keys.__getitem__)[: cells * sample]]
    different = list(dict.fromkeys(map(tuple, rows.tolist())))[:cells]
    centroids = np.array(different + different[-1:] * (cells - len(different)), dtype=np.int16)
    for _ in range(iterations):
        nearest = plain_fill(rows, centroids)
        for cell in range(cells):
            members = rows[nearest == cell].tolist()
            if members:
                centroids[cell] = [round(Fraction(sum(values), len(members))) for values in zip(*members, strict=True)]
    plain_fill(rows, centroids)
    return centroids


def plain_fill(rows, centroids):
    while True:
        distances = squared_distances(rows, centroids)
        nearest, own = distances.argmin(axis=1), distances.min(axis=1).tolist()
        empty = sorted(set(range(len(centroids))) - set(nearest.tolist()))
        if not empty or not any(own):
            return nearest
        farthest = sorted(range(len(rows)), key=lambda row: -own[row])
        for cell, row in zip(empty, farthest, strict=False):
            centroids[cell] = rows[row]


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 120), st.integers(1, 20), st.integers(1, 3), st.sampled_from([2, 945]))
def test_the_cells_are_those_of_the_definition(seed, rows, cells, dimension, limit):
    vectors = np.random.default_rng(seed).integers(-limit, limit + 1, (rows, dimension)).astype(np.int16)
    options = min(cells, rows), seed, 3, 5
    assert fit_cells(vectors, *options).tolist() == plain_fit(vectors, *options).tolist()


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 50))
def test_one_cell_lies_at_the_mean_rounded_half_to_even(seed, rows):
    vectors = np.random.default_rng(seed).integers(-3, 4, (rows, 6)).astype(np.int16)
    (centroid,) = fit_cells(vectors, 1, seed)
    assert centroid.tolist() == [round(Fraction(int(total), rows)) for total in vectors.sum(axis=0, dtype=np.int64)]


@pytest.mark.parametrize("seed", [0, 6, 7, 10])
@pytest.mark.parametrize("iterations", [1, 3])
def test_empty_cells_move_to_the_farthest_rows(seed, iterations):
    """Most means round to the zero vector here, which leaves several cells empty at once. The farthest rows come in
    equal pairs, and two of them are close to each other."""
    values = np.random.PCG64(seed).random_raw(400 * 40) % np.uint64(3)
    vectors = np.tile(values.astype(np.int16).reshape(400, 40) - np.int16(1), (2, 1))
    vectors[:2] = 9
    vectors[0, 0] = 8
    centroids = fit_cells(vectors, 8, seed, iterations)
    assert centroids.tolist() == plain_fit(vectors, 8, seed, iterations, 128).tolist()
    assert np.bincount(assign(vectors, centroids), minlength=8).all()


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 200), st.integers(1, 30), st.integers(1, 2))
def test_no_cell_is_empty_while_there_are_vectors_to_fill_it(seed, rows, cells, dimension):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-2, 3, (rows, dimension)).astype(np.int16)  # few values, so many repeat
    cells = min(cells, rows)
    different = len(np.unique(vectors, axis=0))
    centroids = fit_cells(vectors, cells, seed, sample=200)
    used = np.bincount(assign(vectors, centroids), minlength=cells)
    assert np.count_nonzero(used) == min(cells, different)


def clusters(rows=3000):
    """Ten clusters, made of integers alone."""
    k = np.arange(rows * 8, dtype=np.int64).reshape(rows, 8)
    noise = (k * k * 7919 + k * 104729) % 101 - 50
    return ((k[:, :1] // 8 % 10 * np.arange(1, 9) * 37) % 700 - 350 + noise).astype(np.int16)


def test_the_same_cells_on_every_machine():
    vectors = clusters()
    centroids = fit_cells(vectors, 12, 5, sample=100)
    digest = sha256(centroids.astype("<i2").tobytes() + assign(vectors, centroids).astype("<i4").tobytes())
    assert digest.hexdigest() == "8673eac805169de2661755bd977ea266453ca5002b88c7b5ba1b17e73721933e"


def test_the_seed_decides():
    vectors = clusters()
    first, again, other = (fit_cells(vectors, 12, seed, iterations=1, sample=20) for seed in (5, 5, 6))
    assert first.tolist() == again.tolist() != other.tolist()


def test_iterations_bring_the_cells_closer():
    vectors = clusters()
    cost = [squared_distances(vectors, fit_cells(vectors, 12, 5, i)).min(axis=1).sum() for i in (0, 1, 10)]
    assert cost[0] > 2 * cost[1] > 2 * cost[2]


def test_only_the_sample_is_fitted_to():
    """One row a cell, so that the centroids are the chosen rows."""
    vectors = np.arange(10_000, dtype=np.int16)[:, None]
    centroids = fit_cells(vectors, 100, 1, sample=1)
    keys = np.random.PCG64(1).random_raw(10_000)
    assert sorted(centroids[:, 0].tolist()) == sorted(np.argsort(keys, kind="stable")[:100].tolist())


@pytest.mark.parametrize(
    ("cells", "seed", "message"),
    [(9, 0, "cells: 9 for 8 vectors; give 1 to 8"), (0, 0, "cells: 0"), (2, -1, "seed: -1")],
)
def test_what_cannot_be_fitted(cells, seed, message):
    with pytest.raises(VectorError, match=message):
        fit_cells(np.ones((8, 2), dtype=np.int16), cells, seed)
