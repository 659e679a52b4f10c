"""The three Merkle hashes: Blake2s, Blake2s with words reduced mod P, and Poseidon252 (PROTOCOL 4).

A Blake2s hash value is 32 bytes, a Poseidon252 value an integer below the Stark prime. Stwo separates neither leaves
from nodes nor either from the channel; what keeps them apart is that the verifier knows every tree's height and every
leaf's width before it hashes, so a node cannot be passed off as a leaf (ANCHORS D17).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2s
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from air.field import P
from verifier.errors import EncodingError, ParseError

Hash = bytes | int
Words = npt.NDArray[np.uint32]

STARK_PRIME = 2**251 + 17 * 2**192 + 1
_EIGHT_WORDS = Struct("<8I")


@dataclass(frozen=True)
class Hasher:
    """How one tree hashes. `leaves` takes one row of words per leaf, in the order that is hashed."""

    name: str
    empty: Hash
    node: Callable[[Any, Any], Hash]  # of two values of its own kind
    leaves: Callable[[Words], list[Hash]]

    @property
    def numeric(self) -> bool:
        """Whether hash values are integers instead of bytes."""
        return self.name == "poseidon252"

    def valid(self, value: Hash) -> bool:
        """Whether this is a hash value of this kind, and canonical."""
        if isinstance(value, bytes):
            return not self.numeric and len(value) == 32
        return self.numeric and 0 <= value < STARK_PRIME

    def all_valid(self, values: Sequence[Hash]) -> bool:
        """`valid` of each, quickly: a proof has thousands."""
        if self.numeric:
            return all(self.valid(value) for value in values)
        return set(map(type, values)) <= {bytes} and set(map(len, values)) <= {32}  # type: ignore[arg-type]

    def to_bytes(self, value: Hash) -> bytes:
        """32 bytes: as they are, or the integer big-endian. Raises EncodingError for what is no hash value."""
        if not self.valid(value):
            raise EncodingError(f"{self.name}: not a hash value: {str(value)[:80]}")
        return value if isinstance(value, bytes) else value.to_bytes(32, "big")

    def from_bytes(self, data: bytes) -> Hash:
        """Inverse of `to_bytes`; a number that is not below the Stark prime is refused."""
        value: Hash = int.from_bytes(data, "big") if self.numeric else data
        self.to_bytes(value)
        return value

    def all_from_bytes(self, parts: Sequence[bytes]) -> tuple[Hash, ...]:
        """`from_bytes` of each, of 32 bytes, quickly: a proof has thousands."""
        return tuple(map(self.from_bytes, parts)) if self.numeric else tuple(parts)

    def to_hex(self, value: Hash) -> str:
        return self.to_bytes(value).hex()

    def from_hex(self, text: str, where: str) -> Hash:
        """64 hexadecimal digits, upper or lower case."""
        if len(text) != 64 or not all(c in "0123456789abcdefABCDEF" for c in text):
            raise ParseError(f"{where}: not 64 hex digits")
        return self.from_bytes(bytes.fromhex(text))


def reduce_words(digest: bytes) -> bytes:
    """Every 32-bit word mod P: the output rule of Blake2s-M31."""
    return _EIGHT_WORDS.pack(*[w % P for w in _EIGHT_WORDS.unpack(digest)])


def _blake2s(data: bytes) -> bytes:
    return blake2s(data).digest()


def _blake2s_m31(data: bytes) -> bytes:
    return reduce_words(blake2s(data).digest())


def _blake2s_node(left: bytes, right: bytes) -> bytes:
    return blake2s(left + right).digest()  # one call less than through `_blake2s`: most hashes of a proof are these


def _blake2s_m31_node(left: bytes, right: bytes) -> bytes:
    return reduce_words(blake2s(left + right).digest())


def _blake_hasher(name: str, digest: Callable[[bytes], bytes], node: Callable[[bytes, bytes], bytes]) -> Hasher:
    def leaves(rows: Words) -> list[Hash]:
        data, width = rows.astype("<u4").tobytes(), 4 * rows.shape[1]
        return [digest(data[k : k + width]) for k in range(0, len(data), width)]

    return Hasher(name, digest(b""), node, leaves)


def poseidon_many(values: Sequence[int]) -> int:
    """The standard sponge over felts. The package is imported where it is used: only this channel needs it."""
    from poseidon_py.poseidon_hash import poseidon_hash_many  # type: ignore[import-untyped]

    return int(poseidon_hash_many([v % STARK_PRIME for v in values]))


def poseidon_pair(left: int, right: int) -> int:
    from poseidon_py.poseidon_hash import poseidon_hash

    return int(poseidon_hash(left % STARK_PRIME, right % STARK_PRIME))


def _poseidon_leaf(row: Sequence[int]) -> int:
    """Eight M31 a felt; a shorter last group carries its length, so that trailing zeros are not invisible."""
    felts = []
    for start in range(0, len(row), 8):
        group, felt = row[start : start + 8], 0
        for value in group:
            felt = (felt << 31) + value
        felts.append(felt + (len(group) << 248 if len(group) < 8 else 0))
    return poseidon_many(felts)


def _poseidon_hasher() -> Hasher:
    def leaves(rows: Words) -> list[Hash]:
        return [_poseidon_leaf(row) for row in rows.tolist()]

    # PROTOCOL 4 says H of nothing, and vectors/merkle.json has poseidon_many([]) for a tree without columns. The proofs
    # that Stwo's SIMD backend makes (fixture wide_fib_6x20_poseidon) have 0 there, and the transcript depends on it.
    return Hasher("poseidon252", 0, poseidon_pair, leaves)


@cache
def hasher(channel: str) -> Hasher:
    """The hasher that goes with a channel. Raises ParseError for an unknown name."""
    if channel == "blake2s":
        return _blake_hasher(channel, _blake2s, _blake2s_node)
    if channel == "blake2s_m31":
        return _blake_hasher(channel, _blake2s_m31, _blake2s_m31_node)
    if channel == "poseidon252":
        return _poseidon_hasher()
    raise ParseError(f"channel: unknown {channel!r}, known are blake2s, blake2s_m31 and poseidon252")
