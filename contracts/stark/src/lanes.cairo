//! Two field elements in one felt: one product weighs both, and a sum of products is reduced at its end only.

#[feature("bounded-int-utils")]
use core::internal::bounded_int::upcast;
use crate::m31;
use crate::m31::M31;
use crate::qm31::QM31;

/// Sums of 2^60 products of two elements fit in a lane.
pub const LANE: felt252 = 0x100000000000000000000000000000000;

/// Coordinates a, b and c, d in two felts.
pub fn pack(value: QM31) -> (felt252, felt252) {
    let (a, b, c, d): (felt252, felt252, felt252, felt252) = (
        upcast(value.a), upcast(value.b), upcast(value.c), upcast(value.d),
    );
    (a + b * LANE, c + d * LANE)
}

/// The element whose four coordinates are sums in lanes, none of them negative.
pub fn unpack(low: felt252, high: felt252) -> QM31 {
    let (low, high): (u256, u256) = (low.into(), high.into());
    QM31 {
        a: m31::reduce_u128(low.low),
        b: m31::reduce_u128(low.high),
        c: m31::reduce_u128(high.low),
        d: m31::reduce_u128(high.high),
    }
}

/// Each value's two felts.
pub fn pack_all(values: Span<QM31>) -> Span<felt252> {
    let mut out: Array<felt252> = array![];
    for value in values {
        let (low, high) = pack(*value);
        out.append(low);
        out.append(high);
    }
    out.span()
}

/// The sum of weight times value, the values in lanes.
pub fn weighted(weights: Span<M31>, packed: Span<felt252>) -> QM31 {
    let mut packed = packed;
    let (mut low, mut high) = (0, 0);
    for weight in weights {
        let [l, h] = (*packed.multi_pop_front::<2>().unwrap()).unbox();
        let weight: felt252 = upcast(*weight);
        low += weight * l;
        high += weight * h;
    }
    unpack(low, high)
}

/// The sum of the products.
pub fn dot(weights: Span<M31>, values: Span<QM31>) -> QM31 {
    weighted(weights, pack_all(values))
}
