"""Folding on the device against the reference, in every shape that the bits of an index can be divided in."""

from __future__ import annotations

import numpy as np
import pytest

from air.circle import secure_point
from air.field import QM31
from gpu.sampling import evaluate_at
from prover import reference
from prover.sampling import folding_factors


@pytest.mark.parametrize("log_size", [1, 4, 8, 9, 13, 15])
@pytest.mark.parametrize("count", [1, 3])
def test_values_are_the_references(device, columns, secure, log_size, count):
    coefficients, factors = columns(log_size + count, count, 1 << log_size), secure(count, log_size)
    found = evaluate_at(device, [device.upload(row) for row in coefficients], log_size, factors)
    assert np.array_equal(found, reference.evaluate_at(coefficients, factors))


def test_a_lifted_column_is_read_at_the_multiplied_point(device, columns):
    factors = folding_factors(secure_point(QM31(5, 6, 7, 8)), 6, 9)
    coefficients = columns(2, 1, 1 << 6)
    found = evaluate_at(device, [device.upload(coefficients[0])], 6, factors)
    assert np.array_equal(found, reference.evaluate_at(coefficients, factors))


def test_there_is_a_factor_for_every_bit(device):
    with pytest.raises(ValueError, match="one factor for each bit"):
        evaluate_at(device, [device.empty(16)], 4, [QM31(1)] * 3)
