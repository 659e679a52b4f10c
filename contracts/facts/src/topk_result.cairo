//! The parts of one query together (`TopkType.check_together` and `result`): which rows are the k best.

use core::dict::{Felt252Dict, Felt252DictTrait};
use crate::question::{Question, QuestionSerde, QuestionTrait};
use crate::refuse::{require, take, take_count, take_u256};
use crate::snapshot::{PlacedSegment, PlacedSegmentSerde, SnapshotHeader, SnapshotHeaderSerde, SnapshotHeaderTrait};
use crate::topk_statement::{
    IVF, Row, RowSerde, TopkStatement, before, check_rows, encode_rows, take_rows,
};
use crate::words::{WordsTrait, digest};

const TYPE: u32 = 67;
const VERSION: u32 = 1;
const MAX_PARTS: u32 = 1024;

/// What a part of an answer says by itself; the rest is the same in all.
#[derive(Copy, Drop, Debug)]
pub struct TopkPart {
    pub segment: PlacedSegment,
    pub threshold: i64,
    pub emitted: Span<Row>,
}

/// A query over a snapshot, with its parts in the order of their segments.
#[derive(Copy, Drop, Debug)]
pub struct TopkAnswer {
    pub header: SnapshotHeader,
    pub snapshot_root: u256,
    pub mode: u64,
    pub question: Question,
    pub probes: u64,
    pub parts: Span<TopkPart>,
}

#[generate_trait]
pub impl TopkAnswerImpl of TopkAnswerTrait {
    /// The statements that must all be facts. They agree on snapshot, question, mode and probes by construction.
    fn statements(self: @TopkAnswer) -> Span<TopkStatement> {
        let mut out = array![];
        for part in *self.parts {
            out
                .append(
                    TopkStatement {
                        header: *self.header,
                        snapshot_root: *self.snapshot_root,
                        segment: *part.segment,
                        mode: *self.mode,
                        question: *self.question,
                        probes: *self.probes,
                        threshold: *part.threshold,
                        emitted: *part.emitted,
                    },
                );
        }
        out.span()
    }

    /// The k best rows, given that every part is a fact. Panics unless the parts are all that the mode demands: none
    /// missing, none twice, every threshold the one that the rows make.
    fn result(self: @TopkAnswer) -> Span<Row> {
        let mut parts = *self.parts;
        require(!parts.is_empty(), 'parts', 'none');
        if *self.mode == IVF {
            // The cells to be probed are themselves a top-k over the centroids, so that no prover chooses them.
            let cells = parts.pop_front().unwrap();
            require(*cells.segment.index == 0, 'parts', 'the first is not of centroids');
            let nearest = best(self.header, array![*cells].span(), *self.probes);
            require_segments(parts, nearest);
            // Where no centroid is live, nothing is probed, and nothing is said.
            require(!parts.is_empty(), 'parts', 'only centroids');
        } else {
            require_all_segments(parts, self.header);
        }
        best(self.header, parts, *self.question.k)
    }

    /// What names the result: the snapshot, the question and its answer, without the segments that it was found in.
    fn result_digest(self: @TopkAnswer, rows: Span<Row>) -> u256 {
        let mut words = array![TYPE, VERSION];
        words.add_bytes32(*self.snapshot_root);
        words.add_u64(*self.mode);
        self.question.encode(ref words);
        words.add_u64(*self.probes);
        encode_rows(rows, ref words);
        digest(words.span())
    }
}

/// Strict: one part for every segment that holds rows, in order, so that none is left out, repeated or taken for another.
fn require_all_segments(parts: Span<TopkPart>, header: @SnapshotHeader) {
    let mut wanted = header.first_rows();
    for part in parts {
        require(*part.segment.index == wanted, 'parts', 'not the segments asked for');
        wanted += 1;
    }
    require(wanted == *header.segments, 'parts', 'a segment is missing');
}

/// Ivf: one part for every probed cell c, which is segment c + 1; ascending, so that none comes twice.
fn require_segments(parts: Span<TopkPart>, nearest: Span<Row>) {
    let mut probed: Felt252Dict<bool> = Default::default();
    for cell in nearest {
        probed.insert((*cell.id).into() + 1, true);
    }
    let mut previous = 0;
    for part in parts {
        let index = *part.segment.index;
        require(index > previous && probed.get(index.into()), 'parts', 'not the segments asked for');
        previous = index;
    }
    require(parts.len() == nearest.len(), 'parts', 'a segment is missing');
}

/// The rows of the first places among all that the parts emit. Panics unless every part's threshold is the score of the
/// last place, or -S where there are fewer rows than places: with a higher one a segment could hide rows.
fn best(header: @SnapshotHeader, parts: Span<TopkPart>, places: u64) -> Span<Row> {
    let bound: i64 = header.score_bound().try_into().unwrap();
    let mut rows: Span<Row> = array![].span();
    for part in parts {
        rows = merged(rows, *part.emitted);
    }
    check_rows(rows, bound);
    let places: u32 = places.try_into().unwrap();
    let enough = rows.len() >= places;
    let threshold = if enough {
        *rows[places - 1].score
    } else {
        -bound
    };
    for part in parts {
        require(*part.threshold == threshold, 'threshold', 'not what the rows make it');
    }
    if enough {
        rows.slice(0, places)
    } else {
        rows
    }
}

/// Two lists in order as one.
fn merged(left: Span<Row>, right: Span<Row>) -> Span<Row> {
    let (mut a, mut b) = (left, right);
    let mut out = array![];
    while let (Some(x), Some(y)) = (a.get(0), b.get(0)) {
        let (x, y) = (*x.unbox(), *y.unbox());
        if before(x, y) {
            out.append(x);
            let _ = a.pop_front();
        } else {
            out.append(y);
            let _ = b.pop_front();
        }
    }
    out.append_span(a);
    out.append_span(b);
    out.span()
}

pub impl TopkPartSerde of Serde<TopkPart> {
    fn serialize(self: @TopkPart, ref output: Array<felt252>) {
        self.segment.serialize(ref output);
        self.threshold.serialize(ref output);
        self.emitted.serialize(ref output);
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<TopkPart> {
        Some(
            TopkPart {
                segment: PlacedSegmentSerde::deserialize(ref serialized)?,
                threshold: take(ref serialized, 'threshold'),
                emitted: take_rows(ref serialized),
            },
        )
    }
}

pub impl TopkAnswerSerde of Serde<TopkAnswer> {
    fn serialize(self: @TopkAnswer, ref output: Array<felt252>) {
        self.header.serialize(ref output);
        self.snapshot_root.serialize(ref output);
        self.mode.serialize(ref output);
        self.question.serialize(ref output);
        self.probes.serialize(ref output);
        self.parts.serialize(ref output);
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<TopkAnswer> {
        let header = SnapshotHeaderSerde::deserialize(ref serialized)?;
        let snapshot_root = take_u256(ref serialized, 'snapshot_root');
        let mode = take(ref serialized, 'mode');
        let question = QuestionSerde::deserialize(ref serialized)?;
        let probes = take(ref serialized, 'probes');
        let mut parts = array![];
        for _ in 0..take_count(ref serialized, MAX_PARTS, 'parts') {
            parts.append(TopkPartSerde::deserialize(ref serialized)?);
        }
        Some(TopkAnswer { header, snapshot_root, mode, question, probes, parts: parts.span() })
    }
}
