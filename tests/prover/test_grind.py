"""Proof of work: the nonce is Stwo's, whatever the threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prover import grind, merkle, reference
from prover.threads import Workers


@pytest.mark.parametrize("name", merkle.HASH_NAMES)
def test_vectors(vectors: Callable[[str], Any], name: str) -> None:
    digest: bytes | int = b""
    found = 0
    with Workers(2) as workers:
        for step in vectors("channel")[name]:
            if step["op"] == "grind":
                assert grind.grind(name, digest, step["n_bits"]) == step["nonce_simd"]
                assert grind.grind(name, digest, step["n_bits"], workers) == step["nonce_simd"]
                found += 1
            if "digest" in step:
                digest = int(step["digest"], 16) if name == "poseidon252" else bytes.fromhex(step["digest"])
    assert found == 3


@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(0, 9), st.sampled_from(["blake2s", "blake2s_m31"]))
def test_grinding_is_the_references(digest: bytes, bits: int, name: str) -> None:
    if name == "blake2s_m31":
        digest = reference.reduce_words(digest)
    assert grind.grind(name, digest, bits) == reference.grind(name, digest, bits)


def test_many_bits_on_several_threads() -> None:
    """Hits beyond the first 2^20 nonces: the lowest one, whoever finds it."""
    digest = bytes(range(32))
    alone = grind.grind("blake2s", digest, 23)
    assert reference.work_value("blake2s", digest, 23, alone) % (1 << 23) == 0
    for threads in (2, 5):
        with Workers(threads) as workers:
            assert grind.grind("blake2s", digest, 23, workers) == alone


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 32 bits"):
        grind.grind("blake2s", bytes(32), 33)
    with pytest.raises(ValueError, match="no such digest"):
        grind.grind("poseidon252", bytes(32), 1)
    with pytest.raises(ValueError, match="known are"):
        grind.grind("md5", bytes(32), 1)
