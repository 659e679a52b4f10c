"""The networks that are known: their chain ids and the most that a transaction may cost on them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from octoproof.starknet.errors import ChainError

FRI = 10**18  # of the smallest unit in one STRK
RPC_VERSION = "0.10."  # of the JSON-RPC specification; any patch
DEVNET_PREFIX = "OCTO_DEVNET_"


@dataclass(frozen=True)
class Profile:
    """A network: the text of its chain id, the most in fri that a transaction may cost if nobody says otherwise, how
    often its node is asked, and for how long a transaction that it does not know is looked for before it counts as lost
    (nodes behind one address may lag). Keys of `local` networks are known to everybody; `asks_twice` is for real money.
    """

    name: str
    chain: str
    max_fee: int
    poll_s: float
    grace_s: float
    local: bool = False
    asks_twice: bool = False

    def accepts(self, chain_id: int) -> bool:
        """Every local node has a chain id of its own, so that what is signed for one is worth nothing elsewhere."""
        if self.local:
            return short_string(chain_id).startswith(self.chain)
        return chain_id == felt_of(self.chain)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("devnet", DEVNET_PREFIX, 10_000 * FRI, 0.05, 0.0, local=True),
        Profile("sepolia", "SN_SEPOLIA", 100 * FRI, 2.0, 30.0),
        Profile("mainnet", "SN_MAIN", 20 * FRI, 2.0, 30.0, asks_twice=True),
    )
}


def profile_of(name: str) -> Profile:
    """Raises ChainError."""
    if name not in PROFILES:
        raise ChainError(f"profile: {name!r} is not one of {', '.join(PROFILES)}")
    return PROFILES[name]


def endpoint(profile: Profile, rpc: str | None, local_node: str | None = None) -> str:
    """What was named, else $OCTOPROOF_RPC, else for a local profile the node that runs here. Raises ChainError."""
    found = rpc or os.environ.get("OCTOPROOF_RPC") or (local_node if profile.local else None)
    if not found:
        start = "; or start one with `octoproof chain devnet start`" if profile.local else ""
        raise ChainError(f"rpc: no node is named for {profile.name}; give --rpc URL or set OCTOPROOF_RPC{start}")
    if not found.startswith(("http://", "https://")):
        raise ChainError("rpc: the URL must begin with http:// or https://")
    return found


def felt_of(text: str) -> int:
    """A short string as a felt, big-endian ASCII."""
    return int.from_bytes(text.encode("ascii"), "big")


def short_string(felt: int) -> str:
    """The felt as text if it is printable ASCII, else in hex."""
    raw = felt.to_bytes((felt.bit_length() + 7) // 8, "big")
    return raw.decode("ascii") if raw and all(32 <= byte < 127 for byte in raw) else f"{felt:#x}"
