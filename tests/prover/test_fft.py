"""Twiddles and transforms against the reference and Stwo's vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air import circle
from air.field import QM31, inverse
from prover import fft, reference, sampling
from prover.threads import Workers
from prover.twiddles import _build, layer_zero, twiddles

Make = Callable[..., np.ndarray]
SEEDS = st.integers(0, 2**32 - 1)


def test_twiddles_are_stwos(vectors: Callable[[str], Any]) -> None:
    for case in vectors("fft")["twiddles"]:
        size = case["half_coset_log_size"]
        assert reference.twiddle_buffer(size).tolist() == case["twiddles"]
        heaps = twiddles(size + 1)
        for heap, expected in ((heaps.forward, case["twiddles"]), (heaps.backward, case["itwiddles"])):
            levels = [heap[1 << k : 2 << k] for k in range(size - 1, -1, -1)]
            assert [*np.concatenate(levels).tolist(), 1] == expected


def test_heap_holds_every_layer() -> None:
    for log_size in (8, 9, 13):
        heaps = _build(log_size)
        for layer in range(1, log_size):
            k = log_size - 1 - layer
            assert heaps.forward[1 << k : 2 << k].tolist() == reference.layer_twiddles(log_size, layer).tolist()
        products = heaps.forward[1:].astype(np.uint64) * heaps.backward[1:] % (2**31 - 1)
        assert (products == 1).all()
    for log_size in range(1, 7):
        for node, t in enumerate(reference.layer_twiddles(log_size, 0).tolist(), 1 << (log_size - 1)):
            assert layer_zero(heaps.forward, node) == t
            assert layer_zero(heaps.backward, node) == inverse(t)


def test_vectors(vectors: Callable[[str], Any]) -> None:
    for case in vectors("fft")["cases"]:
        n, c = case["log_size"], np.array([case["coeffs"]], dtype=np.uint32)
        for blowup, name in ((0, "values_bit_reversed"), (1, "lde_1"), (2, "lde_2")):
            if name in case:
                out = np.empty((1, 1 << (n + blowup)), dtype=np.uint32)
                fft.evaluate(c, out, n, n + blowup)
                assert out[0].tolist() == case[name]
                assert (reference.evaluate(c, n + blowup) == out).all()
        if "evaluations_on_first_quarter_of_log_size_plus_2" in case:
            quarter = np.array([case["evaluations_on_first_quarter_of_log_size_plus_2"]], dtype=np.uint32)
            assert (reference.interpolate(quarter, n + 2) == c).all()
            fft.interpolate(quarter, n, domain_log=n + 2)
            assert (quarter == c).all()
        if "eval_at_point" in case:
            x, y = (QM31(*v) for v in case["eval_at_point"]["point"])
            factors = sampling.folding_factors((x, y), n, n)
            assert sampling.evaluate_at(c, n, factors)[0].tolist() == case["eval_at_point"]["value"]


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 14), st.integers(0, 3), st.integers(1, 3))
def test_transforms_are_the_references(columns: Make, seed: int, log_size: int, blowup: int, count: int) -> None:
    c = columns(seed, count, 1 << log_size)
    expected = reference.evaluate(c, log_size + blowup)
    out = np.empty_like(expected)
    fft.evaluate(list(c), out, log_size, log_size + blowup)
    assert (out == expected).all()
    values, again = reference.evaluate(c, log_size), np.empty_like(expected)
    fft.extend(values, list(again), log_size, log_size + blowup)
    assert (values == c).all()
    assert (again == expected).all()
    first = out[:, : 1 << log_size].copy()
    fft.interpolate(first, log_size, domain_log=log_size + blowup)
    assert (first == c).all()
    fft.interpolate(list(out), log_size + blowup)
    assert (out[:, : 1 << log_size] == c).all()
    assert not out[:, 1 << log_size :].any()


@pytest.mark.parametrize("log_size", [15, 16, 17, 18, 19, 20])
def test_large_sizes_are_polynomial_evaluation(columns: Make, log_size: int) -> None:
    """Every path through the cache levels, checked at some points of the domain."""
    c = columns(log_size, 2, 1 << log_size)
    out = np.empty((2, 2 << log_size), dtype=np.uint32)
    with Workers(2) as workers:
        fft.evaluate(c, out, log_size, log_size + 1, workers)
        for position in (0, 1, 12345, (2 << log_size) - 1):
            x, y = circle.point(
                circle.domain_index(log_size + 1, circle.bit_reverse(position, log_size + 1))
            )
            factors = sampling.folding_factors((QM31(x), QM31(y)), log_size, log_size)
            assert sampling.evaluate_at(c, log_size, factors)[:, 0].tolist() == out[:, position].tolist()
        fft.interpolate(out, log_size + 1, workers)
    assert (out[:, : 1 << log_size] == c).all()
    assert not out[:, 1 << log_size :].any()


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(0, 14), st.integers(1, 3))
def test_evaluation_at_a_point(
    columns: Make, secure: Callable[..., list[QM31]], seed: int, log_size: int, count: int
) -> None:
    c, factors = columns(seed, count, 1 << log_size), secure(seed + 1, log_size)
    assert (sampling.evaluate_at(c, log_size, factors) == reference.evaluate_at(c, factors)).all()


def test_evaluation_of_a_large_column(columns: Make, secure: Callable[..., list[QM31]]) -> None:
    c, factors = columns(0, 1, 1 << 17), secure(0, 17)
    assert (sampling.evaluate_at(c, 17, factors) == reference.evaluate_at(c, factors)).all()


def test_wrong_shapes_are_refused() -> None:
    c = np.zeros((2, 16), dtype=np.uint32)
    with pytest.raises(ValueError, match="2\\^5 values"):
        fft.interpolate(c, 5)
    with pytest.raises(ValueError, match="as many target columns"):
        fft.evaluate(c, np.zeros((1, 16), dtype=np.uint32), 4, 4)
    with pytest.raises(ValueError, match="one factor"):
        sampling.evaluate_at(c, 4, [])
