"""Our account contract (`contracts/account`) from outside: its signers, and the address that they give it."""

from __future__ import annotations

from collections.abc import Sequence

from starknet_py.hash.address import compute_address

from octoproof.starknet.wallet.curve import is_public_key
from octoproof.starknet.wallet.errors import WalletError

# Of contracts/account, compiled by Cairo 2.19.4. Every address is made of it: with it, new accounts move elsewhere.
CLASS_HASH = 0x9B686FA7BFA933105ED88E19C8484E87C1FBBBB04F4A2A70BC4A0068447543
MAX_SIGNERS = 16


def constructor_calldata(signers: Sequence[int], threshold: int = 1) -> list[int]:
    """The set of signers as the contract takes it, when it is deployed and in `set_signers`, its call to itself that
    changes keys or threshold. Raises WalletError for a set that the contract would refuse."""
    ordered = sorted(set(signers))
    if len(ordered) != len(signers):
        raise WalletError("signers: a public key is there twice; each may count once")
    if not 1 <= len(ordered) <= MAX_SIGNERS:
        raise WalletError(f"signers: {len(ordered)}; give 1 to {MAX_SIGNERS}")
    if not 1 <= threshold <= len(ordered):
        raise WalletError(f"threshold: {threshold} of {len(ordered)} signers; give 1 to {len(ordered)}")
    for key in ordered:
        if not is_public_key(key):
            raise WalletError(f"signers: {key:#x} is no public key of the Stark curve")
    return [threshold, len(ordered), *ordered]


def account_address(signers: Sequence[int], threshold: int = 1, salt: int = 0) -> int:
    """Where the account of these signers is, or will be once it is deployed. `salt` tells several of them apart."""
    calldata = constructor_calldata(signers, threshold)
    return compute_address(class_hash=CLASS_HASH, constructor_calldata=calldata, salt=salt)
