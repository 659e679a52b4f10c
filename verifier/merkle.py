"""Lifted Merkle trees: checking openings, and a plain reference commitment (PROTOCOL 3, 4 and 10)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from verifier.errors import MerkleError
from verifier.hashes import Hash, Hasher, Words

Positions = npt.NDArray[np.int64]


def leaf_order(log_sizes: Sequence[int]) -> list[int]:
    """Columns in the order a leaf hashes them: by size ascending, stable in commitment order."""
    return sorted(range(len(log_sizes)), key=lambda k: log_sizes[k])


def preprocessed_positions(queries: Positions, height: int, lifting_log: int) -> Positions:
    """Where the queries of the lifting domain fall in a tree of another height; in the order of the queries."""
    if height > lifting_log:
        return ((queries >> 1) << (height - lifting_log + 1)) + (queries & 1)
    return ((queries >> (lifting_log - height + 1)) << 1) + (queries & 1)


def verify_rows(
    hasher: Hasher,
    root: Hash,
    height: int,
    positions: Positions,
    rows: Words,
    witness: Sequence[Hash],
    where: str,
) -> None:
    """Checks that `rows[k]` is the leaf at `positions[k]` of the tree under `root`. Raises MerkleError.

    Positions need be neither sorted nor distinct. They are neither for a tree 0 that is lower than the lifting domain:
    queries 1, 2 may map to 1, 0. Stwo 2.3.0 rejects its own proof then (PROTOCOL 11); here the witness is the one of
    the sorted distinct positions, and rows that claim the same position must be equal.
    """
    order = np.argsort(positions, kind="stable")
    ordered = positions[order]
    hashes = hasher.leaves(rows[order])
    leaves: dict[int, Hash] = {}
    for position, value in zip(ordered.tolist(), hashes, strict=True):
        if leaves.setdefault(position, value) != value:
            raise MerkleError(f"{where}: two different rows at position {position}")
    if ordered.size and not 0 <= ordered[0] <= ordered[-1] < 1 << height:
        raise MerkleError(f"{where}: a position is outside the tree")
    verify_leaves(hasher, root, height, list(leaves), list(leaves.values()), witness, where)


def verify_leaves(
    hasher: Hasher,
    root: Hash,
    height: int,
    positions: list[int],
    hashes: list[Hash],
    witness: Sequence[Hash],
    where: str,
) -> None:
    """The walk to the root: positions ascending and distinct, siblings that are not known come from the witness.

    Takes both lists over.
    """
    node, siblings = hasher.node, iter(witness)
    try:
        for _ in range(height):
            parents: list[int] = []
            above: list[Hash] = []
            index, count = 0, len(positions)
            positions.append(-1)  # no position's sibling
            while index < count:
                position, value = positions[index], hashes[index]
                index += 1
                if positions[index] == position ^ 1:  # ascending: only a left child meets its sibling
                    above.append(node(value, hashes[index]))
                    index += 1
                elif position & 1:
                    above.append(node(next(siblings), value))
                else:
                    above.append(node(value, next(siblings)))
                parents.append(position >> 1)
            positions, hashes = parents, above
    except StopIteration:
        raise MerkleError(f"{where}: hash_witness is too short") from None
    # What is left over was never checked against anything, so it must not be there.
    if next(siblings, None) is not None:
        raise MerkleError(f"{where}: hash_witness is too long")
    if hashes != [root]:
        raise MerkleError(f"{where}: the opened values do not lead to the committed root")


def commit(columns: Sequence[Words], lifting_log: int | None, hasher: Hasher) -> Hash:
    """Root over evaluation columns (already extended, storage order), each of its own power-of-two length."""
    if not columns:
        return hasher.empty
    sizes = [len(column).bit_length() - 1 for column in columns]
    height = max(sizes) if lifting_log is None else lifting_log
    order = leaf_order(sizes)
    level: list[Hash] = []
    for start in range(0, 1 << height, _BLOCK):
        positions = np.arange(start, min(start + _BLOCK, 1 << height), dtype=np.int64)
        rows = np.stack([columns[k][lifted_positions(positions, sizes[k], height)] for k in order], axis=1)
        level += hasher.leaves(rows.astype(np.uint32))
    while len(level) > 1:
        level = [hasher.node(level[k], level[k + 1]) for k in range(0, len(level), 2)]
    return level[0]


_BLOCK = 1 << 14


def lifted_positions(positions: Positions, log_size: int, lifting_log: int) -> Positions:
    """Positions in a column of 2^log_size values that stand for positions of the lifting domain."""
    k = lifting_log - log_size
    return positions if k == 0 else ((positions >> (k + 1)) << 1) + (positions & 1)
