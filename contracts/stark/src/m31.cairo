//! M31, the field of 2^31 - 1 elements, on bounded integers: products are summed first and reduced once (PROTOCOL 1).
//!
//! A sum of products is of one of the types S1 to S8, named after the number of products that fit. Bounds are the
//! compiler's business: what overflows a type does not compile.

#[feature("bounded-int-utils")]
use core::internal::bounded_int::{
    AddHelper, BoundedInt, ConstrainHelper, DivRemHelper, MulHelper, SubHelper, UnitInt, add as wide_add, constrain,
    div_rem, downcast, mul as wide_mul, sub as wide_sub, upcast,
};

/// A canonical element.
pub type M31 = BoundedInt<0, 0x7ffffffe>;

pub const ZERO: M31 = 0;
pub const ONE: M31 = 1;

type Prime = UnitInt<0x7fffffff>;
const PRIME: Prime = 0x7fffffff;
pub const PRIME_NZ: NonZero<Prime> = 0x7fffffff;
const PRIME_BOUND: felt252 = 0x7fffffff;

/// a + b, and a - b, before anything is reduced.
pub type Double = BoundedInt<0, 0xfffffffc>;
pub type Difference = BoundedInt<-0x7ffffffe, 0x7ffffffe>;
pub type Product = BoundedInt<0, 0x3ffffffe00000004>;
pub type S1 = BoundedInt<-0x3ffffffe00000004, 0x3ffffffe00000004>;
pub type S2 = BoundedInt<-0x7ffffffc00000008, 0x7ffffffc00000008>;
pub type S4 = BoundedInt<-0xfffffff800000010, 0xfffffff800000010>;
pub type S8 = BoundedInt<-0x1fffffff000000020, 0x1fffffff000000020>;
/// 8 P^2: lifts any S8 to a number that is not negative.
pub type Lift = UnitInt<0x1fffffff800000008>;
pub type LiftPlus = BoundedInt<0x1fffffff800000008, 0x1fffffff880000006>;
type Lifted = BoundedInt<0x7ffffffe8, 0x3ffffffe800000028>;
type LiftedPlus = BoundedInt<0x7ffffffe8, 0x3ffffffe880000026>;

pub impl AddElements of AddHelper<M31, M31> {
    type Result = Double;
}
pub impl SubElements of SubHelper<M31, M31> {
    type Result = Difference;
}
pub impl MulElements of MulHelper<M31, M31> {
    type Result = Product;
}
pub impl AddS1 of AddHelper<S1, S1> {
    type Result = S2;
}
pub impl SubS1 of SubHelper<S1, S1> {
    type Result = S2;
}
pub impl AddS2 of AddHelper<S2, S2> {
    type Result = S4;
}
pub impl SubS2 of SubHelper<S2, S2> {
    type Result = S4;
}
pub impl AddS4 of AddHelper<S4, S4> {
    type Result = S8;
}
pub impl SubS4 of SubHelper<S4, S4> {
    type Result = S8;
}
impl LiftS8 of AddHelper<S8, Lift> {
    type Result = Lifted;
}
impl LiftElement of AddHelper<Lift, M31> {
    type Result = LiftPlus;
}
impl LiftS8Plus of AddHelper<S8, LiftPlus> {
    type Result = LiftedPlus;
}
impl ReduceLifted of DivRemHelper<Lifted, Prime> {
    type DivT = BoundedInt<0xf, 0x7ffffffe0>;
    type RemT = M31;
}
impl ReduceLiftedPlus of DivRemHelper<LiftedPlus, Prime> {
    type DivT = BoundedInt<0xf, 0x7ffffffe1>;
    type RemT = M31;
}
impl ReduceProduct of DivRemHelper<Product, Prime> {
    type DivT = BoundedInt<0, 0x7ffffffd>;
    type RemT = M31;
}
impl ReduceU128 of DivRemHelper<u128, Prime> {
    type DivT = BoundedInt<0, 0x2000000040000000800000010>;
    type RemT = M31;
}
impl ConstrainDouble of ConstrainHelper<Double, PRIME_BOUND> {
    type LowT = M31;
    type HighT = BoundedInt<0x7fffffff, 0xfffffffc>;
}
impl SubPrime of SubHelper<BoundedInt<0x7fffffff, 0xfffffffc>, Prime> {
    type Result = BoundedInt<0, 0x7ffffffd>;
}
impl ConstrainDifference of ConstrainHelper<Difference, 0> {
    type LowT = BoundedInt<-0x7ffffffe, -1>;
    type HighT = M31;
}
impl AddPrime of AddHelper<BoundedInt<-0x7ffffffe, -1>, Prime> {
    type Result = BoundedInt<1, 0x7ffffffe>;
}

pub fn add(x: M31, y: M31) -> M31 {
    match constrain::<Double, PRIME_BOUND>(wide_add(x, y)) {
        Ok(low) => low,
        Err(high) => upcast(wide_sub(high, PRIME)),
    }
}

pub fn sub(x: M31, y: M31) -> M31 {
    match constrain::<Difference, 0>(wide_sub(x, y)) {
        Ok(negative) => upcast(wide_add(negative, PRIME)),
        Err(low) => low,
    }
}

pub fn neg(x: M31) -> M31 {
    sub(ZERO, x)
}

pub fn mul(x: M31, y: M31) -> M31 {
    let (_, rest) = div_rem(wide_mul(x, y), PRIME_NZ);
    rest
}

/// One product, as the first of a sum.
#[inline(always)]
pub fn product(x: M31, y: M31) -> S1 {
    upcast(wide_mul(x, y))
}

#[inline(always)]
pub fn reduce(sum: S8) -> M31 {
    let lift: Lift = 0x1fffffff800000008;
    let (_, rest) = div_rem(wide_add(sum, lift), PRIME_NZ);
    rest
}

/// The sum and one element more.
#[inline(always)]
pub fn reduce_plus(sum: S8, more: M31) -> M31 {
    let lift: Lift = 0x1fffffff800000008;
    let (_, rest) = div_rem(wide_add(sum, wide_add(lift, more)), PRIME_NZ);
    rest
}

pub fn reduce_u128(value: u128) -> M31 {
    let (_, rest) = div_rem(value, PRIME_NZ);
    rest
}

/// A word as an element; None for P and above.
pub fn from_word(word: u32) -> Option<M31> {
    downcast(word)
}

/// A word that must be an element: panics where it is not canonical. A value of P would hash differently from 0 and
/// compute like it.
#[inline]
pub fn read(word: u32) -> M31 {
    match downcast(word) {
        Some(value) => value,
        None => core::panic_with_felt252('proof: not canonical'),
    }
}

#[inline(always)]
pub fn to_word(value: M31) -> u32 {
    upcast(value)
}

/// 1/x as x^(P - 2): 30 squarings and 7 products; zero stays zero.
pub fn inverse(x: M31) -> M31 {
    let ones2 = mul(squared(x, 1), x);
    let ones4 = mul(squared(ones2, 2), ones2);
    let ones8 = mul(squared(ones4, 4), ones4);
    let ones16 = mul(squared(ones8, 8), ones8);
    let ones24 = mul(squared(ones16, 8), ones8);
    let ones28 = mul(squared(ones24, 4), ones4);
    let ones29 = mul(squared(ones28, 1), x);
    mul(squared(ones29, 2), x)
}

fn squared(x: M31, times: u32) -> M31 {
    if times == 0 {
        return x;
    }
    squared(mul(x, x), times - 1)
}

/// All inverses for the price of one and three products each; panics with `message` if a value is zero.
pub fn batch_inverse(values: Span<M31>, message: felt252) -> Array<M31> {
    let mut prefixes: Array<M31> = array![];
    let mut product = ONE;
    for value in values {
        prefixes.append(product);
        product = mul(product, *value);
    }
    if product == ZERO {
        core::panic_with_felt252(message);
    }
    let mut rest = inverse(product);
    let mut reversed: Array<M31> = array![];
    let mut prefixes = prefixes.span();
    let mut left = values;
    while let Some(value) = left.pop_back() {
        reversed.append(mul(rest, *prefixes.pop_back().unwrap()));
        rest = mul(rest, *value);
    }
    let mut out: Array<M31> = array![];
    let mut reversed = reversed.span();
    while let Some(value) = reversed.pop_back() {
        out.append(*value);
    }
    out
}
