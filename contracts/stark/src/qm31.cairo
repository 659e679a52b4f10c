//! CM31 = M31(i), i^2 = -1, and QM31 = CM31(u), u^2 = 2 + i: the secure field (PROTOCOL 1).

#[feature("bounded-int-utils")]
use core::internal::bounded_int::{
    AddHelper, BoundedInt, DivRemHelper, MulHelper, SubHelper, UnitInt, add as wide_add, div_rem, mul as wide_mul,
    sub as wide_sub, upcast,
};
use crate::m31;
use crate::m31::{
    AddElements, AddS1, AddS2, AddS4, Difference, Double, M31, MulElements, PRIME_NZ, Product, S8, SubElements, SubS1,
    SubS2, SubS4, product, reduce, reduce_plus,
};

/// a + b i.
#[derive(Copy, Drop, PartialEq, Debug)]
pub struct CM31 {
    pub a: M31,
    pub b: M31,
}

/// (a + b i) + (c + d i) u.
#[derive(Copy, Drop, PartialEq, Debug)]
pub struct QM31 {
    pub a: M31,
    pub b: M31,
    pub c: M31,
    pub d: M31,
}

pub const ZERO: QM31 = QM31 { a: 0, b: 0, c: 0, d: 0 };
pub const ONE: QM31 = QM31 { a: 1, b: 0, c: 0, d: 0 };

/// Sums of products of three elements, as S1 to S8 are of two.
type T1 = BoundedInt<-0x1ffffffe80000005fffffff8, 0x1ffffffe80000005fffffff8>;
type T2 = BoundedInt<-0x3ffffffd0000000bfffffff0, 0x3ffffffd0000000bfffffff0>;
type T4 = BoundedInt<-0x7ffffffa00000017ffffffe0, 0x7ffffffa00000017ffffffe0>;
type T8 = BoundedInt<-0xfffffff40000002fffffffc0, 0xfffffff40000002fffffffc0>;
type LiftT = UnitInt<0xfffffffa0000000bfffffff8>;
type LiftTPlus = BoundedInt<0xfffffffa0000000bfffffff8, 0xfffffffa0000000cfffffff4>;
type LiftedT = BoundedInt<0x5ffffffdc00000038, 0x1ffffffee0000003cffffffb4>;

impl MulT1 of MulHelper<Product, Difference> {
    type Result = T1;
}
impl AddT1 of AddHelper<T1, T1> {
    type Result = T2;
}
impl SubT1 of SubHelper<T1, T1> {
    type Result = T2;
}
impl AddT2 of AddHelper<T2, T2> {
    type Result = T4;
}
impl SubT2 of SubHelper<T2, T2> {
    type Result = T4;
}
impl AddT4 of AddHelper<T4, T4> {
    type Result = T8;
}
impl LiftDouble of AddHelper<LiftT, Double> {
    type Result = LiftTPlus;
}
impl LiftT8 of AddHelper<T8, LiftTPlus> {
    type Result = LiftedT;
}
impl ReduceT of DivRemHelper<LiftedT, UnitInt<0x7fffffff>> {
    type DivT = BoundedInt<0xbffffffd0, 0x3ffffffe400000041>;
    type RemT = M31;
}

pub fn from_base(x: M31) -> QM31 {
    QM31 { a: x, b: 0, c: 0, d: 0 }
}

pub fn add(x: QM31, y: QM31) -> QM31 {
    QM31 { a: m31::add(x.a, y.a), b: m31::add(x.b, y.b), c: m31::add(x.c, y.c), d: m31::add(x.d, y.d) }
}

pub fn sub(x: QM31, y: QM31) -> QM31 {
    QM31 { a: m31::sub(x.a, y.a), b: m31::sub(x.b, y.b), c: m31::sub(x.c, y.c), d: m31::sub(x.d, y.d) }
}

pub fn neg(x: QM31) -> QM31 {
    sub(ZERO, x)
}

pub fn add_base(x: QM31, y: M31) -> QM31 {
    QM31 { a: m31::add(x.a, y), ..x }
}

pub fn sub_base(x: QM31, y: M31) -> QM31 {
    QM31 { a: m31::sub(x.a, y), ..x }
}

pub fn mul_base(x: QM31, y: M31) -> QM31 {
    QM31 { a: m31::mul(x.a, y), b: m31::mul(x.b, y), c: m31::mul(x.c, y), d: m31::mul(x.d, y) }
}

/// The four coordinates of x y, not reduced.
#[inline(always)]
fn products(x: QM31, y: QM31) -> (S8, S8, S8, S8) {
    // (x0 + x1 u)(y0 + y1 u) = x0 y0 + (2 + i) x1 y1 + (x0 y1 + x1 y0) u
    let re = wide_sub(product(x.c, y.c), product(x.d, y.d));
    let im = wide_add(product(x.c, y.d), product(x.d, y.c));
    let a = wide_sub(product(x.a, y.a), product(x.b, y.b));
    let b = wide_add(product(x.a, y.b), product(x.b, y.a));
    let c = wide_add(
        wide_sub(product(x.a, y.c), product(x.b, y.d)), wide_sub(product(x.c, y.a), product(x.d, y.b)),
    );
    let d = wide_add(
        wide_add(product(x.a, y.d), product(x.b, y.c)), wide_add(product(x.c, y.b), product(x.d, y.a)),
    );
    (
        wide_add(wide_add(a, re), wide_sub(re, im)), wide_add(wide_add(b, re), wide_add(im, im)), upcast(c),
        upcast(d),
    )
}

pub fn mul(x: QM31, y: QM31) -> QM31 {
    let (a, b, c, d) = products(x, y);
    QM31 { a: reduce(a), b: reduce(b), c: reduce(c), d: reduce(d) }
}

/// x y + z for hardly more than x y.
pub fn mul_add(x: QM31, y: QM31, z: QM31) -> QM31 {
    let (a, b, c, d) = products(x, y);
    QM31 { a: reduce_plus(a, z.a), b: reduce_plus(b, z.b), c: reduce_plus(c, z.c), d: reduce_plus(d, z.d) }
}

/// (x + y) + alpha t (x - y): one fold of a FRI layer, reduced once.
pub fn fold(x: QM31, y: QM31, t: M31, alpha: QM31) -> QM31 {
    let (e, f) = (wide_mul(alpha.a, t), wide_mul(alpha.b, t));
    let (g, h) = (wide_mul(alpha.c, t), wide_mul(alpha.d, t));
    let (a, b) = (wide_sub(x.a, y.a), wide_sub(x.b, y.b));
    let (c, d) = (wide_sub(x.c, y.c), wide_sub(x.d, y.d));
    let re = wide_sub(wide_mul(g, c), wide_mul(h, d));
    let im = wide_add(wide_mul(g, d), wide_mul(h, c));
    let first = wide_sub(wide_mul(e, a), wide_mul(f, b));
    let second = wide_add(wide_mul(e, b), wide_mul(f, a));
    let third = wide_add(wide_sub(wide_mul(e, c), wide_mul(f, d)), wide_sub(wide_mul(g, a), wide_mul(h, b)));
    let fourth = wide_add(wide_add(wide_mul(e, d), wide_mul(f, c)), wide_add(wide_mul(g, b), wide_mul(h, a)));
    QM31 {
        a: reduce_fold(wide_add(wide_add(first, re), wide_sub(re, im)), wide_add(x.a, y.a)),
        b: reduce_fold(wide_add(wide_add(second, re), wide_add(im, im)), wide_add(x.b, y.b)),
        c: reduce_fold(upcast(third), wide_add(x.c, y.c)),
        d: reduce_fold(upcast(fourth), wide_add(x.d, y.d)),
    }
}

#[inline(always)]
fn reduce_fold(sum: T8, more: Double) -> M31 {
    let lift: LiftT = 0xfffffffa0000000bfffffff8;
    let (_, rest) = div_rem(wide_add(sum, wide_add(lift, more)), PRIME_NZ);
    rest
}

/// (x0 - x1 u) / (x0^2 - (2 + i) x1^2). Panics with `message` for zero.
pub fn inverse(x: QM31, message: felt252) -> QM31 {
    let (x0, x1) = (CM31 { a: x.a, b: x.b }, CM31 { a: x.c, b: x.d });
    let norm = complex_sub(complex_mul(x0, x0), times_u_squared(complex_mul(x1, x1)));
    let square = square_norm(norm);
    if square == 0 {
        core::panic_with_felt252(message);
    }
    let scale = m31::inverse(square);
    let over = CM31 { a: m31::mul(norm.a, scale), b: m31::mul(m31::neg(norm.b), scale) };
    let (y0, y1) = (complex_mul(x0, over), complex_mul(x1, over));
    QM31 { a: y0.a, b: y0.b, c: m31::neg(y1.a), d: m31::neg(y1.b) }
}

pub fn complex_sub(x: CM31, y: CM31) -> CM31 {
    CM31 { a: m31::sub(x.a, y.a), b: m31::sub(x.b, y.b) }
}

pub fn complex_mul(x: CM31, y: CM31) -> CM31 {
    CM31 {
        a: reduce(upcast(wide_sub(product(x.a, y.a), product(x.b, y.b)))),
        b: reduce(upcast(wide_add(product(x.a, y.b), product(x.b, y.a)))),
    }
}

/// (2 + i) x.
pub fn times_u_squared(x: CM31) -> CM31 {
    CM31 { a: m31::sub(m31::add(x.a, x.a), x.b), b: m31::add(x.a, m31::add(x.b, x.b)) }
}

/// a^2 + b^2: the norm of a + b i, whose inverse gives the inverse of a + b i.
pub fn square_norm(x: CM31) -> M31 {
    reduce(upcast(wide_add(product(x.a, x.a), product(x.b, x.b))))
}

/// A QM31 times a CM31.
pub fn mul_complex(x: QM31, y: CM31) -> QM31 {
    let (low, high) = (complex_mul(CM31 { a: x.a, b: x.b }, y), complex_mul(CM31 { a: x.c, b: x.d }, y));
    QM31 { a: low.a, b: low.b, c: high.a, d: high.b }
}

/// u x.
pub fn times_u(x: QM31) -> QM31 {
    let low = times_u_squared(CM31 { a: x.c, b: x.d });
    QM31 { a: low.a, b: low.b, c: x.a, d: x.b }
}

/// i x.
pub fn times_i(x: QM31) -> QM31 {
    QM31 { a: m31::neg(x.b), b: x.a, c: m31::neg(x.d), d: x.c }
}

/// The secure value whose four coordinate polynomials have these (secure) evaluations.
pub fn combine4(e0: QM31, e1: QM31, e2: QM31, e3: QM31) -> QM31 {
    add(add(e0, times_i(e1)), times_u(add(e2, times_i(e3))))
}
