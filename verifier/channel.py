"""The Fiat-Shamir channel: everything the prover says is mixed in before the next challenge is drawn (PROTOCOL 5)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2s
from itertools import chain
from struct import Struct, pack
from typing import Protocol

from air.field import QM31, P
from verifier.errors import ParseError
from verifier.hashes import STARK_PRIME, Hash, poseidon_many, poseidon_pair, reduce_words

_POW_PREFIX = 0x12345678
_EIGHT_WORDS = Struct("<8I")


class Channel(Protocol):
    """What prover and verifier share. Every mix resets the draw counter."""

    @property
    def digest(self) -> Hash: ...
    def mix_felts(self, felts: Sequence[QM31]) -> None: ...
    def mix_u32s(self, words: Sequence[int]) -> None: ...
    def mix_u64(self, value: int) -> None: ...
    def mix_root(self, root: Hash) -> None: ...
    def draw_secure_felt(self) -> QM31: ...
    def draw_secure_felts(self, count: int) -> list[QM31]: ...
    def draw_u32s(self) -> list[int]: ...
    def verify_pow_nonce(self, bits: int, nonce: int) -> bool: ...


class Blake2sChannel:
    """Digest of 32 bytes; also serves as the M31 variant, which reduces every output word mod P."""

    def __init__(self, reduced: bool = False) -> None:
        self._digest = bytes(32)
        self._reduced = reduced
        self._draws = 0

    @property
    def digest(self) -> bytes:
        return self._digest

    def _hash(self, data: bytes) -> bytes:
        out = blake2s(data).digest()
        return reduce_words(out) if self._reduced else out

    def _mix(self, data: bytes) -> None:
        self._digest = self._hash(self._digest + data)
        self._draws = 0

    def mix_felts(self, felts: Sequence[QM31]) -> None:
        self._mix(pack(f"<{4 * len(felts)}I", *chain.from_iterable(f.coordinates() for f in felts)))

    def mix_u32s(self, words: Sequence[int]) -> None:
        self._mix(pack(f"<{len(words)}I", *words))

    def mix_u64(self, value: int) -> None:
        self._mix(value.to_bytes(8, "little"))

    def mix_root(self, root: Hash) -> None:
        self._mix(root)  # type: ignore[arg-type]

    def draw_u32s(self) -> list[int]:
        out = self._hash(self._digest + self._draws.to_bytes(4, "little") + b"\0")
        self._draws += 1
        return list(_EIGHT_WORDS.unpack(out))

    def _draw_base(self) -> list[int]:
        # Words of 2P and above are drawn again: 2^32 is not a multiple of P, and a challenge must be uniform.
        while True:
            words = self.draw_u32s()
            if all(w < 2 * P for w in words):
                return [w % P for w in words]

    def draw_secure_felt(self) -> QM31:
        return QM31(*self._draw_base()[:4])

    def draw_secure_felts(self, count: int) -> list[QM31]:
        return _felts(self._draw_base, count)

    def verify_pow_nonce(self, bits: int, nonce: int) -> bool:
        prefix = self._hash(pack("<I12x", _POW_PREFIX) + self._digest + bits.to_bytes(4, "little"))
        result = self._hash(prefix + nonce.to_bytes(8, "little"))
        return int.from_bytes(result[:16], "little") % (1 << bits) == 0


class Blake2sM31Channel(Blake2sChannel):
    """Blake2s with every output word reduced mod P: cheap to verify inside a circuit over M31."""

    def __init__(self) -> None:
        super().__init__(reduced=True)


class Poseidon252Channel:
    """Digest of one felt252: cheap to verify on Starknet."""

    def __init__(self) -> None:
        self._digest = 0
        self._draws = 0

    @property
    def digest(self) -> int:
        return self._digest

    def _set(self, digest: int) -> None:
        self._digest = digest
        self._draws = 0

    def mix_felts(self, felts: Sequence[QM31]) -> None:
        packed = []
        for start in range(0, len(felts), 2):
            word = 1  # the leading one tells a group of one element from a group of two
            for value in chain.from_iterable(f.coordinates() for f in felts[start : start + 2]):
                word = (word << 31) + value
            packed.append(word)
        self._set(poseidon_many([self._digest, *packed]))

    def mix_u32s(self, words: Sequence[int]) -> None:
        packed = []
        for start in range(0, len(words), 7):
            group = list(words[start : start + 7])
            felt = 0
            for word in group + [0] * (7 - len(group)):
                felt = (felt << 32) + word
            packed.append(felt + (len(group) << 248 if len(group) < 7 else 0))
        self._set(poseidon_many([self._digest, *packed]))

    def mix_u64(self, value: int) -> None:
        self._set(poseidon_pair(self._digest, value))

    def mix_root(self, root: Hash) -> None:
        self._set(poseidon_pair(self._digest, root))  # type: ignore[arg-type]

    def _draw_felt(self) -> int:
        from poseidon_py.poseidon_hash import poseidon_perm  # type: ignore[import-untyped]

        out = int(poseidon_perm(self._digest, self._draws, 3)[0])
        self._draws += 1
        return out % STARK_PRIME

    def _draw_base(self) -> list[int]:
        felt = self._draw_felt()
        return [(felt >> 31 * k & (1 << 31) - 1) % P for k in range(8)]

    def draw_u32s(self) -> list[int]:
        felt = self._draw_felt()
        return [felt >> 32 * k & 0xFFFFFFFF for k in range(7)]

    def draw_secure_felt(self) -> QM31:
        return QM31(*self._draw_base()[:4])

    def draw_secure_felts(self, count: int) -> list[QM31]:
        return _felts(self._draw_base, count)

    def verify_pow_nonce(self, bits: int, nonce: int) -> bool:
        prefix = poseidon_many([_POW_PREFIX, self._digest, bits])
        return (poseidon_pair(prefix, nonce) & (1 << 128) - 1) % (1 << bits) == 0


class _Draw(Protocol):
    def __call__(self) -> list[int]: ...


def _felts(draw_base: _Draw, count: int) -> list[QM31]:
    """Two felts from every base draw; an odd last one leaves its second half unused."""
    out: list[QM31] = []
    while len(out) < count:
        base = draw_base()
        out += [QM31(*base[:4]), QM31(*base[4:])]
    return out[:count]


def channel(name: str) -> Channel:
    """A fresh channel. Raises ParseError for an unknown name."""
    match name:
        case "blake2s":
            return Blake2sChannel()
        case "blake2s_m31":
            return Blake2sM31Channel()
        case "poseidon252":
            return Poseidon252Channel()
        case _:
            raise ParseError(f"channel: unknown {name!r}, known are blake2s, blake2s_m31 and poseidon252")
