"""The row tree of a segment: a blake3 Merkle tree over its rows, for inclusion proofs that need no validity proof.

    leaf = blake3(0x00 | id i64 | live u8 | coordinates i16 ... | codes u32 ...)   little-endian, without gaps
    node = blake3(0x01 | left | right)                                             an odd last node moves up as it is
    root = blake3(0x02 | number of leaves u64 | top)                               the top of no leaves is 32 zero bytes

Three tags keep leaf, node and root apart, and the root binds the size, so that no tree passes for one of another shape.
A leaf does not bind how many coordinates and codes it has: who checks one takes both from the snapshot's header.

The project Stoolap has trees of another kind, which `STOOLAP` and the functions named after it reproduce:

    leaf = blake3(id i64 | blake3(coordinates f32 ...))
    node = blake3(left | right)          an odd last node is hashed with itself
    root = top

Leaves hash 40 bytes and nodes 64, so that none is the other. But this root binds no size: who checks a proof must know
the number of leaves from elsewhere, and that a leaf is the hash of a row.

This file is enough to check proofs, and then loads no compiler; many hashes at once are left to `rowhash`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from blake3 import blake3

Bytes = npt.NDArray[np.uint8]

LEAF, NODE, ROOT = b"\0", b"\1", b"\2"
EMPTY = bytes(32)
_MAX_SIZE = (1 << 64) - 1
_CHUNK = 1024  # bytes; longer messages are trees of chunks, which the kernel does not hash
_FEW = 256  # fewer messages are hashed one by one before a kernel is loaded
_PACKED = 1024  # messages packed together to be hashed one by one


@dataclass(frozen=True)
class TreeRule:
    """How a tree is hashed above its leaves.

    A node is blake3(tag | left | right). odd(last) is the node above the last one of an odd level, root(size, top) the
    root of a tree with so many leaves, where `top` is EMPTY for none."""

    name: str
    tag: bytes
    odd: Callable[[bytes], bytes]
    root: Callable[[int, bytes], bytes]

    def node(self, left: bytes, right: bytes) -> bytes:
        return blake3(self.tag + left + right).digest()


def _moved_up(last: bytes) -> bytes:
    return last


def _doubled(last: bytes) -> bytes:
    return blake3(last + last).digest()


def _bound_to_size(size: int, top: bytes) -> bytes:
    return blake3(ROOT + struct.pack("<Q", size) + top).digest()


def _top(size: int, top: bytes) -> bytes:
    return top


NATIVE = TreeRule("native", NODE, odd=_moved_up, root=_bound_to_size)
STOOLAP = TreeRule("stoolap", b"", odd=_doubled, root=_top)


def row_leaf(id: int, live: bool, coordinates: Sequence[int], codes: Sequence[int]) -> bytes:
    """The leaf of one row. Raises ValueError for what is no integer of its field's size."""
    form = f"<q?{len(coordinates)}h{len(codes)}I"
    return blake3(LEAF + _packed(form, id, live, *coordinates, *codes)).digest()


def row_leaves(
    ids: npt.NDArray[np.int64],
    live: npt.NDArray[np.bool_],
    vectors: npt.NDArray[np.int16],
    codes: npt.NDArray[np.uint32],
) -> Bytes:
    """(N, 32) leaves of (N,) ids and live flags, (N, D) coordinates and (F, N) codes.

    Raises ValueError if they disagree about N, TypeError for other types."""
    if len({len(ids), len(live), len(vectors), codes.shape[1]}) != 1:
        raise ValueError(f"rows: {len(ids)} ids, {len(live)} flags, {len(vectors)} vectors, {codes.shape[1]} codes")
    width = 10 + 2 * vectors.shape[1] + 4 * len(codes)

    def parts(rows: slice) -> list[Bytes]:
        flags = (live[rows, None] != 0).view(np.uint8)  # one byte for true, whatever a file had there
        head = [_tags(LEAF, len(flags)), _bytes(ids[rows, None], "<i8"), flags]
        return [*head, _bytes(vectors[rows], "<i2"), _bytes(codes[:, rows].T, "<u4")]

    return _digests(len(ids), width, parts)


def stoolap_leaf(id: int, vector: npt.NDArray[np.float32]) -> bytes:
    """The leaf of one (D,) vector in a Stoolap tree.

    Raises ValueError for an id beyond i64, TypeError for another type than float32."""
    content = blake3(_bytes(vector, "<f4").tobytes()).digest()
    return blake3(_packed("<q", id) + content).digest()


def stoolap_leaves(ids: npt.NDArray[np.int64], vectors: npt.NDArray[np.float32]) -> Bytes:
    """(N, 32) leaves of (N,) ids and (N, D) vectors in a Stoolap tree.

    Raises ValueError if they disagree about N, TypeError for other types."""
    if len(ids) != len(vectors):
        raise ValueError(f"rows: {len(ids)} ids, {len(vectors)} vectors")
    content = _digests(len(ids), 4 * vectors.shape[1], lambda rows: [_bytes(vectors[rows], "<f4")])
    return _digests(len(ids), 40, lambda rows: [_bytes(ids[rows, None], "<i8"), content[rows]])


class RowTree:
    """A tree over one array `nodes`, (total, 32) uint8: the leaves, then the levels above them, the top last.

    The array may be a file mapped into memory. It is taken as it is: who does not trust it builds the tree again.
    """

    def __init__(self, nodes: Bytes, size: int, rule: TreeRule = NATIVE) -> None:
        """Raises ValueError if the array is not that of a tree with `size` leaves."""
        widths = _widths(size)
        total = sum(widths)
        if nodes.shape != (total, 32) or nodes.dtype != np.uint8 or not nodes.flags.c_contiguous:
            found = f"{nodes.dtype} of shape {nodes.shape}"
            raise ValueError(f"nodes: {found}; a tree of {size} rows has uint8 of shape ({total}, 32), contiguous")
        self.nodes, self.size, self.rule = nodes, size, rule
        cuts = np.cumsum([0, *widths]).tolist()
        self._levels = [nodes[start:stop] for start, stop in pairwise(cuts)]

    @classmethod
    def build(cls, leaves: Bytes, rule: TreeRule = NATIVE) -> RowTree:
        """The tree over (N, 32) leaves."""
        size = len(leaves)
        tree = cls(np.empty((sum(_widths(size)), 32), dtype=np.uint8), size, rule)
        tree.update(np.arange(size), leaves)
        return tree

    @property
    def root(self) -> bytes:
        return self.rule.root(self.size, self.nodes[-1].tobytes() if self.size else EMPTY)

    def update(self, positions: npt.ArrayLike, leaves: Bytes) -> None:
        """Replaces the leaves at n ascending positions by (n, 32) others, and re-hashes what is above them.

        Raises ValueError for positions that are not there or do not ascend, for leaves of another shape, and for an
        array that cannot be written."""
        changed = self._checked(positions)
        if leaves.shape != (len(changed), 32) or leaves.dtype != np.uint8:
            raise ValueError(f"leaves: {leaves.dtype} of shape {leaves.shape}; {len(changed)} rows have 32 bytes each")
        if len(changed) == 0:
            return
        self._levels[0][changed] = leaves
        for below, above in pairwise(self._levels):
            changed = _distinct(changed >> 1)
            odd = len(below) % 2 and changed[-1] == len(above) - 1
            whole = changed[:-1] if odd else changed
            above[whole] = _nodes(below, whole, self.rule)
            if odd:
                above[-1] = np.frombuffer(self.rule.odd(below[-1].tobytes()), dtype=np.uint8)

    def prove(self, positions: npt.ArrayLike) -> tuple[bytes, ...]:
        """The siblings that `verify_rows` needs for the leaves at ascending positions, in the order of its need.

        Raises ValueError for no positions, and for some that are not there or do not ascend."""
        known = self._checked(positions)
        if len(known) == 0:
            raise ValueError("positions: none; a proof is about at least one row")
        siblings: list[bytes] = []
        for level in self._levels[:-1]:
            beside = known ^ 1
            missing = beside[~np.isin(beside, known) & (beside < len(level))]
            siblings += [node.tobytes() for node in level[missing]]
            known = _distinct(known >> 1)
        return tuple(siblings)

    def _checked(self, positions: npt.ArrayLike) -> npt.NDArray[np.int64]:
        given = np.asarray(positions, dtype=np.int64)
        if given.ndim != 1 or (given[1:] <= given[:-1]).any() or ((given < 0) | (given >= self.size)).any():
            raise ValueError(f"positions: they must ascend, and lie in 0..{self.size - 1}")
        return given


def verify_rows(
    root: bytes,
    size: int,
    positions: Sequence[int],
    leaves: Sequence[bytes],
    siblings: Sequence[bytes],
    rule: TreeRule = NATIVE,
) -> bool:
    """Whether the leaves are at these positions (ascending, at least one) of the tree of `size` leaves with this root.

    True only if every sibling is used. No value raises, and the work is bounded by positions times levels, whatever
    `size` says. That a leaf is the hash of some row, the caller checks."""
    if not 0 < len(positions) == len(leaves) or not 0 <= positions[0] <= positions[-1] < size <= _MAX_SIZE:
        return False
    if any(left >= right for left, right in pairwise(positions)) or any(len(leaf) != 32 for leaf in leaves):
        return False
    level, width, unread = dict(zip(positions, leaves, strict=True)), size, iter(siblings)
    while width > 1:
        above: dict[int, bytes] = {}
        for place, node in level.items():
            if place // 2 in above:  # hashed already, with its left neighbour
                continue
            if place ^ 1 >= width:
                above[place // 2] = rule.odd(node)
                continue
            sibling = level[place ^ 1] if place ^ 1 in level else next(unread, b"")
            if len(sibling) != 32:
                return False
            above[place // 2] = rule.node(sibling, node) if place & 1 else rule.node(node, sibling)
        level, width = above, (width + 1) // 2
    return next(unread, None) is None and rule.root(size, level[0]) == root


def _packed(form: str, *values: int) -> bytes:
    try:
        return struct.pack(form, *values)
    except struct.error as error:
        raise ValueError(f"row {values[0]}: {error}") from None


def _bytes(values: npt.NDArray[np.generic], kind: str) -> Bytes:
    """(..., n) little-endian numbers as (..., bytes). Raises TypeError for numbers of another type."""
    return np.ascontiguousarray(values.astype(kind, casting="equiv", copy=False)).view(np.uint8)


def _tags(tag: bytes, count: int) -> Bytes:
    """(count, bytes of the tag)."""
    return np.broadcast_to(np.array(list(tag), dtype=np.uint8), (count, len(tag)))


def _widths(size: int) -> list[int]:
    """Nodes of every level, from the leaves to the top."""
    widths = [size] if size else []
    while widths and widths[-1] > 1:
        widths.append((widths[-1] + 1) // 2)
    return widths


def _distinct(ascending: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return ascending[np.concatenate([[True], ascending[1:] != ascending[:-1]])]


def _nodes(below: Bytes, parents: npt.NDArray[np.int64], rule: TreeRule) -> Bytes:
    """(n, 32) nodes above the pairs 2p, 2p + 1 of a level, for n parents p."""
    pairs = below[: len(below) // 2 * 2].reshape(-1, 64)

    def parts(rows: slice) -> list[Bytes]:
        chosen = pairs[parents[rows]]
        return [_tags(rule.tag, len(chosen)), chosen]

    return _digests(len(parents), len(rule.tag) + 64, parts)


def _digests(count: int, width: int, parts: Callable[[slice], Sequence[Bytes]]) -> Bytes:
    """(count, 32) hashes of messages of `width` bytes; parts(slice) -> the (n, w) pieces of which these n are made."""
    if count >= _FEW and width <= _CHUNK:
        from octoproof.vectors import rowhash

        return rowhash.digests(count, width, parts)
    found = bytearray()
    for start in range(0, count, _PACKED):
        messages = np.concatenate(parts(slice(start, start + _PACKED)), axis=1)
        found += b"".join(blake3(message).digest() for message in messages)
    return np.frombuffer(found, dtype=np.uint8).reshape(count, 32)
