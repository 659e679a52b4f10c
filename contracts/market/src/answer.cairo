//! Answers to vector queries: what a seller's signature says, and what the facts contract has found.

use octoproof_facts::question::{Question, QuestionTrait};
use octoproof_facts::topk_statement::{Row, encode_rows};
use octoproof_facts::words::{WordsTrait, digest};

const TYPE: u32 = 67;
const VERSION: u32 = 1;

/// What was asked of a snapshot. To each there is one right answer, so two different ones cannot both be facts.
#[derive(Copy, Drop, Debug, Serde)]
pub struct Asked {
    pub mode: u64,
    pub question: Question,
    pub probes: u64,
}

/// The digest of these rows as the answer (`topk_result_digest`): the fact that `combine_topk` stores, and the hash of
/// the answer's bytes that a response signs.
pub fn answer_digest(snapshot_root: u256, asked: @Asked, rows: Span<Row>) -> u256 {
    let mut words = array![TYPE, VERSION];
    words.add_bytes32(snapshot_root);
    words.add_u64(*asked.mode);
    asked.question.encode(ref words);
    words.add_u64(*asked.probes);
    encode_rows(rows, ref words);
    digest(words.span())
}
