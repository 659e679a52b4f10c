"""Polynomials at a point outside their domain, by folding their coefficients on the device (PROTOCOL 3).

A block folds one column's chunk: its threads differ in the low bits of the coefficient's index, each goes through the
middle ones, and the high ones number the chunks, which a second kernel folds. The basis of each part of the bits is
computed once for all columns of a size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from air.field import QM31
from air.layout import SECURE
from gpu.device import Array, Device, addresses, kernel

_FILE = "sampling.cu"
_LOW, _MIDDLE = 8, 5  # bits of the thread's number and of its loop


def evaluate_at(
    device: Device, coefficients: Sequence[Array], log_size: int, factors: Sequence[QM31]
) -> npt.NDArray[np.uint32]:
    """(n, 4): each of n columns of 2^log_size coefficients at the point with these log_size folding factors
    (`prover.sampling.folding_factors`). Reads every coefficient once. Waits for the result."""
    if len(factors) != log_size:
        raise ValueError("one factor for each bit of the coefficient's index")
    low = min(log_size, _LOW)
    middle = min(log_size - low, _MIDDLE)
    lows, middles, highs = (
        _basis(device, part) for part in (factors[:low], factors[low : low + middle], factors[low + middle :])
    )
    count, chunks = len(coefficients), 1 << (log_size - low - middle)
    places = addresses(device, coefficients)
    folded, out = device.empty(SECURE * count * chunks), device.empty(SECURE * count)
    grid = (chunks, count)
    device.launch(kernel(_FILE, "fold_chunks"), grid, 1 << _LOW, places, low, middle, lows, middles, folded)
    device.launch(kernel(_FILE, "fold_highs"), (count,), 1 << _LOW, folded, chunks, highs, out)
    return device.download(out).reshape(count, SECURE)


def _basis(device: Device, factors: Sequence[QM31]) -> Array:
    """(2^k, 4): for every k-bit number the product of the factors of its set bits, the lowest bit's first."""
    bits = len(factors)
    words = device.upload(np.array([*(w for f in factors for w in f.coordinates()), 0], dtype=np.uint32))
    out = device.empty(SECURE << bits)
    device.launch(kernel(_FILE, "basis"), (-(-(1 << bits) // (1 << _LOW)),), 1 << _LOW, words, bits, out)
    return out
