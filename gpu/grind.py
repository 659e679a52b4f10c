"""Proof of work on the device: the nonce that `prover.grind` finds, the first in the order of Stwo's SIMD prover."""

from __future__ import annotations

from itertools import count

import numpy as np

from gpu.device import Device, kernel
from prover.grind import LOW_BITS, MAX_BITS, prefix_words
from prover.merkle import HASH_NAMES, POSEIDON, REDUCED

_THREADS, _TURNS = 256, 16  # a thread tries so many nonces
_LEAST, _MOST = 1 << 16, 1 << 24  # nonces of a launch
_NONE = 0xFFFFFFFF


def grind(device: Device, hash_name: str, digest: bytes | int, bits: int) -> int:
    """The nonce for a channel's digest of 32 bytes and `bits` <= 32 zero bits."""
    if hash_name not in HASH_NAMES or hash_name == POSEIDON or isinstance(digest, int):
        raise ValueError(f"hash {hash_name!r}: the GPU knows blake2s and {REDUCED}; take the CPU for others")
    if not 0 <= bits <= MAX_BITS:
        raise ValueError(f"proof of work takes 0 to {MAX_BITS} bits, not {bits}")
    reduced, size = hash_name == REDUCED, min(_MOST, max(_LEAST, 4 << bits))
    prefix = device.upload(prefix_words(digest, bits, reduced))
    for start in count(0, size):
        hi, lo = divmod(start, 1 << LOW_BITS)
        best = device.upload(np.array([_NONE], dtype=np.uint32))
        search, grid = kernel("grind.cu", "find_nonce"), (size // (_THREADS * _TURNS),)
        device.launch(search, grid, _THREADS, prefix, hi, lo, size, (1 << bits) - 1, int(reduced), best)
        found = int(device.download(best)[0])
        if found != _NONE:
            break
    hi, lo = divmod(start + found, 1 << LOW_BITS)
    return hi << 32 | lo
