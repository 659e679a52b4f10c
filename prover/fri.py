"""FRI folding and the last layer (PROTOCOL 9), on secure columns (4, 2^n) in storage order.

Neighbours hold f(p) and f(-p); a fold makes a + b + alpha (a - b) / t of them, without the factor 1/2. The divisors
are the inverse twiddles: those of layer 0 (y) for the fold of a circle domain, those of the layers above (x) for the
line domains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from air import arrays, circle
from air.field import QM31, P
from prover import emit
from prover.lanes import (
    add,
    emit_load,
    emit_pointer,
    emit_shuffle,
    even_lanes,
    kernel,
    lanes,
    load,
    mul,
    odd_lanes,
    peek,
    secure_add,
    secure_mul,
    splat,
    store,
    sub,
)
from prover.threads import INLINE, Workers
from prover.twiddles import layer_zero, twiddles

Secure = npt.NDArray[np.uint32]
_GRAIN = 1 << 12  # results a worker makes at least


@intrinsic
def _layer_zero_lanes(typing_context, heap, index):
    """Sixteen layer-0 twiddles out of the eight layer-1 twiddles at `index`: (x, y) gives y, -y, -x, x."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        nodes = emit_load(b, emit_pointer(context, b, types.intp, *args, ir.VectorType(emit.U32, 8)))
        picked = emit_shuffle(b, nodes, nodes, [(k >> 2) * 2 + (k & 3 < 2) for k in range(16)])
        return b.xor(picked, ir.Constant(emit.VECTOR, [P if k & 3 in (1, 2) else 0 for k in range(16)]))  # -v = v ^ P

    return lanes(types.intp, types.intp), codegen


@kernel
def _fold(values, alpha, heap, on_circle, start, stop, out):
    """out (4, n) at start .. stop - 1 (multiples of 16) from values (4, 2n).

    `heap` is the address of the inverse twiddles: of the fold's layer for a line, of the layer above for a circle.
    """
    secure_alpha = (splat(peek(alpha, 0)), splat(peek(alpha, 1)), splat(peek(alpha, 2)), splat(peek(alpha, 3)))
    n = out.shape[1]
    for i in range(start, stop, 16):
        t = _layer_zero_lanes(heap, i >> 1) if on_circle else load(heap, i)
        x0, y0 = load(values, 2 * i), load(values, 2 * i + 16)
        x1, y1 = load(values, 2 * n + 2 * i), load(values, 2 * n + 2 * i + 16)
        x2, y2 = load(values, 4 * n + 2 * i), load(values, 4 * n + 2 * i + 16)
        x3, y3 = load(values, 6 * n + 2 * i), load(values, 6 * n + 2 * i + 16)
        a = (even_lanes(x0, y0), even_lanes(x1, y1), even_lanes(x2, y2), even_lanes(x3, y3))
        b = (odd_lanes(x0, y0), odd_lanes(x1, y1), odd_lanes(x2, y2), odd_lanes(x3, y3))
        f0 = (add(a[0], b[0]), add(a[1], b[1]), add(a[2], b[2]), add(a[3], b[3]))
        f1 = (
            mul(sub(a[0], b[0]), t),
            mul(sub(a[1], b[1]), t),
            mul(sub(a[2], b[2]), t),
            mul(sub(a[3], b[3]), t),
        )
        folded = secure_add(f0, secure_mul(f1, secure_alpha))
        store(out, i, folded[0])
        store(out, n + i, folded[1])
        store(out, 2 * n + i, folded[2])
        store(out, 3 * n + i, folded[3])


def fold_circle(values: Secure, alpha: QM31, workers: Workers = INLINE) -> Secure:
    """(4, 2^(n-1)) on the line domain out of (4, 2^n) on the canonic circle domain of log size n."""
    return _fold_once(values, alpha, True, workers)


def fold_line(values: Secure, alpha: QM31, workers: Workers = INLINE) -> Secure:
    """(4, 2^(n-1)) out of (4, 2^n) on the line domain of log size n."""
    return _fold_once(values, alpha, False, workers)


def fold(values: Secure, alpha: QM31, steps: int, on_circle: bool, workers: Workers = INLINE) -> Secure:
    """`steps` folds with alpha, alpha^2, alpha^4, ...; the first one of a circle domain if `on_circle`."""
    for step in range(steps):
        values = _fold_once(values, alpha, on_circle and step == 0, workers)
        alpha = alpha * alpha
    return values


def _fold_once(values: Secure, alpha: QM31, on_circle: bool, workers: Workers) -> Secure:
    n = values.shape[1] // 2
    log_size = n.bit_length() - 1
    heap = twiddles(log_size + 2).backward
    if n < 16:
        t = [layer_zero(heap, n + i) for i in range(n)] if on_circle else heap[n : 2 * n]
        return _fold_few(values, alpha, np.array(t, dtype=np.uint64))
    values, out = np.ascontiguousarray(values), np.empty((4, n), dtype=np.uint32)
    factor = np.array(alpha.coordinates(), dtype=np.uint32)
    offset = 4 * (n // 2 if on_circle else n)

    def run(start: int, stop: int) -> None:
        _fold(values, factor, heap.ctypes.data + offset, on_circle, start, stop, out)

    workers.ranges(run, n, _GRAIN)
    return out


def _fold_few(values: Secure, alpha: QM31, inverses: npt.NDArray[np.uint64]) -> Secure:
    """The same for fewer than sixteen results."""
    a, b = values[:, ::2].T.astype(np.uint64), values[:, 1::2].T.astype(np.uint64)
    f1 = arrays.mul(arrays.sub(a, b), inverses[:, None])
    folded = arrays.add(arrays.add(a, b), arrays.qmul(f1, arrays.qarray([alpha])))
    return np.ascontiguousarray(folded.T.astype(np.uint32))


def last_layer(values: Secure, log_bound: int) -> list[QM31]:
    """The 2^log_bound coefficients, in bit-reversed order, of the polynomial with these values on a line domain.

    Raises ValueError if its degree is larger: the prover made a mistake, or the statement is false.
    """
    log_size = values.shape[1].bit_length() - 1
    heap = twiddles(log_size + 1).backward.astype(np.uint64)
    v = values.astype(np.uint64)
    for layer in range(log_size):
        blocks = 1 << (log_size - 1 - layer)
        pairs = v.reshape(4, blocks, 2, 1 << layer)
        u, w = pairs[:, :, 0], pairs[:, :, 1]
        t = heap[blocks : 2 * blocks, None]
        v = np.stack([arrays.add(u, w), arrays.mul(arrays.sub(u, w), t)], axis=2)
    scale = np.uint64(pow(2, -log_size, P))
    coefficients = arrays.mul(v.reshape(4, -1), scale).T
    if coefficients[1 << log_bound :].any():
        raise ValueError(f"the last FRI layer is not of degree below 2^{log_bound}")
    return [QM31.of(coefficients[k]) for k in circle.bit_reversal(log_bound)]
