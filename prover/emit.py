"""M31 and QM31 arithmetic on 16 lanes as LLVM instructions: what every CPU kernel is made of.

A vector is <16 x i32> of canonical values. A *wide* pair holds 64-bit sums of products, even and odd lanes apart;
reduction is put off until three more products could overflow. Without AVX-512 LLVM splits the vectors by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from air.field import P

LANES = 16
U32, U64 = ir.IntType(32), ir.IntType(64)
VECTOR, HALVES = ir.VectorType(U32, LANES), ir.VectorType(U64, LANES // 2)
Value = Any
Wide = tuple[Value, Value]
Secure = list[Value]  # four vectors

MAX_TERMS = 3  # products of canonical values that fit on top of a folded sum: 3 * 2^62 + 2^34 < 2^64
MAX_CENTRED_TERMS = 7  # products of centred values, likewise: 7 * 2^60 + 2^33 < 2^63


def splat(value: int, kind: ir.VectorType = VECTOR) -> ir.Constant:
    return ir.Constant(kind, [value] * kind.count)


def broadcast(b: ir.IRBuilder, scalar: Value) -> Value:
    """A vector whose lanes all hold a run-time i32."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = b.insert_element(undefined, scalar, ir.Constant(U32, 0))
    return b.shuffle_vector(first, undefined, ir.Constant(VECTOR, [0] * LANES))


def minimum(b: ir.IRBuilder, x: Value, y: Value) -> Value:
    return b.select(b.icmp_unsigned("<", x, y), x, y)


def add(b: ir.IRBuilder, x: Value, y: Value) -> Value:
    total = b.add(x, y)
    return minimum(b, total, b.sub(total, splat(P)))


def sub(b: ir.IRBuilder, x: Value, y: Value) -> Value:
    difference = b.sub(x, y)
    return minimum(b, difference, b.add(difference, splat(P)))


def neg(b: ir.IRBuilder, x: Value) -> Value:
    return sub(b, splat(0), x)


def halves(b: ir.IRBuilder, x: Value) -> Wide:
    """Even and odd lanes as 64-bit values."""
    both = b.bitcast(x, HALVES)
    return b.and_(both, splat(0xFFFFFFFF, HALVES)), b.lshr(both, splat(32, HALVES))


def product(b: ir.IRBuilder, x: Value, y: Value) -> Wide:
    """Unreduced products, below 2^62."""
    (x0, x1), (y0, y1) = halves(b, x), halves(b, y)
    return b.mul(x0, y0), b.mul(x1, y1)


def wide_add(b: ir.IRBuilder, x: Wide, y: Wide) -> Wide:
    return b.add(x[0], y[0]), b.add(x[1], y[1])


def fold(b: ir.IRBuilder, x: Wide) -> Wide:
    """Equal mod P and below 2^34."""
    mask, shift = splat(P, HALVES), splat(31, HALVES)
    return tuple(b.add(b.and_(v, mask), b.lshr(v, shift)) for v in x)  # type: ignore[return-value]


def reduce(b: ir.IRBuilder, x: Wide) -> Value:
    """Canonical lanes of a wide pair."""
    even, odd = fold(b, fold(b, x))  # below 2^31 + 8
    joined = b.or_(even, b.shl(odd, splat(32, HALVES)))
    total = b.bitcast(joined, VECTOR)
    return minimum(b, total, b.sub(total, splat(P)))


def mul(b: ir.IRBuilder, x: Value, y: Value) -> Value:
    """2xy splits at bit 32 into the high 31 bits and the shifted low ones; the latter come from a 32-bit product,
    which saves shuffles and shifts, of which there would be too many."""
    even, odd = product(b, x, b.shl(y, splat(1)))
    even, odd = b.bitcast(even, VECTOR), b.bitcast(odd, VECTOR)
    high = b.shuffle_vector(even, odd, ir.Constant(VECTOR, [i + 1 if i % 2 == 0 else 16 + i for i in range(LANES)]))
    total = b.add(b.and_(b.mul(x, y), splat(P)), high)
    return minimum(b, total, b.sub(total, splat(P)))


def sum_of_products(b: ir.IRBuilder, pairs: Sequence[tuple[Value, Value]], extra: Sequence[Value] = ()) -> Value:
    """The sum of x*y over the pairs plus the extra canonical vectors, reduced once."""
    return reduce(b, wide_sum(b, pairs, extra))


def wide_sum(b: ir.IRBuilder, pairs: Sequence[tuple[Value, Value]], extra: Sequence[Value] = ()) -> Wide:
    """As `sum_of_products`, not yet reduced; with room for MAX_TERMS - 1 further products."""
    total: Wide | None = None
    for count, (x, y) in enumerate(pairs):
        term = product(b, x, y)
        if total is None:
            total = term
        else:
            total = wide_add(b, fold(b, total) if count % MAX_TERMS == 0 else total, term)
    out = fold(b, total) if total is not None else (splat(0, HALVES), splat(0, HALVES))
    for value in extra:
        out = wide_add(b, out, halves(b, value))
    return out


def centred(b: ir.IRBuilder, x: Value) -> Wide:
    """Even and odd lanes as signed 64-bit numbers in [-2^30, 2^30), equal mod P."""
    small = b.icmp_unsigned("<", x, splat(1 << 30))
    both = b.bitcast(b.select(small, x, b.sub(x, splat(P))), HALVES)
    shift = splat(32, HALVES)
    return b.ashr(b.shl(both, shift), shift), b.ashr(both, shift)


def signed_fold(b: ir.IRBuilder, x: Wide) -> Wide:
    """Equal mod P and within 2^33 of zero."""
    mask, shift = splat(P, HALVES), splat(31, HALVES)
    return tuple(b.add(b.and_(v, mask), b.ashr(v, shift)) for v in x)  # type: ignore[return-value]


def signed_reduce(b: ir.IRBuilder, x: Wide) -> Value:
    """Canonical lanes of a pair of signed sums."""
    even, odd = signed_fold(b, x)
    lift = splat(4 * P, HALVES)  # above 2^32, what is left to be negative
    return reduce(b, (b.add(even, lift), b.add(odd, lift)))


def secure_add(b: ir.IRBuilder, x: Secure, y: Secure) -> Secure:
    return [add(b, u, v) for u, v in zip(x, y, strict=True)]


def secure_sub(b: ir.IRBuilder, x: Secure, y: Secure) -> Secure:
    return [sub(b, u, v) for u, v in zip(x, y, strict=True)]


def secure_mul(b: ir.IRBuilder, x: Secure, y: Secure) -> Secure:
    """QM31 product, sixteen base products with delayed reduction (PROTOCOL 1)."""
    x0, x1, x2, x3 = x
    y0, y1, y2, y3 = y
    n1, n3 = neg(b, x1), neg(b, x3)
    re = sum_of_products(b, [(x2, y2), (n3, y3)])
    im = sum_of_products(b, [(x2, y3), (x3, y2)])
    return [
        sum_of_products(b, [(x0, y0), (n1, y1)], [re, re, neg(b, im)]),
        sum_of_products(b, [(x0, y1), (x1, y0)], [re, im, im]),
        sum_of_products(b, [(x0, y2), (n1, y3), (x2, y0), (n3, y1)]),
        sum_of_products(b, [(x0, y3), (x1, y2), (x2, y1), (x3, y0)]),
    ]


def secure_scale(b: ir.IRBuilder, x: Secure, scalar: Value) -> Secure:
    return [mul(b, v, scalar) for v in x]


def inverse(b: ir.IRBuilder, x: Value) -> Value:
    """x^(P-2) by 30 squarings and 7 products; zero stays zero."""

    def squared(v: Value, times: int) -> Value:
        for _ in range(times):
            v = mul(b, v, v)
        return v

    ones2 = mul(b, squared(x, 1), x)
    ones4 = mul(b, squared(ones2, 2), ones2)
    ones8 = mul(b, squared(ones4, 4), ones4)
    ones16 = mul(b, squared(ones8, 8), ones8)
    ones24 = mul(b, squared(ones16, 8), ones8)
    ones28 = mul(b, squared(ones24, 4), ones4)
    ones29 = mul(b, squared(ones28, 1), x)
    return mul(b, squared(ones29, 2), x)


def secure_inverse(b: ir.IRBuilder, x: Secure) -> Secure:
    """(x0 - x1 u) / (x0^2 - (2 + i) x1^2); zero stays zero."""
    a, bb, c, d = x
    nb, nd = neg(b, bb), neg(b, d)
    re = sum_of_products(b, [(c, c), (nd, d)])  # x1^2 = re + im i
    im = sum_of_products(b, [(c, d), (d, c)])
    norm_re = sum_of_products(b, [(a, a), (nb, bb)], [neg(b, add(b, re, re)), im])
    norm_im = sum_of_products(b, [(a, bb), (bb, a)], [neg(b, re), neg(b, add(b, im, im))])
    scale = inverse(b, sum_of_products(b, [(norm_re, norm_re), (norm_im, norm_im)]))
    r, i = mul(b, norm_re, scale), neg(b, mul(b, norm_im, scale))  # 1 / norm = r + i*i
    ni = neg(b, i)
    return [
        sum_of_products(b, [(a, r), (bb, ni)]),
        sum_of_products(b, [(a, i), (bb, r)]),
        neg(b, sum_of_products(b, [(c, r), (d, ni)])),
        neg(b, sum_of_products(b, [(c, i), (d, r)])),
    ]
