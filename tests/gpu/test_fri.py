"""Folds against the reference, the last layer, and the trees of layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from air.field import QM31, P
from gpu import fri, merkle
from gpu.device import Device
from prover import fri as cpu
from prover import merkle as cpu_merkle
from prover import reference

Make = Callable[..., np.ndarray]
SEEDS = st.integers(0, 2**32 - 1)
ON_DEVICE = [HealthCheck.function_scoped_fixture]


@settings(max_examples=40, deadline=None, suppress_health_check=ON_DEVICE)
@given(SEEDS, st.integers(1, 12), st.integers(1, 7), st.booleans())
def test_folds_are_the_references(
    device: Device,
    columns: Make,
    secure: Callable[..., list[QM31]],
    seed: int,
    log_size: int,
    steps: int,
    on_circle: bool,
) -> None:
    values, alpha, steps = columns(seed, 4, 1 << log_size), secure(seed + 1, 1)[0], min(steps, log_size)
    folded = device.download(fri.fold(device, device.upload(values), alpha, steps, on_circle))
    for step in range(steps):
        values = (reference.fold_circle if on_circle and step == 0 else reference.fold_line)(values, alpha)
        alpha = alpha * alpha
    assert (folded.reshape(4, -1) == values).all()


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_large_folds_are_the_cpus(device: Device, columns: Make, steps: int) -> None:
    values, alpha = columns(steps, 4, 1 << 17), QM31(1, 2, 3, P - 1)
    folded = device.download(fri.fold(device, device.upload(values), alpha, steps, True))
    assert (folded.reshape(4, -1) == cpu.fold(values, alpha, steps, True)).all()


def test_last_layer(device: Device, secure: Callable[..., list[QM31]]) -> None:
    coefficients = secure(1, 4)
    values = reference.evaluate_line(coefficients, 4)
    assert fri.last_layer(device, device.upload(values), 2) == coefficients
    values[0, 3] = (values[0, 3] + 1) % P
    with pytest.raises(ValueError, match="not of degree"):
        fri.last_layer(device, device.upload(values), 2)


@pytest.mark.parametrize("packed", [False, True])
def test_layers_are_committed_as_on_the_cpu(device: Device, columns: Make, packed: bool) -> None:
    values = columns(4, 4, 1 << 9)
    tree = merkle.commit(device, device.upload(values).rows(4), None, "blake2s", packed=packed)
    assert tree.root == cpu_merkle.commit(list(values), None, "blake2s", packed=packed).root
