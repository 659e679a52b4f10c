"""Quantisation: rounding, refusals, and the neighbours that it must not lose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octoproof.vectors.errors import VectorError
from octoproof.vectors.load import load_arrays
from octoproof.vectors.quantise import SCALE_ONE, Quantiser, distance, fit_chunks, fit_quantiser

RNG = np.random.default_rng(8)


def folded_sum(terms: list):
    """The sum that quantisation is defined by: the second half onto the first, an odd last term onto the first."""
    while len(terms) > 1:
        half = len(terms) // 2
        last = terms[-1] if len(terms) % 2 else 0.0
        terms = [a + b for a, b in zip(terms[:half], terms[half : 2 * half], strict=True)]
        terms[0] = terms[0] + last
    return terms[0]


def plain(quantiser: Quantiser, vectors) -> list[list[int]]:
    """The formula in a few lines: what `Quantiser` does block by block, in place, must give the same bits."""
    values = np.array(vectors, dtype=np.float64, order="C")
    if quantiser.normalised:
        values = values / np.abs(values).max(axis=1, keepdims=True)
        values = values / np.sqrt(folded_sum(list((values * values).T)))[:, None]
    return np.rint(values * (quantiser.scale / SCALE_ONE)).astype(np.int16).tolist()


@given(
    st.integers(1, 300),
    st.integers(1, 400),
    st.sampled_from(["float16", "float32", "float64", ">f4", "longdouble", "int8", "int64", "uint64"]),
    st.booleans(),
    st.sampled_from("CF"),
    st.integers(0, 2**32),
)
def test_the_coordinates_are_those_of_the_plain_formula(rows, dimension, dtype, normalised, order, seed):
    vectors = np.random.default_rng(seed).normal(0, 20, (rows, dimension)).astype(np.int64)
    if np.dtype(dtype).kind == "f":
        vectors = vectors * 0.37
    vectors = np.asarray(np.abs(vectors) if dtype == "uint64" else vectors, dtype=dtype, order=order)
    vectors[:, 0] = 1  # none is zero
    quantiser = fit_quantiser(vectors, normalised=normalised)
    assert quantiser(vectors).tolist() == plain(quantiser, vectors)
    scale = 1.0 if normalised else np.abs(vectors.astype(np.float64)).max()
    assert quantiser.scale == int(min(quantiser.limit / scale * SCALE_ONE, 2.0**54))


@pytest.mark.parametrize("normalised", [False, True])
def test_many_blocks_are_those_of_the_plain_formula(normalised):
    vectors = RNG.normal(0, 1, (5_000, 33)).astype(np.float32)
    quantiser = fit_quantiser(vectors, normalised=normalised)
    whole = quantiser(vectors)
    assert whole.tolist() == plain(quantiser, vectors)
    parts = [quantiser(vectors[start : start + 7]) for start in range(0, len(vectors), 7)]
    assert np.concatenate(parts).tolist() == whole.tolist()


@pytest.mark.parametrize("options", [{}, {"normalised": True}, {"limit": 9.0}])
def test_chunks_fit_the_scale_of_the_whole(options):
    vectors = RNG.normal(0, 1, (1_000, 5))
    chunks = [vectors[:0], vectors[:1], vectors[1:700].astype(np.float64), vectors[700:]]
    assert fit_chunks(iter(chunks), 5, **options) == fit_quantiser(vectors, **options)


def test_chunks_are_read_no_further_than_needed():
    chunks = iter([np.ones((0, 2)), np.ones((3, 2)), np.ones((1, 2))])
    fit_chunks(chunks, 2, limit=1.0)
    assert len(list(chunks)) == 1


def test_chunks_of_another_dimension_and_none():
    with pytest.raises(VectorError, match="3 coordinates, but this snapshot has 2"):
        fit_chunks([np.ones((1, 2)), np.ones((1, 3))], 2)
    with pytest.raises(VectorError, match="none"):
        fit_chunks([np.ones((0, 2))], 2, normalised=True)


def test_rows_are_counted_over_chunks():
    bad = np.ones((40_000, 3))
    bad[39_000, 1] = np.nan
    with pytest.raises(VectorError, match="row 39005, coordinate 1 is nan"):
        fit_chunks([np.ones((2, 3)), np.ones((3, 3)), bad], 3)
    with pytest.raises(VectorError, match="row 39100, coordinate 1 is nan"):
        fit_chunks([np.ones((1, 3))], 3)(bad, first_row=100)
    bad[39_000], bad[38_000, 2] = 0, 1.5
    with pytest.raises(VectorError, match=r"row 38100, coordinate 2 is 1\.5, beyond"):
        fit_chunks([np.ones((1, 3))], 3)(bad, first_row=100)
    with pytest.raises(VectorError, match="row 39100 is zero"):
        fit_chunks([np.ones((1, 3))], 3, normalised=True)(bad, first_row=100)


@pytest.mark.filterwarnings("error")
def test_what_overflows_is_beyond_the_scale():
    with pytest.raises(VectorError, match=r"row 0, coordinate 1 is 1e\+308, beyond"):
        Quantiser(2, SCALE_ONE << 10)([[0.0, 1e308]])


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
    "vectors: row 1, coordinate 0 is nan": [[1.0, -1.0], [np.nan, 0.0], [7.0, 0.0]],
    "vectors: row 0, coordinate 1 is inf": [[1.0, np.inf]],
    "vectors: 3 coordinates, but": [[1.0, 2.0, 3.0]],
    "vectors: an array of shape": [1.0, 2.0],
    "vectors: of type": [["a", "b"]],
    "vectors: not one array": [[1.0, 2.0], [3.0]],
    "vectors: row 0, coordinate 1 is -1.2, beyond the scale": [[0.5, -1.2]],
    "vectors: row 0, coordinate 1 is 1.25, beyond the scale": [[0.5, 1.25], [np.nan, 0.0]],
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
    coordinates = quantiser(vectors).astype(np.float64)  # in which these integers and their sums are exact
    norm = (coordinates**2).sum(axis=1)
    rng = np.random.default_rng(5)
    queries = vectors[rng.choice(len(vectors), 100, replace=False)] + rng.normal(0, 0.05, (100, 100))
    queries = np.clip(queries, -3.5, 3.5).astype(np.float32)
    reference = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if metric == "cosine" else vectors
    kept = 0
    for query, whole in zip(queries, quantiser(queries).astype(np.float64), strict=True):
        exact = -((reference - query) ** 2).sum(axis=1) if metric == "l2" else reference @ query
        integer = 2 * (coordinates @ whole) - norm if metric == "l2" else coordinates @ whole
        ranked, found = (np.argsort(-score, kind="stable")[:10] for score in (exact, integer))
        kept += len(set(ranked.tolist()) & set(found.tolist()))
    assert kept / 1000 >= 0.99
