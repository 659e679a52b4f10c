"""Lifted Merkle trees over columns of different sizes: commitment and opening (PROTOCOL 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from air.circle import Column
from prover import blake2s, poseidon252
from prover.threads import INLINE, Workers

Hash = bytes | int
POSEIDON = "poseidon252"
HASH_NAMES = ("blake2s", "blake2s_m31", POSEIDON)


@dataclass(frozen=True, eq=False)
class MerkleTree:
    """All layers of one tree, root first: layer d has 2^d digests.

    A Blake2s layer is an array (8, 2^d) of digest words, a Poseidon252 layer a list of integers.
    """

    hash_name: str
    layers: tuple[Any, ...]

    @property
    def height(self) -> int:
        return len(self.layers) - 1

    @property
    def root(self) -> Hash:
        """32 bytes for Blake2s, an integer for Poseidon252."""
        return self.digest(0, 0)

    def digest(self, depth: int, index: int) -> Hash:
        layer = self.layers[depth]
        return layer[index] if self.hash_name == POSEIDON else blake2s.digest(layer, index)

    def decommit(self, positions: Iterable[int]) -> list[Hash]:
        """The hashes that a verifier lacks to get from the leaves at these positions to the root, bottom up.

        As in Stwo repeated neighbours are dropped and nothing is sorted: siblings meet only where they are neighbours.
        """
        witness: list[Hash] = []
        known = [position for position, _ in groupby(int(p) for p in positions)]
        for depth in range(self.height, 0, -1):
            parents, run = [], 0
            for k, position in enumerate(known):
                run += 1
                if k + 1 < len(known) and known[k + 1] == position ^ 1:
                    continue
                if run == 1:
                    witness.append(self.digest(depth, position ^ 1))
                parents.append(position >> 1)
                run = 0
            known = parents
        return witness


def commit(
    columns: Sequence[Column],
    lifting_log: int | None,
    hash_name: str,
    workers: Workers = INLINE,
    *,
    packed: bool = False,
) -> MerkleTree:
    """The tree over columns (each 2^m values in storage order, m >= 1) in commitment order.

    Its height is `lifting_log`, or else the largest m. With `packed` there are four columns of one size, and a leaf
    takes four rows.
    """
    if hash_name not in HASH_NAMES:
        raise ValueError(f"hash {hash_name!r}: known are {', '.join(HASH_NAMES)}")
    if not len(columns):
        return _empty(hash_name)
    ordered = sorted(columns, key=lambda column: column.size)
    height = ordered[-1].size.bit_length() - 1 if lifting_log is None else lifting_log
    if height < ordered[-1].size.bit_length() - 1:
        raise ValueError(f"a column of {ordered[-1].size} values does not fit a tree of height {height}")
    if hash_name == POSEIDON:
        layers = [poseidon252.leaves(_rows(ordered, height, packed), workers)]
        while len(layers[-1]) > 1:
            layers.append(poseidon252.nodes(layers[-1], workers))
    else:
        reduced = hash_name == "blake2s_m31"
        first = (
            blake2s.packed_leaves(ordered, reduced, workers)
            if packed
            else blake2s.leaves(ordered, height, reduced, workers)
        )
        layers = [first]
        while layers[-1].shape[1] > 1:
            layers.append(blake2s.nodes(layers[-1], reduced, workers))
    return MerkleTree(hash_name, tuple(reversed(layers)))


def _empty(hash_name: str) -> MerkleTree:
    if hash_name == POSEIDON:
        return MerkleTree(hash_name, ([poseidon252.EMPTY_ROOT],))
    words = np.frombuffer(hashlib.blake2s(b"").digest(), dtype="<u4").astype(np.uint32)
    return MerkleTree(hash_name, ((words % np.uint32(2**31 - 1) if hash_name == "blake2s_m31" else words)[:, None],))


def _rows(ordered: Sequence[Column], height: int, packed: bool) -> Column:
    """(leaves, words): what every leaf hashes."""
    if packed:
        return np.ascontiguousarray(np.stack(ordered).reshape(4, -1, 4).transpose(1, 2, 0).reshape(-1, 16))
    return np.stack([blake2s.lifted(column, height) for column in ordered], axis=1)
