"""Lifted Merkle trees over columns of different sizes: commitment and opening (PROTOCOL 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from air.circle import Column
from prover import blake2s, poseidon252
from prover.threads import INLINE, Workers

Hash = bytes | int
REDUCED, POSEIDON = "blake2s_m31", "poseidon252"
HASH_NAMES = ("blake2s", REDUCED, POSEIDON)
HIDDEN_LEVELS, HIDDEN_FROM = 4, 16  # trees of at least this height hide so many layers
SUMMIT = 1 << 10  # digests of the layer from which on all layers are hashed in one go


@dataclass(frozen=True)
class _Hashing:
    """The functions of `blake2s` or `poseidon252`."""

    leaves: Callable[..., Any]
    packed_leaves: Callable[..., Any]
    rows: Callable[..., Any]
    nodes: Callable[..., Any]
    summit: Callable[[Any], list[Any]]
    digest: Callable[[Any, int], Hash]


def _blake2s(reduced: bool) -> _Hashing:
    functions = (blake2s.leaves, blake2s.packed_leaves, blake2s.rows, blake2s.nodes, blake2s.summit)
    return _Hashing(*(partial(function, reduced=reduced) for function in functions), blake2s.digest)


_HASHING = {
    "blake2s": _blake2s(False),
    REDUCED: _blake2s(True),
    POSEIDON: _Hashing(
        poseidon252.leaves,
        poseidon252.packed_leaves,
        poseidon252.rows,
        poseidon252.nodes,
        poseidon252.summit,
        poseidon252.digest,
    ),
}


@dataclass(frozen=True, eq=False)
class MerkleTree:
    """One tree: its layers root first, layer d with 2^d digests, and the columns under them, sorted by size.

    A Blake2s layer is an array (8, 2^d) of u32 words, a Poseidon252 layer (4, 2^d) of u64 words. The lowest `hidden`
    layers, fifteen sixteenths of a large tree, are not kept; an opening hashes the few leaves that it needs again,
    so the columns must stay as they are.
    """

    hash_name: str
    layers: tuple[Any, ...]
    columns: tuple[Column, ...] = ()
    packed: bool = False
    hidden: int = 0

    @property
    def height(self) -> int:
        return len(self.layers) - 1 + self.hidden

    @property
    def root(self) -> Hash:
        """32 bytes for Blake2s, an integer for Poseidon252."""
        return self.digest(0, 0)

    def digest(self, depth: int, index: int) -> Hash:
        return self._reader([index << (self.height - depth)])(depth, index)

    def decommit(self, positions: Iterable[int]) -> list[Hash]:
        """The hashes that a verifier lacks to get from the leaves at these positions to the root, bottom up.

        As in Stwo repeated neighbours are dropped and nothing is sorted: siblings meet only where they are neighbours.
        """
        witness: list[Hash] = []
        known = [position for position, _ in groupby(int(p) for p in positions)]
        read = self._reader(known)
        for depth in range(self.height, 0, -1):
            parents, run = [], 0
            for k, position in enumerate(known):
                run += 1
                if k + 1 < len(known) and known[k + 1] == position ^ 1:
                    continue
                if run == 1:
                    witness.append(read(depth, position ^ 1))
                parents.append(position >> 1)
                run = 0
            known = parents
        return witness

    def _reader(self, positions: Sequence[int]) -> Callable[[int, int], Hash]:
        """read(depth, index) for the kept layers, and for the hidden ones near the leaves at these positions."""
        kept = len(self.layers) - 1
        ranks: dict[int, int] = {}
        below: list[Any] = []
        digest = _HASHING[self.hash_name].digest
        if self.hidden:
            for position in positions:
                ranks.setdefault(position >> self.hidden, len(ranks))
            below = self._hidden_layers(list(ranks))

        def read(depth: int, index: int) -> Hash:
            if depth <= kept:
                return digest(self.layers[depth], index)
            down = depth - kept
            return digest(below[down - 1], (ranks[index >> down] << down) + (index & ((1 << down) - 1)))

        return read

    def _hidden_layers(self, roots: Sequence[int]) -> list[Any]:
        """The hidden layers, uppermost first, of the subtrees below these nodes of the lowest kept layer, in a row."""
        if not roots:
            return []
        width = self.hidden + (2 if self.packed else 0)  # log rows under a root
        rows = ((np.array(roots)[:, None] << width) + np.arange(1 << width)).ravel()
        hashing = _HASHING[self.hash_name]
        if self.packed:
            layers = [hashing.packed_leaves([column[rows] for column in self.columns])]
        else:
            places = {k: ((rows >> (k + 1)) << 1) + (rows & 1) if k else rows for k in range(self.height + 1)}
            own = [column[places[self.height - (column.size.bit_length() - 1)]] for column in self.columns]
            layers = [hashing.rows(own)]
        while len(layers) < self.hidden:
            layers.insert(0, hashing.nodes(layers[0]))
        return layers


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
    hashing = _HASHING[hash_name]
    hidden = HIDDEN_LEVELS if height - (2 if packed else 0) >= HIDDEN_FROM else 0
    if packed:
        layers = [hashing.packed_leaves(ordered, workers=workers, levels=hidden)]
    else:
        layers = [hashing.leaves(ordered, height, workers=workers, levels=hidden)]
    while layers[-1].shape[1] > SUMMIT:
        layers.append(hashing.nodes(layers[-1], workers=workers))
    layers += hashing.summit(layers[-1])
    return MerkleTree(hash_name, tuple(reversed(layers)), tuple(ordered), packed, hidden)


def _empty(hash_name: str) -> MerkleTree:
    if hash_name == POSEIDON:
        return MerkleTree(hash_name, (poseidon252.layer([poseidon252.EMPTY_ROOT]),))
    words = np.frombuffer(hashlib.blake2s(b"").digest(), dtype="<u4").astype(np.uint32)
    return MerkleTree(hash_name, ((words % np.uint32(2**31 - 1) if hash_name == REDUCED else words)[:, None],))
