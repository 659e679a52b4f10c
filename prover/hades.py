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
from prover.emit import U64
from prover.felt252 import PRIME, Form, Limbs, Value

WIDTH = 3
HALF = 4  # full rounds before the partial ones, and after
PARTIAL = 83
STREAMS = 2  # vectors worked on side by side: one alone waits for its own results

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
    """Keys in the order of use: before the first round, after each full round, and in the recurrence above."""

    start: Triple
    first: tuple[Triple, ...]  # after each of the first full rounds
    partial: tuple[int, ...]  # of z_1 .. z_PARTIAL
    middle: tuple[int, int]  # of the first two numbers after the partial rounds
    last: tuple[Triple, ...]  # after each of the last full rounds; nothing after the very last


@cache
def schedule() -> Schedule:
    """The keys of the recurrence: what the partial rounds make of zeros if every cube is left out."""
    keys = round_keys()
    x = y = z = 0
    trail = [0]  # z_n
    for kx, ky, kz in keys[HALF + 1 : HALF + PARTIAL + 1]:
        x, y, z = 3 * x + y + kx, x - y + ky, x + y + kz
        trail.append(z)
    partial = trail[1:3] + [trail[n] - 4 * trail[n - 2] - 2 * trail[n - 1] for n in range(3, PARTIAL + 1)]
    middle = (x - 2 * trail[-2] - 2 * trail[-1], y - 2 * trail[-2])
    return Schedule(
        start=keys[0],
        first=keys[1 : HALF + 1],
        partial=tuple(k % PRIME for k in partial),
        middle=(middle[0] % PRIME, middle[1] % PRIME),
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


def place(b: ir.IRBuilder, f: Form, state: Value, stream: int, number: int, limb: int) -> Value:
    """Pointer to a limb in a state in memory: WIDTH * count * STREAMS vectors."""
    return b.gep(state, [U64((number * f.count + limb) * STREAMS + stream)], source_etype=f.vector)


def load_state(b: ir.IRBuilder, f: Form, state: Value) -> list[State]:
    return [
        [[b.load(place(b, f, state, s, n, k), typ=f.vector) for k in range(f.count)] for n in range(WIDTH)]
        for s in range(STREAMS)
    ]


def store_state(b: ir.IRBuilder, f: Form, state: Value, values: Sequence[State]) -> None:
    for s, stream in enumerate(values):
        for n, limbs in enumerate(stream):
            for k, limb in enumerate(limbs):
                b.store(limb, place(b, f, state, s, n, k))


def define(module: ir.Module, f: Form) -> ir.Function:
    """The function `hades(state)`, in place, of STREAMS * lanes states in Montgomery form; what comes in may be raw."""
    keys = schedule()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.PointerType()]), "hades")
    function.linkage = "internal"
    function.attributes.add("noinline")
    b = ir.IRBuilder(function.append_basic_block("entry"))
    (memory,) = function.args
    states = [
        [felt252.settle(b, f, _plus(b, x, _constants(f, key))) for x, key in zip(state, keys.start, strict=True)]
        for state in load_state(b, f, memory)
    ]
    states = _full_rounds(b, f, states, _table(module, f, "first", keys.first))
    states = _partial_rounds(b, f, states, _table(module, f, "partial", [(key,) for key in keys.partial]), keys.middle)
    store_state(b, f, memory, _full_rounds(b, f, states, _table(module, f, "last", keys.last)))
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
    out = []
    for k in range(f.count):
        at = b.add(b.mul(index, U64(f.count)), U64(k))
        word = b.load(b.gep(table, [U64(0), at]))
        undefined = ir.Constant(f.vector, ir.Undefined)
        first = b.insert_element(undefined, word, U64(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), f.lanes), [0] * f.lanes)
        out.append(b.shuffle_vector(first, undefined, zeros))
    return out


def _constants(f: Form, key: int) -> Limbs:
    return [f.splat(digit) for digit in f.addend(key)]


def _full_rounds(b: ir.IRBuilder, f: Form, states: list[State], table: Value) -> list[State]:
    def body(index: Value, carried: list[Value]) -> list[Value]:
        cubes = _cubes(b, f, [x for state in _states(f, carried) for x in state])
        out = []
        for s in range(STREAMS):
            first = b.mul(index, U64(WIDTH))
            keys = [_key(b, f, table, b.add(first, U64(n))) for n in range(WIDTH)]
            out.append(_mixed(b, f, cubes[WIDTH * s : WIDTH * (s + 1)], keys))
        return _flat(out)

    return _states(f, counted(b, (U64(0), U64(HALF), 1), _flat(states), body))


def _flat(states: Sequence[State]) -> list[Value]:
    return [limb for state in states for limbs in state for limb in limbs]


def _states(f: Form, values: Sequence[Value]) -> list[State]:
    """Inverse of `_flat`."""
    numbers = [list(values[k : k + f.count]) for k in range(0, len(values), f.count)]
    return [numbers[k : k + len(numbers) // STREAMS] for k in range(0, len(numbers), len(numbers) // STREAMS)]


def _cubes(b: ir.IRBuilder, f: Form, numbers: Sequence[Limbs]) -> list[Limbs]:
    squares = [felt252.square(b, f, x) for x in numbers]
    return [felt252.multiply(b, f, x, y) for x, y in zip(squares, numbers, strict=True)]


def _plus(b: ir.IRBuilder, x: Limbs, y: Limbs) -> Limbs:
    return [b.add(u, v) for u, v in zip(x, y, strict=True)]


def _minus(b: ir.IRBuilder, x: Limbs, y: Limbs) -> Limbs:
    return [b.sub(u, v) for u, v in zip(x, y, strict=True)]


def _twice(b: ir.IRBuilder, x: Limbs) -> Limbs:
    return _plus(b, x, x)


def _mixed(b: ir.IRBuilder, f: Form, cubes: Sequence[Limbs], keys: Sequence[Limbs]) -> State:
    """The matrix, and the keys after it."""
    x, y, z = cubes
    both = _plus(b, x, y)
    total = _plus(b, both, z)
    return [
        felt252.settle(b, f, _plus(b, _plus(b, total, keys[0]), _twice(b, x))),
        felt252.settle(b, f, _minus(b, _plus(b, total, keys[1]), _twice(b, y))),
        felt252.settle(b, f, _minus(b, _plus(b, both, keys[2]), _twice(b, z))),
    ]


def _partial_rounds(b: ir.IRBuilder, f: Form, states: list[State], table: Value, middle: tuple[int, int]) -> list[State]:
    """The recurrence, begun by z_1 = x_0 + y_0 - 2 c_0 and z_2 = 4 x_0 + 2 c_0 - 2 c_1."""
    z0 = [state[2] for state in states]
    c0 = _cubes(b, f, z0)
    key1, key2 = _key(b, f, table, U64(0)), _key(b, f, table, U64(1))
    z1 = [
        felt252.settle(b, f, _minus(b, _plus(b, _plus(b, x, y), key1), _twice(b, c)))
        for (x, y, _), c in zip(states, c0, strict=True)
    ]
    c1 = _cubes(b, f, z1)
    z2 = [
        felt252.settle(b, f, _plus(b, key2, _twice(b, _minus(b, _plus(b, _twice(b, x), u), v))))
        for (x, _, _), u, v in zip(states, c0, c1, strict=True)
    ]

    def body(index: Value, carried: list[Value]) -> list[Value]:
        before = _states(f, carried)
        cubes = _cubes(b, f, [z_1 for _, _, _, z_1 in before])
        key = _key(b, f, table, index)
        after = []
        for (c_3, c_2, z_2, z_1), c_1 in zip(before, cubes, strict=True):
            inner = _plus(b, _plus(b, _twice(b, c_3), c_2), z_2)
            outer = _plus(b, _twice(b, inner), _minus(b, _plus(b, c_2, z_1), c_1))
            after.append([c_2, c_1, z_1, felt252.settle(b, f, _plus(b, _twice(b, outer), key))])
        return _flat(after)

    history = [list(numbers) for numbers in zip(c0, c1, z1, z2, strict=True)]
    end = counted(b, (U64(2), U64(PARTIAL), 1), _flat(history), body)
    out = []
    for c_3, c_2, z_2, z_1 in _states(f, end):
        shared = _plus(b, _twice(b, _plus(b, _twice(b, c_3), z_2)), c_2)
        more = _twice(b, _plus(b, _twice(b, c_2), z_1))
        x = _plus(b, _plus(b, shared, more), _constants(f, middle[0]))
        y = _plus(b, shared, _constants(f, middle[1]))
        out.append([felt252.settle(b, f, x), felt252.settle(b, f, y), z_1])
    return out
