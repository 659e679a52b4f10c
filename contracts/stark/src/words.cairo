//! A proof as calldata: 32-bit words, seven to a felt, the first in the lowest bits, the last felt filled with zeros.

#[feature("bounded-int-utils")]
use core::internal::bounded_int::{BoundedInt, DivRemHelper, UnitInt, div_rem, downcast, upcast};
use core::panic_with_felt252;
use crate::m31;
use crate::qm31::QM31;

/// Eight words of a Blake2s hash; a box, as the hash function wants it.
pub type Hash = Box<[u32; 8]>;

type U64 = BoundedInt<0, 0xffffffffffffffff>;
type U32 = BoundedInt<0, 0xffffffff>;
type TwoTo64 = UnitInt<0x10000000000000000>;
type TwoTo32 = UnitInt<0x100000000>;
const TWO_TO_64: NonZero<TwoTo64> = 0x10000000000000000;
const TWO_TO_32: NonZero<TwoTo32> = 0x100000000;

impl SplitU128 of DivRemHelper<u128, TwoTo64> {
    type DivT = U64;
    type RemT = U64;
}
impl SplitU64 of DivRemHelper<U64, TwoTo32> {
    type DivT = U32;
    type RemT = U32;
}

/// All words. Panics with 'proof: felt too large' at 2^224 and above: every proof has one encoding.
pub fn unpack(felts: Span<felt252>) -> Span<u32> {
    let mut felts = felts;
    let mut words: Array<u32> = array![];
    while let Some(boxed) = felts.multi_pop_front::<4>() {
        let [a, b, c, d] = (*boxed).unbox();
        append_words(a, ref words);
        append_words(b, ref words);
        append_words(c, ref words);
        append_words(d, ref words);
    }
    for felt in felts {
        append_words(*felt, ref words);
    }
    words.span()
}

#[inline(always)]
fn append_words(felt: felt252, ref words: Array<u32>) {
    let value: u256 = felt.into();
    let (upper, lower) = div_rem(value.low, TWO_TO_64);
    let (last, high) = div_rem(value.high, TWO_TO_64);
    let (w1, w0) = div_rem(lower, TWO_TO_32);
    let (w3, w2) = div_rem(upper, TWO_TO_32);
    let (w5, w4) = div_rem(high, TWO_TO_32);
    let w6: u32 = match downcast(last) {
        Some(word) => word,
        None => panic_with_felt252('proof: felt too large'),
    };
    words.append(upcast(w0));
    words.append(upcast(w1));
    words.append(upcast(w2));
    words.append(upcast(w3));
    words.append(upcast(w4));
    words.append(upcast(w5));
    words.append(w6);
}

/// The next `count` words. Panics if there are fewer, like all readers here.
pub fn take(ref words: Span<u32>, count: u32) -> Span<u32> {
    let length = words.len();
    if length < count {
        panic_with_felt252('proof: too short');
    }
    let out = words.slice(0, count);
    words = words.slice(count, length - count);
    out
}

pub fn read_hash(ref words: Span<u32>) -> Hash {
    match words.multi_pop_front::<8>() {
        Some(hash) => *hash,
        None => panic_with_felt252('proof: too short'),
    }
}

/// Four canonical coordinates.
pub fn read_secure(ref words: Span<u32>) -> QM31 {
    match words.multi_pop_front::<4>() {
        Some(boxed) => {
            let [a, b, c, d] = (*boxed).unbox();
            QM31 { a: m31::read(a), b: m31::read(b), c: m31::read(c), d: m31::read(d) }
        },
        None => panic_with_felt252('proof: too short'),
    }
}

/// Secure values from words whose number is a multiple of four.
pub fn secure_values(words: Span<u32>) -> Span<QM31> {
    let mut words = words;
    let mut out: Array<QM31> = array![];
    while !words.is_empty() {
        out.append(read_secure(ref words));
    }
    out.span()
}

/// What is left is the filling of the last felt: fewer than seven words, all zero.
pub fn end(words: Span<u32>) {
    if words.len() > 6 {
        panic_with_felt252('proof: too long');
    }
    for word in words {
        if *word != 0 {
            panic_with_felt252('proof: filling not zero');
        }
    }
}
