"""FRI folding in device memory (PROTOCOL 9), on secure columns (4, 2^n) in storage order, as `prover.fri`."""

from __future__ import annotations

from air.field import QM31
from gpu.device import Array, Device, kernel
from gpu.twiddles import twiddles
from prover import fri as cpu

_THREADS = 128
_FOLDS = ("fold_once", "fold_twice", "fold_thrice")


def fold(device: Device, values: Array, alpha: QM31, steps: int, on_circle: bool) -> Array:
    """`steps` folds with alpha, alpha^2, alpha^4, ...; the first one of a circle domain if `on_circle`."""
    while steps:
        now, n = min(steps, len(_FOLDS)), values.size // 4
        results = n >> now
        heap, out = twiddles(device, n.bit_length()).backward, device.empty(4 * results)
        grid, words = (-(-results // _THREADS),), alpha.coordinates()
        folds = kernel("fri.cu", _FOLDS[now - 1])
        device.launch(folds, grid, _THREADS, values, n, *words, heap, int(on_circle), out)
        for _ in range(now):
            alpha = alpha * alpha
        values, steps, on_circle = out, steps - now, False
    return values


def last_layer(device: Device, values: Array, log_bound: int) -> list[QM31]:
    """The coefficients of the last layer, which is small: the host interpolates it. Raises ValueError as there."""
    return cpu.last_layer(device.download(values).reshape(4, -1), log_bound)
