"""The re-rank against plain Python floats, which are strict IEEE 754, and against bits fixed once for all machines."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.vectors.errors import VectorError
from octoproof.vectors.rerank import Agreement, agreement, candidate_count, rerank

METRICS = pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])


def plain(x: list[float], q: list[float], metric: str) -> float:
    """The distance in Python floats, each operation rounded on its own."""
    if metric == "l2":
        total = 0.0
        for a, b in zip(x, q, strict=True):
            difference = a - b
            total += difference * difference
        return math.sqrt(total)
    product = own = squares = 0.0
    for a, b in zip(x, q, strict=True):
        product += a * b
        squares += a * a
        own += b * b
    return -product if metric == "ip" else 1.0 - product / (math.sqrt(squares) * math.sqrt(own))


def bits(values):
    return [float(v).hex() for v in values]


@METRICS
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([1, 2, 31, 32, 33, 100]), st.integers(-30, 30))
def test_bit_for_bit_like_plain_floats(metric, seed, count, dimension, exponent):
    rng = np.random.default_rng(seed)
    spread = np.exp2(rng.integers(-abs(exponent), abs(exponent) + 1, (count + 1, dimension)))
    numbers = (rng.normal(size=(count + 1, dimension)) * spread).astype(np.float32)
    vectors, query, ids = numbers[:-1], numbers[-1], rng.permutation(count) * 3
    vectors[rng.integers(count)] = vectors[0]  # a tie
    expected = sorted((plain(x, query.tolist(), metric), int(i)) for x, i in zip(vectors.tolist(), ids, strict=True))
    found, distances = rerank(vectors, ids, query, metric, count // 2 + 1)
    assert found.tolist() == [i for _, i in expected][: count // 2 + 1]
    assert bits(distances) == bits([d for d, _ in expected][: count // 2 + 1])


@METRICS
def test_the_ends_of_float32(metric):
    largest, least = np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal
    vectors = np.array([[largest, -largest], [least, -least], [largest, least]], dtype=np.float32)
    for query in (vectors[0], vectors[1]):
        ids, distances = rerank(vectors, np.arange(3), query, metric, 3)
        assert bits(distances) == bits(plain(vectors[i].tolist(), query.tolist(), metric) for i in ids)
        assert np.isfinite(distances).all()


GOLDEN = {
    "l2": (
        [8, 6, 7, 5],
        ["0x1.ef1e92cea3b2fp+3", "0x1.ff8accd8c6bfcp+3", "0x1.08cbf06bf26eep+4", "0x1.349c598ba23e7p+4"],
    ),
    "cosine": (
        [8, 5, 6, 7],
        ["0x1.a28c1c66d4fc8p-1", "0x1.ea134ca0fdd8ep-1", "0x1.fda6d7407c054p-1", "0x1.11f8dbfc4272dp+0"],
    ),
    "ip": (
        [8, 5, 6, 7],
        ["-0x1.a1abaeba25e92p+4", "-0x1.08cda773a3559p+3", "-0x1.19729cf2f2512p-1", "0x1.0de16dc5a822cp+3"],
    ),
}


@METRICS
def test_the_same_bits_on_every_machine(metric):
    """Another order of summation, pairwise or backwards, changes at least one digit of each metric; so do fused
    multiply-adds for l2, the only metric whose products are not exact."""
    k = np.arange(320).reshape(5, 64)
    whole = (k * k * 7919 + k * 104729) % (1 << 24) - (1 << 23)  # exact in float32, whatever the machine
    numbers = np.ldexp(whole, -(k * k % 13) - 20).astype(np.float32)
    ids, distances = rerank(numbers[:4], np.array([5, 6, 7, 8]), numbers[4], metric, 4)
    assert (ids.tolist(), bits(distances)) == GOLDEN[metric]


def test_ties_go_to_the_smaller_id():
    vectors = np.array([[1, 0], [0, 1], [0, -1], [-1, 0]], dtype=np.float32)
    query = np.array([1e-3, 1e-3], dtype=np.float32)
    assert rerank(vectors, np.array([9, 4, 2, 1]), query, "l2", 4)[0].tolist() == [4, 9, 1, 2]
    one, zeros = np.ones(1, dtype=np.float32), np.zeros((3, 1), dtype=np.float32)
    assert rerank(zeros, np.array([3, 1, 2]), one, "ip", 2)[0].tolist() == [1, 2]


def test_fewer_vectors_than_places():
    assert rerank(ONES, np.array([3, 1, 2]), ONES[0], "l2", 9)[0].tolist() == [1, 2, 3]
    assert rerank(ONES[:0], np.arange(0), ONES[0], "l2", 9)[0].tolist() == []


ONES = np.ones((3, 2), dtype=np.float32)


def with_value(value):
    out = ONES.copy()
    out[1, 0] = value
    return out


@pytest.mark.parametrize(
    ("vectors", "query", "metric", "message"),
    [
        (with_value(np.nan), ONES[0], "l2", "vectors: the one of id 11 holds NaN"),
        (with_value(-np.inf), ONES[0], "ip", "vectors: the one of id 11 holds NaN"),
        (ONES, with_value(np.inf)[1], "l2", "query: holds NaN"),
        (ONES, ONES[0] * 0, "cosine", "query: is zero"),
        (ONES * np.array([[1], [0], [1]], dtype=np.float32), ONES[0], "cosine", "vectors: the one of id 11 is zero"),
        (ONES.astype(np.float64), ONES[0], "l2", "vectors: of type float64"),
        (ONES, ONES[0].astype(np.float16), "l2", "query: of type float16"),
        (ONES, np.ones(3, dtype=np.float32), "l2", "vectors: "),
        (ONES[:2], ONES[0], "l2", "vectors: "),
        (ONES, ONES[0], "hamming", "metric: 'hamming'"),
    ],
)
def test_what_cannot_be_ranked(vectors, query, metric, message):
    with pytest.raises(VectorError, match=message):
        rerank(vectors, np.array([10, 11, 12]), query, metric, 2)


def test_zero_vectors_have_distances_in_other_metrics():
    for metric, distance in (("l2", math.sqrt(2)), ("ip", -0.0)):
        assert bits(rerank(ONES * 0, np.arange(3), ONES[0], metric, 1)[1]) == [distance.hex()]


@pytest.mark.parametrize(
    ("k", "requested", "rows", "count"),
    [
        (1, 0, 10**6, 40),
        (10, 0, 10**6, 40),
        (11, 0, 10**6, 44),
        (10, 41, 10**6, 41),
        (10, 39, 10**6, 40),
        (10, 9999, 10**6, 512),
        (128, 0, 10**6, 512),
        (10, 200, 70, 70),
        (128, 0, 3, 3),
    ],
)
def test_how_many_candidates(k, requested, rows, count):
    assert candidate_count(k, requested, rows) == count


@pytest.mark.parametrize("k", [0, 129])
def test_places_that_the_candidates_cannot_serve(k):
    with pytest.raises(VectorError, match=rf"k: {k} is outside 1..128"):
        candidate_count(k, 512, 10**6)


@pytest.mark.parametrize(
    ("ours", "proven", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], Agreement(True, True, 0, 3)),
        ([1, 2, 3], [2, 1, 3], Agreement(True, False, 2, 3)),
        ([1, 2, 3], [1, 2, 4], Agreement(False, False, 1, 2)),
        ([1, 2, 3], [1, 2], Agreement(False, False, 1, 2)),
        ([], [], Agreement(True, True, 0, 0)),
    ],
)
def test_agreement(ours, proven, expected):
    assert agreement(np.array(ours, dtype=np.int64), proven) == expected
