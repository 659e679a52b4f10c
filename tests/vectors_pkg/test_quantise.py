"""Quantisation: rounding, refusals, and the neighbours that it must not lose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octoproof.vectors.errors import VectorError
from octoproof.vectors.load import load_arrays
from octoproof.vectors.quantise import SCALE_ONE, Quantiser, distance, fit_quantiser
from octoproof.vectors.search import best, scores


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=5))
def test_every_vector_fits_the_scale_that_it_made(rows):
    if not any(abs(v) > 1e-3 for row in rows for v in row):
        return
    quantiser = fit_quantiser(np.array(rows))
    coordinates = quantiser(np.array(rows))
    assert np.abs(coordinates).max() <= quantiser.limit
    assert np.abs(coordinates / quantiser.factor - rows).max() <= 0.5001 / quantiser.factor


def test_halves_go_to_even():
    assert Quantiser(4, SCALE_ONE)([[0.5, 1.5, -2.5, 2.6]]).tolist() == [[0, 2, -2, 3]]


def test_normalised_vectors_have_unit_length():
    quantiser = fit_quantiser([[3.0, 4.0], [1e-200, 0.0]], normalised=True)
    assert quantiser.scale == quantiser.limit * SCALE_ONE
    limit = quantiser.limit
    assert quantiser([[3.0, 4.0], [1e-200, 0.0]]).tolist() == [[round(0.6 * limit), round(0.8 * limit)], [limit, 0]]


REFUSED = {
    "vectors: row 1, coordinate 0 is nan": [[1.0, 2.0], [np.nan, 0.0]],
    "vectors: row 0, coordinate 1 is inf": [[1.0, np.inf]],
    "vectors: 3 coordinates, but": [[1.0, 2.0, 3.0]],
    "vectors: an array of shape": [1.0, 2.0],
    "vectors: of type": [["a", "b"]],
    "vectors: row 0, coordinate 1 is -1.2, beyond the scale": [[0.5, -1.2]],
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_quantised(message):
    quantiser = fit_quantiser([[1.0, -1.0]])
    with pytest.raises(VectorError) as refused:
        quantiser(REFUSED[message])
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("vectors", "options", "message"),
    [
        (np.zeros((0, 3)), {}, "none"),
        (np.zeros((1, 0)), {}, "dimension"),
        (np.zeros((1, 5000)), {}, "dimension"),
        ([[1.0]], {"limit": -1.0}, "limit"),
        ([[1.0]], {"limit": float("nan")}, "limit"),
        ([[1e-30]], {}, "limit"),
        ([[1e30]], {}, "limit"),
        ([[0.0, 0.0]], {"normalised": True}, "row 0 is zero"),
    ],
)
def test_what_no_scale_fits(vectors, options, message):
    with pytest.raises(VectorError, match=message):
        fit_quantiser(vectors, **options)(vectors)


def test_distances_are_those_of_the_input():
    quantiser = fit_quantiser([[3.0, 4.0]], limit=8.0)
    (a,), (b,) = quantiser([[3.0, 4.0]]).astype(int), quantiser([[1.0, -2.0]]).astype(int)
    l2 = distance("l2", int(2 * a @ b - b @ b), int(a @ a), quantiser.factor)
    assert l2 == pytest.approx(np.hypot(2, 6), rel=1e-3)
    assert distance("ip", int(a @ b), 0, quantiser.factor) == pytest.approx(5.0, rel=1e-2)
    unit = fit_quantiser([[1.0, 0.0]], normalised=True)
    (c,), (d,) = unit([[1.0, 0.0]]).astype(int), unit([[1.0, 1.0]]).astype(int)
    assert distance("cosine", int(c @ d), 0, unit.factor) == pytest.approx(1 - np.sqrt(0.5), rel=1e-3)


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
def test_the_ten_nearest_words_survive(metric, words_file):
    """recall@10 of at least 0.99 against float32, for queries near words."""
    vectors = load_arrays(words_file).vectors.astype(np.float32)
    quantiser = fit_quantiser(vectors, normalised=metric == "cosine")
    columns = np.ascontiguousarray(quantiser(vectors).T)
    norm = (columns.astype(np.int64) ** 2).sum(axis=0)
    rng = np.random.default_rng(5)
    queries = vectors[rng.choice(len(vectors), 100, replace=False)] + rng.normal(0, 0.05, (100, 100))
    queries = np.clip(queries, -3.5, 3.5).astype(np.float32)
    reference = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if metric == "cosine" else vectors
    ids, live = np.arange(len(vectors)), np.ones(len(vectors), dtype=bool)
    kept = 0
    for query, coordinates in zip(queries, quantiser(queries), strict=True):
        exact = -((reference - query) ** 2).sum(axis=1) if metric == "l2" else reference @ query
        integer = scores(columns, norm, map(int, coordinates), "l2" if metric == "l2" else "ip")
        kept += len({hit.id for hit in best(integer, ids, live, 10)} & set(np.argsort(-exact)[:10].tolist()))
    assert kept / 1000 >= 0.99
