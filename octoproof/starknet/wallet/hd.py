"""BIP-32: private keys on secp256k1 derived from a seed along a path, and BIP-44's path for Starknet."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from octoproof.starknet.wallet.errors import WalletError

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HARDENED = 1 << 31
STARKNET_COIN = 9004  # SLIP-44


@dataclass(frozen=True)
class ExtendedKey:
    """A private key below the order of secp256k1, and its chain code of 32 bytes."""

    key: int = field(repr=False)
    chain: bytes = field(repr=False)


def account_path(index: int) -> str:
    """Of the account with this number. Raises WalletError for a number that BIP-32 has no child for."""
    if not 0 <= index < HARDENED:
        raise WalletError(f"index: {index} is outside 0..{HARDENED - 1}")
    return f"m/44'/{STARKNET_COIN}'/0'/0/{index}"


def derive(seed: bytes, path: str) -> ExtendedKey:
    """The key at a path such as m/44'/9004'/0'/0/0. Raises WalletError."""
    found = master(seed)
    for index in parse_path(path):
        found = child(found, index)
    return found


def master(seed: bytes) -> ExtendedKey:
    """m of a seed of 16 to 64 bytes."""
    if not 16 <= len(seed) <= 64:
        raise WalletError(f"seed: {len(seed)} bytes; BIP-32 takes 16 to 64")
    return _split(hmac.digest(b"Bitcoin seed", seed, "sha512"), 0)


def child(parent: ExtendedKey, index: int) -> ExtendedKey:
    """CKDpriv: the child key, hardened for indices from 2^31."""
    if not 0 <= index < 2 * HARDENED:
        raise WalletError(f"path: index {index} is outside 0..2^32-1")
    own = b"\0" + parent.key.to_bytes(32, "big") if index >= HARDENED else _public(parent.key)
    return _split(hmac.digest(parent.chain, own + index.to_bytes(4, "big"), "sha512"), parent.key)


def parse_path(path: str) -> tuple[int, ...]:
    """m/44'/0 as (44 + 2^31, 0)."""
    first, *rest = path.split("/")
    steps = []
    for part in rest:
        digits = part.removesuffix("'")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 10 or int(digits) >= HARDENED:
            raise WalletError(f"path: {path!r:.80}; give one like m/44'/{STARKNET_COIN}'/0'/0/0")
        steps.append(int(digits) + (HARDENED if part.endswith("'") else 0))
    if first != "m":
        raise WalletError(f"path: {path!r:.80}; give one like m/44'/{STARKNET_COIN}'/0'/0/0")
    return tuple(steps)


def _split(digest: bytes, parent: int) -> ExtendedKey:
    left = int.from_bytes(digest[:32], "big")
    key = (left + parent) % ORDER
    if left >= ORDER or key == 0:
        raise WalletError("path: BIP-32 has no key here (chance 2^-127); use the next index")
    return ExtendedKey(key, digest[32:])


def _public(key: int) -> bytes:
    """The 33 bytes of the compressed public key."""
    return derive_private_key(key, SECP256K1()).public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
