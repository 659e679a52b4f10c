"""Committed trees in device memory against the CPU's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gpu import commitment
from gpu.device import Array, Device
from prover import commitment as cpu
from prover.threads import INLINE
from verifier.config import PcsConfig

Make = Callable[..., np.ndarray]
SIZES = (5, 3, 5, 1, 12, 13)
CONFIG = PcsConfig(pow_bits=1, log_blowup_factor=2, n_queries=3, log_last_layer_degree_bound=0)


def _same(device: Device, ours: tuple[Array, ...], theirs: tuple[np.ndarray, ...]) -> bool:
    return len(ours) == len(theirs) and all((device.download(a) == b).all() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("name", ["blake2s", "blake2s_m31"])
@pytest.mark.parametrize("resident", [False, True])
def test_trees_are_the_cpus(device: Device, columns: Make, keep: bool, name: str, resident: bool) -> None:
    own = [columns(k, 1 << size) for k, size in enumerate(SIZES)]
    given = [device.upload(column) for column in own] if resident else own
    tree = commitment.commit(device, given, CONFIG, name, keep=keep)
    expected = cpu.commit([column.copy() for column in own], CONFIG, name, INLINE, keep=keep)
    assert tree.root == expected.root
    assert tree.log_sizes == expected.log_sizes == SIZES
    for part in ("values", "coefficients", "extended"):
        assert _same(device, getattr(tree, part), getattr(expected, part))
    assert tree.merkle.decommit([3, 700]) == expected.merkle.decommit([3, 700])


def test_trees_of_coefficients(device: Device, columns: Make) -> None:
    own = [columns(k, 1 << size) for k, size in enumerate(SIZES)]
    tree = commitment.commit_coefficients(device, [device.upload(column) for column in own], CONFIG, "blake2s")
    expected = cpu.commit_coefficients(own, CONFIG, "blake2s", INLINE)
    assert tree.root == expected.root
    assert _same(device, tree.coefficients, expected.coefficients)
    assert _same(device, tree.extended, expected.extended)


def test_no_columns(device: Device) -> None:
    assert (
        commitment.commit(device, [], CONFIG, "blake2s", keep=False).root
        == cpu.commit([], CONFIG, "blake2s", INLINE, keep=False).root
    )
