"""Blake3 of sixteen equally long messages at once, for messages of one chunk (at most 1024 bytes).

Messages are packed a block at a time, so that memory does not grow with their number; the cores share the blocks.
`octoproof.vectors.rowtree` says what is hashed, and hashes longer or fewer messages with the package `blake3`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import prover  # noqa: F401  first, because it tells Numba where kernels are kept

# isort: split
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from octoproof.device import usable_cores
from prover import emit
from prover.blake2s import IV  # blake3 begins with the same words
from prover.lanes import emit_load, emit_pointer, emit_shuffle, emit_store, kernel, lanes
from prover.threads import Workers

Bytes = npt.NDArray[np.uint8]
Parts = Callable[[slice], Sequence[Bytes]]

MAX_WIDTH = 1024
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_COLUMNS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
_DIAGONALS = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_ROUNDS = 7
_CHUNK_START, _CHUNK_END, _ROOT = 1, 2, 8
_BLOCK = 1 << 18  # bytes that are packed together: they fit the second-level cache
_GRAIN = 4096  # messages of the smallest share of a worker, a multiple of 16


def digests(count: int, width: int, parts: Parts) -> Bytes:
    """(count, 32) digests of `count` messages of `width` <= 1024 bytes.

    parts(slice) -> the (n, w) pieces of which these n messages are made, from left to right; called by several threads.
    Raises ValueError for longer messages, and for pieces that are not `width` bytes together.
    """
    if width > MAX_WIDTH:
        raise ValueError(f"messages of {width} bytes; blake3 in lanes takes {MAX_WIDTH}")
    stride = max(64, -(-width // 64) * 64)  # behind a message there are zeros up to the end of its last block
    rows = _BLOCK // stride // 16 * 16
    out = np.empty((-(-count // 16) * 16, 8), dtype=np.uint32)

    def hash_range(start: int, stop: int) -> None:
        block = np.zeros((rows, stride), dtype=np.uint8)
        for first in range(start, stop, rows):
            n = min(rows, stop - first)
            np.concatenate(parts(slice(first, first + n)), axis=1, out=block[:n, :width])
            _hash_block(block.view(np.uint32), n, width, out[first:])

    with Workers(usable_cores()) as workers:
        workers.ranges(hash_range, count, _GRAIN)
    return out.view(np.uint8)[:count]


@kernel
def _hash_block(block, n, width, out):
    """Digests of the first n rows. Lanes beyond them hash whatever lies there, and nobody reads them."""
    words, last = block.shape[1], max(width - 1, 0) // 64
    for i in range(0, n, 16):
        state = _initial_state()
        for k in range(last + 1):
            flags = (_CHUNK_START if k == 0 else 0) | (_CHUNK_END | _ROOT if k == last else 0)
            message = _load_messages(block, i * words + 16 * k, words)
            state = _compress(state, message, np.uint32(min(64, width - 64 * k)), np.uint32(flags))
        _store_digests(out, 8 * i, state)


@intrinsic
def _initial_state(typing_context):
    """_initial_state() -> 8 vectors."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return context.make_tuple(b, signature.return_type, [emit.splat(word) for word in IV])

    return types.UniTuple(lanes, 8)(), codegen


@intrinsic
def _compress(typing_context, state, message, length, flags):
    """_compress(8 vectors, 16 vectors, bytes in this block, flags) -> the next 8 vectors, in the first chunk."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        h, m = (cgutils.unpack_tuple(b, argument) for argument in args[:2])
        values = _emit_compress(b, h, m, *(emit.broadcast(b, scalar) for scalar in args[2:]))
        return context.make_tuple(b, signature.return_type, values)

    return types.UniTuple(lanes, 8)(state, message, types.uint32, types.uint32), codegen


def _emit_compress(b: ir.IRBuilder, h: Sequence[Any], m: Sequence[Any], length: Any, flags: Any) -> list[Any]:
    v = [*h, *(emit.splat(word) for word in (*IV[:4], 0, 0)), length, flags]
    for _ in range(_ROUNDS):
        for half, quadruples in enumerate((_COLUMNS, _DIAGONALS)):
            # Step by step over all four quadruples, so that four independent chains run side by side.
            for step, (first, second) in enumerate(((16, 12), (8, 7))):
                for q, (i, j, _, _) in enumerate(quadruples):
                    v[i] = b.add(b.add(v[i], m[8 * half + 2 * q + step]), v[j])
                for i, _, _, n in quadruples:
                    v[n] = _emit_rotate(b, b.xor(v[n], v[i]), first)
                for _, _, k, n in quadruples:
                    v[k] = b.add(v[k], v[n])
                for _, j, k, _ in quadruples:
                    v[j] = _emit_rotate(b, b.xor(v[j], v[k]), second)
        m = [m[i] for i in _PERMUTATION]
    return [b.xor(v[i], v[i + 8]) for i in range(8)]


def _emit_rotate(b: ir.IRBuilder, x: Any, count: int) -> Any:
    return b.or_(b.lshr(x, emit.splat(count)), b.shl(x, emit.splat(32 - count)))


@intrinsic
def _load_messages(typing_context, block, index, stride):
    """_load_messages(array, i, n) -> 16 vectors: lane r of vector w is the word at entry i + r n + w."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        array, index, stride = args
        places = [b.add(index, b.mul(stride, ir.Constant(stride.type, row))) for row in range(16)]
        rows = [emit_load(b, emit_pointer(context, b, signature.args[0], array, i, emit.VECTOR)) for i in places]
        return context.make_tuple(b, signature.return_type, _emit_transpose(b, rows))

    return types.UniTuple(lanes, 16)(block, types.intp, types.intp), codegen


@intrinsic
def _store_digests(typing_context, out, index, state):
    """_store_digests(array, i, 8 vectors): the digest of lane r goes to the entries i + 8 r .. + 7."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        array, index, state = args
        for k, pair in enumerate(_emit_transpose(b, cgutils.unpack_tuple(b, state))):
            place = b.add(index, ir.Constant(index.type, 16 * k))
            emit_store(b, pair, emit_pointer(context, b, signature.args[0], array, place, emit.VECTOR))
        return context.get_dummy_value()

    return types.void(out, types.intp, state), codegen


def _emit_transpose(b: ir.IRBuilder, rows: Sequence[Any]) -> list[Any]:
    """2^n vectors of 16 words, read as one list of words, transposed from (2^n, 16) to (16, 2^n).

    To zip the first half of the list with the second rotates the bits of every word's place by one."""
    half = len(rows) // 2
    for _ in range(len(rows).bit_length() - 1):
        pairs = list(zip(rows[:half], rows[half:], strict=True))
        rows = [emit_shuffle(b, x, y, zipped) for x, y in pairs for zipped in (_ZIP[:16], _ZIP[16:])]
    return list(rows)


_ZIP = [place // 2 + 16 * (place % 2) for place in range(32)]
