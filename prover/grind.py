"""Proof of work: the first nonce in the order of Stwo's SIMD prover (PROTOCOL 5).

Nonces are (hi << 32) | lo with lo below 2^20, hi ascending in the outer loop. Workers take one hi at a time, and stop
early once a smaller hi has a hit, so the result depends neither on their number nor on their speed.
"""

from __future__ import annotations

import hashlib
import threading
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from air.field import P
from prover import emit, poseidon252
from prover.blake2s import compress, initial_state, reduce_word
from prover.felt252 import WORDS
from prover.lanes import bits_and, kernel, lanes, load, splat, wrapping_add
from prover.merkle import HASH_NAMES, POSEIDON
from prover.threads import INLINE, Workers
from verifier.hashes import poseidon_many

_PREFIX = 0x12345678
LOW_BITS = 20
MAX_BITS = 32  # as in Stwo: one word of the hash decides
_LOOK = 1 << 12  # nonces between two looks at what the others found
_BLOCK = 1 << 10  # nonces a worker hashes with Poseidon252 at a time


@intrinsic
def _first_zero(typing_context, x):
    """The number of the first lane that is zero; a negative number if there is none."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(16)
        zeros = b.bitcast(b.icmp_unsigned("==", args[0], emit.splat(0)), word)
        found = b.zext(b.cttz(zeros, ir.Constant(ir.IntType(1), 0)), emit.U64)
        return b.select(b.icmp_unsigned("==", zeros, word(0)), emit.U64(-1), found)

    return types.intp(lanes), codegen


@kernel
def _search(prefix, hi, mask, reduced, best):
    """The smallest lo for which the first hash word has no bit of `mask`, or -1. Gives up once best[0] < hi.

    prefix is (9, 16): the words of the hashed prefix, each in sixteen lanes, and the lane numbers.
    """
    p0, p1, p2, p3 = load(prefix, 0), load(prefix, 16), load(prefix, 32), load(prefix, 48)
    p4, p5, p6, p7 = load(prefix, 64), load(prefix, 80), load(prefix, 96), load(prefix, 112)
    numbers, high, zero, tested = load(prefix, 128), splat(hi), splat(0), splat(mask)
    for start in range(0, 1 << LOW_BITS, _LOOK):
        if best[0] < hi:
            return -1
        for low in range(start, start + _LOOK, 16):
            nonce = wrapping_add(numbers, splat(low))
            message = (p0, p1, p2, p3, p4, p5, p6, p7, nonce, high, zero, zero, zero, zero, zero, zero)
            word = compress(initial_state(), message, np.uint32(40), True)[0]
            if reduced:
                word = reduce_word(word)
            hit = _first_zero(bits_and(word, tested))
            if hit >= 0:
                return low + hit
    return -1


def grind(hash_name: str, digest: bytes | int, bits: int, workers: Workers = INLINE) -> int:
    """The nonce for a channel's digest (32 bytes, or an integer for Poseidon252) and `bits` <= 32 zero bits."""
    if hash_name not in HASH_NAMES:
        raise ValueError(f"hash {hash_name!r}: known are {', '.join(HASH_NAMES)}")
    if not 0 <= bits <= MAX_BITS:
        raise ValueError(f"proof of work takes 0 to {MAX_BITS} bits, not {bits}")
    if isinstance(digest, int) != (hash_name == POSEIDON):
        raise ValueError(f"{hash_name}: the channel has no such digest")
    if isinstance(digest, int):
        return _grind_poseidon(poseidon_many([_PREFIX, digest, bits]), bits, workers)
    reduced = hash_name == "blake2s_m31"
    prefix = np.empty((9, 16), dtype=np.uint32)
    prefix[:8] = prefix_words(digest, bits, reduced)[:, None]
    prefix[8] = np.arange(16)
    best = np.array([1 << 62], dtype=np.int64)
    found: dict[int, int] = {}
    lock, turns = threading.Lock(), count()

    def work(_: int) -> None:
        while True:
            with lock:
                hi = next(turns)
                if best[0] < hi:
                    return
            lo = _search(prefix, hi, (1 << bits) - 1, reduced, best)
            if lo >= 0:
                with lock:
                    found[hi] = lo
                    best[0] = min(best[0], hi)

    workers.map(work, range(workers.count))
    hi = min(found)
    return hi << 32 | found[hi]


def prefix_words(digest: bytes, bits: int, reduced: bool) -> npt.NDArray[np.uint32]:
    data = _PREFIX.to_bytes(4, "little") + bytes(12) + digest + bits.to_bytes(4, "little")
    words = np.frombuffer(hashlib.blake2s(data).digest(), dtype="<u4").astype(np.uint32)
    return words % np.uint32(P) if reduced else words


def _grind_poseidon(prefix: int, bits: int, workers: Workers) -> int:
    """Hashes the pairs of the prefix and a block of nonces until one has a hit."""
    size = _BLOCK * workers.count
    pairs = np.zeros((WORDS, 2 * size), dtype=np.uint64)
    pairs[:, ::2] = poseidon252.layer([prefix])
    mask, low = np.uint64((1 << bits) - 1), np.uint64((1 << LOW_BITS) - 1)
    for start in count(0, size):
        numbers = np.arange(start, start + size, dtype=np.uint64)
        nonces = (numbers >> np.uint64(LOW_BITS) << np.uint64(32)) | (numbers & low)
        pairs[0, 1::2] = nonces
        hits = np.flatnonzero(poseidon252.nodes(pairs, workers)[0] & mask == 0)
        if hits.size:
            break
    return int(nonces[hits[0]])
