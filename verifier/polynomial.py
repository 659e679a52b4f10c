"""The circle FFT in plain NumPy: column polynomials and their low-degree extensions (PROTOCOL 3).

The verifier needs it for AIRs whose preprocessed columns are public functions of the statement: it rebuilds tree 0
instead of trusting a root. It is also the reference that the fast transforms are tested against.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from air import arrays, circle
from air.arrays import Array
from air.field import P, inverse

Column = npt.NDArray[np.uint32]
_P = np.uint64(P)


@lru_cache(maxsize=8)
def layer_twiddles(log_size: int) -> tuple[Array, ...]:
    """Twiddles of the layers 0, 1, ... of the canonic domain, one per block."""
    if log_size == 0:
        return ()
    # Layer 0 takes y, layer 1 takes x of the points at even storage positions; each further layer doubles.
    initial, step = 1 << (30 - log_size), 1 << (32 - log_size)
    index = initial + circle.bit_reversal(log_size - 1) * step
    x, y = circle.points(index)
    layers = [y]
    for _ in range(1, log_size):
        x = x[::2]
        layers.append(x)
        x = (x * x % _P * np.uint64(2) + np.uint64(P - 1)) % _P
    return tuple(layers)


@lru_cache(maxsize=8)
def _inverse_twiddles(log_size: int) -> tuple[Array, ...]:
    return tuple(arrays.inv(t) for t in layer_twiddles(log_size))


def interpolate(values: npt.ArrayLike) -> Array:
    """Coefficients of the polynomial with these values on the canonic domain, in storage order."""
    out = np.array(values, dtype=np.uint64)
    log_size = out.shape[-1].bit_length() - 1
    for layer, twiddles in enumerate(_inverse_twiddles(log_size)):
        pairs = out.reshape(*out.shape[:-1], len(twiddles), 2, 1 << layer)
        u, v = pairs[..., 0, :], pairs[..., 1, :]
        total = (u + v) % _P
        pairs[..., 1, :] = (u + (_P - v)) % _P * twiddles[:, None] % _P
        pairs[..., 0, :] = total
    return out * np.uint64(inverse(1 << log_size)) % _P


def evaluate(coefficients: npt.ArrayLike, log_size: int) -> Array:
    """Values, in storage order, on the canonic domain of this log size; `coefficients` may be fewer than values."""
    given = np.asarray(coefficients, dtype=np.uint64)
    out = np.zeros((*given.shape[:-1], 1 << log_size), dtype=np.uint64)
    out[..., : given.shape[-1]] = given
    twiddles = layer_twiddles(log_size)
    for layer in range(log_size - 1, -1, -1):
        factors = twiddles[layer]
        pairs = out.reshape(*out.shape[:-1], len(factors), 2, 1 << layer)
        u = pairs[..., 0, :].copy()
        v = pairs[..., 1, :] * factors[:, None] % _P
        pairs[..., 0, :] = (u + v) % _P
        pairs[..., 1, :] = (u + (_P - v)) % _P
    return out


def extend(column: Column, log_blowup: int) -> Column:
    """Low-degree extension of a column in storage order."""
    log_size = len(column).bit_length() - 1
    return evaluate(interpolate(column), log_size + log_blowup).astype(np.uint32)
