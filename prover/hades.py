"""Starknet's Hades permutation of three felt252 on vectors, as LLVM code: 4 full, 83 partial, 4 full rounds.

A full round adds keys, cubes all three numbers and applies the matrix ((3, 1, 1), (1, -1, 1), (1, 1, -2)); a partial
round cubes the third only. Over the partial rounds nothing but the third number is computed: with z_n its value
before the n-th cube and c_n = z_n^3, eliminating the other two gives

    z_n = 8 c_{n-3} + 4 z_{n-2} + 6 c_{n-2} + 2 z_{n-1} - 2 c_{n-1} + key_n
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from llvmlite import ir

from prover import felt252
from prover.emit import U32, U64
from prover.felt252 import PRIME, Form, Limbs, Value

WIDTH = 3
HALF = 4  # full rounds before the partial ones, and after
PARTIAL = 83

Triple = tuple[int, int, int]
State = list[Limbs]


@cache
def round_keys() -> tuple[Triple, ...]:
    """The published keys, three a round: SHA-256 of "Hades" and a running number."""

    def key(number: int) -> int:
        return int.from_bytes(hashlib.sha256(b"Hades%d" % number).digest(), "big") % PRIME

    return tuple((key(n), key(n + 1), key(n + 2)) for n in range(0, WIDTH * (2 * HALF + PARTIAL), WIDTH))


@dataclass(frozen=True)
class Schedule:
    """The keys in the order of use: before the first round, after each full round, and in the recurrence above."""

    start: Triple
    first: tuple[Triple, ...]  # after each of the first full rounds
    partial: tuple[int, ...]  # of z_1 .. z_PARTIAL
    middle: tuple[int, int]  # of the first two numbers after the partial rounds
    last: tuple[Triple, ...]  # after each of the last full rounds; nothing after the very last


@cache
def schedule() -> Schedule:
    """The keys of the recurrence are what the partial rounds make of zeros if every cube is left out."""
    keys = round_keys()
    x = y = z = 0
    trail = [0]  # z_n
    for kx, ky, kz in keys[HALF + 1 : HALF + PARTIAL + 1]:
        x, y, z = 3 * x + y + kx, x - y + ky, x + y + kz
        trail.append(z)
    partial = trail[1:3] + [trail[n] - 4 * trail[n - 2] - 2 * trail[n - 1] for n in range(3, PARTIAL + 1)]
    return Schedule(
        start=keys[0],
        first=keys[1 : HALF + 1],
        partial=tuple(k % PRIME for k in partial),
        middle=((x - 2 * trail[-2] - 2 * trail[-1]) % PRIME, (y - 2 * trail[-2]) % PRIME),
        last=(*keys[HALF + PARTIAL + 1 :], (0, 0, 0)),
    )


def counted(
    b: ir.IRBuilder,
    bounds: tuple[Value, Value, int],
    carried: Sequence[Value],
    body: Callable[[Value, list[Value]], Sequence[Value]],
) -> list[Value]:
    """A loop over start, start + step .. below stop. `body` takes and returns the values carried from turn to turn."""
    start, stop, step = bounds
    before = b.block
    head, inside, after = (b.append_basic_block(name) for name in ("head", "inside", "after"))
    b.branch(head)
    b.position_at_end(head)
    index, phis = b.phi(U64), [b.phi(value.type) for value in carried]
    b.cbranch(b.icmp_unsigned("<", index, stop), inside, after)
    b.position_at_end(inside)
    results = body(index, phis)
    following = b.add(index, U64(step))
    for phi, first, later in zip((index, *phis), (start, *carried), (following, *results), strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(later, b.block)
    b.branch(head)
    b.position_at_end(after)
    return phis


def broadcast(b: ir.IRBuilder, f: Form, scalar: Value) -> Value:
    """A vector whose lanes all hold a run-time u64."""
    undefined = ir.Constant(f.vector, ir.Undefined)
    first = b.insert_element(undefined, scalar, U32(0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(U32, f.lanes), [0] * f.lanes))


def load_number(b: ir.IRBuilder, f: Form, state: Value, number: int) -> Limbs:
    """Limbs of a number of a state in memory: WIDTH * count vectors."""
    places = [b.gep(state, [U64(number * f.count + k)], source_etype=f.vector) for k in range(f.count)]
    return [b.load(place, typ=f.vector) for place in places]


def store_number(b: ir.IRBuilder, f: Form, state: Value, number: int, limbs: Limbs) -> None:
    for k, limb in enumerate(limbs):
        b.store(limb, b.gep(state, [U64(number * f.count + k)], source_etype=f.vector))


def define(module: ir.Module, f: Form) -> ir.Function:
    """The function `hades(state)`, in place, of as many states as there are lanes, in Montgomery form.

    A number that comes in may be what `hades` left there plus a number below 2^252; it may be raw.
    """
    keys = schedule()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.PointerType()]), "hades")
    function.linkage = "internal"
    b = ir.IRBuilder(function.append_basic_block("entry"))
    (memory,) = function.args
    state = [
        felt252.carried(b, f, _plus(b, load_number(b, f, memory, n), _constants(f, keys.start[n])))
        for n in range(WIDTH)
    ]
    state = _full_rounds(b, f, state, _table(module, f, "first", keys.first))
    state = _partial_rounds(b, f, state, _table(module, f, "partial", [(key,) for key in keys.partial]), keys.middle)
    state = _full_rounds(b, f, state, _table(module, f, "last", keys.last))
    for n in range(WIDTH):
        store_number(b, f, memory, n, state[n])
    b.ret_void()
    return function


def _table(module: ir.Module, f: Form, name: str, rows: Sequence[Sequence[int]]) -> Value:
    digits = [digit for row in rows for key in row for digit in f.addend(key)]
    table = ir.GlobalVariable(module, ir.ArrayType(U64, len(digits)), name)
    table.initializer = ir.Constant(table.value_type, digits)
    table.global_constant, table.linkage = True, "internal"
    return table


def _key(b: ir.IRBuilder, f: Form, table: Value, index: Value) -> Limbs:
    """The addend with this number in a table."""
    places = [b.add(b.mul(index, U64(f.count)), U64(k)) for k in range(f.count)]
    return [broadcast(b, f, b.load(b.gep(table, [U64(0), place]))) for place in places]


def _constants(f: Form, key: int) -> Limbs:
    return [f.splat(digit) for digit in f.addend(key)]


def _flat(numbers: Sequence[Limbs]) -> list[Value]:
    return [limb for limbs in numbers for limb in limbs]


def _cut(f: Form, values: Sequence[Value]) -> list[Limbs]:
    """Inverse of `_flat`."""
    return [list(values[k : k + f.count]) for k in range(0, len(values), f.count)]


def _plus(b: ir.IRBuilder, x: Limbs, y: Limbs) -> Limbs:
    return [b.add(u, v) for u, v in zip(x, y, strict=True)]


def _minus(b: ir.IRBuilder, x: Limbs, y: Limbs) -> Limbs:
    return [b.sub(u, v) for u, v in zip(x, y, strict=True)]


def _twice(b: ir.IRBuilder, x: Limbs) -> Limbs:
    return _plus(b, x, x)


def _full_rounds(b: ir.IRBuilder, f: Form, state: State, table: Value) -> State:
    """Takes and gives carried numbers."""

    def body(index: Value, values: list[Value]) -> list[Value]:
        x, y, z = (felt252.cube(b, f, number) for number in _cut(f, values))
        first = b.mul(index, U64(WIDTH))
        keys = [_key(b, f, table, b.add(first, U64(n))) for n in range(WIDTH)]
        both = _plus(b, x, y)
        total = _plus(b, both, z)
        raw = [
            _plus(b, _plus(b, total, keys[0]), _twice(b, x)),
            _minus(b, _plus(b, total, keys[1]), _twice(b, y)),
            _minus(b, _plus(b, both, keys[2]), _twice(b, z)),
        ]
        return _flat([felt252.carried(b, f, number) for number in raw])

    return _cut(f, counted(b, (U64(0), U64(HALF), 1), _flat(state), body))


def _partial_rounds(b: ir.IRBuilder, f: Form, state: State, table: Value, middle: tuple[int, int]) -> State:
    """The recurrence on z_n and d_n = 2 c_n, begun by z_1 = x_0 + y_0 - d_0 and z_2 = 4 x_0 + d_0 - d_1.

    The sums take z_n folded, lest they grow without bound; the cubes take it unfolded, lest they wait. A z_n is at
    most 14 cubes, 6 folded numbers and an addend, below 2^256.
    """

    def doubled_cube(number: Limbs) -> Limbs:
        return _twice(b, felt252.cube(b, f, number))

    x, y, z0 = felt252.folded(b, f, state[0]), felt252.folded(b, f, state[1]), state[2]
    d0 = doubled_cube(z0)
    z1 = felt252.carried(b, f, _minus(b, _plus(b, _plus(b, x, y), _key(b, f, table, U64(0))), d0))
    d1 = doubled_cube(z1)
    known = _plus(b, _plus(b, _twice(b, _twice(b, x)), d0), _key(b, f, table, U64(1)))
    z2 = felt252.carried(b, f, _minus(b, known, d1))

    def body(index: Value, values: list[Value]) -> list[Value]:
        d_3, d_2, z_2, unfolded = _cut(f, values)
        d_1, z_1 = doubled_cube(unfolded), felt252.folded(b, f, unfolded)
        half = _plus(b, _plus(b, _twice(b, _plus(b, d_3, z_2)), d_2), z_1)
        known = _plus(b, _plus(b, _twice(b, half), d_2), _key(b, f, table, index))
        return _flat([d_2, d_1, z_1, felt252.carried(b, f, _minus(b, known, d_1))])

    history = _flat([d0, d1, felt252.folded(b, f, z1), z2])
    d_3, d_2, z_2, z = _cut(f, counted(b, (U64(2), U64(PARTIAL), 1), history, body))
    # With the last three: x = y + 2 d_2 + 2 z, y = 2 d_3 + 2 z_2 + c_2.
    y = _plus(b, _twice(b, _plus(b, d_3, z_2)), [b.lshr(limb, f.splat(1)) for limb in d_2])
    x = _plus(b, y, _twice(b, _plus(b, d_2, felt252.folded(b, f, z))))
    x, y = (_plus(b, number, _constants(f, key)) for number, key in zip((x, y), middle, strict=True))
    return [felt252.carried(b, f, x), felt252.carried(b, f, y), z]
