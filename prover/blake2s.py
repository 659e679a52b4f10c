"""Blake2s-256 of sixteen messages at once: lifted leaves, packed leaves and inner nodes (PROTOCOL 4).

Digests are stored word by word: a layer of n digests is an array (8, n), so that lanes load them contiguously. With
`reduced` every digest word is taken mod P (the variant Blake2s-M31).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from air.circle import Column
from air.field import P
from prover import emit
from prover.lanes import (
    addresses,
    emit_load,
    emit_pointer,
    emit_store,
    even_lanes,
    helper,
    kernel,
    lanes,
    load,
    odd_lanes,
    prefetch,
    store,
    unary,
)
from prover.lifting import load_lifted
from prover.threads import INLINE, Workers

Layer = npt.NDArray[np.uint32]

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
INITIAL = (IV[0] ^ 0x01010020, *IV[1:])  # digest length 32, no key, fan-out and depth 1
_SIGMA = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)
_QUARTERS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
_DIAGONALS = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_CHUNK = 1024  # positions hashed together: their states fit the first-level cache
_GRAIN = 64  # digests of the smallest share of a worker
_AHEAD = 128  # positions between a value's prefetch and its use: eight compressions


def _rotate(b: ir.IRBuilder, x: Any, count: int) -> Any:
    return b.or_(b.lshr(x, emit.splat(count)), b.shl(x, emit.splat(32 - count)))


def _emit_compress(b: ir.IRBuilder, h: Sequence[Any], m: Sequence[Any], length: Any, last: Any) -> list[Any]:
    """One compression; `length` and `last` (all ones for the last block) are vectors."""
    v = [*h, *(emit.splat(word) for word in IV)]
    v[12], v[14] = b.xor(v[12], length), b.xor(v[14], last)
    for schedule in _SIGMA:
        for half, quadruples in enumerate((_QUARTERS, _DIAGONALS)):
            # Step by step over all four quadruples, so that four independent chains run side by side.
            words = [schedule[8 * half + 2 * q : 8 * half + 2 * q + 2] for q in range(4)]
            for step, (first, second) in enumerate(((16, 12), (8, 7))):
                for q, (i, j, _, _) in enumerate(quadruples):
                    v[i] = b.add(b.add(v[i], m[words[q][step]]), v[j])
                for i, _, _, n in quadruples:
                    v[n] = _rotate(b, b.xor(v[n], v[i]), first)
                for _, _, k, n in quadruples:
                    v[k] = b.add(v[k], v[n])
                for _, j, k, _ in quadruples:
                    v[j] = _rotate(b, b.xor(v[j], v[k]), second)
    return [b.xor(h[i], b.xor(v[i], v[i + 8])) for i in range(8)]


@intrinsic
def compress(typing_context, state, message, length, last):
    """compress(8 vectors, 16 vectors, bytes hashed so far, whether the last block) -> 8 vectors."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        h, m = cgutils.unpack_tuple(b, args[0]), cgutils.unpack_tuple(b, args[1])
        flag = emit.broadcast(b, b.sext(args[3], emit.U32))
        values = _emit_compress(b, h, m, emit.broadcast(b, args[2]), flag)
        return context.make_tuple(b, signature.return_type, values)

    return types.UniTuple(lanes, 8)(state, message, types.uint32, types.boolean), codegen


def _emit_reduce_word(b: ir.IRBuilder, x: Any) -> Any:
    """Any u32 mod P: 2^31 is 1, so the top bit is added to the rest, which is at most P + 1."""
    total = b.add(b.and_(x, emit.splat(P)), b.lshr(x, emit.splat(31)))
    return emit.minimum(b, total, b.sub(total, emit.splat(P)))


reduce_word = unary(_emit_reduce_word)


@intrinsic
def initial_state(typing_context):
    """initial_state() -> 8 vectors."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return context.make_tuple(b, signature.return_type, [emit.splat(word) for word in INITIAL])

    return types.UniTuple(lanes, 8)(), codegen


@intrinsic
def load_words(typing_context, address, index, stride):
    """load_words(address, i, n): words w = 0..7 of sixteen digests, at entries w n + i .. + 15."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        places = _word_places(context, b, args)
        return context.make_tuple(b, signature.return_type, [emit_load(b, place) for place in places])

    return types.UniTuple(lanes, 8)(types.intp, types.intp, types.intp), codegen


@intrinsic
def store_words(typing_context, address, index, stride, words, reduced):
    """store_words(address, i, n, 8 vectors, reduced): inverse of `load_words`, with the words mod P if asked for."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        words = cgutils.unpack_tuple(b, args[3])
        for place, word in zip(_word_places(context, b, args[:3]), words, strict=True):
            emit_store(b, b.select(args[4], _emit_reduce_word(b, word), word), place)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, words, types.boolean), codegen


def _word_places(context: Any, b: ir.IRBuilder, args: Sequence[Any]) -> list[Any]:
    address, index, stride = args
    indices = [b.add(index, b.mul(stride, ir.Constant(stride.type, w))) for w in range(8)]
    return [emit_pointer(context, b, types.intp, address, i, emit.VECTOR) for i in indices]


@intrinsic
def load_message(typing_context, places, index):
    """load_message(array of sixteen addresses, i): entries i .. i+15 behind each of them."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        table = context.make_array(signature.args[0])(context, b, args[0]).data
        values = []
        for word in range(16):
            address = b.load(b.gep(table, [ir.Constant(emit.U64, word)]))
            values.append(emit_load(b, emit_pointer(context, b, types.intp, address, args[1], emit.VECTOR)))
        return context.make_tuple(b, signature.return_type, values)

    return types.UniTuple(lanes, 16)(places, types.intp), codegen


@kernel
def _gather_block(columns, lifts, chunk, size, lifted, places):
    """Where the next up to sixteen columns lie from position `chunk` on; smaller ones are lifted into `lifted`."""
    for c in range(16):
        row = np.intp(lifted.ctypes.data) + 4 * _CHUNK * c
        places[c] = row
        if c >= columns.size:
            lifted[c, :] = 0
        elif lifts[c] == 0:
            places[c] = columns[c] + 4 * chunk
        else:
            for i in range(0, size, 16):
                store(row, i, load_lifted(columns[c], lifts[c], chunk + i))


@kernel
def _hash_columns(columns, lifts, start, stop, target, stride, reduced):
    """Digests of the positions start .. stop-1 (multiples of 16) over at least one column.

    `columns` are addresses and `lifts` the log ratios to the tree's size; the digests go to the layer at address
    `target`, whose rows are `stride` long. Sixteen columns at a time are read over a chunk of positions.
    """
    states, lifted = np.empty((8, _CHUNK), dtype=np.uint32), np.empty((16, _CHUNK), dtype=np.uint32)
    states_at, places = np.intp(states.ctypes.data), np.empty(16, dtype=np.intp)
    n = columns.size
    for chunk in range(start, stop, _CHUNK):
        size = min(_CHUNK, stop - chunk)
        for block in range(0, n, 16):
            used = min(16, n - block)
            last = block + used == n
            _gather_block(columns[block : block + used], lifts[block : block + used], chunk, size, lifted, places)
            for i in range(0, size, 16):
                for c in range(16):
                    prefetch(places[c], i + _AHEAD)
                state = load_words(states_at, i, _CHUNK) if block > 0 else initial_state()
                state = compress(state, load_message(places, i), np.uint32(4 * (block + used)), last)
                if last:
                    store_words(target, chunk + i, stride, state, reduced)
                else:
                    store_words(states_at, i, _CHUNK, state, False)


@kernel
def _hash_rows(columns, start, stop, target, stride, reduced):
    """Digests start .. stop-1 of packed leaves: four rows of four columns (addresses) each."""
    for i in range(start, stop, 16):
        a0, a1, a2, a3 = _four_rows(columns[0], 4 * i)
        b0, b1, b2, b3 = _four_rows(columns[1], 4 * i)
        c0, c1, c2, c3 = _four_rows(columns[2], 4 * i)
        d0, d1, d2, d3 = _four_rows(columns[3], 4 * i)
        message = (a0, b0, c0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3)
        store_words(target, i, stride, compress(initial_state(), message, np.uint32(64), True), reduced)


@helper
def _four_rows(column, i):
    """Of 64 values from entry i on: every fourth, beginning with the first, second, third, fourth."""
    x0, x1, x2, x3 = load(column, i), load(column, i + 16), load(column, i + 32), load(column, i + 48)
    even0, even1, odd0, odd1 = even_lanes(x0, x1), even_lanes(x2, x3), odd_lanes(x0, x1), odd_lanes(x2, x3)
    return even_lanes(even0, even1), even_lanes(odd0, odd1), odd_lanes(even0, even1), odd_lanes(odd0, odd1)


@helper
def _children(layer, row, i):
    """Word `row` of the digests 2i, 2i + 2, ... and of their right neighbours."""
    x, y = load(layer, row + 2 * i), load(layer, row + 2 * i + 16)
    return even_lanes(x, y), odd_lanes(x, y)


@kernel
def _hash_pairs(children, children_stride, start, stop, target, stride, reduced):
    """Digests start .. stop-1 (multiples of 16) of a layer, each of two neighbours in the layer at `children`."""
    for i in range(start, stop, 16):
        l0, r0 = _children(children, 0, i)
        l1, r1 = _children(children, children_stride, i)
        l2, r2 = _children(children, 2 * children_stride, i)
        l3, r3 = _children(children, 3 * children_stride, i)
        l4, r4 = _children(children, 4 * children_stride, i)
        l5, r5 = _children(children, 5 * children_stride, i)
        l6, r6 = _children(children, 6 * children_stride, i)
        l7, r7 = _children(children, 7 * children_stride, i)
        message = (l0, l1, l2, l3, l4, l5, l6, l7, r0, r1, r2, r3, r4, r5, r6, r7)
        store_words(target, i, stride, compress(initial_state(), message, np.uint32(64), True), reduced)


@kernel
def _climb(digests, count, levels, target, first, stride, reduced):
    """Hashes `count` neighbouring digests `levels` times; the results go to the layer at `target` from `first` on.

    digests is (2, 8, chunk): the first half holds them, both are written.
    """
    source = np.intp(digests.ctypes.data)
    other = source + 32 * _CHUNK
    for level in range(1, levels + 1):
        if level < levels:
            _hash_pairs(source, _CHUNK, 0, count >> level, other, _CHUNK, reduced)
        else:
            _hash_pairs(source, _CHUNK, 0, count >> level, target + 4 * first, stride, reduced)
        source, other = other, source


@kernel
def _hash_column_trees(columns, lifts, levels, start, stop, target, stride, reduced):
    """As `_hash_columns`, but only the digests `levels` >= 1 above the leaves are kept; start and stop count those."""
    digests = np.empty((2, 8, _CHUNK), dtype=np.uint32)
    for leaf in range(start << levels, stop << levels, _CHUNK):
        size = min(_CHUNK, (stop << levels) - leaf)
        _hash_columns(columns, lifts, leaf, leaf + size, np.intp(digests.ctypes.data) - 4 * leaf, _CHUNK, reduced)
        _climb(digests, size, levels, target, leaf >> levels, stride, reduced)


@kernel
def _hash_row_trees(columns, levels, start, stop, target, stride, reduced):
    """As `_hash_rows`, but only the digests `levels` >= 1 above the leaves are kept; start and stop count those."""
    digests = np.empty((2, 8, _CHUNK), dtype=np.uint32)
    for leaf in range(start << levels, stop << levels, _CHUNK):
        size = min(_CHUNK, (stop << levels) - leaf)
        _hash_rows(columns, leaf, leaf + size, np.intp(digests.ctypes.data) - 4 * leaf, _CHUNK, reduced)
        _climb(digests, size, levels, target, leaf >> levels, stride, reduced)


def leaves(
    columns: Sequence[Column], log_size: int, reduced: bool, workers: Workers = INLINE, *, levels: int = 0
) -> Layer:
    """(8, 2^log_size): leaf s hashes the lifted values at s of the columns, which come sorted by size.

    With `levels` the result is the layer (8, 2^(log_size-levels)) that far above the leaves, at least 16 digests.
    """
    lifts = np.array([log_size - (column.size.bit_length() - 1) for column in columns], dtype=np.int64)
    if levels:
        inputs = (addresses(columns), lifts, levels)
        return _layer(_hash_column_trees, inputs, 1 << (log_size - levels), reduced, workers)
    if log_size < 4:
        return rows([lifted(column, log_size) for column in columns], reduced, workers)
    return _layer(_hash_columns, (addresses(columns), lifts), 1 << log_size, reduced, workers)


def rows(columns: Sequence[Column], reduced: bool, workers: Workers = INLINE) -> Layer:
    """(8, n): digest s hashes the values at s of columns of one size n, any."""
    n, padded = columns[0].size, [_padded(column, 16) for column in columns]
    lifts = np.zeros(len(padded), dtype=np.int64)
    return _layer(_hash_columns, (addresses(padded), lifts), n, reduced, workers)


def packed_leaves(columns: Sequence[Column], reduced: bool, workers: Workers = INLINE, *, levels: int = 0) -> Layer:
    """(8, n): leaf s hashes the rows 4s .. 4s + 3 of four columns of 4n values, row by row. `levels` as in `leaves`."""
    n = columns[0].size // 4
    if levels:
        return _layer(_hash_row_trees, (addresses(columns), levels), n >> levels, reduced, workers)
    columns = [_padded(column, 64) for column in columns]
    return _layer(_hash_rows, (addresses(columns),), n, reduced, workers)


def nodes(children: Layer, reduced: bool, workers: Workers = INLINE) -> Layer:
    """(8, n) out of (8, 2n): parent i hashes the children 2i and 2i + 1."""
    n = children.shape[1] // 2
    if n % 16:
        children = np.stack([_padded(row, 32) for row in children])
    return _layer(_hash_pairs, (children.ctypes.data, children.strides[0] // 4), n, reduced, workers)


@kernel
def _hash_summit(children, children_stride, n, out, reduced):
    """All layers above one of n digests; out is (log2 n, 8, stride), the lowest first. Lanes beyond a layer's end hash
    whatever lies there, and nobody reads them."""
    stride = out.shape[2]
    for level in range(out.shape[0]):
        n //= 2
        target = np.intp(out.ctypes.data) + 32 * stride * level
        _hash_pairs(children, children_stride, 0, (n + 15) // 16 * 16, target, stride, reduced)
        children, children_stride = target, stride


def summit(children: Layer, reduced: bool) -> list[Layer]:
    """The layers above one of few digests up to the root, the lowest first: one call for all, since calls would cost
    more than hashes."""
    n = children.shape[1]
    if n % 32:
        children = np.stack([_padded(row, 32) for row in children])
    levels = n.bit_length() - 1
    out = np.zeros((levels, 8, max(32, n // 2)), dtype=np.uint32)
    _hash_summit(children.ctypes.data, children.strides[0] // 4, n, out, reduced)
    return [out[level, :, : n >> (level + 1)] for level in range(levels)]


def digest(layer: Layer, index: int) -> bytes:
    """The 32 bytes of one digest of a layer."""
    return layer[:, index].astype("<u4").tobytes()


def lifted(column: Column, log_size: int) -> Column:
    """A column stretched to 2^log_size values."""
    s, k = np.arange(1 << log_size), log_size - (column.size.bit_length() - 1)
    return column[((s >> (k + 1)) << 1) + (s & 1)] if k else column


def _layer(hasher: Any, inputs: tuple[Any, ...], n: int, reduced: bool, workers: Workers) -> Layer:
    stride = -(-n // 16) * 16
    out = np.empty((8, stride), dtype=np.uint32)
    target = out.ctypes.data
    workers.ranges(lambda start, stop: hasher(*inputs, start, stop, target, stride, reduced), stride, _GRAIN)
    return out[:, :n]


def _padded(column: Column, multiple: int) -> Column:
    """With zeros at its end, up to a multiple of so many values."""
    missing = -column.size % multiple
    return np.concatenate([column, np.zeros(missing, dtype=np.uint32)]) if missing else column
