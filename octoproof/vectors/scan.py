"""Every score of a segment: the columns stream by once, sixteen rows at a time (exact 32-bit integers).

The snapshot bounds coordinates such that every score lies within +-2^29; sums on the way to it may wrap around, and
come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from air.statements.topk import METRICS
from prover.emit import LANES, VECTOR
from prover.lanes import kernel, lanes, load, splat, store, wrapping_add
from prover.threads import INLINE, Workers

_BLOCK = 1 << 12  # rows scored together: their sums stay in the first-level cache while all columns pass
_TOGETHER = 4  # columns that a sum takes up between its load and its store
_SHORTS = ir.VectorType(ir.IntType(16), LANES)


@intrinsic
def _times(typing_context, address, index, factor):
    """The int16 entries i .. i+15 behind an address, times sixteen i32, mod 2^32."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        place = b.add(args[0], b.shl(args[1], ir.Constant(args[1].type, 1)))
        value = b.load(b.inttoptr(place, _SHORTS.as_pointer()))
        value.align = 2
        return b.mul(b.sext(value, VECTOR), args[2])

    return lanes(types.intp, types.intp, lanes), codegen


@kernel
def _accumulate(columns, weights, out, start, stop):
    """out[i] += sum of weights[d] times entry i of the column at address columns[d], for start <= i < stop."""
    for first in range(start, stop, _BLOCK):
        last = min(first + _BLOCK, stop)
        for d in range(0, len(columns), _TOGETHER):
            c0, c1, c2, c3 = columns[d], columns[d + 1], columns[d + 2], columns[d + 3]
            w0, w1, w2, w3 = splat(weights[d]), splat(weights[d + 1]), splat(weights[d + 2]), splat(weights[d + 3])
            for i in range(first, last, 16):
                low = wrapping_add(_times(c0, i, w0), _times(c1, i, w1))
                high = wrapping_add(_times(c2, i, w2), _times(c3, i, w3))
                store(out, i, wrapping_add(load(out, i), wrapping_add(low, high)))


def scan(
    columns: npt.NDArray[np.int16],
    norms: npt.NDArray[np.int32],
    query: Sequence[int] | npt.NDArray[np.integer],
    metric: str,
    workers: Workers | None = None,
) -> npt.NDArray[np.int32]:
    """(N,) scores of the rows of (D, N) columns, in their order: q.x for ip, 2 q.x - |x|^2 for l2.

    N is a multiple of 16, every row of `columns` contiguous, `norms` are the N |x|^2 and every |q_i| <= 32767."""
    weights = _weights(query, metric)
    dimension, rows = columns.shape
    if columns.dtype != np.int16 or columns.strides[1] != 2 or rows % LANES:
        raise ValueError("columns: not contiguous int16 rows of a multiple of 16 entries")
    if weights.shape != (dimension,) or norms.shape != (rows,):
        raise ValueError(f"{weights.size} query coordinates and {norms.size} norms for columns of {columns.shape}")
    # Columns of weight 0 fill the last group.
    weights = np.concatenate([weights, np.zeros(-dimension % _TOGETHER, dtype=np.int32)])
    order = np.minimum(np.arange(weights.size), dimension - 1)
    addresses = (columns.ctypes.data + order * columns.strides[0]).astype(np.intp)
    out = np.zeros(rows, dtype=np.int32)
    if metric == "l2":
        np.negative(norms, out=out)
    target = out.ctypes.data
    (workers or INLINE).ranges(lambda start, stop: _accumulate(addresses, weights, target, start, stop), rows, _BLOCK)
    return out


def _weights(query: Sequence[int] | npt.NDArray[np.integer], metric: str) -> npt.NDArray[np.int32]:
    if metric not in METRICS:
        raise ValueError(f"metric: {metric!r:.40} is not one of {', '.join(METRICS)}")
    wide = np.asarray(query, dtype=np.int64)
    if np.abs(wide).max(initial=0) > 32767:
        raise ValueError("query: coordinates beyond +-32767")
    return (2 * wide if metric == "l2" else wide).astype(np.int32)


def scores_reference(
    columns: npt.NDArray[np.int16],
    norms: npt.NDArray[np.integer],
    query: Sequence[int] | npt.NDArray[np.integer],
    metric: str,
) -> npt.NDArray[np.int64]:
    """What `scan` computes, in float64, where these integers, all below 2^53, and their sums are exact."""
    product = (np.asarray(query, dtype=np.float64) @ columns.astype(np.float64)).astype(np.int64)
    return 2 * product - norms if metric == "l2" else product
