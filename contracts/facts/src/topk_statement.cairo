//! What one top-k proof claims, and the verifier's part of it (`air/statements/topk_statement.py`, DESIGN 5): "of this
//! segment of this snapshot, these are the live rows that score at least the threshold for this query".

use core::dict::{Felt252Dict, Felt252DictTrait};
use octoproof_stark::verifier::PublicTerm;
use crate::question::{Question, QuestionSerde, QuestionTrait};
use crate::refuse::{require, take, take_count, take_u256, within};
use crate::snapshot::{
    PlacedSegment, PlacedSegmentSerde, PlacedSegmentTrait, SnapshotHeader, SnapshotHeaderSerde, SnapshotHeaderTrait,
};
use crate::words::{WordsTrait, digest};

const TYPE: u32 = 1;
const VERSION: u32 = 2;
pub const STRICT: u64 = 0;
pub const IVF: u64 = 1;
const MAX_EMITTED: u32 = 4096;
const MAX_PROBES: u64 = 1000;
const P: u32 = 0x7fffffff;
const ID_LIMB: NonZero<u64> = 0x200000;
const RANGE_10: u32 = 0;
const RESULT: u32 = 1;

/// A row that is told: its id, and its exact score.
#[derive(Copy, Drop, Debug, PartialEq)]
pub struct Row {
    pub id: u64,
    pub score: i64,
}

/// One part of a query. `mode` is STRICT or IVF; `probes` is the number of cells that are probed, 0 in strict mode;
/// `emitted` are all live rows of this segment with score >= threshold, higher score and then smaller id first.
#[derive(Copy, Drop, Debug)]
pub struct TopkStatement {
    pub header: SnapshotHeader,
    pub snapshot_root: u256,
    pub segment: PlacedSegment,
    pub mode: u64,
    pub question: Question,
    pub probes: u64,
    pub threshold: i64,
    pub emitted: Span<Row>,
}

#[generate_trait]
pub impl TopkStatementImpl of TopkStatementTrait {
    /// The digest that Python's `TopkStatement.digest` gives.
    fn digest(self: @TopkStatement) -> u256 {
        let mut words = array![TYPE, VERSION];
        self.header.encode(ref words);
        words.add_bytes32(*self.snapshot_root);
        self.segment.encode(ref words);
        words.add_u64(*self.mode);
        self.question.encode(ref words);
        words.add_u64(*self.probes);
        words.add_i64(*self.threshold);
        encode_rows(*self.emitted, ref words);
        words.add_u32(0); // no dictionaries
        digest(words.span())
    }

    /// Everything that can be said of one part without its proof. Panics naming the field.
    fn check(self: @TopkStatement) {
        self.header.check();
        self.segment.check(self.header, *self.snapshot_root);
        self.question.check(self.header);
        within(*self.mode, STRICT, IVF, 'mode');
        let most = if *self.mode == IVF {
            core::cmp::min(*self.header.cells, MAX_PROBES)
        } else {
            0
        };
        require(*self.mode == STRICT || *self.header.cells > 0, 'mode', 'ivf needs cells');
        within(*self.probes, core::cmp::min(1, most), most, 'probes');
        // A row is |s| <= S, so |t| <= S keeps every |s - t| of the segment below 2^29 and within the 30 bits of the gap:
        // without it a false statement has a proof (ANCHORS F29).
        let bound: i64 = self.header.score_bound().try_into().unwrap();
        require(-bound <= *self.threshold && *self.threshold <= bound, 'threshold', 'out of bounds');
        let emitted = *self.emitted;
        require(emitted.len().into() <= *self.segment.rows, 'emitted', 'more rows than the segment');
        check_rows(emitted, bound);
        // In order, so the last row scores least: one that is below the threshold is not what the AIR emits.
        if !emitted.is_empty() {
            require(*emitted[emitted.len() - 1].score >= *self.threshold, 'emitted', 'below the threshold');
        }
    }

    /// The verifier's side of both relations: a use of each end of the range table, and a provision for every row, so
    /// that none is invented and none withheld. Limbs are computed here, never told.
    fn public_terms(self: @TopkStatement) -> Array<PublicTerm> {
        let mut terms = array![
            PublicTerm { relation: RANGE_10, multiplicity: 1, values: array![0].span() },
            PublicTerm { relation: RANGE_10, multiplicity: 1, values: array![1023].span() },
        ];
        for row in *self.emitted {
            let (rest, low) = DivRem::div_rem(*row.id, ID_LIMB);
            let (high, middle) = DivRem::div_rem(rest, ID_LIMB);
            let values: Array<u32> = array![
                low.try_into().unwrap(), middle.try_into().unwrap(), high.try_into().unwrap(), signed(*row.score),
            ];
            terms.append(PublicTerm { relation: RESULT, multiplicity: P - 1, values: values.span() });
        }
        terms
    }
}

/// A checked number, |value| < P, as an element of the field.
pub fn signed(value: i64) -> u32 {
    let element = if value < 0 {
        value + P.into()
    } else {
        value
    };
    element.try_into().unwrap()
}

/// Whether one row comes before another: the higher score, then the smaller id (a tie is not broken to taste).
pub fn before(a: Row, b: Row) -> bool {
    a.score > b.score || (a.score == b.score && a.id < b.id)
}

/// Panics unless the rows are in order, their ids distinct and valid, their scores in bounds. An id that appears twice
/// would take two places of the k (ANCHORS F30).
pub fn check_rows(rows: Span<Row>, bound: i64) {
    let mut seen: Felt252Dict<bool> = Default::default();
    let mut previous: Option<Row> = None;
    for row in rows {
        if let Some(last) = previous {
            require(before(last, *row), 'emitted', 'not in order');
        }
        // Three limbs of 21 bits: a larger id has none, or those of another.
        require(*row.id < 0x8000000000000000, 'emitted', 'id out of bounds');
        require(-bound <= *row.score && *row.score <= bound, 'emitted', 'score out of bounds');
        let id: felt252 = (*row.id).into();
        require(!seen.get(id), 'emitted', 'an id appears twice');
        seen.insert(id, true);
        previous = Some(*row);
    }
}

pub fn encode_rows(rows: Span<Row>, ref words: Array<u32>) {
    words.add_u32(rows.len());
    for row in rows {
        words.add_u64(*row.id);
        words.add_i64(*row.score);
    }
}

pub impl RowSerde of Serde<Row> {
    fn serialize(self: @Row, ref output: Array<felt252>) {
        self.id.serialize(ref output);
        self.score.serialize(ref output);
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<Row> {
        Some(Row { id: take(ref serialized, 'emitted'), score: take(ref serialized, 'emitted') })
    }
}

pub impl TopkStatementSerde of Serde<TopkStatement> {
    fn serialize(self: @TopkStatement, ref output: Array<felt252>) {
        self.header.serialize(ref output);
        self.snapshot_root.serialize(ref output);
        self.segment.serialize(ref output);
        self.mode.serialize(ref output);
        self.question.serialize(ref output);
        self.probes.serialize(ref output);
        self.threshold.serialize(ref output);
        self.emitted.serialize(ref output);
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<TopkStatement> {
        Some(
            TopkStatement {
                header: SnapshotHeaderSerde::deserialize(ref serialized)?,
                snapshot_root: take_u256(ref serialized, 'snapshot_root'),
                segment: PlacedSegmentSerde::deserialize(ref serialized)?,
                mode: take(ref serialized, 'mode'),
                question: QuestionSerde::deserialize(ref serialized)?,
                probes: take(ref serialized, 'probes'),
                threshold: take(ref serialized, 'threshold'),
                emitted: take_rows(ref serialized),
            },
        )
    }
}

/// Reads a list of rows from calldata.
pub fn take_rows(ref serialized: Span<felt252>) -> Span<Row> {
    let mut rows = array![];
    for _ in 0..take_count(ref serialized, MAX_EMITTED, 'emitted') {
        rows.append(RowSerde::deserialize(ref serialized).unwrap());
    }
    rows.span()
}
