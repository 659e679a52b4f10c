"""Folds and the last layer against the reference and Stwo's vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.field import QM31, P
from prover import fri, reference
from prover.threads import Workers

Make = Callable[..., np.ndarray]
SEEDS = st.integers(0, 2**32 - 1)


def test_vectors(vectors: Callable[[str], Any]) -> None:
    cases = vectors("fri")
    for case in cases["folds"]:
        alpha, values = QM31(*case["alpha"]), np.array(case["values"], dtype=np.uint32).T
        assert fri.fold_circle(values, alpha).T.tolist() == case["circle_to_line"]
        assert fri.fold(values, alpha, 2, True).T.tolist() == case["then_line_fold_with_alpha_squared"]
    for case in cases["fold_coset"]:
        values = np.zeros((4, 1 << case["line_log_size"]), dtype=np.uint32)
        first, steps = case["first_position"], case["fold_step"]
        values[:, first : first + (1 << steps)] = np.array(case["values"]).T
        folded = fri.fold(values, QM31(*case["alpha"]), steps, False)
        assert folded[:, first >> steps].tolist() == case["out"]
    line = vectors("fft")["line_interpolation"]
    values = np.array(line["values_bit_reversed"], dtype=np.uint32).T
    coefficients = fri.last_layer(values, line["log_size"])
    assert [list(c.coordinates()) for c in coefficients] == line["coeffs_stored_order"]
    assert (reference.evaluate_line(coefficients, line["log_size"]) == values).all()


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(1, 13), st.integers(1, 4), st.booleans())
def test_folds_are_the_references(
    columns: Make, secure: Callable[..., list[QM31]], seed: int, log_size: int, steps: int, on_circle: bool
) -> None:
    values, alpha, steps = columns(seed, 4, 1 << log_size), secure(seed + 1, 1)[0], min(steps, log_size)
    with Workers(2) as workers:
        folded = fri.fold(values, alpha, steps, on_circle, workers)
    for step in range(steps):
        values = (reference.fold_circle if on_circle and step == 0 else reference.fold_line)(values, alpha)
        alpha = alpha * alpha
    assert (folded == values).all()


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(0, 4), st.integers(0, 3))
def test_last_layer(
    columns: Make, secure: Callable[..., list[QM31]], seed: int, log_bound: int, blowup: int
) -> None:
    coefficients = secure(seed, 1 << log_bound)
    values = reference.evaluate_line(coefficients, log_bound + blowup)
    assert fri.last_layer(values, log_bound) == coefficients
    if blowup:
        values[seed % 4, seed % values.shape[1]] ^= 1
        values %= np.uint32(P)
        with pytest.raises(ValueError, match="not of degree"):
            fri.last_layer(values, log_bound)
