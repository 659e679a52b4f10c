"""Lifted Merkle trees of all three hashes against the reference and Stwo's vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prover import blake2s, merkle, reference
from prover.threads import Workers

Make = Callable[..., np.ndarray]
SEEDS = st.integers(0, 2**32 - 1)


def _hash(name: str, text: str) -> Any:
    return int(text) if name == "poseidon252" else bytes.fromhex(text)


@pytest.mark.parametrize("name", merkle.HASH_NAMES)
def test_vectors(vectors: Callable[[str], Any], name: str) -> None:
    for case in vectors("merkle")[name]:
        if not case["column_log_sizes"]:
            root = merkle.commit([], None, name).root
            # Stwo's SIMD prover has 0 here, its CPU backend, which made the vectors, the hash of nothing.
            assert root == (0 if name == "poseidon252" else _hash(name, case["root"]))
            continue
        columns = [np.array(values, dtype=np.uint32) for values in case["columns"]]
        height = None if case["packed"] else case["height"]
        tree = merkle.commit(columns, height, name, packed=case["packed"])
        assert tree.height == case["height"]
        assert tree.root == _hash(name, case["root"])
        for depth, layer in enumerate(case.get("layers_root_first", [])):
            assert [tree.digest(depth, k) for k in range(1 << depth)] == [_hash(name, text) for text in layer]
        witness = [_hash(name, text) for text in case["hash_witness"]]
        assert tree.decommit(case["queries"]) == witness
        layers = reference.commit(columns, height, name, case["packed"])
        assert reference.decommit(layers, case["queries"]) == witness


@settings(max_examples=40, deadline=None)
@given(
    SEEDS,
    st.lists(st.integers(1, 9), min_size=1, max_size=40),
    st.integers(0, 2),
    st.sampled_from(["blake2s", "blake2s_m31"]),
)
def test_blake2s_trees(columns: Make, seed: int, sizes: list[int], extra: int, name: str) -> None:
    own = [columns(seed + k, 1 << size) for k, size in enumerate(sizes)]
    _compare(own, max(sizes) + extra if extra else None, name, seed)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.lists(st.integers(1, 4), min_size=1, max_size=20), st.integers(0, 1))
def test_poseidon_trees(columns: Make, seed: int, sizes: list[int], extra: int) -> None:
    own = [columns(seed + k, 1 << size) for k, size in enumerate(sizes)]
    _compare(own, max(sizes) + extra, "poseidon252", seed)


def _compare(columns: list[np.ndarray], lifting_log: int | None, name: str, seed: int, packed: bool = False) -> None:
    with Workers(2) as workers:
        tree = merkle.commit(columns, lifting_log, name, workers, packed=packed)
    layers = reference.commit(columns, lifting_log, name, packed)
    assert tree.height == len(layers) - 1
    assert tree.root == layers[0][0]
    rng = np.random.default_rng(seed)
    positions = sorted(rng.integers(0, 1 << tree.height, 5).tolist())
    assert tree.decommit(positions) == reference.decommit(layers, positions)
    assert tree.decommit([]) == []
    everywhere = range(1 << tree.height)
    assert tree.decommit(everywhere) == []
    for depth in range(tree.height + 1):
        k = int(rng.integers(0, 1 << depth))
        assert tree.digest(depth, k) == layers[depth][k]


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(2, 10), st.sampled_from(merkle.HASH_NAMES))
def test_packed_trees(columns: Make, seed: int, log_size: int, name: str) -> None:
    log_size = min(log_size, 5) if name == "poseidon252" else log_size
    _compare(list(columns(seed, 4, 1 << log_size)), None, name, seed, packed=True)


def test_chunks_and_lifts_of_a_large_tree(columns: Make) -> None:
    """More positions than one chunk, every lift that has a path of its own."""
    own = [columns(k, 1 << size) for k, size in enumerate([12, 6, 7, 8, 9, 10, 11, 12] * 3)]
    tree = merkle.commit(own, None, "blake2s")
    rows = np.stack([reference.lift(c, 12) for c in sorted(own, key=len)], axis=1)
    for k in (0, 1, 1023, 1024, 2050, 4095):
        assert tree.digest(12, k) == reference.hash_leaf("blake2s", rows[k].tolist())
        assert tree.digest(11, k // 2) == reference.hash_node(
            tree.digest(12, k & ~1), tree.digest(12, k | 1), "blake2s"
        )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["blake2s", "blake2s_m31"])
def test_large_trees_hide_their_lowest_layers(
    columns: Make, name: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merkle, "HIDDEN_FROM", 12)  # as large ones do: the reference is too slow for these
    own = list(columns(7, 4, 1 << 14)) if packed else [columns(k, 1 << (12 - k % 4)) for k in range(18)]
    tree = merkle.commit(own, None, name, packed=packed)
    assert tree.hidden
    _compare(own, None, name, 11, packed)


def test_unsorted_positions_as_in_stwo(columns: Make) -> None:
    tree = merkle.commit([columns(1, 8)], None, "blake2s")
    # 1 and 0 are neighbours and siblings; the two 5 are one position; the second 1 stands alone.
    assert tree.decommit([1, 0, 5, 5]) == [tree.digest(3, 4), tree.digest(2, 1), tree.digest(2, 3)]
    assert tree.decommit([1, 7, 1])[:3] == [tree.digest(3, 0), tree.digest(3, 6), tree.digest(3, 0)]


def test_words_are_reduced_to_canonical_values() -> None:
    words = np.array([0, 1, 2**31 - 2, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], dtype=np.uint32)
    assert reference.reduce_words(words.tobytes() + bytes(4))[:28] == (words % np.uint32(2**31 - 1)).tobytes()
    layer = blake2s.leaves([np.arange(1 << 12, dtype=np.uint32)], 12, True)
    assert layer.max() < 2**31 - 1


def test_wrong_trees_are_refused(columns: Make) -> None:
    with pytest.raises(ValueError, match="known are"):
        merkle.commit([columns(1, 8)], None, "md5")
    with pytest.raises(ValueError, match="does not fit"):
        merkle.commit([columns(1, 8)], 2, "blake2s")
