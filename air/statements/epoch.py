"""The epoch commitment: one 32-byte root over a provider's log of requests, cheap to recompute in Cairo.

An epoch's log is cut into segments: the requests of one agreement (one buyer), in order, or a run of them where there
are more than a segment holds. Encoded and hashed like the snapshot commitment (`snapshot`), under tags of its own:

    leaf = H(16 | agreement | buyer | head | count | first | rows | log_size | row root | column roots)
    node = H(17 | left | right)                       an odd last node moves up as it is
    root = H(18 | format | provider | number | opened | closed | requests | segments | top)

Leaves ascend by (agreement, first). Addresses and hashes of the chain are field elements, 32 bytes, big-endian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2s
from itertools import pairwise

from air.layout import MIN_LOG_SIZE
from air.statement import Reader, RootKey, StatementError, Writer
from air.statements.question import require
from air.statements.sla import MAX_SLA_LOG
from air.statements.snapshot import MAX_COLUMN_ROOTS, ColumnRoot

FORMAT = 1
LEAF, NODE, ROOT = 16, 17, 18
MAX_SEGMENTS = 1 << 16
MAX_REQUESTS = 1 << 30  # of one agreement in one epoch
MAX_TIME = 1 << 48  # ms
FELT = (1 << 251) + 17 * (1 << 192) + 1  # the chain's field


@dataclass(frozen=True)
class EpochHeader:
    """What all segments share. `opened` and `closed` are ms since 1970: requests are sent between them."""

    provider: bytes
    number: int
    opened: int
    closed: int
    requests: int
    segments: int

    def write(self, out: Writer) -> None:
        out.i64(FORMAT).bytes32(self.provider)
        for value in (self.number, self.opened, self.closed, self.requests, self.segments):
            out.i64(value)

    @classmethod
    def read(cls, source: Reader) -> EpochHeader:
        if (version := source.i64()) != FORMAT:
            raise StatementError(f"epoch.format: {version} is not supported, this reads {FORMAT}")
        return cls(source.bytes32(), *(source.i64() for _ in range(5)))

    def check(self) -> None:
        """Raises StatementError for what no epoch has."""
        _felt("provider", self.provider)
        _within("number", self.number, 0, 1 << 62)
        _within("opened", self.opened, 0, MAX_TIME)
        _within("closed", self.closed, self.opened, MAX_TIME)
        _within("segments", self.segments, 1, MAX_SEGMENTS)
        _within("requests", self.requests, self.segments, self.segments << MAX_SLA_LOG)


@dataclass(frozen=True)
class LogLeaf:
    """One segment: the requests first..first + rows - 1 of an agreement that has `count` in this epoch. `head` is the
    hash of the last of all of them, which the others are chained to."""

    agreement: bytes
    buyer: bytes
    head: bytes
    count: int
    first: int
    rows: int
    log_size: int
    row_root: bytes
    column_roots: tuple[ColumnRoot, ...]

    def write(self, out: Writer) -> None:
        out.bytes32(self.agreement).bytes32(self.buyer).bytes32(self.head)
        for value in (self.count, self.first, self.rows, self.log_size):
            out.i64(value)
        out.bytes32(self.row_root).items(self.column_roots, lambda writer, item: item.write(writer))

    @classmethod
    def read(cls, source: Reader) -> LogLeaf:
        names = source.bytes32(), source.bytes32(), source.bytes32()
        count, first, rows, log_size = (source.i64() for _ in range(4))
        roots = source.bytes32(), source.items(ColumnRoot.read, MAX_COLUMN_ROOTS)
        return cls(*names, count, first, rows, log_size, *roots)

    def check(self) -> None:
        """Raises StatementError for sizes that no segment has."""
        for name in ("agreement", "buyer", "head"):
            _felt(f"segment.{name}", getattr(self, name))
        _within("segment.count", self.count, 1, MAX_REQUESTS)
        _within("segment.log_size", self.log_size, MIN_LOG_SIZE, MAX_SLA_LOG)
        _within("segment.rows", self.rows, 1, 1 << self.log_size)
        _within("segment.first", self.first, 0, self.count - self.rows)

    def column_root(self, key: RootKey) -> bytes:
        """Raises StatementError where the segment was not committed under this key."""
        for item in self.column_roots:
            if item.key == key:
                return item.root
        raise StatementError(f"segment.column_roots: the epoch was not committed for {key}; close it with that preset")

    def digest(self) -> bytes:
        """The hash of the leaf: what both parties sign when the epoch closes."""
        out = Writer().u32(LEAF)
        self.write(out)
        return _hash(out)


class EpochTree:
    """The tree over all segments of an epoch, in ascending (agreement, first)."""

    def __init__(self, header: EpochHeader, leaves: Sequence[LogLeaf]) -> None:
        """Raises StatementError unless the header counts these leaves, and they make whole agreements, each once."""
        require(len(leaves) == header.segments, f"segments: {len(leaves)}, but the epoch has {header.segments}")
        for leaf in leaves:
            leaf.check()
        check_complete(leaves)
        total = sum(leaf.rows for leaf in leaves)
        require(total == header.requests, f"segments: {total} rows, but the epoch has {header.requests} requests")
        self.header, self.leaves = header, tuple(leaves)
        self._levels = [[leaf.digest() for leaf in leaves]]
        while len(level := self._levels[-1]) > 1:
            pairs = len(level) // 2
            self._levels.append([_node(level[2 * k], level[2 * k + 1]) for k in range(pairs)] + level[2 * pairs :])

    @property
    def root(self) -> bytes:
        return _root(self.header, self._levels[-1][0])

    def placed(self, index: int) -> PlacedLeaf:
        """The leaf of this index with its way to the root."""
        beside = ((level, index >> depth ^ 1) for depth, level in enumerate(self._levels[:-1]))
        return PlacedLeaf(index, self.leaves[index], tuple(level[k] for level, k in beside if k < len(level)))


@dataclass(frozen=True)
class PlacedLeaf:
    """A leaf with its place in an epoch: the index among the leaves, and the siblings up to the top."""

    index: int
    leaf: LogLeaf
    path: tuple[bytes, ...]

    def write(self, out: Writer) -> None:
        out.i64(self.index)
        self.leaf.write(out)
        out.items(self.path, Writer.bytes32)

    @classmethod
    def read(cls, source: Reader) -> PlacedLeaf:
        return cls(source.i64(), LogLeaf.read(source), source.items(Reader.bytes32, MAX_SEGMENTS.bit_length()))

    def check(self, header: EpochHeader, root: bytes) -> None:
        """Raises StatementError unless the epoch with this header and root has this leaf at this index.

        A leaf of another agreement, of another epoch or at another place leads to another root."""
        self.leaf.check()
        _within("segment.index", self.index, 0, header.segments - 1)
        node, siblings = self.leaf.digest(), list(self.path)
        index, width = self.index, header.segments
        while width > 1:
            if index ^ 1 < width:
                require(bool(siblings), "epoch.segment.path: too short")
                other = siblings.pop(0)
                node = _node(other, node) if index & 1 else _node(node, other)
            index, width = index >> 1, (width + 1) >> 1
        require(not siblings, "epoch.segment.path: too long")
        require(_root(header, node) == root, "epoch_root: not that of this header and this segment")


def check_complete(leaves: Sequence[LogLeaf]) -> None:
    """Raises StatementError unless these are all segments of their agreements, in ascending (agreement, first).

    A request that is left out, or counted twice, leaves a gap or an overlap."""
    require(len(leaves) > 0, "segments: none")
    require(leaves[0].first == 0, f"segment.first: {leaves[0].first}, but an agreement begins with 0")
    for before, leaf in pairwise(leaves):
        check_follows(before, leaf)
    require(_ends(leaves[-1]), "segments: an agreement is cut short")


def check_follows(before: LogLeaf, leaf: LogLeaf) -> None:
    """Raises StatementError unless the second leaf can come right after the first."""
    if before.agreement == leaf.agreement:
        same = (before.buyer, before.head, before.count) == (leaf.buyer, leaf.head, leaf.count)
        require(same, "segments: two of one agreement disagree about buyer, head or count")
        follows = leaf.first == before.first + before.rows
        require(follows, f"segment.first: {leaf.first} does not follow the segment before")
    else:
        require(before.agreement < leaf.agreement, "segments: agreements do not ascend")
        require(_ends(before), "segments: an agreement is cut short")
        require(leaf.first == 0, f"segment.first: {leaf.first}, but an agreement begins with 0")


def _ends(leaf: LogLeaf) -> bool:
    return leaf.first + leaf.rows == leaf.count


def _root(header: EpochHeader, top: bytes) -> bytes:
    out = Writer().u32(ROOT)
    header.write(out)
    return _hash(out.bytes32(top))


def _node(left: bytes, right: bytes) -> bytes:
    return _hash(Writer().u32(NODE).bytes32(left).bytes32(right))


def _hash(out: Writer) -> bytes:
    return blake2s(out.to_bytes()).digest()


def _felt(name: str, value: bytes) -> None:
    if len(value) != 32 or int.from_bytes(value, "big") >= FELT:
        raise StatementError(f"epoch.{name}: not 32 bytes of a field element")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise StatementError(f"epoch.{name}: {value} is outside {low}..{high}")
