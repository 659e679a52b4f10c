"""DEEP quotients on the first 2^D positions of the lifting domain (PROTOCOL 8).

All terms of one sample point share a denominator, so they are summed first: with weights w, values v and columns f
the point's numerator is sum(w C f) - Y sum(w A) - sum(w E), where C depends on the point alone. Columns of a size
are summed at that size and lifted afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from air import arrays
from air.circle import Column, SecurePoint
from air.field import CM31, QM31, P
from prover import emit, fft
from prover.lanes import (
    add,
    addresses,
    emit_load,
    emit_pointer,
    emit_shuffle,
    fold,
    helper,
    inverse,
    kernel,
    lanes,
    load,
    mul,
    neg,
    peek,
    prefetch,
    product,
    reduce,
    splat,
    store,
    wide_add,
    wide_load,
    wide_store,
    widen,
)
from prover.lifting import load_lifted
from prover.threads import INLINE, Workers
from prover.twiddles import twiddles

_CHUNK = 512  # positions summed together: their wide sums take 16 KiB


@dataclass(frozen=True)
class SampleGroup:
    """All terms of one sample point: (index of the column, sampled value, weight w) each."""

    point: SecurePoint
    terms: Sequence[tuple[int, QM31, QM31]]


@intrinsic
def _domain_points(typing_context, heap, index):
    """(X, Y) of sixteen domain points in storage order out of the four twiddles at `index`.

    A pair (x, y) of layer-1 twiddles makes eight points: the symmetries of (x, y).
    """

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        four = emit_load(b, emit_pointer(context, b, types.intp, *args, ir.VectorType(emit.U32, 4)))
        out = []
        for picks, negated in (((0, 0, 0, 0, 1, 1, 1, 1), (2, 3, 6, 7)), ((1, 1, 1, 1, 0, 0, 0, 0), (1, 2, 4, 7))):
            picked = emit_shuffle(b, four, four, [*picks, *(2 + k for k in picks)])
            # -v = v ^ P
            out.append(b.xor(picked, ir.Constant(emit.VECTOR, [P if k % 8 in negated else 0 for k in range(16)])))
        return context.make_tuple(b, signature.return_type, out)

    return types.UniTuple(lanes, 2)(types.intp, types.intp), codegen


@helper
def _weights_of(weights, c):
    """The four coordinates of a column's weight, in all lanes."""
    return (
        splat(peek(weights, 4 * c)),
        splat(peek(weights, 4 * c + 1)),
        splat(peek(weights, 4 * c + 2)),
        splat(peek(weights, 4 * c + 3)),
    )


@helper
def _four_terms(total, x, w0, w1, w2, w3):
    """total + x0 w0 + x1 w1 + x2 w2 + x3 w3, folded: four products fit on a folded sum."""
    total = wide_add(wide_add(total, product(x[0], w0)), product(x[1], w1))
    return fold(wide_add(wide_add(total, product(x[2], w2)), product(x[3], w3)))


@kernel
def _weighted_sums(columns, weights, start, size, sums):
    """sums (4, chunk) of u64, wide: sum of weight * column over the positions start .. start + size - 1.

    columns are addresses, weights is (n, 4). Four columns at a time, while the next four are fetched from memory.
    """
    zero = widen(splat(0))
    for i in range(0, 4 * _CHUNK, 16):
        wide_store(sums, i, zero)
    whole = columns.size // 4 * 4
    for first in range(0, whole, 4):
        w0, w1 = _weights_of(weights, first), _weights_of(weights, first + 1)
        w2, w3 = _weights_of(weights, first + 2), _weights_of(weights, first + 3)
        c0, c1, c2, c3 = columns[first], columns[first + 1], columns[first + 2], columns[first + 3]
        following, ahead = (first + 4, start) if first + 4 < whole else (0, start + _CHUNK)
        n0, n1, n2, n3 = (
            columns[following],
            columns[following + 1],
            columns[following + 2],
            columns[following + 3],
        )
        for i in range(0, size, 16):
            prefetch(n0, ahead + i)
            prefetch(n1, ahead + i)
            prefetch(n2, ahead + i)
            prefetch(n3, ahead + i)
            x = (load(c0, start + i), load(c1, start + i), load(c2, start + i), load(c3, start + i))
            a, b, c, d = i, _CHUNK + i, 2 * _CHUNK + i, 3 * _CHUNK + i
            wide_store(sums, a, _four_terms(wide_load(sums, a), x, w0[0], w1[0], w2[0], w3[0]))
            wide_store(sums, b, _four_terms(wide_load(sums, b), x, w0[1], w1[1], w2[1], w3[1]))
            wide_store(sums, c, _four_terms(wide_load(sums, c), x, w0[2], w1[2], w2[2], w3[2]))
            wide_store(sums, d, _four_terms(wide_load(sums, d), x, w0[3], w1[3], w2[3], w3[3]))
    for c in range(whole, columns.size):
        for k in range(4):
            w = splat(peek(weights, 4 * c + k))
            for i in range(0, size, 16):
                total = wide_add(wide_load(sums, k * _CHUNK + i), product(load(columns[c], start + i), w))
                wide_store(sums, k * _CHUNK + i, fold(total))


@kernel
def _sum_columns(columns, weights, start, stop, out):
    """out (4, n) at the positions start .. stop - 1: sum of weight * column, canonical."""
    sums = np.empty((4, _CHUNK), dtype=np.uint64)
    for chunk in range(start, stop, _CHUNK):
        size = min(_CHUNK, stop - chunk)
        _weighted_sums(columns, weights, chunk, size, sums)
        for k in range(4):
            for i in range(0, size, 16):
                store(out, k * out.shape[1] + chunk + i, reduce(wide_load(sums, k * _CHUNK + i)))


@helper
def _dot(x, a, y, b, extra):
    """x a + y b + extra, canonical."""
    return reduce(wide_add(wide_add(product(x, a), product(y, b)), widen(extra)))


@kernel
def _add_group(columns, weights, smaller, lifts, constants, heap, start, stop, first, out):
    """Adds one group's quotients at the positions start .. stop - 1 to out (4, n), or writes them if `first`.

    smaller (sizes, 4) are addresses of sums of smaller columns with their lifts; constants is (7, 2): the constant,
    X and Y coefficients of the denominator, then -sum(w A) and -sum(w E), four values each. `heap` is the address of
    the layer-1 twiddles of the lifting domain.
    """
    sums = np.empty((4, _CHUNK), dtype=np.uint64)
    dens = np.empty((4, _CHUNK), dtype=np.uint32)  # den, its norm and the norms' running product
    d0, d1, x0, x1 = splat(constants[0]), splat(constants[1]), splat(constants[2]), splat(constants[3])
    y0, y1 = splat(constants[4]), splat(constants[5])
    for chunk in range(start, stop, _CHUNK):
        size = min(_CHUNK, stop - chunk)
        _weighted_sums(columns, weights, chunk, size, sums)
        running = splat(1)
        for i in range(0, size, 16):
            x, y = _domain_points(heap, (chunk + i) >> 2)
            re, im = _dot(x, x0, y, y0, d0), _dot(x, x1, y, y1, d1)
            norm = reduce(wide_add(product(re, re), product(im, im)))
            store(dens, i, re)
            store(dens, _CHUNK + i, im)
            store(dens, 2 * _CHUNK + i, norm)
            store(dens, 3 * _CHUNK + i, running)
            running = mul(running, norm)
            for k in range(4):
                total = wide_load(sums, k * _CHUNK + i)
                for j in range(lifts.size):
                    total = wide_add(total, widen(load_lifted(smaller[j, k], lifts[j], chunk + i)))
                total = wide_add(total, widen(splat(constants[10 + k])))
                wide_store(sums, k * _CHUNK + i, wide_add(total, product(y, splat(constants[6 + k]))))
        running = inverse(running)
        for i in range(size - 16, -16, -16):
            scale = mul(running, load(dens, 3 * _CHUNK + i))
            running = mul(running, load(dens, 2 * _CHUNK + i))
            re, im = mul(load(dens, i), scale), mul(load(dens, _CHUNK + i), scale)  # 1 / den = re - im i
            minus = neg(im)
            for k in (0, 2):
                a, b = reduce(wide_load(sums, k * _CHUNK + i)), reduce(wide_load(sums, (k + 1) * _CHUNK + i))
                real = reduce(wide_add(product(a, re), product(b, im)))
                imaginary = reduce(wide_add(product(a, minus), product(b, re)))
                place = k * out.shape[1] + chunk + i
                if not first:
                    real, imaginary = add(real, load(out, place)), add(imaginary, load(out, place + out.shape[1]))
                store(out, place, real)
                store(out, place + out.shape[1], imaginary)


def quotients(
    columns: Sequence[Column],
    groups: Sequence[SampleGroup],
    lifting_log: int,
    degree_log: int,
    workers: Workers = INLINE,
) -> npt.NDArray[np.uint32]:
    """(4, 2^D): the sum of all quotients on the first 2^D storage positions of the domain of log size L >= 4.

    `columns` are the extended columns of log sizes up to L in storage order, in any order; terms refer to them.
    """
    if lifting_log < 4 or degree_log > lifting_log:
        raise ValueError(f"no quotients of degree 2^{degree_log} on a domain of 2^{lifting_log} points")
    size = max(16, 1 << degree_log)
    out = np.zeros((4, size), dtype=np.uint32)
    heap = twiddles(lifting_log).forward
    first_point = heap.ctypes.data + (4 << (lifting_log - 2))
    for number, group in enumerate(groups):
        by_lift = weights_by_lift(columns, group, lifting_log)
        chosen, weights = by_lift.pop(0, ([], np.empty((0, 4), dtype=np.uint32)))
        places, constants = addresses(chosen), group_constants(group)
        sums = [_class_sums(*by_lift[k], max(16, size >> k), workers) for k in by_lift]
        smaller = np.array([addresses(total) for total in sums], dtype=np.intp).reshape(len(sums), 4)
        lifts = np.array(list(by_lift), dtype=np.int64)
        arguments = (places, weights, smaller, lifts, constants, first_point)
        workers.ranges(partial(_run_group, arguments, number == 0, out), size, _CHUNK)
    return out[:, : 1 << degree_log] if size > 1 << degree_log else out


def _run_group(arguments: tuple[Any, ...], first: bool, out: npt.NDArray[np.uint32], start: int, stop: int) -> None:
    _add_group(*arguments, start, stop, first, out)


def extend(values: npt.NDArray[np.uint32], lifting_log: int, workers: Workers = INLINE) -> npt.NDArray[np.uint32]:
    """(4, 2^L) out of (4, 2^D): the same polynomials on the whole domain. Consumes `values`."""
    degree_log = values.shape[1].bit_length() - 1
    values, out = np.ascontiguousarray(values), np.empty((4, 1 << lifting_log), dtype=np.uint32)
    fft.interpolate(values, degree_log, workers, domain_log=lifting_log)
    fft.evaluate(values, out, degree_log, lifting_log, workers)
    return out


def weights_by_lift(
    columns: Sequence[Column], group: SampleGroup, lifting_log: int
) -> dict[int, tuple[list[Column], npt.NDArray[np.uint32]]]:
    """By log ratio to the lifting size: the columns of the group and their (n, 4) factors, w C summed per column."""
    chosen, place = np.unique([column for column, _, _ in group.terms], return_inverse=True)
    factors = np.zeros((len(chosen), 4), dtype=np.uint64)
    scaled = arrays.qmul(arrays.qarray([weight for _, _, weight in group.terms]), _minus_conjugate(group.point[1]))
    np.add.at(factors, place, scaled)
    factors %= np.uint64(P)
    by_lift: dict[int, list[int]] = {}
    for index, column in enumerate(chosen):
        lift = lifting_log - (columns[column].size.bit_length() - 1)
        if lift < 0:
            raise ValueError(f"column {column} is larger than the lifting domain of log size {lifting_log}")
        by_lift.setdefault(lift, []).append(index)
    return {
        lift: ([columns[chosen[k]] for k in members], factors[members].astype(np.uint32))
        for lift, members in by_lift.items()
    }


def _minus_conjugate(value: QM31) -> arrays.Array:
    """(1, 4): conj(v) - v."""
    return arrays.qarray([value.conjugate() - value])


def _class_sums(
    columns: Sequence[Column], weights: npt.NDArray[np.uint32], size: int, workers: Workers
) -> npt.NDArray[np.uint32]:
    """(4, size): the weighted sum of columns of one smaller size at that size."""
    columns = [c if c.size >= 16 else np.concatenate([c, np.zeros(16 - c.size, dtype=np.uint32)]) for c in columns]
    out, places = np.empty((4, size), dtype=np.uint32), addresses(columns)
    workers.ranges(lambda start, stop: _sum_columns(places, weights, start, stop, out), size, _CHUNK)
    return out


def group_constants(group: SampleGroup) -> npt.NDArray[np.uint32]:
    """Fourteen values as `_add_group` takes them: the denominator's three CM31, and minus the sums of w A and w E."""
    sx, sy = group.point
    (rx, ix), (ry, iy) = ((CM31(s.a, s.b), CM31(s.c, s.d)) for s in (sx, sy))
    values = arrays.qarray([value for _, value, _ in group.terms])
    weights = arrays.qarray([weight for _, _, weight in group.terms])
    slopes = values.copy()  # A = conj(v) - v, which is -2 times the u part
    slopes[:, :2], slopes[:, 2:] = 0, arrays.neg(arrays.add(values[:, 2:], values[:, 2:]))
    intercepts = arrays.sub(arrays.qmul(values, _minus_conjugate(sy)), arrays.qmul(slopes, arrays.qarray([sy])))
    sums = [arrays.qmul(weights, terms).sum(axis=0) % np.uint64(P) for terms in (slopes, intercepts)]
    # den = (rx - X) iy - (ry - Y) ix
    words = [w for part in (rx * iy - ry * ix, -iy, ix) for w in (part.a, part.b)]
    return np.array([*words, *arrays.neg(np.concatenate(sums))], dtype=np.uint32)
