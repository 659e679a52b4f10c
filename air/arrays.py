"""M31, CM31 and QM31 over NumPy arrays: the same arithmetic as `field`, many elements at once.

M31 arrays are uint64 holding canonical values; CM31 arrays have a last axis of 2, QM31 arrays a last axis of 4.
Everything broadcasts over the leading axes. This is the plain version that the fast kernels must agree with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from air.field import QM31, P

Array = npt.NDArray[np.uint64]
_P = np.uint64(P)


def m31(values: npt.ArrayLike) -> Array:
    """Signed or unsigned integers of any size up to 63 bits, reduced into [0, P)."""
    array = np.asarray(values)
    if array.dtype.kind == "u":
        return array.astype(np.uint64) % _P
    return (array.astype(np.int64) % P).astype(np.uint64)


def add(a: Array, b: Array) -> Array:
    return (a + b) % _P


def sub(a: Array, b: Array) -> Array:
    return (a + (_P - b)) % _P


def neg(a: Array) -> Array:
    return (_P - a) % _P


def mul(a: Array, b: Array) -> Array:
    """M31 product; also M31 times CM31 or QM31 when `a` has a trailing axis of length 1."""
    return a * b % _P


def _squared(a: Array, times: int) -> Array:
    for _ in range(times):
        a = mul(a, a)
    return a


def inv(a: Array) -> Array:
    """1/a by Fermat: a^(P-2). Zero stays zero: callers rule it out."""
    ones2 = mul(_squared(a, 1), a)  # a^(2^2 - 1)
    ones4 = mul(_squared(ones2, 2), ones2)
    ones8 = mul(_squared(ones4, 4), ones4)
    ones16 = mul(_squared(ones8, 8), ones8)
    ones24 = mul(_squared(ones16, 8), ones8)
    ones28 = mul(_squared(ones24, 4), ones4)
    ones29 = mul(_squared(ones28, 1), a)
    return mul(_squared(ones29, 2), a)  # P - 2 = (2^29 - 1) * 4 + 1


def cmul(x: Array, y: Array) -> Array:
    """CM31 product."""
    a, b, c, d = x[..., 0], x[..., 1], y[..., 0], y[..., 1]
    return np.stack([sub(mul(a, c), mul(b, d)), add(mul(a, d), mul(b, c))], axis=-1)


def cinv(x: Array) -> Array:
    """CM31 inverse; zero stays zero."""
    a, b = x[..., 0], x[..., 1]
    scale = inv(add(mul(a, a), mul(b, b)))
    return np.stack([mul(a, scale), mul(neg(b), scale)], axis=-1)


def qmul(x: Array, y: Array) -> Array:
    """QM31 product."""
    x0, x1, y0, y1 = x[..., :2], x[..., 2:], y[..., :2], y[..., 2:]
    high = cmul(x1, y1)
    re, im = high[..., 0], high[..., 1]
    twisted = np.stack([sub(add(re, re), im), add(re, add(im, im))], axis=-1)  # (2 + i) x1 y1
    return np.concatenate([add(cmul(x0, y0), twisted), add(cmul(x0, y1), cmul(x1, y0))], axis=-1)


def qinv(x: Array) -> Array:
    """QM31 inverse through CM31; zero stays zero."""
    x0, x1 = x[..., :2], x[..., 2:]
    square = cmul(x1, x1)
    re, im = square[..., 0], square[..., 1]
    twisted = np.stack([sub(add(re, re), im), add(re, add(im, im))], axis=-1)
    scale = cinv(sub(cmul(x0, x0), twisted))
    return np.concatenate([cmul(x0, scale), neg(cmul(x1, scale))], axis=-1)


def qarray(values: Sequence[QM31]) -> Array:
    """(n, 4) array of secure field elements."""
    return np.array([v.coordinates() for v in values], dtype=np.uint64).reshape(len(values), 4)


def secure(a: Array) -> Array:
    """M31 values as QM31 values."""
    out = np.zeros((*a.shape, 4), dtype=np.uint64)
    out[..., 0] = a
    return out
