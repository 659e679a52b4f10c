//! The snapshot commitment: a header and one leaf a segment under one Blake2s root (`air/statements/snapshot.py`).
//!
//! Snapshots with payload fields are not supported on the chain: their segments have more columns than the AIR here.

use crate::refuse::{require, take, take_count, take_u256, within};
use crate::words::{WordsTrait, blake2s, to_u256};

const FORMAT: u64 = 2;
const LEAF: u32 = 1;
const NODE: u32 = 2;
const ROOT: u32 = 3;
const MIN_LOG_SIZE: u64 = 4;
const MAX_LOG_SIZE: u64 = 26;
const MAX_SEGMENTS: u64 = 0x10000;
const MAX_DIMENSION: u64 = 4096;
const MAX_ID: u64 = 0x4000000000000000;
/// 6 D Q^2 stays below it, so that every difference of two scores is below 2^29.
const SCORE_SPAN: u64 = 0x1fffffff;
const POWERS_OF_2: [u64; 27] = [
    0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000, 0x8000, 0x10000,
    0x20000, 0x40000, 0x80000, 0x100000, 0x200000, 0x400000, 0x800000, 0x1000000, 0x2000000, 0x4000000,
];

/// What all segments share. `limit` is Q, the largest coordinate; `cells` is 0 without an index of cells.
#[derive(Copy, Drop, Debug, PartialEq)]
pub struct SnapshotHeader {
    pub dimension: u64,
    pub limit: u64,
    pub scale: u64,
    pub normalised: u64,
    pub row_rule: u64,
    pub cells: u64,
    pub rows: u64,
    pub live: u64,
    pub segments: u64,
}

/// The root of tree 0 under one key: the channel, the blow-up and the lifting that it was committed for.
#[derive(Copy, Drop, Debug, PartialEq)]
pub struct ColumnRoot {
    pub channel: u64,
    pub log_blowup: u64,
    pub lifting: u64,
    pub root: u256,
}

/// A segment's leaf with its place in a snapshot: the index among the leaves, and the siblings up to the top.
#[derive(Copy, Drop, Debug)]
pub struct PlacedSegment {
    pub index: u64,
    pub id: u64,
    pub version: u64,
    pub log_size: u64,
    pub rows: u64,
    pub live: u64,
    pub row_root: u256,
    pub column_roots: Span<ColumnRoot>,
    pub path: Span<u256>,
}

#[generate_trait]
pub impl SnapshotHeaderImpl of SnapshotHeaderTrait {
    fn encode(self: @SnapshotHeader, ref words: Array<u32>) {
        words.add_u64(FORMAT);
        words.add_u64(*self.dimension);
        words.add_u64(*self.limit);
        words.add_u64(*self.scale);
        words.add_u64(*self.normalised);
        words.add_u64(*self.row_rule);
        words.add_u64(*self.cells);
        words.add_u64(*self.rows);
        words.add_u64(*self.live);
        words.add_u64(*self.segments);
        words.add_u32(0); // no payload fields
    }

    /// The bounds without which scores could wrap around, or a count could be of another snapshot.
    fn check(self: @SnapshotHeader) {
        let (dimension, limit) = (*self.dimension, *self.limit);
        within(dimension, 1, MAX_DIMENSION, 'snapshot.dimension');
        // The square is taken of no more than 16 bits. Larger coordinates would let |s - t| pass the gap's limbs.
        within(limit, 1, 0xffff, 'snapshot.limit');
        require(6 * dimension * limit * limit <= SCORE_SPAN, 'snapshot.limit', 'scores could wrap around');
        within(*self.scale, 1, 0x20000000000000, 'snapshot.scale');
        within(*self.normalised, 0, 1, 'snapshot.normalised');
        within(*self.row_rule, 0, 1, 'snapshot.row_rule');
        within(*self.segments, 1, MAX_SEGMENTS, 'snapshot.segments');
        within(*self.rows, 1, *self.segments * power_of_2(MAX_LOG_SIZE), 'snapshot.rows');
        within(*self.live, 0, *self.rows, 'snapshot.live');
        require(*self.cells == 0 || *self.cells + 1 == *self.segments, 'snapshot.cells', 'out of bounds');
    }

    /// S: no score exceeds it while all coordinates lie in [-Q, Q].
    fn score_bound(self: @SnapshotHeader) -> u64 {
        3 * *self.dimension * *self.limit * *self.limit
    }

    /// The index of the first segment that holds rows: the centroids come before them.
    fn first_rows(self: @SnapshotHeader) -> u64 {
        if *self.cells == 0 {
            0
        } else {
            1
        }
    }
}

#[generate_trait]
pub impl PlacedSegmentImpl of PlacedSegmentTrait {
    fn encode(self: @PlacedSegment, ref words: Array<u32>) {
        words.add_u64(*self.index);
        self.encode_leaf(ref words);
        words.add_u32((*self.path).len());
        for sibling in *self.path {
            words.add_bytes32(*sibling);
        }
    }

    fn encode_leaf(self: @PlacedSegment, ref words: Array<u32>) {
        words.add_u64(*self.id);
        words.add_u64(*self.version);
        words.add_u64(*self.log_size);
        words.add_u64(*self.rows);
        words.add_u64(*self.live);
        words.add_bytes32(*self.row_root);
        words.add_u32((*self.column_roots).len());
        for item in *self.column_roots {
            words.add_u64(*item.channel);
            words.add_u64(*item.log_blowup);
            words.add_u64(*item.lifting);
            words.add_bytes32(*item.root);
        }
    }

    /// Panics unless the snapshot with this header and root has this leaf at this index. A leaf of another version, of
    /// another snapshot or at another place leads to another root (ANCHORS F30: a stale root, a scan of the wrong list).
    fn check(self: @PlacedSegment, header: @SnapshotHeader, root: u256) {
        within(*self.id, 0, MAX_ID, 'segment.id');
        within(*self.version, 1, MAX_ID, 'segment.version');
        within(*self.log_size, MIN_LOG_SIZE, MAX_LOG_SIZE, 'segment.log_size');
        within(*self.rows, 1, power_of_2(*self.log_size), 'segment.rows');
        within(*self.live, 0, *self.rows, 'segment.live');
        require(*self.index < *header.segments, 'segment.index', 'out of bounds');
        let mut leaf = array![LEAF];
        self.encode_leaf(ref leaf);
        let mut node = blake2s(leaf.span());
        let mut siblings = *self.path;
        let (mut index, mut width) = (*self.index, *header.segments);
        while width > 1 {
            // An odd last node moves up as it is: it has no sibling to be told.
            let odd = index % 2 == 1;
            if odd || index + 1 < width {
                require(!siblings.is_empty(), 'segment.path', 'too short');
                let sibling = siblings.pop_front().unwrap();
                let mut words = array![NODE];
                if odd {
                    words.add_bytes32(*sibling);
                    words.append_span(node.span());
                } else {
                    words.append_span(node.span());
                    words.add_bytes32(*sibling);
                }
                node = blake2s(words.span());
            }
            index = index / 2;
            width = (width + 1) / 2;
        }
        require(siblings.is_empty(), 'segment.path', 'too long');
        let mut top = array![ROOT];
        header.encode(ref top);
        top.append_span(node.span());
        require(to_u256(blake2s(top.span())) == root, 'snapshot_root', 'not of header and segment');
    }

    /// The root of tree 0 that a proof under this blow-up must have: never the one that the proof brings (ANCHORS D19).
    fn column_root(self: @PlacedSegment, log_blowup: u32, lifting: u32) -> u256 {
        let mut found = None;
        for item in *self.column_roots {
            if *item.channel == 0 && *item.log_blowup == log_blowup.into() && *item.lifting == lifting.into() {
                found = Some(*item.root);
                break;
            }
        }
        require(found.is_some(), 'segment.column_roots', 'none for this preset');
        found.unwrap()
    }
}

/// 2^exponent, for an exponent of at most 26.
pub fn power_of_2(exponent: u64) -> u64 {
    *POWERS_OF_2.span()[exponent.try_into().unwrap()]
}

pub impl SnapshotHeaderSerde of Serde<SnapshotHeader> {
    fn serialize(self: @SnapshotHeader, ref output: Array<felt252>) {
        for value in [
            *self.dimension, *self.limit, *self.scale, *self.normalised, *self.row_rule, *self.cells, *self.rows,
            *self.live, *self.segments,
        ]
            .span() {
            value.serialize(ref output);
        }
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<SnapshotHeader> {
        Some(
            SnapshotHeader {
                dimension: take(ref serialized, 'snapshot.dimension'),
                limit: take(ref serialized, 'snapshot.limit'),
                scale: take(ref serialized, 'snapshot.scale'),
                normalised: take(ref serialized, 'snapshot.normalised'),
                row_rule: take(ref serialized, 'snapshot.row_rule'),
                cells: take(ref serialized, 'snapshot.cells'),
                rows: take(ref serialized, 'snapshot.rows'),
                live: take(ref serialized, 'snapshot.live'),
                segments: take(ref serialized, 'snapshot.segments'),
            },
        )
    }
}

pub impl ColumnRootSerde of Serde<ColumnRoot> {
    fn serialize(self: @ColumnRoot, ref output: Array<felt252>) {
        self.channel.serialize(ref output);
        self.log_blowup.serialize(ref output);
        self.lifting.serialize(ref output);
        self.root.serialize(ref output);
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<ColumnRoot> {
        Some(
            ColumnRoot {
                channel: take(ref serialized, 'segment.column_roots'),
                log_blowup: take(ref serialized, 'segment.column_roots'),
                lifting: take(ref serialized, 'segment.column_roots'),
                root: take_u256(ref serialized, 'segment.column_roots'),
            },
        )
    }
}

pub impl PlacedSegmentSerde of Serde<PlacedSegment> {
    fn serialize(self: @PlacedSegment, ref output: Array<felt252>) {
        for value in [*self.index, *self.id, *self.version, *self.log_size, *self.rows, *self.live].span() {
            value.serialize(ref output);
        }
        self.row_root.serialize(ref output);
        self.column_roots.serialize(ref output);
        self.path.serialize(ref output);
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<PlacedSegment> {
        let index = take(ref serialized, 'segment.index');
        let id = take(ref serialized, 'segment.id');
        let version = take(ref serialized, 'segment.version');
        let log_size = take(ref serialized, 'segment.log_size');
        let rows = take(ref serialized, 'segment.rows');
        let live = take(ref serialized, 'segment.live');
        let row_root = take_u256(ref serialized, 'segment.row_root');
        let mut column_roots = array![];
        for _ in 0..take_count(ref serialized, 16, 'segment.column_roots') {
            column_roots.append(ColumnRootSerde::deserialize(ref serialized).unwrap());
        }
        let mut path = array![];
        for _ in 0..take_count(ref serialized, 17, 'segment.path') {
            path.append(take_u256(ref serialized, 'segment.path'));
        }
        Some(
            PlacedSegment {
                index, id, version, log_size, rows, live, row_root, column_roots: column_roots.span(), path: path.span(),
            },
        )
    }
}
