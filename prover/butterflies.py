"""FFT layers in registers, as intrinsics: up to four layers between vectors, and the last seven within 128 values.

A forward butterfly is (u, v) -> (u + t v, u - t v), a backward one (u, v) -> (u + v, (u - v) t) with the inverse
twiddle. Twiddles come from the heap of `twiddles`: the block with node i has its halves' twiddles at 2i and 2i + 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from prover import emit
from prover.emit import LANES, VECTOR, P
from prover.lanes import emit_load, emit_pointer, emit_shuffle, emit_store, lanes

Vectors = list[Any]
TAIL_LOG = 7  # the values that `forward_tail` and `backward_tail` transform at once: eight vectors


def _forward(b: ir.IRBuilder, u: Any, v: Any, t: Any) -> tuple[Any, Any]:
    x = emit.mul(b, v, t)
    return emit.add(b, u, x), emit.sub(b, u, x)


def _backward(b: ir.IRBuilder, u: Any, v: Any, t: Any) -> tuple[Any, Any]:
    return emit.add(b, u, v), emit.mul(b, emit.sub(b, u, v), t)


def _layers(b: ir.IRBuilder, v: Vectors, twiddles: Vectors, forward: bool) -> None:
    """All layers between the 2^r vectors v, in place; twiddles are the 2^r - 1 heap nodes from the block's down."""
    r = len(v).bit_length() - 1
    for depth in range(r) if forward else reversed(range(r)):
        half = 1 << (r - 1 - depth)
        for block in range(1 << depth):
            t = twiddles[(1 << depth) - 1 + block]
            for j in range(2 * half * block, 2 * half * block + half):
                v[j], v[j + half] = (_forward if forward else _backward)(b, v[j], v[j + half], t)


def _node_twiddles(b: ir.IRBuilder, heap: Any, node: Any, r: int) -> Vectors:
    """Splats of node, its two children, their four children ...: r generations."""
    out = []
    for depth in range(r):
        first = b.shl(node, ir.Constant(node.type, depth))
        for k in range(1 << depth):
            pointer = _place(b, heap, b.add(first, ir.Constant(node.type, k)), emit.U32)
            out.append(emit.broadcast(b, emit_load(b, pointer)))
    return out


def _place(b: ir.IRBuilder, address: Any, index: Any, element: Any) -> Any:
    return emit_pointer(None, b, types.intp, address, index, element)


def node_twiddles(r: int) -> Any:
    """Intrinsic (heap address, node) -> tuple of 2^r - 1 vectors for `layers`."""
    count = (1 << r) - 1

    @intrinsic
    def operation(typing_context, heap, node):
        def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
            return context.make_tuple(b, signature.return_type, _node_twiddles(b, args[0], args[1], r))

        return types.UniTuple(lanes, count)(types.intp, types.intp), codegen

    return operation


def layers(r: int, forward: bool) -> Any:
    """Intrinsic (source address, target address, index, stride, twiddles): r layers over 2^r vectors, stride apart."""

    @intrinsic
    def operation(typing_context, source, target, index, stride, twiddles):
        def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
            source, target, index, stride, packed = args
            places = [b.add(index, b.mul(stride, ir.Constant(stride.type, j))) for j in range(1 << r)]
            v = [emit_load(b, _place(b, source, place, VECTOR)) for place in places]
            _layers(b, v, cgutils.unpack_tuple(b, packed), forward)
            for place, value in zip(places, v, strict=True):
                emit_store(b, value, _place(b, target, place, VECTOR))
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp, types.intp, twiddles), codegen

    return operation


def _swap(b: ir.IRBuilder, x: Any, y: Any, bit: int) -> tuple[Any, Any]:
    """Exchanges bit `bit` of the lane number with the bit that tells x from y; its own inverse."""
    mask = 1 << bit
    low = [16 + lane - mask if lane & mask else lane for lane in range(LANES)]
    high = [16 + lane if lane & mask else lane + mask for lane in range(LANES)]
    return emit_shuffle(b, x, y, low), emit_shuffle(b, x, y, high)


def _lane_twiddles(b: ir.IRBuilder, heap: Any, node: Any, pair: int) -> Vectors:
    """Twiddles of the layers 0..3 for the pair-th 32 values of a 128 block, one vector a layer.

    At layer k the lane number is the value's index without bit k (and without the bits above the 32).
    """
    out: Vectors = [None] * 4
    for layer in (1, 2, 3):
        count = 16 >> layer  # nodes of this layer for 32 values
        shift = 6 - layer
        first = b.add(b.shl(node, ir.Constant(node.type, shift)), ir.Constant(node.type, pair * count))
        nodes = emit_load(b, _place(b, heap, first, ir.VectorType(emit.U32, count)))
        out[layer] = emit_shuffle(b, nodes, nodes, [lane >> layer for lane in range(LANES)])
        if layer == 1:  # (x, y) -> y, -y, -x, x, where -v = v ^ P
            picked = emit_shuffle(b, nodes, nodes, [(lane >> 2) * 2 + (lane & 3 < 2) for lane in range(LANES)])
            out[0] = b.xor(picked, ir.Constant(VECTOR, [P if lane & 3 in (1, 2) else 0 for lane in range(LANES)]))
    return out


def _tail(emitter: Callable[[ir.IRBuilder, Vectors, Any, Any, Any], None]) -> Any:
    """Intrinsic (source address, target address, index, heap address, node, shift) on 128 values at index."""

    @intrinsic
    def operation(typing_context, source, target, index, heap, node, shift):
        def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
            source, target, index, heap, node, shift = args
            places = [b.add(index, ir.Constant(index.type, LANES * j)) for j in range(8)]
            v = [emit_load(b, _place(b, source, place, VECTOR)) for place in places]
            emitter(b, v, heap, node, shift)
            for place, value in zip(places, v, strict=True):
                emit_store(b, value, _place(b, target, place, VECTOR))
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6), codegen

    return operation


def _emit_forward_tail(b: ir.IRBuilder, v: Vectors, heap: Any, node: Any, shift: Any) -> None:
    _layers(b, v, _node_twiddles(b, heap, node, 3), forward=True)
    for pair in range(4):
        x, y = v[2 * pair : 2 * pair + 2]
        twiddles = _lane_twiddles(b, heap, node, pair)
        for layer in (3, 2, 1, 0):
            x, y = _swap(b, x, y, layer)
            x, y = _forward(b, x, y, twiddles[layer])
        v[2 * pair] = emit_shuffle(b, x, y, [lane // 2 + 16 * (lane % 2) for lane in range(LANES)])
        v[2 * pair + 1] = emit_shuffle(b, x, y, [8 + lane // 2 + 16 * (lane % 2) for lane in range(LANES)])


def _emit_backward_tail(b: ir.IRBuilder, v: Vectors, heap: Any, node: Any, shift: Any) -> None:
    """Also multiplies by 2^shift (0 < shift < 31), which rotates the 31 bits."""
    left = emit.broadcast(b, b.trunc(shift, emit.U32))
    right = b.sub(emit.splat(31), left)
    for pair in range(4):
        x, y = (
            b.and_(b.or_(b.shl(w, left), b.lshr(w, right)), emit.splat(P)) for w in v[2 * pair : 2 * pair + 2]
        )
        x, y = emit_shuffle(b, x, y, range(0, 32, 2)), emit_shuffle(b, x, y, range(1, 32, 2))
        twiddles = _lane_twiddles(b, heap, node, pair)
        for layer in (0, 1, 2, 3):
            x, y = _backward(b, x, y, twiddles[layer])
            x, y = _swap(b, x, y, layer)
        v[2 * pair : 2 * pair + 2] = [x, y]
    _layers(b, v, _node_twiddles(b, heap, node, 3), forward=False)


forward_tail, backward_tail = _tail(_emit_forward_tail), _tail(_emit_backward_tail)
