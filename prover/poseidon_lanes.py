"""The Poseidon252 kernels: LLVM code that hashes several leaves, pairs or states at once (PROTOCOL 4).

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
from prover.felt252 import WORDS, Form, Limbs, Value, best_form
from prover.hades import WIDTH, load_number, store_number

GRAIN = 8
VALUES = 8  # M31 values in one field element
_VALUE_BITS, _WORD_BITS = 31, 64
_COUNT_BIT = 248  # where a felt of fewer values carries their number
_FORMAT = 1  # raise when the emitted code changes: older objects on disk are then not found
_ARGUMENTS = {"permute": 4, "nodes": 6, "leaves": 8}


@cache
def kernel(name: str) -> Callable[..., None]:
    """A compiled kernel by its name. Thread-safe."""
    form = best_form(jit.machine()[1])
    # LLVM's passes would regroup the long sums, which are in the right order, at several times the compile time.
    engine = jit.library().load("poseidon252", (_FORMAT, form), lambda: build(form), optimise=False)
    return jit.function(engine, name, _ARGUMENTS[name])


def build(f: Form) -> ir.Module:
    """The module of all kernels."""
    module = ir.Module(name="poseidon252")
    permutation = hades.define(module, f)
    _define_permute(module, f, permutation)
    _define_nodes(module, f, permutation)
    _define_leaves(module, f, permutation)
    return module


def _begin(module: ir.Module, f: Form, name: str) -> tuple[ir.IRBuilder, list[Value], Value]:
    """Builder, arguments and memory for the states of a kernel."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [U64] * _ARGUMENTS[name]), name)
    b = ir.IRBuilder(function.append_basic_block("entry"))
    return b, list(function.args), b.alloca(f.vector, size=WIDTH * f.count)


def _positions(b: ir.IRBuilder, f: Form, start: Value, stop: Value, body: Callable[[Value], None]) -> None:
    """The rest of a kernel: `body` for the first of every `lanes` positions."""

    def turn(at: Value, _: list[Value]) -> list[Value]:
        body(at)
        return []

    hades.counted(b, (start, stop, f.lanes), [], turn)
    b.ret_void()


def _row(b: ir.IRBuilder, base: Value, stride: Value, row: int, at: Value) -> Value:
    """Pointer to entry `at` of a row of u64."""
    return _entry(b, base, b.add(b.mul(stride, U64(row)), at))


def _entry(b: ir.IRBuilder, base: Value, index: Value) -> Value:
    return b.gep(b.inttoptr(base, ir.PointerType()), [index], source_etype=U64)


def _load_words(b: ir.IRBuilder, kind: ir.Type, base: Value, stride: Value, row: int, at: Value) -> list[Value]:
    return [b.load(_row(b, base, stride, row + w, at), typ=kind, align=8) for w in range(WORDS)]


def _store_words(b: ir.IRBuilder, words: Sequence[Value], base: Value, stride: Value, row: int, at: Value) -> None:
    for w, word in enumerate(words):
        b.store(word, _row(b, base, stride, row + w, at), align=8)


def _define_permute(module: ir.Module, f: Form, permutation: ir.Function) -> None:
    b, (start, stop, states, stride), memory = _begin(module, f, "permute")

    def body(at: Value) -> None:
        for n in range(WIDTH):
            words = _load_words(b, f.vector, states, stride, WORDS * n, at)
            store_number(b, f, memory, n, felt252.to_montgomery(b, f, words))
        b.call(permutation, [memory])
        for n in range(WIDTH):
            words = felt252.from_montgomery(b, f, load_number(b, f, memory, n))
            _store_words(b, words, states, stride, WORDS * n, at)

    _positions(b, f, start, stop, body)


def _define_nodes(module: ir.Module, f: Form, permutation: ir.Function) -> None:
    """poseidon_hash: the first number of the permutation of (left, right, 2)."""
    b, (start, stop, children, below, parents, above), memory = _begin(module, f, "nodes")

    def body(at: Value) -> None:
        pairs = _load_words(b, ir.VectorType(U64, 2 * f.lanes), children, below, 0, b.add(at, at))
        for n in range(2):
            side = ir.Constant(ir.VectorType(U32, f.lanes), list(range(n, 2 * f.lanes, 2)))
            words = [b.shuffle_vector(pair, pair, side) for pair in pairs]
            store_number(b, f, memory, n, felt252.to_montgomery(b, f, words))
        store_number(b, f, memory, 2, f.constant(2))
        b.call(permutation, [memory])
        _store_words(b, felt252.from_montgomery(b, f, load_number(b, f, memory, 0)), parents, above, 0, at)

    _positions(b, f, start, stop, body)


def _define_leaves(module: ir.Module, f: Form, permutation: ir.Function) -> None:
    """poseidon_hash_many over felts of eight values each, then a one and, for an even number, a zero.

    `columns` are n > 0 addresses of u32 columns in the order of the row, `lifts` as many u64: value c of leaf s is
    entry ((t >> (lift + 1)) << 1) + (t & 1) of column c with t = s << shift, the lifted value at t of a column that
    is 2^lift times smaller.
    """
    b, (start, stop, columns, lifts, n, shift, digests, stride), memory = _begin(module, f, "leaves")
    felts = b.lshr(b.add(n, U64(VALUES - 1)), U64(3))
    blocks = b.add(b.lshr(felts, U64(1)), U64(1))

    def felt(places: list[Value], number: Value) -> list[Value]:
        """Words of the felt with this number in the row, and what follows the last one."""
        first = b.shl(number, U64(3))
        last = b.add(first, U64(VALUES))
        last = b.select(b.icmp_unsigned("<", last, n), last, n)

        def value(c: Value, words: list[Value]) -> list[Value]:
            column = b.load(_entry(b, columns, c), typ=ir.PointerType())
            lift = b.load(_entry(b, lifts, c), typ=U64)
            row: Value = ir.Constant(f.vector, ir.Undefined)
            for k, t in enumerate(places):
                entry = b.or_(b.shl(b.lshr(b.lshr(t, U64(1)), lift), U64(1)), b.and_(t, U64(1)))
                one = b.load(b.gep(column, [entry], source_etype=U32), typ=U32)
                row = b.insert_element(row, b.zext(one, U64), U32(k))
            return _shifted_in(b, f, words, row)

        words = hades.counted(b, (first, last, 1), [f.splat(0)] * WORDS, value)
        used = b.sub(last, first)  # negative beyond the row
        few = b.and_(b.icmp_signed(">", used, U64(0)), b.icmp_signed("<", used, U64(VALUES)))
        count = b.select(few, b.shl(used, U64(_COUNT_BIT % _WORD_BITS)), U64(0))
        end = b.zext(b.icmp_unsigned("==", number, felts), U64)
        lowest, highest = hades.broadcast(b, f, end), hades.broadcast(b, f, count)
        return [b.or_(words[0], lowest), *words[1:-1], b.or_(words[-1], highest)]

    def body(at: Value) -> None:
        places = [b.shl(b.add(at, U64(k)), shift) for k in range(f.lanes)]
        for number in range(WIDTH):
            store_number(b, f, memory, number, f.constant(0))

        def absorb(block: Value, _: list[Value]) -> list[Value]:
            for number in range(2):
                words = felt(places, b.add(b.add(block, block), U64(number)))
                added = felt252.to_montgomery(b, f, words)
                store_number(b, f, memory, number, _plus(b, load_number(b, f, memory, number), added))
            b.call(permutation, [memory])
            return []

        hades.counted(b, (U64(0), blocks, 1), [], absorb)
        _store_words(b, felt252.from_montgomery(b, f, load_number(b, f, memory, 0)), digests, stride, 0, at)

    _positions(b, f, start, stop, body)


def _plus(b: ir.IRBuilder, x: Limbs, y: Limbs) -> Limbs:
    return [b.add(u, v) for u, v in zip(x, y, strict=True)]


def _shifted_in(b: ir.IRBuilder, f: Form, words: Sequence[Value], value: Value) -> list[Value]:
    """words * 2^31 + value."""
    up, down = f.splat(_VALUE_BITS), f.splat(_WORD_BITS - _VALUE_BITS)
    moved = [b.shl(word, up) for word in words]
    return [b.or_(moved[0], value)] + [b.or_(moved[w], b.lshr(words[w - 1], down)) for w in range(1, WORDS)]
