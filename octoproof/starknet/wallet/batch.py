"""Many signatures and many message hashes at once, bit for bit those of `curve` and `messages`, on compiled kernels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from ecdsa.numbertheory import square_root_mod_prime

from octoproof.device import usable_cores
from octoproof.starknet.wallet import curve
from octoproof.starknet.wallet import curve_kernels as kernels
from octoproof.starknet.wallet.curve import Signature
from octoproof.starknet.wallet.errors import WalletError
from prover.poseidon_lanes import GRAIN, kernel
from prover.threads import Workers

Words = npt.NDArray[np.uint64]


def sign_all(hashes: Sequence[int], key: int) -> list[Signature]:
    """`curve.sign` of each hash. Raises WalletError for what is no hash, or if the machine miscomputes."""
    public = curve.public_key(key)
    nonces = [curve.nonce(curve.check_hash(hash), key, 0) for hash in hashes]
    found = np.empty((len(nonces), kernels.WORDS), dtype=np.uint64)
    kernels.affine_x(_multiples(*curve.GENERATOR, nonces), found)
    computed = zip(hashes, nonces, _integers(found), strict=True)
    signatures = [curve.signature_of(hash, key, k, r) or curve.sign(hash, key) for hash, k, r in computed]
    # With a wrong r, a signature and the right one of the same hash are two equations for the key.
    if not all(verify_all(hashes, signatures, [public] * len(hashes))):
        raise WalletError("signature: is not valid; this machine miscomputes")
    return signatures


def verify_all(hashes: Sequence[int], signatures: Sequence[Signature], publics: Sequence[int]) -> list[bool]:
    """`curve.verify` of each triple. Quick where few keys have signed: a new key costs 2 ms."""
    verdicts = [False] * len(hashes)
    by_key: dict[int, list[int]] = {}
    for place, (hash, (r, s), public) in enumerate(zip(hashes, signatures, publics, strict=True)):
        if 0 < hash < curve.HASH_BOUND and 0 < r < curve.HASH_BOUND and 0 < s < curve.ORDER:
            by_key.setdefault(public, []).append(place)
    for public, places in by_key.items():
        if curve.is_public_key(public):
            own = _verify([(hashes[place], signatures[place]) for place in places], public)
            for place, verdict in zip(places, own, strict=True):
                verdicts[place] = verdict
    return verdicts


def poseidon_rows(rows: Sequence[Sequence[int]]) -> list[int]:
    """Poseidon's sponge over each row of felts; rows are of one length."""
    if not rows:
        return []
    width = len(rows[0]) // 2 + 1
    ending = [1] + [0] * (2 * width - len(rows[0]) - 1)
    count = -(-len(rows) // GRAIN) * GRAIN
    values = np.zeros((count, 2 * width, kernels.WORDS), dtype=np.uint64)
    values[: len(rows)] = _words([value for row in rows for value in (*row, *ending)]).reshape(len(rows), 2 * width, -1)
    states, permute = np.zeros((3 * kernels.WORDS, count), dtype=np.uint64), kernel("permute")
    address = states.ctypes.data
    with Workers(usable_cores()) as workers:
        for block in range(width):
            for number in range(2):
                own = states[kernels.WORDS * number : kernels.WORDS * (number + 1)]
                _add(own, values[:, 2 * block + number].T)
            workers.ranges(lambda start, stop: permute(start, stop, address, count), count, GRAIN)
    return _integers(np.ascontiguousarray(states[: kernels.WORDS, : len(rows)].T))


def _verify(signed: Sequence[tuple[int, Signature]], public: int) -> list[bool]:
    inverses = _inverses([s for _, (_, s) in signed])
    left = _multiples(*curve.GENERATOR, [hash * w % curve.ORDER for (hash, _), w in zip(signed, inverses, strict=True)])
    products = [r * w % curve.ORDER for (_, (r, _)), w in zip(signed, inverses, strict=True)]
    right = _multiples(public, _y(public), products)
    verdicts = np.empty(len(signed), dtype=np.bool_)
    kernels.compare(left, right, _words([r for _, (r, _) in signed]), verdicts)
    return [w < curve.HASH_BOUND and verdict for w, verdict in zip(inverses, verdicts.tolist(), strict=True)]


def _multiples(x: int, y: int, scalars: Sequence[int]) -> Words:
    """(n, 3, 4): each scalar times (x, y)."""
    table, given = _table(x, y), _words(scalars)
    out = np.empty((len(scalars), 3, kernels.WORDS), dtype=np.uint64)
    with Workers(usable_cores()) as workers:
        workers.ranges(lambda start, stop: kernels.multiples(table, given[start:stop], out[start:stop]), len(scalars))
    return out


@lru_cache(maxsize=256)
def _table(x: int, y: int) -> Words:
    """64 KB of multiples of a point."""
    table = np.zeros((kernels.WINDOWS, kernels.DIGITS, 2, kernels.WORDS), dtype=np.uint64)
    kernels.fill_table(kernels.montgomery(x), kernels.montgomery(y), table)
    return table


@lru_cache(maxsize=256)
def _y(x: int) -> int:
    """One of the two y of a point; which one makes no difference to `compare`."""
    return int(square_root_mod_prime((x**3 + curve.ALPHA * x + curve.BETA) % curve.PRIME, curve.PRIME))


def _inverses(numbers: Sequence[int]) -> list[int]:
    """Modulo the order, for one inversion and three products each."""
    product, partial = 1, []
    for number in numbers:
        partial.append(product)
        product = product * number % curve.ORDER
    rest, out = pow(product, -1, curve.ORDER), []
    for number, before in zip(reversed(numbers), reversed(partial), strict=True):
        out.append(rest * before % curve.ORDER)
        rest = rest * number % curve.ORDER
    return out[::-1]


def _add(own: Words, other: Words) -> None:
    """own += other, (4, n) words, for sums below 2^256; the permutation takes any number below that."""
    carry: Any = np.zeros(own.shape[1], dtype=np.uint64)
    for word in range(kernels.WORDS):
        total = own[word] + other[word]
        with_carry = total + carry
        carry = ((total < own[word]) | (with_carry < total)).astype(np.uint64)
        own[word] = with_carry


def _words(numbers: Sequence[int]) -> Words:
    """(n, 4)"""
    data = b"".join(number.to_bytes(8 * kernels.WORDS, "little") for number in numbers)
    return np.frombuffer(data, dtype="<u8").astype(np.uint64).reshape(-1, kernels.WORDS)


def _integers(words: Words) -> list[int]:
    data, size = words.astype("<u8").tobytes(), 8 * kernels.WORDS
    return [int.from_bytes(data[k : k + size], "little") for k in range(0, len(data), size)]
