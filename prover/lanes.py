"""Sixteen u32 values as one Numba value: the vector type that every CPU kernel is written in.

Numba has no vector type, so this file gives it one: LLVM's `<16 x i32>`, with loads, stores, shuffles and M31
arithmetic as intrinsics. LLVM maps it to one AVX-512 register, or splits it on lesser machines; the results are the
same bits. Values are canonical M31 (0 <= x < P) unless a function says otherwise.

`emit_...` functions build LLVM instructions at compile time; the intrinsics made of them are what kernels call.
Kernels may pass either an array or an integer address to `load` and `store`, and index any array as if flat.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from air.field import P
from prover import emit
from prover.emit import LANES, VECTOR, Wide

WIDE = ir.VectorType(emit.U64, LANES)
Columns = npt.NDArray[np.uint32] | Sequence[npt.NDArray[np.uint32]]

# A kernel is called from Python: it releases the GIL and is cached on disk. A helper is only called by kernels.
kernel = functools.partial(njit, nogil=True, cache=True, boundscheck=False, error_model="numpy")
helper = functools.partial(njit, nogil=True, boundscheck=False, error_model="numpy", forceinline=True)


class LanesType(types.Type):
    """Numba's name for sixteen u32 values."""

    def __init__(self) -> None:
        super().__init__(name="u32x16")


class WideType(types.Type):
    """Numba's name for sixteen u64 sums of products, the even lanes before the odd ones."""

    def __init__(self) -> None:
        super().__init__(name="u64x16")


lanes, wide = LanesType(), WideType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, VECTOR)


@register_model(WideType)
class _WideModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, WIDE)


def addresses(columns: Columns) -> npt.NDArray[np.intp]:
    """Where each column (C-contiguous, uint32) starts in memory. The caller keeps the columns alive."""
    if isinstance(columns, np.ndarray) and columns.ndim == 2:
        _check(columns)
        return columns.ctypes.data + np.arange(len(columns), dtype=np.intp) * columns.strides[0]
    for column in columns:
        _check(column)
    return np.array([column.__array_interface__["data"][0] for column in columns], dtype=np.intp)


def _check(array: npt.NDArray[np.uint32]) -> None:
    if array.dtype != np.uint32 or not array.flags.c_contiguous:
        raise ValueError("kernels take C-contiguous uint32 columns")


# Emitters that `emit` lacks.


def emit_shuffle(b: ir.IRBuilder, x: Any, y: Any, index: Sequence[int]) -> Any:
    """Lane i of the result is lane index[i] of x (0..15) or of y (16..31)."""
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(emit.U32, len(index)), list(index)))


def emit_pointer(context: Any, b: ir.IRBuilder, array_type: Any, array: Any, index: Any, element: Any) -> Any:
    """Pointer of LLVM type element* to the u32 entry `index` of an array, or behind an integer address."""
    if isinstance(array_type, types.Integer):
        offset = b.shl(index, ir.Constant(index.type, 2))
        return b.inttoptr(b.add(array, offset), element.as_pointer())
    data = b.bitcast(context.make_array(array_type)(context, b, array).data, emit.U32.as_pointer())
    return b.bitcast(b.gep(data, [index]), element.as_pointer())


def emit_load(b: ir.IRBuilder, pointer: Any) -> Any:
    value = b.load(pointer)
    value.align = 4
    return value


def emit_store(b: ir.IRBuilder, value: Any, pointer: Any) -> None:
    b.store(value, pointer).align = 4


def join(b: ir.IRBuilder, pair: Wide) -> Any:
    """The two halves of a wide pair as one value; free, since LLVM keeps the halves in two registers."""
    return b.shuffle_vector(*pair, ir.Constant(ir.VectorType(emit.U32, LANES), list(range(LANES))))


def split(b: ir.IRBuilder, value: Any) -> Wide:
    """Inverse of `join`."""
    index = ir.VectorType(emit.U32, LANES // 2)
    low, high = list(range(LANES // 2)), list(range(LANES // 2, LANES))
    return tuple(b.shuffle_vector(value, value, ir.Constant(index, half)) for half in (low, high))


# Factories of intrinsics out of emitters.


def unary(emitter: Callable[..., Any]) -> Any:
    @intrinsic
    def operation(typing_context, x):
        return lanes(lanes), lambda context, b, signature, args: emitter(b, *args)

    return operation


def binary(emitter: Callable[..., Any]) -> Any:
    @intrinsic
    def operation(typing_context, x, y):
        return lanes(lanes, lanes), lambda context, b, signature, args: emitter(b, *args)

    return operation


def permutation(index: Sequence[int]) -> Any:
    """An intrinsic of two vectors: lane i of the result is lane index[i] of the 32 lanes of both."""
    return binary(lambda b, x, y: emit_shuffle(b, x, y, index))


def tuple_binary(emitter: Callable[..., Sequence[Any]]) -> Any:
    """An intrinsic of two tuples of vectors: emitter(b, list, list) -> list of vectors, as many as in the first."""

    @intrinsic
    def operation(typing_context, x, y):
        def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
            values = emitter(b, *(cgutils.unpack_tuple(b, argument) for argument in args))
            return context.make_tuple(b, signature.return_type, values)

        return x(x, y), codegen

    return operation


# What kernels call: memory.


@intrinsic
def load(typing_context, array, index):
    """load(array or address, i): entries i .. i+15."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return emit_load(b, emit_pointer(context, b, signature.args[0], args[0], args[1], VECTOR))

    return lanes(_place(array), types.intp), codegen


@intrinsic
def store(typing_context, array, index, value):
    """store(array or address, i, x): writes entries i .. i+15."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        emit_store(b, args[2], emit_pointer(context, b, signature.args[0], args[0], args[1], VECTOR))
        return context.get_dummy_value()

    return types.void(_place(array), types.intp, lanes), codegen


@intrinsic
def peek(typing_context, array, index):
    """peek(array or address, i): the scalar entry i, without index checks."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return emit_load(b, emit_pointer(context, b, signature.args[0], args[0], args[1], ir.IntType(32)))

    return types.uint32(_place(array), types.intp), codegen


@intrinsic
def poke(typing_context, array, index, value):
    """poke(array or address, i, x): writes the scalar entry i."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        emit_store(b, args[2], emit_pointer(context, b, signature.args[0], args[0], args[1], ir.IntType(32)))
        return context.get_dummy_value()

    return types.void(_place(array), types.intp, types.uint32), codegen


@intrinsic
def prefetch(typing_context, array, index):
    """prefetch(array or address, i): asks for the cache line of entry i, which may lie outside the array."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, emit.U32, emit.U32, emit.U32])
        function = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
        place = emit_pointer(context, b, signature.args[0], args[0], args[1], ir.IntType(8))
        b.call(function, [place, emit.U32(0), emit.U32(3), emit.U32(1)])  # for reading, into all caches, data
        return context.get_dummy_value()

    return types.void(_place(array), types.intp), codegen


@intrinsic
def splat(typing_context, x):
    """splat(x): the scalar x in every lane."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return emit.broadcast(b, context.cast(b, args[0], signature.args[0], types.uint32))

    return lanes(x), codegen


def _place(array: Any) -> Any:
    return types.intp if isinstance(array, types.Integer) else array


# What kernels call: arithmetic in M31 (canonical), and on plain u32 (wrapping).

add, sub, mul, neg = binary(emit.add), binary(emit.sub), binary(emit.mul), unary(emit.neg)
inverse = unary(emit.inverse)
wrapping_add = binary(lambda b, x, y: b.add(x, y))
bits_and = binary(lambda b, x, y: b.and_(x, y))

# What kernels call: QM31 as tuples of four vectors (the coordinates).

secure_add, secure_mul = tuple_binary(emit.secure_add), tuple_binary(emit.secure_mul)

# What kernels call: movement of lanes.

even_lanes = permutation(range(0, 32, 2))
odd_lanes = permutation(range(1, 32, 2))
zip_low = permutation([lane // 2 + 16 * (lane % 2) for lane in range(16)])
swap_neighbours = unary(lambda b, x: emit_shuffle(b, x, x, [lane ^ 1 for lane in range(16)]))

# What kernels call: sums of products, reduced late. A product is below 2^62; folding brings a sum below 2^34.


@intrinsic
def product(typing_context, x, y):
    """product(x, y): the unreduced products, wide."""
    return wide(lanes, lanes), lambda context, b, signature, args: join(b, emit.product(b, *args))


@intrinsic
def wide_add(typing_context, x, y):
    """wide_add(x, y): the sums; the caller knows that they stay below 2^64."""
    return wide(wide, wide), lambda context, b, signature, args: b.add(*args)


@intrinsic
def fold(typing_context, x):
    """fold(x): equal mod P and below 2^34."""
    return wide(wide), lambda context, b, signature, args: join(b, emit.fold(b, split(b, args[0])))


@intrinsic
def reduce(typing_context, x):
    """reduce(x): the canonical lanes of a wide value."""
    return lanes(wide), lambda context, b, signature, args: emit.reduce(b, split(b, args[0]))


@intrinsic
def widen(typing_context, x):
    """widen(x): canonical lanes as a wide value."""
    return wide(lanes), lambda context, b, signature, args: join(b, emit.halves(b, args[0]))


@intrinsic
def wide_load(typing_context, array, index):
    """wide_load(array of u64, i): what `wide_store` put at entries i .. i+15."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        doubled = b.shl(args[1], ir.Constant(args[1].type, 1))
        return emit_load(b, emit_pointer(context, b, signature.args[0], args[0], doubled, WIDE))

    return wide(_place(array), types.intp), codegen


@intrinsic
def wide_store(typing_context, array, index, value):
    """wide_store(array of u64, i, x): sixteen u64 in an order of its own."""

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        doubled = b.shl(args[1], ir.Constant(args[1].type, 1))
        emit_store(b, args[2], emit_pointer(context, b, signature.args[0], args[0], doubled, WIDE))
        return context.get_dummy_value()

    return types.void(_place(array), types.intp, wide), codegen


# Scalar M31 (np.uint64 holding canonical values) for the places where sixteen lanes do not fit.


@helper
def scalar_mul(x, y):
    return np.uint64(x) * np.uint64(y) % np.uint64(P)


@helper
def scalar_sub(x, y):
    return (np.uint64(x) + np.uint64(P) - np.uint64(y)) % np.uint64(P)
