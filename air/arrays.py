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


# Products of all pairs of coordinates, x major, and what each adds to the coordinates of the product: a few operations
# on small arrays instead of dozens. (a + bi)(c + di) = ac - bd + (ad + bc)i, and u^2 = 2 + i in QM31.
_CM31 = np.array([[1, 0], [0, 1], [0, 1], [-1, 0]], dtype=np.int64)
_QM31 = np.zeros((4, 4, 4), dtype=np.int64)
_QM31[:2, :2, :2] = _QM31[:2, 2:, 2:] = _QM31[2:, :2, 2:] = _CM31.reshape(2, 2, 2)
_QM31[2:, 2:, 0] = [[2, -1], [-1, -2]]
_QM31[2:, 2:, 1] = [[1, 2], [2, -1]]
_LIFT = 8 * P  # no sum of weighted products is below -8 P


def _bilinear(x: Array, y: Array, weights: npt.NDArray[np.int64]) -> Array:
    products = (x[..., :, None] * y[..., None, :] % _P).astype(np.int64)
    sums = products.reshape(*products.shape[:-2], -1) @ weights + _LIFT
    return sums.astype(np.uint64) % _P


def cmul(x: Array, y: Array) -> Array:
    """CM31 product."""
    return _bilinear(x, y, _CM31)


def cinv(x: Array) -> Array:
    """CM31 inverse; zero stays zero."""
    a, b = x[..., 0], x[..., 1]
    scale = inv(add(mul(a, a), mul(b, b)))
    return np.stack([mul(a, scale), mul(neg(b), scale)], axis=-1)


def qmul(x: Array, y: Array) -> Array:
    """QM31 product."""
    return _bilinear(x, y, _QM31.reshape(16, 4))


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
