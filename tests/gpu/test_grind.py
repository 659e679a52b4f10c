"""Proof of work: the nonce is the CPU's, which is Stwo's."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpu import grind
from gpu.device import Device
from prover import grind as cpu
from prover import reference


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=32, max_size=32), st.integers(0, 9), st.sampled_from(["blake2s", "blake2s_m31"]))
def test_grinding_is_the_references(device: Device, digest: bytes, bits: int, name: str) -> None:
    if name == "blake2s_m31":
        digest = reference.reduce_words(digest)
    assert grind.grind(device, name, digest, bits) == reference.grind(name, digest, bits)


def test_several_launches_and_counts_of_the_high_word(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lowest hit lies in a later launch, and beyond 2^20 nonces."""
    digests = (k.to_bytes(32, "little") for k in range(1000))
    digest = next(d for d in digests if cpu.grind("blake2s", d, 18) >> 32 == 1)
    monkeypatch.setattr(grind, "_MOST", 1 << 18)
    assert grind.grind(device, "blake2s", digest, 18) == cpu.grind("blake2s", digest, 18)


def test_nonsense_is_refused(device: Device) -> None:
    with pytest.raises(ValueError, match="0 to 32 bits"):
        grind.grind(device, "blake2s", bytes(32), 33)
    for name, digest in (("poseidon252", 1), ("md5", bytes(32)), ("blake2s", 1)):
        with pytest.raises(ValueError, match="the GPU knows"):
            grind.grind(device, name, digest, 1)
