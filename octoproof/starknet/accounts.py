"""Accounts: an address, the keys that sign for it, and how the account's contract wants their signatures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from octoproof.starknet.errors import ChainError
from octoproof.starknet.node import Node
from octoproof.starknet.wallet.signer import KeySigner, Signer


@dataclass(frozen=True)
class Account:
    """Whose transactions are sent. `sign` turns a transaction hash into the signature that the contract checks."""

    address: int
    sign: Callable[[int], list[int]] = field(repr=False)


def plain(signer: Signer) -> Callable[[int], list[int]]:
    """The signature of accounts that know one key: r, s."""
    return lambda message_hash: list(signer.sign(message_hash))


def multiple(signers: Sequence[Signer]) -> Callable[[int], list[int]]:
    """The signature of our account contract, by exactly as many as it wants: key, r, s of each, keys ascending."""
    ordered = sorted(signers, key=lambda signer: signer.public_key)

    def sign(message_hash: int) -> list[int]:
        return [felt for one in ordered for felt in (one.public_key, *one.sign(message_hash))]

    return sign


def predeployed(node: Node) -> list[tuple[Account, Signer]]:
    """The funded accounts of a local node, with their keys. Raises ChainError for any other network."""
    if not node.profile.local:
        raise ChainError(f"account: {node.profile.name} has no accounts whose keys are known; name one of yours")
    found: list[tuple[Account, Signer]] = []
    for held in node.ask("getPredeployedAccounts", namespace="devnet", with_balance=False):
        key = KeySigner(int(held["private_key"], 16))
        found.append((Account(int(held["address"], 16), plain(key)), key))
    return found
