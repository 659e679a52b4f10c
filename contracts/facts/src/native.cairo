//! The claims of the textbook AIRs (PROTOCOL 14): all columns but the trace are functions of the parameters.
//!
//! Their transcripts hold the parameters themselves, as Stwo's examples have it; the digests here name the facts.

use octoproof_stark::verifier::PublicTerm;
use crate::refuse::take;
use crate::words::{WordsTrait, digest};

const VERSION: u32 = 1;
const WIDE_FIB: u32 = 64;
const RANGE_CHECK: u32 = 65;
const PLONK: u32 = 66;
pub const P: u32 = 0x7fffffff;

/// "There are 2^log_size rows of wide Fibonacci of this many columns."
#[derive(Copy, Drop, Debug)]
pub struct WideFib {
    pub log_size: u32,
    pub columns: u32,
}

/// "There are 2^log_size rows of this many columns, all of whose cells are below 2^table_log."
#[derive(Copy, Drop, Debug)]
pub struct RangeCheck {
    pub table_log: u32,
    pub log_size: u32,
    pub columns: u32,
}

/// "The circuit of 2^log_size gates has been run on inputs a0 and b0."
#[derive(Copy, Drop, Debug)]
pub struct Plonk {
    pub log_size: u32,
    pub a0: u32,
    pub b0: u32,
}

pub fn wide_fib_digest(statement: WideFib) -> u256 {
    numbers_digest(WIDE_FIB, array![statement.log_size, statement.columns].span())
}

pub fn range_check_digest(statement: RangeCheck) -> u256 {
    numbers_digest(RANGE_CHECK, array![statement.table_log, statement.log_size, statement.columns].span())
}

pub fn plonk_digest(statement: Plonk) -> u256 {
    numbers_digest(PLONK, array![statement.log_size, statement.a0, statement.b0].span())
}

/// Wires 0 and 1 are inputs, read once and twice and written by nobody: without these terms a proof is of any inputs.
pub fn plonk_terms(statement: Plonk) -> Array<PublicTerm> {
    array![
        PublicTerm { relation: 0, multiplicity: P - 1, values: array![0, statement.a0].span() },
        PublicTerm { relation: 0, multiplicity: P - 2, values: array![1, statement.b0].span() },
    ]
}

fn numbers_digest(kind: u32, numbers: Span<u32>) -> u256 {
    let mut words = array![kind, VERSION];
    for value in numbers {
        words.add_u64((*value).into());
    }
    digest(words.span())
}

pub impl WideFibSerde of Serde<WideFib> {
    fn serialize(self: @WideFib, ref output: Array<felt252>) {
        self.log_size.serialize(ref output);
        self.columns.serialize(ref output);
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<WideFib> {
        Some(WideFib { log_size: take(ref serialized, 'log_size'), columns: take(ref serialized, 'columns') })
    }
}

pub impl RangeCheckSerde of Serde<RangeCheck> {
    fn serialize(self: @RangeCheck, ref output: Array<felt252>) {
        self.table_log.serialize(ref output);
        self.log_size.serialize(ref output);
        self.columns.serialize(ref output);
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<RangeCheck> {
        Some(
            RangeCheck {
                table_log: take(ref serialized, 'table_log'),
                log_size: take(ref serialized, 'log_size'),
                columns: take(ref serialized, 'columns'),
            },
        )
    }
}

pub impl PlonkSerde of Serde<Plonk> {
    fn serialize(self: @Plonk, ref output: Array<felt252>) {
        self.log_size.serialize(ref output);
        self.a0.serialize(ref output);
        self.b0.serialize(ref output);
    }

    fn deserialize(ref serialized: Span<felt252>) -> Option<Plonk> {
        Some(
            Plonk {
                log_size: take(ref serialized, 'log_size'),
                a0: take(ref serialized, 'a0'),
                b0: take(ref serialized, 'b0'),
            },
        )
    }
}
