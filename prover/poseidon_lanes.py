"""The Poseidon252 kernels: LLVM code that hashes many leaves, pairs or states at once (PROTOCOL 4).

Numbers lie in memory as four u64 words, lowest first, each word in a row of its own: word w of number i is at entry
w * stride + i. Kernels take 64-bit integers, addresses among them, and work on the positions start .. stop - 1, both
multiples of GRAIN:

    permute(start, stop, states, stride)                            twelve rows, the words of three numbers, in place
    nodes(start, stop, children, stride, parents, stride)           parent i of the children 2i and 2i + 1
    leaves(start, stop, columns, lifts, n, shift, digests, stride)  leaf s of n columns of M31, see `_define_leaves`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from llvmlite import ir

from prover import felt252, hades, jit
from prover.emit import U32, U64
from prover.felt252 import WORDS, Form, Value, best_form
from prover.hades import STREAMS, WIDTH

GRAIN = 16
FELT_VALUES = 8  # M31 values in one field element
_VALUE_BITS = 31
_COUNT_BIT = 248  # where a felt of fewer values carries their number
_FORMAT = 1  # raise when the emitted code changes: older objects on disk are then not found
_ARGUMENTS = {"permute": 4, "nodes": 6, "leaves": 8}


def build(f: Form) -> ir.Module:
    """The module of all kernels."""
    module = ir.Module(name="poseidon252")
    permutation = hades.define(module, f)
    _define_permute(module, f, permutation)
    _define_nodes(module, f, permutation)
    _define_leaves(module, f, permutation)
    return module


@cache
def kernel(name: str) -> Callable[..., None]:
    """A compiled kernel by its name. Thread-safe."""
    form = best_form(jit.machine()[1])
    engine = jit.library().load("poseidon252", (_FORMAT, form), lambda: build(form))
    return jit.function(engine, name, _ARGUMENTS[name])


def _begin(module: ir.Module, f: Form, name: str) -> tuple[ir.IRBuilder, list[Value], Value]:
    """Builder, arguments and memory for the states of a kernel."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [U64] * _ARGUMENTS[name]), name)
    b = ir.IRBuilder(function.append_basic_block("entry"))
    return b, list(function.args), b.alloca(f.vector, size=WIDTH * f.count * STREAMS)


def _positions(
    b: ir.IRBuilder, f: Form, start: Value, stop: Value, body: Callable[[list[Value]], None]
) -> None:
    """Emits `body` in a loop over all positions; it gets the first position of every stream."""

    def turn(at: Value, _: list[Value]) -> list[Value]:
        body([b.add(at, U64(s * f.lanes)) for s in range(STREAMS)])
        return []

    hades.counted(b, (start, stop, STREAMS * f.lanes), [], turn)
    b.ret_void()


def _row(b: ir.IRBuilder, base: Value, stride: Value, row: int, at: Value) -> Value:
    """Pointer to entry `at` of a row of u64."""
    entry = b.add(b.mul(stride, U64(row)), at)
    return b.inttoptr(b.add(base, b.shl(entry, U64(3))), ir.PointerType())


def _load(b: ir.IRBuilder, kind: ir.Type, pointer: Value) -> Value:
    return b.load(pointer, typ=kind, align=8)


def _store_number(b: ir.IRBuilder, f: Form, x: felt252.Limbs, base: Value, stride: Value, row: int, at: Value) -> None:
    for w, word in enumerate(felt252.from_montgomery(b, f, x)):
        b.store(word, _row(b, base, stride, row + w, at), align=8)


def _define_permute(module: ir.Module, f: Form, permutation: ir.Function) -> None:
    b, (start, stop, states, stride), memory = _begin(module, f, "permute")

    def body(places: list[Value]) -> None:
        for s, at in enumerate(places):
            for n in range(WIDTH):
                words = [_load(b, f.vector, _row(b, states, stride, WORDS * n + w, at)) for w in range(WORDS)]
                _store_limbs(b, f, memory, s, n, felt252.to_montgomery(b, f, words))
        b.call(permutation, [memory])
        for s, at in enumerate(places):
            for n in range(WIDTH):
                _store_number(b, f, _load_limbs(b, f, memory, s, n), states, stride, WORDS * n, at)

    _positions(b, f, start, stop, body)


def _define_nodes(module: ir.Module, f: Form, permutation: ir.Function) -> None:
    """poseidon_hash: the first number of the permutation of (left, right, 2)."""
    b, (start, stop, children, below, parents, above), memory = _begin(module, f, "nodes")
    both = ir.VectorType(U64, 2 * f.lanes)

    def body(places: list[Value]) -> None:
        for s, at in enumerate(places):
            pairs = [_load(b, both, _row(b, children, below, w, b.add(at, at))) for w in range(WORDS)]
            for n in range(2):
                index = ir.Constant(ir.VectorType(U32, f.lanes), list(range(n, 2 * f.lanes, 2)))
                words = [b.shuffle_vector(pair, pair, index) for pair in pairs]
                _store_limbs(b, f, memory, s, n, felt252.to_montgomery(b, f, words))
            _store_limbs(b, f, memory, s, 2, f.constant(2))
        b.call(permutation, [memory])
        for s, at in enumerate(places):
            _store_number(b, f, _load_limbs(b, f, memory, s, 0), parents, above, 0, at)

    _positions(b, f, start, stop, body)


def _define_leaves(module: ir.Module, f: Form, permutation: ir.Function) -> None:
    """poseidon_hash_many over felts of eight values each, a one behind them and maybe a zero.

    `columns` are n > 0 addresses of u32 columns in the order of the row, `lifts` as many u64: value c of leaf s is
    the lifted value at s << shift of a column 2^lift times smaller, entry ((t >> (lift + 1)) << 1) + (t & 1).
    """
    b, (start, stop, columns, lifts, n, shift, digests, stride), memory = _begin(module, f, "leaves")
    felts = b.lshr(b.add(n, U64(FELT_VALUES - 1)), U64(3))
    blocks = b.add(b.lshr(felts, U64(1)), U64(1))  # of two numbers, the one behind the felts among them

    def felt(at: Value, number: Value) -> list[Value]:
        """Words of the felt with this number in the row: eight values or, beyond the row, its end mark."""
        first = b.shl(number, U64(3))
        full = b.add(first, U64(FELT_VALUES))
        last = b.select(b.icmp_unsigned("<", full, n), full, n)
        seconds = [b.shl(b.add(at, U64(k)), shift) for k in range(f.lanes)]

        def value(c: Value, words: list[Value]) -> list[Value]:
            column = b.load(b.inttoptr(b.add(columns, b.shl(c, U64(3))), ir.PointerType()), typ=ir.PointerType())
            lift = b.load(b.inttoptr(b.add(lifts, b.shl(c, U64(3))), ir.PointerType()), typ=U64)
            row: Value = ir.Constant(f.vector, ir.Undefined)
            for k, t in enumerate(seconds):
                entry = b.add(b.shl(b.lshr(b.lshr(t, U64(1)), lift), U64(1)), b.and_(t, U64(1)))
                one = b.load(b.gep(column, [entry], source_etype=U32), typ=U32)
                row = b.insert_element(row, b.zext(one, U64), U32(k))
            return _shifted_in(b, f, words, row)

        words = hades.counted(b, (first, last, 1), [f.splat(0)] * WORDS, value)
        used = b.sub(last, first)
        few = b.and_(b.icmp_signed(">", used, U64(0)), b.icmp_signed("<", used, U64(FELT_VALUES)))
        words[3] = b.or_(words[3], _broadcast(b, f, b.select(few, b.shl(used, U64(_COUNT_BIT - 192)), U64(0))))
        end = b.zext(b.icmp_unsigned("==", number, felts), U64)
        words[0] = b.or_(words[0], _broadcast(b, f, end))
        return words

    def body(places: list[Value]) -> None:
        for s in range(STREAMS):
            for number in range(WIDTH):
                _store_limbs(b, f, memory, s, number, [f.splat(0)] * f.count)

        def absorb(block: Value, _: list[Value]) -> list[Value]:
            for s, at in enumerate(places):
                for number in range(2):
                    words = felt(at, b.add(b.add(block, block), U64(number)))
                    added = felt252.to_montgomery(b, f, words)
                    total = [b.add(u, v) for u, v in zip(_load_limbs(b, f, memory, s, number), added, strict=True)]
                    _store_limbs(b, f, memory, s, number, total)
            b.call(permutation, [memory])
            return []

        hades.counted(b, (U64(0), blocks, 1), [], absorb)
        for s, at in enumerate(places):
            _store_number(b, f, _load_limbs(b, f, memory, s, 0), digests, stride, 0, at)

    _positions(b, f, start, stop, body)


def _shifted_in(b: ir.IRBuilder, f: Form, words: Sequence[Value], value: Value) -> list[Value]:
    """words * 2^31 + value."""
    up, down = f.splat(_VALUE_BITS), f.splat(64 - _VALUE_BITS)
    moved = [b.shl(word, up) for word in words]
    return [b.or_(moved[0], value)] + [b.or_(moved[w], b.lshr(words[w - 1], down)) for w in range(1, WORDS)]


def _broadcast(b: ir.IRBuilder, f: Form, scalar: Value) -> Value:
    undefined = ir.Constant(f.vector, ir.Undefined)
    zeros = ir.Constant(ir.VectorType(U32, f.lanes), [0] * f.lanes)
    return b.shuffle_vector(b.insert_element(undefined, scalar, U32(0)), undefined, zeros)


def _load_limbs(b: ir.IRBuilder, f: Form, state: Value, stream: int, number: int) -> felt252.Limbs:
    return [b.load(hades.place(b, f, state, stream, number, k), typ=f.vector) for k in range(f.count)]


def _store_limbs(b: ir.IRBuilder, f: Form, state: Value, stream: int, number: int, limbs: felt252.Limbs) -> None:
    for k, limb in enumerate(limbs):
        b.store(limb, hades.place(b, f, state, stream, number, k))
