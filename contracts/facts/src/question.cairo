//! What is asked of a snapshot: a query with its metric and k (`air/statements/question.py`), without filters.

use crate::refuse::{require, take, take_count, within};
use crate::snapshot::SnapshotHeader;
use crate::words::WordsTrait;

pub const IP: u64 = 0;
pub const L2: u64 = 1;
pub const COSINE: u64 = 2;
const MAX_K: u64 = 1000;
const MAX_DIMENSION: u32 = 4096;

/// The k best rows for a query of integer coordinates. `metric` is IP, L2 or COSINE.
#[derive(Copy, Drop, Debug)]
pub struct Question {
    pub metric: u64,
    pub query: Span<i64>,
    pub k: u64,
}

#[generate_trait]
pub impl QuestionImpl of QuestionTrait {
    fn encode(self: @Question, ref words: Array<u32>) {
        words.add_u64(*self.metric);
        words.add_u32((*self.query).len());
        for value in *self.query {
            words.add_i64(*value);
        }
        words.add_u64(*self.k);
        words.add_u32(0); // no filters
    }

    /// Panics for a question that this snapshot cannot be asked. A coordinate beyond Q could make a score wrap around.
    fn check(self: @Question, header: @SnapshotHeader) {
        require((*self.query).len().into() == *header.dimension, 'question.query', 'not of the dimension');
        let limit: i64 = (*header.limit).try_into().unwrap();
        for value in *self.query {
            require(-limit <= *value && *value <= limit, 'question.query', 'out of bounds');
        }
        within(*self.metric, IP, COSINE, 'question.metric');
        require(*self.metric != COSINE || *header.normalised == 1, 'question.metric', 'snapshot not normalised');
        within(*self.k, 1, MAX_K, 'question.k');
    }
}

pub impl QuestionSerde of Serde<Question> {
    fn serialize(self: @Question, ref output: Array<felt252>) {
        self.metric.serialize(ref output);
        self.query.serialize(ref output);
        self.k.serialize(ref output);
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<Question> {
        let metric = take(ref serialized, 'question.metric');
        let mut query = array![];
        for _ in 0..take_count(ref serialized, MAX_DIMENSION, 'question.query') {
            query.append(take(ref serialized, 'question.query'));
        }
        Some(Question { metric, query: query.span(), k: take(ref serialized, 'question.k') })
    }
}
