"""The row root: a blake3 Merkle tree over the rows of a segment, for inclusion proofs that need no validity proof.

    leaf = blake3(0x00 | id i64 | live u8 | coordinates i16 ...)      all little-endian
    node = blake3(0x01 | left | right)                               an odd last node moves up as it is
    root = blake3(0x02 | number of leaves u64 | top)

Three tags keep leaf, node and root apart, and the root binds the size, so that no tree passes for one of another shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from blake3 import blake3

LEAF, NODE, ROOT = b"\0", b"\1", b"\2"
EMPTY = bytes(32)


@dataclass(frozen=True)
class RowProof:
    """That one row is in a tree: its position, the tree's size, and the siblings from the leaf up."""

    position: int
    size: int
    siblings: tuple[bytes, ...]


def row_leaves(ids: npt.NDArray[np.int64], live: npt.NDArray[np.bool_], rows: npt.NDArray[np.int16]) -> list[bytes]:
    """One leaf a row, for (N,) ids and live flags and (N, D) coordinates."""
    record = np.dtype([("tag", "u1"), ("id", "<i8"), ("live", "u1"), ("x", "<i2", (rows.shape[1],))])
    packed = np.zeros(len(rows), dtype=record)
    packed["id"], packed["live"], packed["x"] = ids, live, rows
    data, width = memoryview(packed.tobytes()), record.itemsize
    return [blake3(data[k : k + width]).digest() for k in range(0, len(data), width)]


class RowTree:
    """All levels of a tree, leaves first: 64 bytes a row."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.levels = [list(leaves)]
        while len(self.levels[-1]) > 1:
            self.levels.append(_above(self.levels[-1]))

    @property
    def size(self) -> int:
        return len(self.levels[0])

    @property
    def root(self) -> bytes:
        return _root(self.size, self.levels[-1][0] if self.size else EMPTY)

    def update(self, position: int, leaf: bytes) -> None:
        """Replaces one leaf and the nodes above it."""
        self.levels[0][position] = leaf
        for below, level in zip(self.levels, self.levels[1:], strict=False):
            position //= 2
            pair = below[2 * position : 2 * position + 2]
            level[position] = _above(pair)[0]

    def prove(self, position: int) -> RowProof:
        """Raises IndexError for a row that is not there."""
        if not 0 <= position < self.size:
            raise IndexError(f"row {position} of {self.size}")
        siblings = []
        for depth, level in enumerate(self.levels[:-1]):
            beside = (position >> depth) ^ 1
            if beside < len(level):
                siblings.append(level[beside])
        return RowProof(position, self.size, tuple(siblings))


def is_included(root: bytes, leaf: bytes, proof: RowProof) -> bool:
    """Whether the leaf is at the proof's position of the tree with this root."""
    position, width = proof.position, proof.size
    if not 0 <= position < width:
        return False
    node, siblings = leaf, iter(proof.siblings)
    while width > 1:
        if position ^ 1 < width:
            sibling = next(siblings, None)
            if sibling is None:
                return False
            left, right = (sibling, node) if position & 1 else (node, sibling)
            node = blake3(NODE + left + right).digest()
        position, width = position >> 1, (width + 1) >> 1
    return next(siblings, None) is None and _root(proof.size, node) == root


def _above(level: list[bytes]) -> list[bytes]:
    """The next level up."""
    pairs = len(level) // 2
    out = [blake3(NODE + level[2 * k] + level[2 * k + 1]).digest() for k in range(pairs)]
    return out + level[2 * pairs :]


def _root(size: int, top: bytes) -> bytes:
    return blake3(ROOT + size.to_bytes(8, "little") + top).digest()
