"""A key that signs and is never shown: what transactions and messages are signed with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from octoproof.starknet.wallet import curve
from octoproof.starknet.wallet.curve import Signature
from octoproof.starknet.wallet.hd import account_path, derive
from octoproof.starknet.wallet.messages import typed_data_hash
from octoproof.starknet.wallet.phrase import seed_of


class Signer(Protocol):
    """Whoever signs hashes for a public key."""

    @property
    def public_key(self) -> int: ...

    def sign(self, hash: int) -> Signature: ...


class KeySigner:
    """Signs with a private key in memory. The key is in no repr, and is not pickled or copied out by accident."""

    __slots__ = ("_key", "_public")

    def __init__(self, key: int) -> None:
        self._key = key
        self._public = curve.public_key(key)

    @property
    def public_key(self) -> int:
        """The x coordinate of the key's point."""
        return self._public

    def sign(self, hash: int) -> Signature:
        """(r, s) by RFC 6979. Raises WalletError for what is no hash."""
        return curve.sign(hash, self._key)

    def sign_all(self, hashes: Sequence[int]) -> list[Signature]:
        """What `sign` gives for each, quickly: more than ten thousand a second."""
        from octoproof.starknet.wallet.batch import sign_all

        return sign_all(hashes, self._key)

    def sign_message(self, typed_data: dict[str, Any], account: int) -> Signature:
        """Of a SNIP-12 document for an account. Raises WalletError for a document that cannot be hashed."""
        return self.sign(typed_data_hash(typed_data, account))

    def __repr__(self) -> str:
        return f"KeySigner({self._public:#x})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("KeySigner: a private key is not pickled")


def signer_of(phrase: str, index: int = 0, passphrase: str = "") -> KeySigner:
    """Of the account with this number: BIP-39, BIP-32 along BIP-44's path, EIP-2645. Raises WalletError."""
    return KeySigner(key_at(seed_of(phrase, passphrase), account_path(index)))


def key_at(seed: bytes, path: str) -> int:
    """The Stark private key at a path below a seed."""
    return curve.grind(derive(seed, path).key.to_bytes(32, "big"))
