"""Trees in device memory against the reference and the CPU's trees."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu import blake2s, merkle
from gpu.device import Device
from prover import merkle as cpu
from prover import reference

Make = Callable[..., np.ndarray]
SEEDS = st.integers(0, 2**32 - 1)
NAMES = ["blake2s", "blake2s_m31"]
ON_DEVICE = [HealthCheck.function_scoped_fixture]


def _commit(
    device: Device, columns: list[np.ndarray], lifting_log: int | None, name: str, packed: bool = False
) -> merkle.MerkleTree | cpu.MerkleTree:
    return merkle.commit(device, [device.upload(column) for column in columns], lifting_log, name, packed=packed)


def _compare_with_reference(
    device: Device, columns: list[np.ndarray], lifting_log: int | None, name: str, seed: int, packed: bool = False
) -> None:
    tree = _commit(device, columns, lifting_log, name, packed)
    layers = reference.commit(columns, lifting_log, name, packed)
    assert tree.height == len(layers) - 1
    assert tree.root == layers[0][0]
    rng = np.random.default_rng(seed)
    positions = sorted(rng.integers(0, 1 << tree.height, 5).tolist())
    assert tree.decommit(positions) == reference.decommit(layers, positions)
    assert tree.decommit([]) == []
    assert tree.decommit(range(1 << tree.height)) == []
    for depth in range(tree.height + 1):
        k = int(rng.integers(0, 1 << depth))
        assert tree.digest(depth, k) == layers[depth][k]


@settings(max_examples=25, deadline=None, suppress_health_check=ON_DEVICE)
@given(SEEDS, st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(0, 2), st.sampled_from(NAMES))
def test_lifted_trees(device: Device, columns: Make, seed: int, sizes: list[int], extra: int, name: str) -> None:
    own = [columns(seed + k, 1 << size) for k, size in enumerate(sizes)]
    _compare_with_reference(device, own, max(sizes) + extra if extra else None, name, seed)


@settings(max_examples=15, deadline=None, suppress_health_check=ON_DEVICE)
@given(SEEDS, st.integers(2, 11), st.sampled_from(NAMES))
def test_packed_trees(device: Device, columns: Make, seed: int, log_size: int, name: str) -> None:
    _compare_with_reference(device, list(columns(seed, 4, 1 << log_size)), None, name, seed, packed=True)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_large_trees_hide_their_lowest_layers(device: Device, columns: Make, name: str, packed: bool) -> None:
    log_size = cpu.HIDDEN_FROM + (2 if packed else 0)
    own = list(columns(7, 4, 1 << log_size)) if packed else [columns(k, 1 << (log_size - k % 4)) for k in range(18)]
    tree, expected = _commit(device, own, None, name, packed), cpu.commit(own, None, name, packed=packed)
    assert tree.hidden == expected.hidden == cpu.HIDDEN_LEVELS
    assert tree.height == expected.height
    assert tree.root == expected.root
    positions = sorted(np.random.default_rng(3).integers(0, 1 << tree.height, 9).tolist())
    assert tree.decommit(positions) == expected.decommit(positions)
    assert tree.decommit(range(1 << tree.height)) == []
    for depth in range(tree.height + 1):
        assert tree.digest(depth, (1 << depth) - 1) == expected.digest(depth, (1 << depth) - 1)


def test_unsorted_positions_as_on_the_cpu(device: Device, columns: Make) -> None:
    """Siblings meet only where they are neighbours, and repeated neighbours are one."""
    own = [columns(1, 1 << 6)]
    tree, expected = _commit(device, own, None, "blake2s"), cpu.commit(own, None, "blake2s")
    for positions in ([1, 0, 5, 5], [1, 7, 1], [4, 5, 4], [5, 4, 4, 33], [2, 2, 3, 2, 60, 61, 60, 1], [9]):
        assert tree.decommit(positions) == expected.decommit(positions)


def test_every_number_of_blocks_of_a_message(device: Device, columns: Make) -> None:
    for n in (1, 15, 16, 17, 31, 32, 33, 48):
        own = list(columns(n, n, 2))
        assert _commit(device, own, None, "blake2s").digest(1, 1) == reference.hash_leaf(
            "blake2s", [int(column[1]) for column in own]
        )


def test_words_are_reduced_to_canonical_values(device: Device, columns: Make) -> None:
    tree = device.empty(blake2s.tree_words(10))
    blake2s.leaves(device, [device.upload(columns(1, 1 << 10))], 10, True, 0, blake2s.layer(tree, 10))
    assert device.download(blake2s.layer(tree, 10)).max() < 2**31 - 1


def test_no_columns(device: Device) -> None:
    assert _commit(device, [], None, "blake2s").root == hashlib.blake2s(b"").digest()
    assert _commit(device, [], None, "blake2s_m31").root == cpu.commit([], None, "blake2s_m31").root


def test_wrong_trees_are_refused(device: Device, columns: Make) -> None:
    for name in ("md5", "poseidon252"):
        with pytest.raises(ValueError, match="the GPU knows"):
            _commit(device, [columns(1, 8)], None, name)
    with pytest.raises(ValueError, match="does not fit"):
        _commit(device, [columns(1, 8)], 2, "blake2s")


def test_gathered_rows_are_lifted(device: Device, columns: Make) -> None:
    own = [columns(k, 1 << size) for k, size in enumerate((3, 1, 5, 4, 5))]
    positions = np.array([0, 31, 7, 7, 16])
    found = merkle.gather_rows(device, [device.upload(column) for column in own], positions, 5)
    expected = np.stack([reference.lift(column, 5)[positions] for column in own], axis=1)
    assert (found == expected).all()
    assert merkle.gather_rows(device, [], positions, 5).shape == (5, 0)
    assert merkle.gather(device, device.upload(own[0]), np.array([6, 0])).tolist() == own[0][[6, 0]].tolist()
