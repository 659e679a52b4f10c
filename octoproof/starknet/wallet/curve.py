"""The Stark curve: keys, EIP-2645 grinding, and ECDSA one signature at a time, on StarkWare's library.

A public key is the x coordinate of its point. Neither this library nor Python's integers take constant time: sign where
nobody else can measure. Many signatures go through `batch`, which gives the same ones.
"""

from __future__ import annotations

import hashlib

from crypto_cpp_py.cpp_bindings import cpp_get_public_key, cpp_verify
from crypto_cpp_py.utils import cpp_generate_k_rfc6979

from octoproof.starknet.wallet.errors import WalletError

PRIME = 2**251 + 17 * 2**192 + 1
ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
ALPHA = 1
BETA = 0x6F21413EFBE40DE150E596D72F7A8C5609AD26C15C915C1F4CDFCB99CEE9E89
GENERATOR = (
    0x1EF15C18599971B7BECED415A40F0C7DEACFD9B0D1819E03D723D8BC943CFCA,
    0x5668060AA49730B7BE4801DF46EC62DE53ECD11ABE43A32873000C36E8DC1F,
)
HASH_BOUND = 2**251  # StarkWare's libraries sign nothing from here on; a hash reaches it once in 2^55 messages

Signature = tuple[int, int]


def grind(seed: bytes) -> int:
    """A private key from 32 secret bytes: SHA-256 of the seed and a counter, until it can be reduced without bias
    (EIP-2645, as starkware-crypto-utils' `grindKey`)."""
    bound = 2**256 - 2**256 % ORDER
    for count in range(1 << 16):
        number = int.from_bytes(hashlib.sha256(seed + count.to_bytes(1 + (count > 255), "big")).digest(), "big")
        if number < bound and number % ORDER:
            return number % ORDER
    raise WalletError("seed: no key found in 2^16 tries (chance 2^-327680); the seed is broken")


def check_private_key(key: int) -> int:
    """The key itself. Raises WalletError, which does not show it."""
    if not 1 <= key < ORDER:
        raise WalletError("private key: not between 1 and the order of the Stark curve; check the number")
    return key


def public_key(key: int) -> int:
    """The x coordinate of key * G."""
    return int(cpp_get_public_key(check_private_key(key)))


def is_public_key(x: int) -> bool:
    """Whether a point of the curve has this x coordinate."""
    if not 0 < x < PRIME:
        return False
    return pow(x**3 + ALPHA * x + BETA, (PRIME - 1) // 2, PRIME) == 1


def nonce(hash: int, key: int, attempt: int) -> int:
    """The k of RFC 6979 with SHA-256, as StarkWare's libraries make it; later attempts are numbered from 0."""
    return int(cpp_generate_k_rfc6979(hash, key, None if attempt == 0 else attempt - 1))


def sign(hash: int, key: int) -> Signature:
    """(r, s), the same for the same hash and key: a second r for one k would give the key away.

    Raises WalletError for a hash of 252 bits."""
    check_hash(hash)
    check_private_key(key)
    for attempt in range(8):
        k = nonce(hash, key, attempt)
        signature = signature_of(hash, key, k, public_key(k))
        if signature is not None:
            return signature
    raise WalletError("signature: no valid nonce in 8 attempts (chance 2^-400); check this machine's memory")


def signature_of(hash: int, key: int, k: int, r: int) -> Signature | None:
    """The signature with r = x(kG), or None where StarkWare's verifiers would refuse it (about once in 2^55)."""
    numerator = (hash + r * key) % ORDER
    if not 1 <= r < HASH_BOUND or numerator == 0:
        return None
    w = k * pow(numerator, -1, ORDER) % ORDER
    return (r, pow(w, -1, ORDER)) if 1 <= w < HASH_BOUND else None


def verify(hash: int, signature: Signature, public: int) -> bool:
    """Whether the key signed the hash. Numbers out of range are a signature of nobody, never an exception.

    For hash 0 anybody can sign for any key, so it counts as not signed."""
    r, s = signature
    if not (0 < hash < HASH_BOUND and 0 < r < HASH_BOUND and 0 < s < ORDER and is_public_key(public)):
        return False
    w = pow(s, -1, ORDER)
    return w < HASH_BOUND and bool(cpp_verify(hash, r, w, public))


def check_hash(hash: int) -> int:
    """The hash itself. Raises WalletError for one that cannot be signed."""
    if not 0 < hash < HASH_BOUND:
        raise WalletError(f"hash: {hash:#x} is outside 1..2^251-1; sign a hash")
    return hash
