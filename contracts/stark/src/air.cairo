//! What the verifier asks of an AIR; the implementations in `airs` are generated from the expression DAG (DESIGN 3).

use core::panic_with_felt252;
pub use crate::lanes::dot;
use crate::m31;
use crate::m31::M31;
use crate::qm31;
use crate::qm31::QM31;

const MIN_LOG_SIZE: u32 = 4;

/// Successive columns of a tree that have one size (log2 rows) and are sampled at the same row offsets.
#[derive(Copy, Drop, Debug)]
pub struct Run {
    pub log_size: u32,
    pub columns: u32,
    pub offsets: Span<i32>,
}

/// `trees` holds trees 0, 1 and, with relations, 2; `offsets` every row offset that occurs, `arities` the length of
/// the tuples of each relation, `claimed_sums` the number of components that have fractions.
#[derive(Copy, Drop, Debug)]
pub struct Layout {
    pub log_size: u32,
    pub trees: Span<Span<Run>>,
    pub offsets: Span<i32>,
    pub arities: Span<u32>,
    pub claimed_sums: u32,
}

/// The challenges of one relation.
#[derive(Copy, Drop, Debug)]
pub struct Elements {
    pub z: QM31,
    pub alpha: QM31,
}

pub trait Air<T> {
    /// Panics with 'air: log size' for a size that the AIR cannot have.
    fn layout(self: @T) -> Layout;
    /// The sum of c^(K-1-k) C_k over all constraints at the out-of-domain point: Horner in their order.
    /// `samples` is indexed [tree], the sampled values of its columns one after the other.
    fn composition(
        self: @T, samples: Span<Span<QM31>>, relations: Span<Elements>, claimed_sums: Span<QM31>, coefficient: QM31,
    ) -> QM31;
}

/// v0 + alpha v1 + alpha^2 v2 + ... - z.
pub fn combine(elements: Elements, values: Span<QM31>) -> QM31 {
    let mut values = values;
    let mut total = *values.pop_back().unwrap();
    while let Some(value) = values.pop_back() {
        total = qm31::mul_add(total, elements.alpha, *value);
    }
    qm31::sub(total, elements.z)
}

/// claimed_sum / 2^log_size: what every row contributes to the running sum. 2^31 = 1, so 1 / 2^n = 2^(31 - n).
pub fn share(claimed_sum: QM31, log_size: u32) -> QM31 {
    let mut scale: M31 = 1;
    for _ in log_size..31 {
        scale = m31::add(scale, scale);
    }
    qm31::mul_base(claimed_sum, scale)
}

pub fn check_log_size(log_size: u32, largest: u32) {
    if log_size < MIN_LOG_SIZE || log_size > largest {
        panic_with_felt252('air: log size');
    }
}

pub fn check_parameters(parameters: Span<M31>, count: u32) {
    if parameters.len() != count {
        panic_with_felt252('air: parameters');
    }
}
