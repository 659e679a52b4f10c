"""Compiled arithmetic on the Stark curve, y^2 = x^3 + x + BETA modulo p = 2^251 + 17 * 2^192 + 1.

A number is a tuple of four u64 words, lowest first, in Montgomery form (x * 2^256 mod p) and below 2p. Points are
Jacobian, (x, y, z) for (x / z^2, y / z^3). A table holds the affine multiples d * 16^j * Q, so that a product takes one
addition a digit of the scalar and no doubling. Nothing here takes constant time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from octoproof.starknet.wallet.curve import PRIME
from prover.lanes import kernel

WORDS = 4
WINDOWS = 63  # digits of four bits in a scalar below 2^252
DIGITS = 16

_WORD, _WIDE, _FELT = ir.IntType(64), ir.IntType(128), ir.IntType(256)
_NUMBER = types.UniTuple(types.uint64, WORDS)
_TOP = PRIME >> 192  # p = TOP * 2^192 + 1: what Montgomery's reduction multiplies by


def words(number: int) -> tuple[Any, ...]:
    """An integer below 2^256 as four u64."""
    return tuple(np.uint64(number >> 64 * k & (1 << 64) - 1) for k in range(WORDS))


def montgomery(number: int) -> tuple[Any, ...]:
    """A number modulo p in the form of the kernels."""
    return words((number << 256) % PRIME)


_ONE, _SQUARE = montgomery(1), montgomery(1 << 256)
_PLAIN_ONE = words(1)
_INVERSE = words(PRIME - 2)


def _split(b: ir.IRBuilder, value: Any) -> list[Any]:
    return [b.extract_value(value, k) for k in range(WORDS)]


def _pack(b: ir.IRBuilder, parts: list[Any]) -> Any:
    out = ir.Constant(ir.ArrayType(_WORD, WORDS), ir.Undefined)
    for k, part in enumerate(parts):
        out = b.insert_value(out, part, k)
    return out


@intrinsic
def multiply(typing_context, x, y):
    """x * y / 2^256 mod p, below 2p (both factors below 4p)."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        left, right = (_split(b, value) for value in args)
        wide = lambda v: b.zext(v, _WIDE)  # noqa: E731
        shift, zero = ir.Constant(_WIDE, 64), ir.Constant(_WORD, 0)
        sums: list[Any] = [zero] * (WORDS + 1)
        for factor in right:
            carry = zero
            for k in range(WORDS):
                total = b.add(b.add(b.mul(wide(left[k]), wide(factor)), wide(sums[k])), wide(carry))
                sums[k], carry = b.trunc(total, _WORD), b.trunc(b.lshr(total, shift), _WORD)
            sums[WORDS] = b.add(sums[WORDS], carry)
            # m = -sums[0] clears the lowest word: p is 1 modulo 2^64. Its middle words are 0, its top word is TOP.
            m = b.sub(zero, sums[0])
            carry = b.zext(b.icmp_unsigned("!=", sums[0], zero), _WORD)
            for k in (1, 2, 3):
                total = b.add(wide(sums[k]), wide(carry))
                if k == 3:
                    total = b.add(total, b.mul(wide(m), ir.Constant(_WIDE, _TOP)))
                sums[k - 1], carry = b.trunc(total, _WORD), b.trunc(b.lshr(total, shift), _WORD)
            sums[3], sums[4] = b.add(sums[4], carry), zero
        return _pack(b, sums[:WORDS])

    return _NUMBER(_NUMBER, _NUMBER), codegen


def _big(b: ir.IRBuilder, value: Any) -> Any:
    out = ir.Constant(_FELT, 0)
    for k, part in enumerate(_split(b, value)):
        out = b.or_(out, b.shl(b.zext(part, _FELT), ir.Constant(_FELT, 64 * k)))
    return out


def _small(b: ir.IRBuilder, value: Any) -> Any:
    return _pack(b, [b.trunc(b.lshr(value, ir.Constant(_FELT, 64 * k)), _WORD) for k in range(WORDS)])


def _below(b: ir.IRBuilder, value: Any, bound: int) -> Any:
    less = b.sub(value, ir.Constant(_FELT, bound))
    return b.select(b.icmp_unsigned("<", value, ir.Constant(_FELT, bound)), value, less)


@intrinsic
def add(typing_context, x, y):
    """x + y, below 2p."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return _small(b, _below(b, b.add(_big(b, args[0]), _big(b, args[1])), 2 * PRIME))

    return _NUMBER(_NUMBER, _NUMBER), codegen


@intrinsic
def subtract(typing_context, x, y):
    """x - y, below 2p."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        raised = b.add(_big(b, args[0]), ir.Constant(_FELT, 2 * PRIME))
        return _small(b, _below(b, b.sub(raised, _big(b, args[1])), 2 * PRIME))

    return _NUMBER(_NUMBER, _NUMBER), codegen


@intrinsic
def reduced(typing_context, x):
    """The number below p."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return _small(b, _below(b, _big(b, args[0]), PRIME))

    return _NUMBER(_NUMBER), codegen


@kernel
def is_zero(x):
    r = reduced(x)
    return (r[0] | r[1] | r[2] | r[3]) == 0


@kernel
def load(row):
    return (row[0], row[1], row[2], row[3])


@kernel
def store(row, x):
    row[0], row[1], row[2], row[3] = x[0], x[1], x[2], x[3]


@kernel
def invert(x):
    """x^(p-2)."""
    out = _ONE
    for k in range(251, -1, -1):
        out = multiply(out, out)
        if (_INVERSE[k >> 6] >> np.uint64(k & 63)) & np.uint64(1):
            out = multiply(out, x)
    return out


@kernel
def double(x, y, z):
    """2 (x, y, z), for a point whose order is not 2 (the order of the curve is prime)."""
    xx, yy = multiply(x, x), multiply(y, y)
    zz = multiply(z, z)
    slope = add(add(add(xx, xx), xx), multiply(zz, zz))  # 3 x^2 + z^4: the curve's linear coefficient is 1
    s = multiply(x, yy)
    s = add(add(s, s), add(s, s))
    fourth = multiply(yy, yy)
    fourth = add(fourth, fourth)
    fourth = add(add(fourth, fourth), add(fourth, fourth))
    nx = subtract(multiply(slope, slope), add(s, s))
    return nx, subtract(multiply(slope, subtract(s, nx)), fourth), multiply(add(y, y), z)


@kernel
def add_affine(x, y, z, ax, ay):
    """(x, y, z) + (ax, ay), two points that are neither equal nor opposite, nor zero."""
    zz = multiply(z, z)
    h = subtract(multiply(ax, zz), x)
    r = subtract(multiply(ay, multiply(z, zz)), y)
    hh = multiply(h, h)
    hhh, v = multiply(h, hh), multiply(x, hh)
    nx = subtract(subtract(multiply(r, r), hhh), add(v, v))
    return nx, subtract(multiply(r, subtract(v, nx)), multiply(y, hhh)), multiply(z, h)


@kernel
def fill_table(x, y, table):
    """table[j, d] = d * 16^j * (x, y), affine; table of shape (WINDOWS, DIGITS, 2, 4)."""
    points = np.empty((DIGITS + 1, 3, 4), dtype=np.uint64)
    partial = np.empty((DIGITS + 1, 4), dtype=np.uint64)
    for j in range(len(table)):
        px, py, pz = double(x, y, _ONE)
        product = _ONE
        for d in range(2, DIGITS + 1):
            if d > 2:
                px, py, pz = add_affine(px, py, pz, x, y)
            store(points[d, 0], px)
            store(points[d, 1], py)
            store(points[d, 2], pz)
            store(partial[d], product)
            product = multiply(product, pz)
        store(table[j, 1, 0], x)
        store(table[j, 1, 1], y)
        rest = invert(product)  # one inversion for the window: 1/z[d] is the product of all others over all
        for d in range(DIGITS, 1, -1):
            z = load(points[d, 2])
            inverse = multiply(rest, load(partial[d]))
            rest = multiply(rest, z)
            square = multiply(inverse, inverse)
            ax = multiply(load(points[d, 0]), square)
            ay = multiply(load(points[d, 1]), multiply(square, inverse))
            if d == DIGITS:
                x, y = ax, ay
            else:
                store(table[j, d, 0], ax)
                store(table[j, d, 1], ay)


@kernel
def multiples(table, scalars, out):
    """out[i] = scalars[i] * Q, Jacobian (n, 3, 4); scalars (n, 4) plain words below the order. z = 0 for scalar 0.

    The sum of the lower digits and the next multiple are never equal or opposite: both scalars, and their sum, are
    below the order of the curve, which is prime."""
    zero = (np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0))
    for i in range(len(scalars)):
        started = False
        x, y, z = _ONE, _ONE, zero
        for j in range(len(table)):
            digit = (scalars[i, j >> 4] >> np.uint64(4 * (j & 15))) & np.uint64(15)
            if digit:
                ax, ay = load(table[j, digit, 0]), load(table[j, digit, 1])
                if started:
                    x, y, z = add_affine(x, y, z, ax, ay)
                else:
                    x, y, z, started = ax, ay, _ONE, True
        store(out[i, 0], x)
        store(out[i, 1], y)
        store(out[i, 2], z)


@kernel
def affine_x(points, out):
    """out[i] = plain words of the x coordinate of points[i] (n, 3, 4), none of them zero."""
    product = _ONE
    for i in range(len(points)):
        store(out[i], product)
        product = multiply(product, load(points[i, 2]))
    rest = invert(product)
    for i in range(len(points) - 1, -1, -1):
        inverse = multiply(rest, load(out[i]))
        rest = multiply(rest, load(points[i, 2]))
        x = multiply(load(points[i, 0]), multiply(inverse, inverse))
        store(out[i], reduced(multiply(x, _PLAIN_ONE)))


@kernel
def compare(left, right, expected, verdicts):
    """verdicts[i]: whether x(left[i] + right[i]) or x(left[i] - right[i]) is expected[i] (n, 4), plain words below p.

    False for points of one x, as in StarkWare's library: whoever signs so has told its key, which is hash / r."""
    for i in range(len(left)):
        x1, y1, z1 = load(left[i, 0]), load(left[i, 1]), load(left[i, 2])
        x2, y2, z2 = load(right[i, 0]), load(right[i, 1]), load(right[i, 2])
        zz1, zz2 = multiply(z1, z1), multiply(z2, z2)
        u1, u2 = multiply(x1, zz2), multiply(x2, zz1)
        s1, s2 = multiply(y1, multiply(z2, zz2)), multiply(y2, multiply(z1, zz1))
        h = subtract(u2, u1)
        hh = multiply(h, h)
        rest = add(multiply(h, hh), multiply(add(u1, u1), hh))
        z = multiply(multiply(z1, z2), h)
        wanted = add(multiply(multiply(load(expected[i]), _SQUARE), multiply(z, z)), rest)
        minus, plus = subtract(s2, s1), add(s2, s1)
        same = is_zero(subtract(multiply(minus, minus), wanted)) or is_zero(subtract(multiply(plus, plus), wanted))
        verdicts[i] = same and not is_zero(h)
