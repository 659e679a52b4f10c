"""Twiddles of the circle FFT, once for all domain sizes (PROTOCOL 3).

They are kept as a heap: node 1 is the twiddle of the last layer (one block), and the two halves of the block with
node i have the nodes 2i and 2i + 1 in the layer below. So level k, the nodes 2^k .. 2^(k+1) - 1, holds the twiddles
of layer N - 1 - k of a domain of log size N, down to layer 1; the same heap serves every N, and its first 2^(N-1)
entries suffice for N. Layer 0 follows from layer 1: a pair of neighbouring nodes holds (x, y) of one point and gives
the four layer-0 twiddles y, -y, -x, x.

The nodes above a node i are the heap of a smaller, not canonic domain: the 2^n storage positions j 2^n ... of a
domain of log size n + B are transformed with node 2^B + j as the root.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from air import circle
from air.circle import Column
from air.field import P, inverse
from prover.lanes import (
    add,
    even_lanes,
    kernel,
    load,
    mul,
    neg,
    scalar_mul,
    scalar_sub,
    splat,
    store,
    sub,
    swap_neighbours,
    zip_low,
)
from prover.lanes import inverse as lanes_inverse

_LEAST = 8  # smaller domains are served by this one's heap
_CHUNK = 64 * 16  # values that share one inversion


@dataclass(frozen=True)
class Twiddles:
    """`forward` and `backward` (the inverses): heaps of 2^(log_size-1) entries; entry 0 is 1."""

    log_size: int
    forward: Column
    backward: Column


@kernel
def _fill_top(heap, first, rotations):
    """Top level of the heap: pairs (x, y) of points in bit-reversed order, each step a rotation of all before.

    heap[first:first+2] holds the first pair; rotations is (steps, 2).
    """
    count = 2
    for step in range(rotations.shape[0]):
        cx, cy = rotations[step, 0], rotations[step, 1]
        if count < 16:
            for i in range(first, first + count, 2):
                x, y = np.uint64(heap[i]), np.uint64(heap[i + 1])
                heap[i + count] = scalar_sub(scalar_mul(x, cx), scalar_mul(y, cy))
                heap[i + count + 1] = (scalar_mul(x, cy) + scalar_mul(y, cx)) % np.uint64(P)
        else:
            rx = splat(cx)
            ry = splat(cy)
            signed = zip_low(neg(ry), ry)  # -cy, cy, -cy, ...
            for i in range(first, first + count, 16):
                point = load(heap, i)
                store(heap, i + count, add(mul(point, rx), mul(swap_neighbours(point), signed)))
        count *= 2


@kernel
def _fill_below(heap, first):
    """All levels below the one that starts at `first`: a node is pi(x) = 2x^2 - 1 of its first child."""
    while first > 1:
        first //= 2
        if first >= 16:
            one = splat(1)
            for i in range(first, 2 * first, 16):
                x = even_lanes(load(heap, 2 * i), load(heap, 2 * i + 16))
                square = mul(x, x)
                store(heap, i, sub(add(square, square), one))
        else:
            for i in range(first, 2 * first):
                square = scalar_mul(heap[2 * i], heap[2 * i])
                heap[i] = scalar_sub(square + square, 1)


@kernel
def invert(values, out):
    """out = 1/values for a multiple of 16 values, none zero: Montgomery's trick in every lane."""
    for start in range(0, values.size, _CHUNK):
        stop = min(start + _CHUNK, values.size)
        running = splat(1)
        for i in range(start, stop, 16):
            store(out, i, running)
            running = mul(running, load(values, i))
        running = lanes_inverse(running)
        for i in range(stop - 16, start - 16, -16):
            store(out, i, mul(running, load(out, i)))
            running = mul(running, load(values, i))


_lock = threading.Lock()
_largest: Twiddles | None = None


def twiddles(log_size: int) -> Twiddles:
    """Heaps for domains up to `log_size` (read-only; longer if a larger domain was asked for before)."""
    global _largest
    with _lock:
        if _largest is None or _largest.log_size < log_size:
            _largest = _build(max(log_size, _LEAST))
        return _largest


def _build(log_size: int) -> Twiddles:
    level = log_size - 2
    heap, backward = np.empty(2 << level, dtype=np.uint32), np.empty(2 << level, dtype=np.uint32)
    heap[0], first = 1, 1 << level
    heap[first : first + 2] = circle.point(1 << (28 - level))
    _fill_top(heap, first, np.array([circle.point(1 << (28 - j)) for j in range(level - 1)], dtype=np.uint64))
    _fill_below(heap, first)
    invert(heap, backward)
    heap.setflags(write=False)
    backward.setflags(write=False)
    return Twiddles(log_size, heap, backward)


def layer_zero(heap: Column, node: int) -> int:
    """Layer-0 twiddle with heap number `node` (the children of layer 1): scalar, for small domains and tests.

    `heap` may hold the twiddles or their inverses. Nodes 1 to 3 belong to the domains of log size 1 and 2.
    """
    if node < 4:
        y = circle.point(1 << (29 if node == 1 else 28))[1]
        y = y if int(heap[1]) == circle.point(1 << 28)[0] else inverse(y)
        return y if node < 3 else P - y
    pair = node >> 2 << 1
    x, y = int(heap[pair]), int(heap[pair + 1])
    return (y, P - y, P - x, x)[node & 3]
