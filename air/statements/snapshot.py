"""The snapshot commitment: one 32-byte root over a header and one leaf a segment, cheap to recompute in Cairo.

Everything is a sequence of u32 words (`air.statement`: integers as i64, low word first; 32-byte strings as eight; text
as its byte count and its bytes), hashed with Blake2s-256 as little-endian bytes. The first word is a tag, so that no
part passes for another:

    leaf = H(1 | id | version | log_size | rows | live | row root | number of column roots u32 | each column root)
    node = H(2 | left | right)                       an odd last node moves up as it is
    root = H(3 | format | D | Q | scale | normalised | row rule | cells | rows | live | segments | fields | top)

    column root = channel (its place in CHANNELS) | log blow-up | lifting (0 for none) | root
    field       = name | number of values | H(4 | values): a payload field and its dictionary

Leaves ascend by id. The header holds the number of segments, so that a left-out segment changes the root. Where
`cells` is not 0, the first segment holds the centroids of so many cells, and segment c + 1 the rows of cell c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2s
from itertools import pairwise

from air.layout import MAX_LOG_SIZE, MIN_LOG_SIZE
from air.statement import Reader, RootKey, StatementError, Writer
from air.statements.topk import coordinate_bound

FORMAT = 2
LEAF, NODE, ROOT, DICTIONARY = 1, 2, 3, 4
CHANNELS = ("blake2s", "blake2s_m31", "poseidon252")
ROW_RULES = ("native", "stoolap")
MAX_SEGMENTS, MAX_COLUMN_ROOTS, MAX_FIELDS = 1 << 16, 16, 16
MAX_VALUES, MAX_VALUE_BYTES, MAX_NAME_BYTES = 1 << 15, 128, 64


@dataclass(frozen=True)
class PayloadField:
    """One filterable label a row. Code c stands for the c-th value of the dictionary, counted from 1; 0 is no label."""

    name: str
    values: int
    digest: bytes

    def write(self, out: Writer) -> None:
        out.text(self.name).i64(self.values).bytes32(self.digest)

    @classmethod
    def read(cls, source: Reader) -> PayloadField:
        return cls(source.text(MAX_NAME_BYTES), source.i64(), source.bytes32())


def dictionary_digest(values: Sequence[str]) -> bytes:
    """What the header says of a dictionary."""
    return _hash(Writer().u32(DICTIONARY).items(values, Writer.text))


@dataclass(frozen=True)
class SnapshotHeader:
    """What all segments share. `limit` is Q; a coordinate is round(value * scale / 2^32). `rows` and `live` count the
    vectors of all segments, with and without the deleted ones; `cells` is 0 without an index of cells."""

    dimension: int
    limit: int
    scale: int
    normalised: bool
    rows: int
    live: int
    segments: int
    cells: int = 0
    row_rule: str = "native"
    fields: tuple[PayloadField, ...] = ()

    @property
    def first_rows(self) -> int:
        """The index of the first segment that holds rows: the centroids come before them."""
        return 1 if self.cells else 0

    def write(self, out: Writer) -> None:
        out.i64(FORMAT)
        for value in (self.dimension, self.limit, self.scale, int(self.normalised), ROW_RULES.index(self.row_rule)):
            out.i64(value)
        for value in (self.cells, self.rows, self.live, self.segments):
            out.i64(value)
        out.items(self.fields, lambda writer, item: item.write(writer))

    @classmethod
    def read(cls, source: Reader) -> SnapshotHeader:
        if (version := source.i64()) != FORMAT:
            raise StatementError(f"snapshot.format: {version} is not supported, this reads {FORMAT}")
        dimension, limit, scale, normalised, rule, cells, rows, live, segments = (source.i64() for _ in range(9))
        _within("normalised", normalised, 0, 1)
        _within("row_rule", rule, 0, len(ROW_RULES) - 1)
        fields = source.items(PayloadField.read, MAX_FIELDS)
        return cls(dimension, limit, scale, bool(normalised), rows, live, segments, cells, ROW_RULES[rule], fields)

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
        _within("live", self.live, 0, self.rows)
        if self.cells:
            _within("cells", self.cells, self.segments - 1, self.segments - 1)
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise StatementError("snapshot.fields: a name appears twice")
        for field in self.fields:
            _within(f"fields.{field.name}", field.values, 0, MAX_VALUES)


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
    """One version of one segment: `rows` of its 2^log_size rows hold vectors, of which `live` are not deleted."""

    id: int
    version: int
    log_size: int
    rows: int
    live: int
    row_root: bytes
    column_roots: tuple[ColumnRoot, ...]

    def write(self, out: Writer) -> None:
        for value in (self.id, self.version, self.log_size, self.rows, self.live):
            out.i64(value)
        out.bytes32(self.row_root).items(self.column_roots, lambda writer, item: item.write(writer))

    @classmethod
    def read(cls, source: Reader) -> SegmentLeaf:
        id, version, log_size, rows, live = (source.i64() for _ in range(5))
        roots = source.bytes32(), source.items(ColumnRoot.read, MAX_COLUMN_ROOTS)
        return cls(id, version, log_size, rows, live, *roots)

    def check(self) -> None:
        """Raises StatementError for sizes that no segment has."""
        _within("segment.id", self.id, 0, 1 << 62)
        _within("segment.version", self.version, 1, 1 << 62)
        _within("segment.log_size", self.log_size, MIN_LOG_SIZE, MAX_LOG_SIZE)
        _within("segment.rows", self.rows, 1, 1 << self.log_size)
        _within("segment.live", self.live, 0, self.rows)

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


class SnapshotTree:
    """The tree over all leaves of a snapshot, for its root and for the path of any segment."""

    def __init__(self, header: SnapshotHeader, leaves: Sequence[SegmentLeaf]) -> None:
        """Raises StatementError unless the header counts these leaves and their rows, and their ids ascend."""
        ids = [leaf.id for leaf in leaves]
        if len(ids) != header.segments:
            raise StatementError(f"segments: {len(ids)} are given, but the snapshot has {header.segments}")
        if any(a >= b for a, b in pairwise(ids)):
            raise StatementError("segments: their ids do not ascend")
        held = leaves[header.first_rows :]
        if sum(leaf.rows for leaf in held) != header.rows or sum(leaf.live for leaf in held) != header.live:
            raise StatementError(f"segments: their rows do not add up to {header.rows}, {header.live} of them live")
        self.header = header
        self.levels = [[leaf.digest() for leaf in leaves]]
        while len(level := self.levels[-1]) > 1:
            pairs = len(level) // 2
            self.levels.append([_node(level[2 * k], level[2 * k + 1]) for k in range(pairs)] + level[2 * pairs :])

    @property
    def root(self) -> bytes:
        return _root(self.header, self.levels[-1][0])

    def path(self, index: int) -> tuple[bytes, ...]:
        """The siblings from the leaf of this index up."""
        beside = ((level, index >> depth ^ 1) for depth, level in enumerate(self.levels[:-1]))
        return tuple(level[k] for level, k in beside if k < len(level))


@dataclass(frozen=True)
class PlacedSegment:
    """A segment's leaf with its place in a snapshot: the index among the leaves, and the siblings up to the top."""

    index: int
    leaf: SegmentLeaf
    path: tuple[bytes, ...]

    def write(self, out: Writer) -> None:
        out.i64(self.index)
        self.leaf.write(out)
        out.items(self.path, Writer.bytes32)

    @classmethod
    def read(cls, source: Reader) -> PlacedSegment:
        return cls(source.i64(), SegmentLeaf.read(source), source.items(Reader.bytes32, MAX_SEGMENTS.bit_length()))

    def check(self, header: SnapshotHeader, root: bytes) -> None:
        """Raises StatementError unless the snapshot with this header and root has this leaf at this index.

        A leaf of another version, of another snapshot or at another place leads to another root."""
        self.leaf.check()
        _within("segment.index", self.index, 0, header.segments - 1)
        node, siblings = self.leaf.digest(), list(self.path)
        index, width = self.index, header.segments
        while width > 1:
            if index ^ 1 < width:
                if not siblings:
                    raise StatementError("segment.path: too short")
                other = siblings.pop(0)
                node = _node(other, node) if index & 1 else _node(node, other)
            index, width = index >> 1, (width + 1) >> 1
        if siblings:
            raise StatementError("segment.path: too long")
        if _root(header, node) != root:
            raise StatementError("snapshot_root: not that of this header and this segment")


def snapshot_root(header: SnapshotHeader, leaves: Sequence[SegmentLeaf]) -> bytes:
    """The root alone; raises what `SnapshotTree` raises."""
    return SnapshotTree(header, leaves).root


def _root(header: SnapshotHeader, top: bytes) -> bytes:
    out = Writer().u32(ROOT)
    header.write(out)
    return _hash(out.bytes32(top))


def _node(left: bytes, right: bytes) -> bytes:
    return _hash(Writer().u32(NODE).bytes32(left).bytes32(right))


def _hash(out: Writer) -> bytes:
    return blake2s(out.to_bytes()).digest()


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise StatementError(f"snapshot.{name}: {value} is outside {low}..{high}")
