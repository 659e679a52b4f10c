"""Lifted Merkle trees in device memory: commitment and opening, with the digests of `prover.merkle` (PROTOCOL 4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpu import blake2s
from gpu.device import Array, Device, Words, addresses, kernel
from prover import merkle as cpu
from prover.merkle import HIDDEN_FROM, HIDDEN_LEVELS, POSEIDON, REDUCED

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MerkleTree:
    """One tree: its layers but the lowest `hidden`, the root first, and the columns under them, sorted by size.

    An opening reads what it needs in one go, and hashes the hidden layers near its leaves again, so the columns must
    stay as they are.
    """

    device: Device
    hash_name: str
    digests: Array
    height: int
    hidden: int
    columns: tuple[Array, ...]
    packed: bool

    @property
    def root(self) -> bytes:
        return self.device.download(blake2s.layer(self.digests, 0)).astype("<u4").tobytes()

    def digest(self, depth: int, index: int) -> bytes:
        return self._read([(depth, np.array([index], dtype=np.int64))])[0]

    def decommit(self, positions: Iterable[int]) -> list[bytes]:
        """The hashes that a verifier lacks, bottom up: as `prover.merkle`, a level at a time."""
        known = np.fromiter(positions, dtype=np.int64)
        known = known[np.append(True, known[1:] != known[:-1])[: known.size]]
        wanted = []
        for depth in range(self.height, 0, -1):
            ends = np.flatnonzero(np.append(known[1:] != known[:-1] ^ 1, True)[: known.size])
            alone = np.diff(ends, prepend=-1) == 1
            wanted.append((depth, known[ends[alone]] ^ 1))
            known = known[ends] >> 1
        return self._read(wanted)

    def _read(self, wanted: Sequence[tuple[int, Indices]]) -> list[bytes]:
        """The digests at these indices of layers, the deepest first."""
        kept = self.height - self.hidden
        high = [_places(depth, at) for depth, at in wanted if depth <= kept]
        low = [(depth - kept, at) for depth, at in wanted if depth > kept and at.size]
        words = gather(self.device, self.digests, np.concatenate([_NOWHERE, *high]))
        if low:
            words = np.concatenate([self._read_hidden(low), words])
        data = words.astype("<u4").tobytes()
        return [data[k : k + 32] for k in range(0, len(data), 32)]

    def _read_hidden(self, wanted: Sequence[tuple[int, Indices]]) -> Words:
        """The digests so many layers below the lowest kept one, whose subtrees are hashed again."""
        roots = np.unique(np.concatenate([at >> down for down, at in wanted]))
        log_roots = (len(roots) - 1).bit_length()
        padded = np.pad(roots, (0, (1 << log_roots) - len(roots)), mode="edge")
        leaves = ((padded[:, None] << self.hidden) + np.arange(1 << self.hidden)).ravel()
        depth, reduced = log_roots + self.hidden, self.hash_name == REDUCED
        forest = self.device.empty(blake2s.tree_words(depth))
        out = blake2s.layer(forest, depth)
        blake2s.leaves_at(self.device, self.columns, self.height, leaves, self.packed, reduced, out)
        blake2s.nodes(self.device, forest, depth, self.hidden - 1, reduced)
        places = [
            _places(log_roots + down, (np.searchsorted(roots, at >> down) << down) + (at & ((1 << down) - 1)))
            for down, at in wanted
        ]
        return gather(self.device, forest, np.concatenate(places))


_NOWHERE: Indices = np.empty(0, dtype=np.int64)


def _places(depth: int, indices: Indices) -> Indices:
    """Where the words of these digests of a layer lie in a tree, digest by digest."""
    return (8 * ((1 << depth) - 1) + (np.arange(8) << depth) + indices[:, None]).ravel()


def commit(
    device: Device, columns: Sequence[Array], lifting_log: int | None, hash_name: str, *, packed: bool = False
) -> MerkleTree | cpu.MerkleTree:
    """The tree over columns (each 2^m values in storage order, m >= 1) in commitment order, as `prover.merkle.commit`.

    Raises ValueError for Poseidon252, which is hashed on the CPU only.
    """
    if hash_name not in cpu.HASH_NAMES or hash_name == POSEIDON:
        raise ValueError(f"hash {hash_name!r}: the GPU knows blake2s and {REDUCED}; take the CPU for others")
    if not columns:
        return cpu.commit([], None, hash_name)
    ordered = sorted(columns, key=lambda column: column.size)
    largest = ordered[-1].size.bit_length() - 1
    height = largest if lifting_log is None else lifting_log
    if height < largest:
        raise ValueError(f"a column of {ordered[-1].size} values does not fit a tree of height {height}")
    height -= 2 if packed else 0
    hidden = HIDDEN_LEVELS if height >= HIDDEN_FROM else 0
    kept, reduced = height - hidden, hash_name == REDUCED
    digests = device.empty(blake2s.tree_words(kept))
    hasher = blake2s.packed_leaves if packed else blake2s.leaves
    hasher(device, ordered, height, reduced, hidden, blake2s.layer(digests, kept))
    blake2s.nodes(device, digests, kept, kept, reduced)
    return MerkleTree(device, hash_name, digests, height, hidden, tuple(ordered), packed)


def gather(device: Device, values: Array, places: npt.NDArray[np.int64]) -> Words:
    """The words of an array at these places."""
    if not places.size:
        return np.empty(0, dtype=np.uint32)
    out, wanted = device.empty(places.size), device.upload(places.astype(np.uint32))
    device.launch(
        kernel("merkle.cu", "gather"), blake2s.blocks(places.size), blake2s.THREADS, values, wanted, places.size, out
    )
    return device.download(out)


def gather_rows(device: Device, columns: Sequence[Array], positions: npt.NDArray[np.int64], log_size: int) -> Words:
    """(positions, columns): the values of all columns, lifted to 2^log_size, at these positions."""
    n = len(positions) * len(columns)
    if not n:
        return np.empty((len(positions), len(columns)), dtype=np.uint32)
    table, lifts = addresses(device, columns), blake2s.lift_table(device, columns, log_size)
    wanted, out = device.upload(positions.astype(np.uint32)), device.empty(n)
    arguments = (table, lifts, len(columns), wanted, len(positions), out)
    device.launch(kernel("merkle.cu", "gather_rows"), blake2s.blocks(n), blake2s.THREADS, *arguments)
    return device.download(out).reshape(len(positions), len(columns))
