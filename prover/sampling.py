"""Polynomials at a point outside their domain (PROTOCOL 3): coefficients folded with secure factors.

The value is the sum of c_k * basis_k, basis_k the product of the factors that the bits of k select. Bits 0 to 3 are
the lanes, the next ones the rows of a group, the rest the groups: within a group every lane sums base products with
delayed reduction, then the group's sums are scaled by its secure factor, and the lanes meet at the very end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from air import arrays
from air.circle import SecurePoint, double_x
from air.field import QM31
from prover.lanes import (
    Columns,
    addresses,
    fold,
    kernel,
    load,
    peek,
    product,
    reduce,
    secure_add,
    secure_mul,
    splat,
    store,
    wide_add,
    widen,
)
from prover.threads import INLINE, Workers

_LANE_BITS, _ROW_BITS = 4, 8


@kernel
def _lane_sums(columns, log_size, rows, groups, out):
    """Of every column (addresses, 2^log_size >= 16 coefficients) the secure sums of each lane: out is (n, 4, 16).

    rows is (2^r, 4) and groups (2^(log_size-4-r), 4): the basis of the row and of the group bits.
    """
    n_rows, n_groups = rows.shape[0], groups.shape[0]
    zero = splat(0)
    for c in range(columns.size):
        total = (zero, zero, zero, zero)
        for g in range(n_groups):
            sum0, sum1, sum2, sum3 = widen(zero), widen(zero), widen(zero), widen(zero)
            first = g * n_rows * 16
            for r in range(n_rows):
                x = load(columns[c], first + r * 16)
                sum0 = wide_add(sum0, product(x, splat(peek(rows, 4 * r))))
                sum1 = wide_add(sum1, product(x, splat(peek(rows, 4 * r + 1))))
                sum2 = wide_add(sum2, product(x, splat(peek(rows, 4 * r + 2))))
                sum3 = wide_add(sum3, product(x, splat(peek(rows, 4 * r + 3))))
                if r % 4 == 3:  # four products fit on a folded sum
                    sum0, sum1, sum2, sum3 = fold(sum0), fold(sum1), fold(sum2), fold(sum3)
            part = (reduce(sum0), reduce(sum1), reduce(sum2), reduce(sum3))
            factor = (
                splat(peek(groups, 4 * g)),
                splat(peek(groups, 4 * g + 1)),
                splat(peek(groups, 4 * g + 2)),
                splat(peek(groups, 4 * g + 3)),
            )
            total = secure_add(total, secure_mul(part, factor))
        store(out, 64 * c, total[0])
        store(out, 64 * c + 16, total[1])
        store(out, 64 * c + 32, total[2])
        store(out, 64 * c + 48, total[3])


def basis(factors: Sequence[QM31]) -> npt.NDArray[np.uint64]:
    """(2^k, 4): for every k-bit number the product of the factors of its set bits, the lowest bit's first."""
    out = arrays.qarray([QM31(1)])
    for factor in factors:
        out = np.concatenate([out, arrays.qmul(out, arrays.qarray([factor]))])
    return out


@lru_cache(maxsize=8)
def _bases(
    factors: tuple[QM31, ...], lane_bits: int, row_bits: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """The bases of the lanes, the rows and the groups; several trees are sampled at the same point."""
    parts = (factors[:lane_bits], factors[lane_bits : lane_bits + row_bits], factors[lane_bits + row_bits :])
    lanes, rows, groups = (basis(part) for part in parts)
    return lanes, rows.astype(np.uint32), groups.astype(np.uint32)


def evaluate_at(
    coefficients: Columns, log_size: int, factors: Sequence[QM31], workers: Workers = INLINE
) -> npt.NDArray[np.uint32]:
    """(n, 4): each of n columns of 2^log_size coefficients at the point with these log_size folding factors.

    The factors are y, x, pi(x), pi(pi(x)), ... of the point, for a smaller column those of the multiplied point.
    """
    if len(factors) != log_size:
        raise ValueError("one factor for each bit of the coefficient's index")
    lane_bits = min(log_size, _LANE_BITS)
    row_bits = min(log_size - lane_bits, _ROW_BITS)
    lane_basis, rows, groups = _bases(tuple(factors), lane_bits, row_bits)
    if log_size < _LANE_BITS:
        lane_values = arrays.secure(np.stack([np.asarray(c, dtype=np.uint64) for c in coefficients]))
    else:
        places = addresses(coefficients)
        sums = np.empty((len(places), 4, 16), dtype=np.uint32)
        grain = max(1, (1 << 18) >> log_size)

        def run(start: int) -> None:
            part = slice(start, start + grain)
            _lane_sums(places[part], log_size, rows, groups, sums[part])

        workers.map(run, range(0, len(places), grain))
        lane_values = sums.transpose(0, 2, 1).astype(np.uint64)
    terms = arrays.qmul(lane_values, lane_basis[None])
    return (terms.sum(axis=1) % np.uint64(2**31 - 1)).astype(np.uint32)


def folding_factors(point: SecurePoint, log_size: int, degree_log: int) -> list[QM31]:
    """y, x, pi(x), ... of the point multiplied by 2^(D - n): where a column of log size n is read when D is sampled."""
    x, y = point
    for _ in range(degree_log - log_size):
        x, y = double_x(x), x * y * 2
    out = [y]
    for _ in range(log_size - 1):
        out.append(x)
        x = double_x(x)
    return out
