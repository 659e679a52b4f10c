"""The snapshot registry: which root an owner has published under a version, and since which block."""

from __future__ import annotations

from dataclasses import dataclass

from octoproof.starknet.errors import RevertedError
from octoproof.starknet.node import Node
from octoproof.starknet.statements import u256_felts
from octoproof.starknet.transactions import Call

CONTRACT = "SnapshotRegistry"


@dataclass(frozen=True)
class Published:
    """A root (32 bytes) and the block that holds it."""

    root: bytes
    block: int


def publication(registry: int, version: int, root: bytes) -> Call:
    """The call that publishes a root as this version of its sender's snapshot."""
    return Call(registry, "publish", (version, *u256_felts(root)))


def published(node: Node, registry: int, owner: int, version: int) -> Published | None:
    """What the owner published under this version, if anything."""
    if version > latest_version(node, registry, owner):
        return None
    try:
        low, high, block = node.call(registry, "snapshot", [owner, version])
    except RevertedError as error:
        if error.check != "version: not published":  # versions may leave numbers out
            raise
        return None
    return Published((low + (high << 128)).to_bytes(32, "big"), block)


def latest_version(node: Node, registry: int, owner: int) -> int:
    """0 if the owner has published nothing."""
    return node.call(registry, "latest_version", [owner])[0]
