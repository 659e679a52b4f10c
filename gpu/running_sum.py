"""Sums over the rows of a secure column on the device: blocks of rows, the blocks' sums, and what lies before each.

The first pass reaches rows through their storage positions and so moves eight times its 32 bytes a row: for 2^22 rows a
gigabyte, which is less than the FFTs of two columns.
"""

from __future__ import annotations

from air.field import QM31, P, inverse
from air.layout import SECURE
from gpu.device import Array, Device, kernel

_FILE = "running_sum.cu"
_THREADS, _ROWS = 256, 1024  # of a block


def running_sum(device: Device, values: Array, log_size: int) -> QM31:
    """In place, in row order: value i of (4, 2^n) becomes the sum over rows j <= i of (value j - share), share the
    2^n-th part of the sum of all, which is returned. Waits for it."""
    rows = 1 << log_size
    blocks = -(-rows // _ROWS)
    totals, before = device.empty(SECURE * blocks), device.empty(SECURE * (blocks + 1))
    device.launch(kernel(_FILE, "sum_rows"), (blocks, SECURE), _THREADS, values, log_size, totals)
    device.launch(kernel(_FILE, "sum_blocks"), (1, SECURE), _THREADS, totals, blocks, before)
    total = QM31(*(int(row[-1]) for row in device.download(before).reshape(SECURE, blocks + 1)))
    share = total * inverse(rows % P)
    grid = (-(-rows // _THREADS),)
    words = share.coordinates()
    device.launch(kernel(_FILE, "finish_rows"), grid, _THREADS, values, log_size, before, blocks, *words)
    return total
