"""The circle FFT over many columns (PROTOCOL 3): coefficients in natural order, values in storage order.

One transform works on 2^n values with a heap node as its root (see `twiddles`): node 1 for a canonic domain, node
2^B + j for the j-th 2^n storage positions of a domain of log size n + B. Zero padding therefore costs nothing: the
layers that would only copy are skipped, and each of the 2^B blocks is transformed from the coefficients.

Memory is touched block by block: blocks that fit the second-level cache, then the first, then registers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from air import circle
from air.field import P, inverse
from prover.butterflies import TAIL_LOG, backward_tail, forward_tail, layers, node_twiddles
from prover.lanes import Columns, addresses, helper, kernel, peek, poke, scalar_mul, scalar_sub
from prover.threads import INLINE, Workers
from prover.twiddles import twiddles

_OUTER_LOG, _INNER_LOG = 17, 11  # 512 KiB and 8 KiB of values: second- and first-level cache
_Y29, _Y28 = circle.point(1 << 29)[1], circle.point(1 << 28)[1]  # layer-0 twiddles of the domains of 2 and 4 points
_Y29_INVERSE, _Y28_INVERSE = inverse(_Y29), inverse(_Y28)

_node1, _node2, _node3, _node4 = (node_twiddles(r) for r in (1, 2, 3, 4))
_forward1, _forward2, _forward3, _forward4 = (layers(r, forward=True) for r in (1, 2, 3, 4))
_backward1, _backward2, _backward3, _backward4 = (layers(r, forward=False) for r in (1, 2, 3, 4))


@kernel
def _forward_pass(source, target, log_size, heap, node, r):
    """The r top layers of one block of 2^log_size values, from source to target (addresses)."""
    stride = 1 << (log_size - r)
    if r == 4:
        t4 = _node4(heap, node)
        for i in range(0, stride, 16):
            _forward4(source, target, i, stride, t4)
    elif r == 3:
        t3 = _node3(heap, node)
        for i in range(0, stride, 16):
            _forward3(source, target, i, stride, t3)
    elif r == 2:
        t2 = _node2(heap, node)
        for i in range(0, stride, 16):
            _forward2(source, target, i, stride, t2)
    else:
        t1 = _node1(heap, node)
        for i in range(0, stride, 16):
            _forward1(source, target, i, stride, t1)


@kernel
def _backward_pass(address, log_size, heap, node, r):
    """The r top layers of one block of 2^log_size values, backward and in place."""
    stride = 1 << (log_size - r)
    if r == 4:
        t4 = _node4(heap, node)
        for i in range(0, stride, 16):
            _backward4(address, address, i, stride, t4)
    elif r == 3:
        t3 = _node3(heap, node)
        for i in range(0, stride, 16):
            _backward3(address, address, i, stride, t3)
    elif r == 2:
        t2 = _node2(heap, node)
        for i in range(0, stride, 16):
            _backward2(address, address, i, stride, t2)
    else:
        t1 = _node1(heap, node)
        for i in range(0, stride, 16):
            _backward1(address, address, i, stride, t1)


@helper
def _next_layers(remaining, stop):
    """How many layers the next pass takes.

    Four only in the first-level cache: sixteen vectors at a large power of two from each other would evict each other.
    """
    return remaining if stop == TAIL_LOG else (remaining - 1) % 3 + 1


@kernel
def _forward_level(source, target, log_size, stop, heap, node):
    """The layers of one block from log_size down to blocks of log size `stop`."""
    log = log_size
    while log > stop:
        r = _next_layers(log - stop, stop)
        for block in range(1 << (log_size - log)):
            offset = block << (log + 2)
            _forward_pass(source + offset, target + offset, log, heap, (node << (log_size - log)) + block, r)
        source = target
        log -= r


@kernel
def _backward_level(address, log_size, stop, heap, node):
    """Inverse of `_forward_level`, in place: the same passes in the opposite order."""
    done = stop
    while done < log_size:
        log = log_size
        r = _next_layers(log - stop, stop)
        while log - r > done:
            log -= r
            r = _next_layers(log - stop, stop)
        for block in range(1 << (log_size - log)):
            _backward_pass(address + (block << (log + 2)), log, heap, (node << (log_size - log)) + block, r)
        done = log


@kernel
def _forward(source, target, log_size, heap, node):
    """A whole transform of at least 128 values."""
    outer = min(log_size, _OUTER_LOG)
    inner = min(outer, _INNER_LOG)
    _forward_level(source, target, log_size, outer, heap, node)
    first = source if log_size == outer else target
    for i in range(1 << (log_size - outer)):
        from_outer, outer_block = first + (i << (outer + 2)), target + (i << (outer + 2))
        outer_node = (node << (log_size - outer)) + i
        _forward_level(from_outer, outer_block, outer, inner, heap, outer_node)
        if outer > inner:
            from_outer = outer_block
        for j in range(1 << (outer - inner)):
            from_inner, inner_block = from_outer + (j << (inner + 2)), outer_block + (j << (inner + 2))
            inner_node = (outer_node << (outer - inner)) + j
            _forward_level(from_inner, inner_block, inner, TAIL_LOG, heap, inner_node)
            if inner > TAIL_LOG:
                from_inner = inner_block
            tail_node = inner_node << (inner - TAIL_LOG)
            for k in range(1 << (inner - TAIL_LOG)):
                forward_tail(from_inner, inner_block, k << TAIL_LOG, heap, tail_node + k, 0)


@kernel
def _backward(address, log_size, heap, node):
    """The inverse transform of at least 128 values, in place, with the division by 2^log_size."""
    outer = min(log_size, _OUTER_LOG)
    inner = min(outer, _INNER_LOG)
    shift = (31 - log_size) % 31
    for i in range(1 << (log_size - outer)):
        outer_block, outer_node = address + (i << (outer + 2)), (node << (log_size - outer)) + i
        for j in range(1 << (outer - inner)):
            inner_block, inner_node = outer_block + (j << (inner + 2)), (outer_node << (outer - inner)) + j
            tail_node = inner_node << (inner - TAIL_LOG)
            for k in range(1 << (inner - TAIL_LOG)):
                backward_tail(inner_block, inner_block, k << TAIL_LOG, heap, tail_node + k, shift)
            _backward_level(inner_block, inner, TAIL_LOG, heap, inner_node)
        _backward_level(outer_block, outer, inner, heap, outer_node)
    _backward_level(address, log_size, outer, heap, node)


@helper
def _small_twiddle(heap, layer, node, y29, y28):
    """The twiddle of a block of layer `layer`; layer 0 is derived from the pair above it."""
    if layer > 0:
        return np.uint64(peek(heap, node))
    if node < 4:
        y = np.uint64(y29) if node == 1 else np.uint64(y28)
        return y if node < 3 else np.uint64(P) - y
    pair = node >> 2 << 1
    place = node & 3
    value = np.uint64(peek(heap, pair + 1)) if place < 2 else np.uint64(peek(heap, pair))
    return np.uint64(P) - value if place == 1 or place == 2 else value


@kernel
def _forward_small(source, target, log_size, heap, node):
    """A transform of fewer than 128 values, one butterfly after the other."""
    for i in range(1 << log_size):
        poke(target, i, peek(source, i))
    for layer in range(log_size - 1, -1, -1):
        half = 1 << layer
        for block in range(1 << (log_size - 1 - layer)):
            t = _small_twiddle(heap, layer, (node << (log_size - 1 - layer)) + block, _Y29, _Y28)
            for i in range(2 * half * block, 2 * half * block + half):
                u, v = np.uint64(peek(target, i)), scalar_mul(peek(target, i + half), t)
                poke(target, i, np.uint32((u + v) % np.uint64(P)))
                poke(target, i + half, np.uint32(scalar_sub(u, v)))


@kernel
def _backward_small(address, log_size, heap, node):
    """The inverse transform of fewer than 128 values, in place, with the division."""
    for layer in range(log_size):
        half = 1 << layer
        for block in range(1 << (log_size - 1 - layer)):
            t = _small_twiddle(heap, layer, (node << (log_size - 1 - layer)) + block, _Y29_INVERSE, _Y28_INVERSE)
            for i in range(2 * half * block, 2 * half * block + half):
                u, v = np.uint64(peek(address, i)), np.uint64(peek(address, i + half))
                poke(address, i, np.uint32((u + v) % np.uint64(P)))
                poke(address, i + half, np.uint32(scalar_mul(scalar_sub(u, v), t)))
    scale = np.uint64(1) << np.uint64((31 - log_size) % 31)
    for i in range(1 << log_size):
        poke(address, i, np.uint32(scalar_mul(peek(address, i), scale)))


@kernel
def _evaluate_columns(sources, targets, log_in, log_out, heap):
    for c in range(sources.size):
        for block in range(1 << (log_out - log_in)):
            target, node = targets[c] + (block << (log_in + 2)), (1 << (log_out - log_in)) + block
            if log_in < TAIL_LOG:
                _forward_small(sources[c], target, log_in, heap, node)
            else:
                _forward(sources[c], target, log_in, heap, node)


@kernel
def _interpolate_columns(columns, log_size, heap, node):
    for c in range(columns.size):
        if log_size < TAIL_LOG:
            _backward_small(columns[c], log_size, heap, node)
        else:
            _backward(columns[c], log_size, heap, node)


def _spread(function: Callable[[int, int], None], count: int, log_size: int, workers: Workers) -> None:
    """Columns go to the workers one by one, small ones in bunches."""
    grain = max(1, (1 << 16) >> log_size)
    workers.map(lambda start: function(start, min(start + grain, count)), range(0, count, grain))


def interpolate(columns: Columns, log_size: int, workers: Workers = INLINE, *, domain_log: int | None = None) -> None:
    """In place: values in storage order -> coefficients.

    `columns` is (n, 2^log_size) or a list of columns. The values are those on the canonic domain of that size, or,
    with `domain_log`, those on the first 2^log_size storage positions of the larger canonic domain.
    """
    domain_log = log_size if domain_log is None else domain_log
    heap = twiddles(domain_log).backward
    places, node = _places(columns, log_size), 1 << (domain_log - log_size)

    def run(start: int, stop: int) -> None:
        _interpolate_columns(places[start:stop], log_size, heap.ctypes.data, node)

    _spread(run, len(places), log_size, workers)


def evaluate(
    coefficients: Columns, out: Columns, log_in: int, log_out: int, workers: Workers = INLINE
) -> None:
    """Coefficients (n, 2^log_in) -> values in storage order on the canonic domain (n, 2^log_out), log_out >= log_in.

    Both are 2-D arrays or lists of columns. `out` may be `coefficients` if the sizes are equal.
    """
    heap = twiddles(log_out).forward
    sources, targets = _places(coefficients, log_in), _places(out, log_out)
    if len(sources) != len(targets):
        raise ValueError("as many target columns as coefficient columns")

    def run(start: int, stop: int) -> None:
        _evaluate_columns(sources[start:stop], targets[start:stop], log_in, log_out, heap.ctypes.data)

    _spread(run, len(sources), log_out, workers)


def extend(columns: Columns, out: Columns, log_in: int, log_out: int, workers: Workers = INLINE) -> None:
    """`interpolate` of the columns in place and `evaluate` into `out`, column by column while they are in the cache."""
    forward, backward = twiddles(log_out).forward, twiddles(log_in).backward
    sources, targets = _places(columns, log_in), _places(out, log_out)
    if len(sources) != len(targets):
        raise ValueError("as many target columns as source columns")

    def run(start: int, stop: int) -> None:
        for c in range(start, stop):
            _interpolate_columns(sources[c : c + 1], log_in, backward.ctypes.data, 1)
            _evaluate_columns(sources[c : c + 1], targets[c : c + 1], log_in, log_out, forward.ctypes.data)

    _spread(run, len(sources), log_out, workers)


def _places(columns: Columns, log_size: int) -> npt.NDArray[np.intp]:
    if any(column.shape != (1 << log_size,) for column in columns):
        raise ValueError(f"columns must have 2^{log_size} values")
    return addresses(columns)
