"""Arithmetic modulo the Stark prime p = 2^251 + 17 * 2^192 + 1 on vectors, as LLVM instructions.

A field element x is held in Montgomery form, x R mod p, as a list of limbs, lowest first; a limb is a vector of u64,
one lane for every number worked on at once. With AVX-512 IFMA there are five limbs of 52 bits, elsewhere nine of 29.

Two kinds of limb lists occur. *Carried* limbs are below 2^bits and stand for a number below 2^256, not necessarily
below p; these can be multiplied. *Raw* limbs are what cubes give, and small multiples and sums of them, of carried and
of `folded` numbers; `carried` makes carried limbs of them again. Sums with differences take one `Form.addend` each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from prover.emit import U64

PRIME = 2**251 + 17 * 2**192 + 1
WORDS = 4  # u64 words in which numbers are kept in memory
Value = Any
Limbs = list[Value]

_WORD_BITS = 64
_TOP = 251  # p = 2^251 + 17 * 2^192 + 1: its highest bit, and
_MIDDLE = 192  # where the 17 stands


@dataclass(frozen=True)
class Form:
    """How numbers are cut. `fused`: limb products come as low and high 52 bits, added for nothing (IFMA)."""

    bits: int
    count: int
    lanes: int
    fused: bool

    @property
    def vector(self) -> ir.VectorType:
        return ir.VectorType(U64, self.lanes)

    @property
    def montgomery(self) -> int:
        """R."""
        return 1 << self.bits * self.count

    def splat(self, value: int) -> ir.Constant:
        return ir.Constant(self.vector, [value] * self.lanes)

    def digits(self, value: int) -> list[int]:
        """The limbs of an integer below R."""
        return [value >> self.bits * k & ((1 << self.bits) - 1) for k in range(self.count)]

    def constant(self, value: int) -> Limbs:
        """A field element in Montgomery form, carried, in every lane."""
        return [self.splat(digit) for digit in self.digits(value * self.montgomery % PRIME)]

    def addend(self, value: int) -> list[int]:
        """Raw limbs of a field element plus a multiple of p: every limb is large enough to subtract two cubes from.

        The number is below 6p.
        """
        room = [1 << (58 if self.fused else self.bits + 4)] * (self.count - 1)
        room.append(4 << _TOP - self.bits * (self.count - 1))
        rest = value * self.montgomery % PRIME + 5 * PRIME - sum(r << self.bits * k for k, r in enumerate(room))
        return [r + digit for r, digit in zip(room, self.digits(rest), strict=True)]


def best_form(features: str) -> Form:
    """For a processor by its LLVM feature string: as many lanes as a vector register holds."""
    if "+avx512ifma" in features:
        return Form(52, 5, 8, True)
    return Form(29, 9, 8 if "+avx512f" in features else 4 if "+avx2" in features else 2, False)


def carried(b: ir.IRBuilder, f: Form, x: Sequence[Value], masked: bool = True) -> Limbs:
    """Limbs below 2^bits but for the highest, which takes what is left. Fused products do without the masks."""
    x = list(x)
    for k in range(len(x) - 1):
        x[k + 1] = b.add(x[k + 1], b.lshr(x[k], f.splat(f.bits)))
        if masked:
            x[k] = b.and_(x[k], f.splat((1 << f.bits) - 1))
    return x


def folded(b: ir.IRBuilder, f: Form, x: Limbs) -> Limbs:
    """Raw limbs, modulo 2^64, of a number below 2^251 equal to a carried one: 2^251 = -17 * 2^192 - 1."""
    x = list(x)
    middle, shift = divmod(_MIDDLE, f.bits)
    top = f.splat(_TOP - f.bits * (f.count - 1))
    over = b.lshr(x[-1], top)
    x[-1] = b.sub(x[-1], b.shl(over, top))
    x[0] = b.sub(x[0], over)
    x[middle] = b.sub(x[middle], b.shl(b.add(over, b.shl(over, f.splat(4))), f.splat(shift)))
    return x


def _add_product(b: ir.IRBuilder, f: Form, t: Limbs, k: int, x: Value, y: Value) -> None:
    """Adds x y to the sum t at limb k (fused: at limbs k and k + 1)."""
    if f.fused:
        for half, place in (("l", k), ("h", k + 1)):
            name = f"llvm.x86.avx512.vpmadd52{half}.uq.512"
            kind = ir.FunctionType(f.vector, [f.vector] * 3)
            function = b.module.globals.get(name) or ir.Function(b.module, kind, name)
            t[place] = b.call(function, [t[place], x, y])
    else:
        # The masks change nothing; they tell LLVM that a product of 32-bit numbers is wanted.
        low = f.splat(0xFFFFFFFF)
        t[k] = b.add(t[k], b.mul(b.and_(x, low), b.and_(y, low)))


def multiply(b: ir.IRBuilder, f: Form, x: Limbs, y: Limbs) -> Limbs:
    """x y / R, carried."""
    return carried(b, f, _reduce(b, f, _product(b, f, x, y)))


def cube(b: ir.IRBuilder, f: Form, x: Limbs) -> Limbs:
    """x^3 / R^2, raw and below 2^251.4."""
    square = carried(b, f, _reduce(b, f, _square(b, f, x)), masked=not f.fused)
    raw = _reduce(b, f, _product(b, f, square, x))
    return raw if f.fused else carried(b, f, raw)  # limbs of 64 bits in use leave no room for multiples


def _product(b: ir.IRBuilder, f: Form, x: Limbs, y: Limbs) -> Limbs:
    t = [f.splat(v) for v in _start(f)]
    for i in range(f.count):
        for j in range(f.count):
            _add_product(b, f, t, i + j, x[i], y[j])
    return t


def _square(b: ir.IRBuilder, f: Form, x: Limbs) -> Limbs:
    """The product of x and x, its mixed terms computed once and doubled."""
    start = _start(f)
    t = [f.splat(v // 2) for v in start]
    for i in range(f.count):
        for j in range(i + 1, f.count):
            _add_product(b, f, t, i + j, x[i], x[j])
    t = [b.add(v, v) for v in t]
    t[0] = f.splat(start[0])
    for i in range(f.count):
        _add_product(b, f, t, 2 * i, x[i], x[i])
    return t


def _start(f: Form) -> list[int]:
    """What `_reduce` wants the sum of products to start from: limbs of 2^bits p - 1, and R.

    `_reduce` adds m p with m chosen to clear the limbs below R one by one. With t - 1 in place of a limb t the
    choice is m = -t = ~(t - 1), a mere complement, and the carry of t + m into the next limb is one more than that of
    t - 1; so the next limb is also one too low, and so on up to R. The multiple of p keeps the lowest limb positive.
    But for the lowest, which no mixed term reaches, all are even.
    """
    start = [0] * (2 * f.count)
    start[0] = (1 << f.bits) - 1
    for bit, factor in ((_MIDDLE, 17), (_TOP, 1)):
        limb, shift = divmod(bit, f.bits)
        start[limb + 1] += factor << shift
    start[f.count - 1] += 1 << f.bits
    return start


def _reduce(b: ir.IRBuilder, f: Form, t: Limbs) -> Limbs:
    """(t + m p) / R, limbs not carried, of a sum of products below 2^512. Besides the 1, p has bits in two limbs."""
    t = list(t)
    parts = [(*divmod(bit, f.bits), factor) for bit, factor in ((_MIDDLE, 17), (_TOP, 1))]
    for k in range(f.count):
        t[k + 1] = b.add(t[k + 1], b.lshr(t[k], f.splat(f.bits)))
        m = b.and_(b.not_(t[k]), f.splat((1 << f.bits) - 1))
        for limb, shift, factor in parts:
            _add_product(b, f, t, k + limb, m, f.splat(factor << shift))
    return t[f.count :]


def to_montgomery(b: ir.IRBuilder, f: Form, words: Sequence[Value]) -> Limbs:
    """From four vectors of u64 words, lowest first: any numbers below 2^256."""
    return multiply(b, f, _limbs(b, f, words), f.constant(f.montgomery))


def from_montgomery(b: ir.IRBuilder, f: Form, x: Limbs) -> list[Value]:
    """Four words of the number below p, from carried limbs."""
    padded = [*x, *[f.splat(0)] * f.count]
    x = carried(b, f, _reduce(b, f, [b.add(v, f.splat(k)) for v, k in zip(padded, _start(f), strict=True)]))
    # Now x < 2p, and it is at least p if adding R - p gives a carry.
    other = carried(b, f, [b.add(v, f.splat(d)) for v, d in zip(x, f.digits(f.montgomery - PRIME), strict=True)])
    large = b.icmp_unsigned("!=", b.lshr(other[-1], f.splat(f.bits)), f.splat(0))
    other[-1] = b.and_(other[-1], f.splat((1 << f.bits) - 1))
    return _words(b, f, [b.select(large, u, v) for u, v in zip(other, x, strict=True)])


def _limbs(b: ir.IRBuilder, f: Form, words: Sequence[Value]) -> Limbs:
    out = []
    for k in range(f.count):
        word, shift = divmod(f.bits * k, _WORD_BITS)
        limb = b.lshr(words[word], f.splat(shift))
        if shift + f.bits > _WORD_BITS and word + 1 < WORDS:
            limb = b.or_(limb, b.shl(words[word + 1], f.splat(_WORD_BITS - shift)))
        out.append(b.and_(limb, f.splat((1 << f.bits) - 1)))
    return out


def _words(b: ir.IRBuilder, f: Form, limbs: Sequence[Value]) -> list[Value]:
    out = [f.splat(0)] * WORDS
    for k, limb in enumerate(limbs):
        word, shift = divmod(f.bits * k, _WORD_BITS)
        out[word] = b.or_(out[word], b.shl(limb, f.splat(shift)))
        if shift + f.bits > _WORD_BITS and word + 1 < WORDS:
            out[word + 1] = b.or_(out[word + 1], b.lshr(limb, f.splat(_WORD_BITS - shift)))
    return out
