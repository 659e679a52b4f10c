"""Twiddles of the circle FFT in device memory, once for all domain sizes: the heaps of `prover.twiddles`."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from air import circle
from gpu.device import Array, Device, kernel

_LEAST = 12  # smaller domains are served by this one's heap
_THREADS = 256
_LEVELS = 29  # of the heap for the largest domain


@dataclass(frozen=True)
class Twiddles:
    """`forward` and `backward` (the inverses): heaps of 2^(log_size-1) entries; entry 0 repeats entry 1."""

    log_size: int
    forward: Array
    backward: Array


_kept: WeakKeyDictionary[Device, Twiddles] = WeakKeyDictionary()


def twiddles(device: Device, log_size: int) -> Twiddles:
    """Heaps for domains up to `log_size`, longer if a larger domain was asked for before; kept with the device."""
    kept = _kept.get(device)
    if kept is None or kept.log_size < log_size:
        kept = _kept[device] = _build(device, max(log_size, _LEAST))
    return kept


def _build(device: Device, log_size: int) -> Twiddles:
    points = device.upload(np.array([circle.point(1 << (28 - k)) for k in range(_LEVELS)], dtype=np.uint32))
    size = 1 << (log_size - 1)
    forward, backward = device.empty(size), device.empty(size)
    fill = kernel("twiddles.cu", "fill_twiddles")
    device.launch(fill, (-(-size // 2 // _THREADS),), _THREADS, points, forward, backward, size // 2)
    return Twiddles(log_size, forward, backward)
