//! LogUp: what all components use and provide, and what is public, must cancel (PROTOCOL 12, ANCHORS F24).

use core::panic_with_felt252;
use crate::air::{Elements, combine};
use crate::m31;
use crate::qm31;
use crate::qm31::QM31;

/// A fraction that the verifier adds by itself: multiplicity / combine(values).
#[derive(Copy, Drop, Debug)]
pub struct PublicTerm {
    pub relation: u32,
    pub multiplicity: u32,
    pub values: Span<u32>,
}

/// Panics unless the claimed sums and the public terms add up to zero, and for a term that is not of its relation.
pub fn check_balance(
    terms: Span<PublicTerm>, claimed_sums: Span<QM31>, relations: Span<Elements>, arities: Span<u32>,
) {
    // The sum of fractions as one fraction: a denominator is a product, so no inverse is needed.
    let (mut numerator, mut denominator) = (qm31::ZERO, qm31::ONE);
    for term in terms {
        let relation = *term.relation;
        // Zero padding is invisible to `combine`: (a) would pass for (a, 0).
        if relation >= arities.len() || *arities[relation] != term.values.len() {
            panic_with_felt252('claim: public term');
        }
        let value = combine(*relations[relation], elements(*term.values));
        let added = qm31::mul_base(denominator, element(*term.multiplicity));
        numerator = qm31::mul_add(numerator, value, added);
        denominator = qm31::mul(denominator, value);
    }
    if denominator == qm31::ZERO {
        panic_with_felt252('logup: zero denominator');
    }
    let mut total = qm31::ZERO;
    for sum in claimed_sums {
        total = qm31::add(total, *sum);
    }
    if qm31::mul_add(total, denominator, numerator) != qm31::ZERO {
        panic_with_felt252('logup: not balanced');
    }
}

fn elements(words: Span<u32>) -> Span<QM31> {
    let mut out: Array<QM31> = array![];
    for word in words {
        out.append(qm31::from_base(element(*word)));
    }
    out.span()
}

fn element(word: u32) -> m31::M31 {
    match m31::from_word(word) {
        Some(value) => value,
        None => panic_with_felt252('claim: not canonical'),
    }
}
