"""DEEP quotients: one function on the lifting domain, a polynomial iff every sampled value is right (PROTOCOL 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from air import arrays, circle
from air.arrays import Array
from air.circle import SecurePoint
from air.field import QM31, P
from air.layout import Air
from verifier.errors import FriError
from verifier.sampling import COMPOSITION_COLUMNS, Samples, TreePoints

_CHUNK = 1024


@dataclass(frozen=True)
class QuotientTerm:
    """(column - value) over the vanishing of `point`; the k-th term of the enumeration is weighted with r^k."""

    tree: int
    column: int
    point: SecurePoint
    value: QM31


@dataclass(frozen=True)
class QuotientGroup:
    """The terms of one point, as arrays: positions in the enumeration, flat column indices and values."""

    point: SecurePoint
    powers: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    values: Array


def column_log_sizes(air: Air) -> list[list[int]]:
    """Log sizes (before blow-up) of the columns of all trees, the composition tree last."""
    return [*(list(tree) for tree in air.tree_log_sizes), [air.log_size] * COMPOSITION_COLUMNS]


def quotient_terms(
    log_sizes: Sequence[Sequence[int]], points: TreePoints, sampled: Samples, log_blowup: int, lifting_log: int
) -> list[QuotientTerm]:
    """All terms in the order in which they take powers of r: trees, columns, samples.

    A column with exactly two samples is preceded by one periodicity term: the same value at the second point moved by
    a point T of the order of its lifting. It binds a lifted column to being periodic. Nothing in Stwo binds columns
    with one sample or three and more: in a component below the largest size, an AIR must not rely on such a column
    wrapping from its last row to its first.
    """
    terms: list[QuotientTerm] = []
    moved: dict[tuple[int, int], SecurePoint] = {}
    for tree, (sizes, tree_points, tree_values) in enumerate(zip(log_sizes, points, sampled, strict=True)):
        for column, (size, places, values) in enumerate(zip(sizes, tree_points, tree_values, strict=True)):
            if len(places) == 2:
                key = (id(places[1]), size)
                if key not in moved:
                    period = circle.step(lifting_log) << (size + log_blowup)
                    moved[key] = circle.secure_add(places[1], circle.point(period % circle.ORDER))
                terms.append(QuotientTerm(tree, column, moved[key], values[1]))
            for place, value in zip(places, values, strict=True):
                terms.append(QuotientTerm(tree, column, place, value))
    return terms


def group_terms(terms: Sequence[QuotientTerm], widths: Sequence[int]) -> list[QuotientGroup]:
    """Terms gathered by point. `widths` are the trees' column counts: columns are numbered through all trees."""
    first = np.concatenate([[0], np.cumsum(widths)])
    found: dict[tuple[int, ...], list[int]] = {}
    keys: dict[int, tuple[int, ...]] = {}  # terms share point objects
    for index, term in enumerate(terms):
        key = keys.get(id(term.point))
        if key is None:
            key = keys[id(term.point)] = term.point[0].coordinates() + term.point[1].coordinates()
        found.setdefault(key, []).append(index)
    return [
        QuotientGroup(
            terms[members[0]].point,
            np.array(members, dtype=np.int64),
            np.array([first[terms[k].tree] + terms[k].column for k in members], dtype=np.int64),
            arrays.qarray([terms[k].value for k in members]),
        )
        for members in found.values()
    ]


def powers_array(base: QM31, count: int) -> Array:
    """(count, 4): 1, base, base^2, ... by doubling."""
    out = arrays.qarray([QM31(1)])
    while len(out) < count:
        out = np.concatenate([out, arrays.qmul(out, arrays.qarray([base ** len(out)]))])
    return out[:count]


def quotients_at(
    groups: Sequence[QuotientGroup], coefficient: QM31, columns: Array, x: Array, y: Array, count: int
) -> Array:
    """(positions, 4): the sum of all terms at domain points (x, y), given every column's lifted values there.

    `columns` is (all columns, positions), `count` the number of terms. Raises FriError if a sample point makes a
    denominator vanish (ANCHORS C15): the quotient would then say nothing about that row.
    """
    weights = powers_array(coefficient, count)
    total = np.zeros((len(x), 4), dtype=np.uint64)
    for group in groups:
        sx, sy = (arrays.qarray([v]) for v in group.point)
        w, values = weights[group.powers], group.values
        slope = _minus_conjugate(values)  # A = conj(v) - v
        rise = _minus_conjugate(sy)  # C = conj(sy) - sy
        intercept = arrays.sub(arrays.qmul(values, rise), arrays.qmul(slope, sy))  # E = v C - A sy
        scale = arrays.qmul(w, rise)
        numerator = _weighted_sum(scale, columns[group.columns])
        a, e = _total(arrays.qmul(w, slope)), _total(arrays.qmul(w, intercept))
        numerator = arrays.sub(numerator, arrays.add(arrays.mul(a, y[:, None]), e))
        total = arrays.add(total, _divide(numerator, _denominators(sx[0], sy[0], x, y)))
    return total


def _minus_conjugate(values: Array) -> Array:
    """conj(v) - v = -2 * (the u part of v)."""
    out = np.zeros_like(values)
    out[..., 2:] = arrays.neg(arrays.add(values[..., 2:], values[..., 2:]))
    return out


def _total(values: Array) -> Array:
    total: Array = values.sum(axis=0, dtype=np.uint64)  # fewer than 2^33 canonical terms cannot overflow
    return total % np.uint64(P)


def _weighted_sum(scale: Array, rows: Array) -> Array:
    """sum_j scale[j] * rows[j] over j: (terms, 4) and (terms, positions) give (positions, 4)."""
    out = np.zeros((rows.shape[1], 4), dtype=np.uint64)
    for start in range(0, len(rows), _CHUNK):  # bounded memory for wide traces
        block = slice(start, start + _CHUNK)
        for k in range(4):
            out[:, k] += _total(scale[block, k, None] * rows[block] % np.uint64(P))
    return out % np.uint64(P)


def _denominators(sx: Array, sy: Array, x: Array, y: Array) -> Array:
    """(Re sx - X) Im sy - (Re sy - Y) Im sx, in CM31; s = Re + Im u."""
    zero = np.zeros_like(x)
    left = arrays.cmul(arrays.sub(sx[:2], np.stack([x, zero], axis=-1)), sy[2:])
    right = arrays.cmul(arrays.sub(sy[:2], np.stack([y, zero], axis=-1)), sx[2:])
    return arrays.sub(left, right)


def _divide(numerator: Array, denominator: Array) -> Array:
    """QM31 by CM31, row by row."""
    if not denominator.any(axis=-1).all():
        raise FriError("sampled_values: a sample point meets the evaluation domain")
    scale = arrays.cinv(denominator)
    return np.concatenate([arrays.cmul(numerator[..., :2], scale), arrays.cmul(numerator[..., 2:], scale)], axis=-1)
