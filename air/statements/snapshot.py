"""The snapshot commitment: one 32-byte root over a header and one leaf a segment, cheap to recompute in Cairo.

Everything is a sequence of u32 words (`air.statement`: integers as i64, low word first; 32-byte strings as eight),
hashed with Blake2s-256 as little-endian bytes. The first word is a tag, so that no part passes for another:

    leaf = H(1 | id | version | log_size | rows | row root | number of column roots u32 | each column root)
    node = H(2 | left | right)                       an odd last node moves up as it is
    root = H(3 | format | D | Q | scale | normalised | rows | segments | top of the tree)

    column root = channel (its place in CHANNELS) | log blow-up | lifting (0 for none) | root

Leaves ascend by id. The header holds the number of segments, so that a left-out segment changes the root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2s
from itertools import pairwise

from air.layout import MAX_LOG_SIZE, MIN_LOG_SIZE
from air.statement import Reader, RootKey, StatementError, Writer
from air.statements.topk import coordinate_bound

FORMAT = 1
LEAF, NODE, ROOT = 1, 2, 3
CHANNELS = ("blake2s", "blake2s_m31", "poseidon252")
MAX_SEGMENTS, MAX_COLUMN_ROOTS = 1 << 16, 16


@dataclass(frozen=True)
class SnapshotHeader:
    """What all segments share. `limit` is Q; a coordinate is round(value * scale / 2^32)."""

    dimension: int
    limit: int
    scale: int
    normalised: bool
    rows: int
    segments: int

    def write(self, out: Writer) -> None:
        out.i64(FORMAT)
        for value in (self.dimension, self.limit, self.scale, int(self.normalised), self.rows, self.segments):
            out.i64(value)

    @classmethod
    def read(cls, source: Reader) -> SnapshotHeader:
        if (version := source.i64()) != FORMAT:
            raise StatementError(f"snapshot.format: {version} is not supported, this reads {FORMAT}")
        dimension, limit, scale, normalised, rows, segments = (source.i64() for _ in range(6))
        if normalised not in (0, 1):
            raise StatementError(f"snapshot.normalised: {normalised} is not 0 or 1")
        return cls(dimension, limit, scale, bool(normalised), rows, segments)

    def check(self) -> None:
        """Bounds without which scores could wrap around. Raises StatementError."""
        try:
            bound = coordinate_bound(self.dimension)
        except ValueError as error:
            raise StatementError(f"snapshot.{error}") from None
        _within("limit", self.limit, 1, bound)
        _within("scale", self.scale, 1, 1 << 53)
        _within("segments", self.segments, 1, MAX_SEGMENTS)
        _within("rows", self.rows, 1, self.segments << MAX_LOG_SIZE)


@dataclass(frozen=True)
class ColumnRoot:
    """The root of tree 0 under one key; presets that agree on the key share it."""

    key: RootKey
    root: bytes

    def write(self, out: Writer) -> None:
        out.i64(CHANNELS.index(self.key.channel)).i64(self.key.log_blowup_factor)
        out.i64(self.key.lifting_log_size or 0).bytes32(self.root)

    @classmethod
    def read(cls, source: Reader) -> ColumnRoot:
        channel, log_blowup, lifting = (source.i64() for _ in range(3))
        _within("column_roots.channel", channel, 0, len(CHANNELS) - 1)
        return cls(RootKey(CHANNELS[channel], log_blowup, lifting or None), source.bytes32())


@dataclass(frozen=True)
class SegmentLeaf:
    """One version of one segment: `rows` of its 2^log_size rows hold vectors, deleted ones included."""

    id: int
    version: int
    log_size: int
    rows: int
    row_root: bytes
    column_roots: tuple[ColumnRoot, ...]

    def write(self, out: Writer) -> None:
        for value in (self.id, self.version, self.log_size, self.rows):
            out.i64(value)
        out.bytes32(self.row_root).items(self.column_roots, lambda writer, item: item.write(writer))

    @classmethod
    def read(cls, source: Reader) -> SegmentLeaf:
        id, version, log_size, rows = (source.i64() for _ in range(4))
        return cls(id, version, log_size, rows, source.bytes32(), source.items(ColumnRoot.read, MAX_COLUMN_ROOTS))

    def check(self) -> None:
        """Raises StatementError for sizes that no segment has."""
        _within("segment.id", self.id, 0, MAX_SEGMENTS - 1)
        _within("segment.version", self.version, 1, 1 << 62)
        _within("segment.log_size", self.log_size, MIN_LOG_SIZE, MAX_LOG_SIZE)
        _within("segment.rows", self.rows, 1, 1 << self.log_size)

    def column_root(self, key: RootKey) -> bytes:
        """Raises StatementError where the segment was not committed under this key."""
        for item in self.column_roots:
            if item.key == key:
                return item.root
        known = ", ".join(f"{r.key.channel} with log blow-up {r.key.log_blowup_factor}" for r in self.column_roots)
        raise StatementError(f"segment {self.id}: committed for {known or 'nothing'}, not for {key}")

    def digest(self) -> bytes:
        """The hash of the leaf."""
        out = Writer().u32(LEAF)
        self.write(out)
        return _hash(out)


def snapshot_root(header: SnapshotHeader, leaves: Sequence[SegmentLeaf]) -> bytes:
    """Raises StatementError unless the header counts these leaves and their rows, and their ids ascend."""
    ids = [leaf.id for leaf in leaves]
    if len(ids) != header.segments:
        raise StatementError(f"segments: {len(ids)} are given, but the snapshot has {header.segments}")
    if any(a >= b for a, b in pairwise(ids)):
        raise StatementError("segments: their ids do not ascend")
    if sum(leaf.rows for leaf in leaves) != header.rows:
        raise StatementError(f"segments: their rows do not add up to {header.rows}")
    level = [leaf.digest() for leaf in leaves]
    while len(level) > 1:
        pairs = len(level) // 2
        level = [_node(level[2 * k], level[2 * k + 1]) for k in range(pairs)] + level[2 * pairs :]
    out = Writer().u32(ROOT)
    header.write(out)
    return _hash(out.bytes32(level[0]))


def _node(left: bytes, right: bytes) -> bytes:
    return _hash(Writer().u32(NODE).bytes32(left).bytes32(right))


def _hash(out: Writer) -> bytes:
    return blake2s(out.to_bytes()).digest()


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise StatementError(f"snapshot.{name}: {value} is outside {low}..{high}")
