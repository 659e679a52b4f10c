"""Poseidon252 leaves and nodes (PROTOCOL 4) on the kernels of `poseidon_lanes`.

A layer of n digests is an array (4, n) of u64: the words of the numbers below the Stark prime, lowest first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from prover.blake2s import lifted
from prover.felt252 import WORDS
from prover.lanes import Columns, addresses
from prover.poseidon_lanes import GRAIN, kernel
from prover.threads import INLINE, Workers

Layer = npt.NDArray[np.uint64]

EMPTY_ROOT = 0  # of a tree without columns: what Stwo's SIMD prover commits to
_PIECE = 1 << 10  # positions a worker does at a time


def leaves(columns: Sequence[Columns], log_size: int, workers: Workers = INLINE, *, levels: int = 0) -> Layer:
    """(4, 2^log_size): leaf s hashes the lifted values at s of the columns, which come sorted by size.

    With `levels` the result is the layer (4, 2^(log_size-levels)) that far above the leaves, at least 8 digests.
    """
    lifts = np.array([log_size - (column.size.bit_length() - 1) for column in columns], dtype=np.uint64)
    if log_size < 3:
        return rows([lifted(column, log_size) for column in columns], workers)
    return _leaves(addresses(columns), lifts, 0, 1 << log_size, workers, levels)


def packed_leaves(columns: Columns, workers: Workers = INLINE, *, levels: int = 0) -> Layer:
    """(4, n): leaf s hashes the rows 4s .. 4s + 3 of four columns of 4n values, row by row. `levels` as in `leaves`."""
    n = columns[0].size // 4
    columns = [_padded(column, 4 * GRAIN) for column in columns]
    # Sixteen columns, read at every fourth entry.
    places = (addresses(columns) + 4 * np.arange(4)[:, None]).ravel()
    return _leaves(places, np.zeros(16, dtype=np.uint64), 2, n, workers, levels)


def rows(columns: Sequence[Columns], workers: Workers = INLINE) -> Layer:
    """(4, n): leaf s hashes entry s of every column; n may be any number."""
    n = columns[0].size
    columns = [_padded(column, _rounded(n)) for column in columns]
    return _leaves(addresses(columns), np.zeros(len(columns), dtype=np.uint64), 0, n, workers, 0)


def nodes(children: Layer, workers: Workers = INLINE) -> Layer:
    """(4, n) out of (4, 2n): parent i hashes the children 2i and 2i + 1."""
    n = children.shape[1] // 2
    out = np.empty((WORDS, _rounded(n)), dtype=np.uint64)
    if children.shape[1] < 2 * out.shape[1]:
        children = np.stack([_padded(row, 2 * out.shape[1]) for row in children])
    below = (children.ctypes.data, children.strides[0] // 8)
    above = (out.ctypes.data, out.shape[1])
    hasher = kernel("nodes")
    _pieces(lambda start, stop: hasher(start, stop, *below, *above), out.shape[1], workers)
    return out[:, :n]


def summit(children: Layer) -> list[Layer]:
    """The layers above this one up to the root, the lowest first."""
    out: list[Layer] = []
    while children.shape[1] > 1:
        children = nodes(children)
        out.append(children)
    return out


def digest(layer: Layer, index: int) -> int:
    """One digest of a layer as an integer."""
    return int.from_bytes(layer[:, index].astype("<u8").tobytes(), "little")


def layer(numbers: Sequence[int]) -> Layer:
    """Inverse of `digest`, for as many numbers as given."""
    data = b"".join(number.to_bytes(8 * WORDS, "little") for number in numbers)
    return np.ascontiguousarray(np.frombuffer(data, dtype="<u8").astype(np.uint64).reshape(-1, WORDS).T)


def _leaves(
    places: npt.NDArray[np.intp], lifts: npt.NDArray[np.uint64], shift: int, n: int, workers: Workers, levels: int
) -> Layer:
    """Digests of n positions of columns at these addresses (see the kernel), or what `levels` above makes of them."""
    total = _rounded(n)
    out = np.empty((WORDS, total >> levels), dtype=np.uint64)
    hasher, inputs = kernel("leaves"), (places.ctypes.data, lifts.ctypes.data, places.size, shift)

    def piece(start: int, stop: int) -> None:
        if levels:
            own = np.empty((WORDS, stop - start), dtype=np.uint64)
            hasher(start, stop, *inputs, own.ctypes.data - 8 * start, own.shape[1])
            for _ in range(levels):
                own = nodes(own)
            out[:, start >> levels : stop >> levels] = own
        else:
            hasher(start, stop, *inputs, out.ctypes.data, out.shape[1])

    _pieces(piece, total, workers)
    return out[:, : n >> levels]


def _pieces(function: Callable[[int, int], None], total: int, workers: Workers) -> None:
    starts = range(0, total, _PIECE)
    workers.map(lambda start: function(start, min(start + _PIECE, total)), starts)


def _rounded(n: int) -> int:
    return -(-n // GRAIN) * GRAIN


def _padded(column: npt.NDArray[np.generic], size: int) -> npt.NDArray[np.generic]:
    """With zeros behind, if it is shorter."""
    if column.size >= size:
        return column
    return np.concatenate([column, np.zeros(size - column.size, dtype=column.dtype)])
