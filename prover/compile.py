"""From a component's expression DAG to CPU kernels: LLVM code over 16 lanes, compiled once and kept on disk.

Two kernels a component. `composition` adds the weighted constraints of a range of evaluation points to four
coordinate columns (PROTOCOL 7.2); `fractions` writes the interaction columns of a range of trace rows, without the
running sum over rows (PROTOCOL 12). Both take addresses, so that they read the columns wherever they lie:

    kernel(start, stop, columns, shifts, parameters, secure, weights, out)

start and stop count points (multiples of 16); `columns` are the component's preprocessed, main and, for composition,
interaction columns; `shifts[j]` maps a point to the point of the j-th row offset; `parameters` and `secure` are
u32 arrays (see `Inputs`), `weights` are four signed 64-bit numbers in [-2^30, 2^30) for each of the author's
constraints: half as wide as canonical ones, twice as many products fit in a sum before it must be reduced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llvmlite import ir

from air.layout import SECURE, ComponentLayout
from prover import emit, jit
from prover.emit import LANES, U32, U64, VECTOR, Value, Wide

_TABLES = ("columns", "shifts", "parameters", "secure", "weights", "out")
_BLOCK = 1 << 10  # points that all parts of a kernel go through before the next ones
_MAX_COST = 500  # nodes of one part
_LOOKUP_COST = 40  # what a value of a lookup adds, in nodes
_FORMAT = 4  # raise when the emitted code changes: older objects on disk are then not found
_POINTER = ir.PointerType()


@dataclass(frozen=True)
class Inputs:
    """Where a kernel finds what: the layout of `columns`, `shifts` and `secure` (in QM31 elements)."""

    n_columns: int
    offsets: tuple[int, ...]  # the row offsets other than 0, in the order of `shifts`
    weights: int  # first weight of the interaction columns' constraints
    share: int  # claimed sum / rows
    relations: int  # z and alpha^0.. of every relation that the component uses, one after the other
    n_secure: int


def relation_places(component: ComponentLayout) -> dict[int, int]:
    """Position, after `Inputs.relations`, of the elements of each relation used: z, then the powers of alpha."""
    places: dict[int, int] = {}
    position = 0
    for fraction in component.fractions:
        if fraction.relation not in places:
            places[fraction.relation] = position
            position += 1 + len(fraction.values)
    return places


def inputs(component: ComponentLayout) -> Inputs:
    masks = [*component.masks, *component.interaction_masks]
    offsets = tuple(sorted({o for mask in masks for o in mask} - {0}))
    lengths = {f.relation: 1 + len(f.values) for f in component.fractions}
    columns = len(component.preprocessed) + len(component.masks) + SECURE * component.n_interaction
    n = component.n_interaction
    return Inputs(columns, offsets, 0, n, n + 1, n + 1 + sum(lengths.values()))


class _Block:
    """Emits the code for 16 points: cells, nodes and secure constants by name."""

    def __init__(self, component: ComponentLayout, b: ir.IRBuilder, args: dict[str, Value], at: Value) -> None:
        self.component, self.b, self.args, self.at = component, b, args, at
        self.inputs = inputs(component)
        uses = Counter(i for n in component.nodes if n[0] in ("add", "sub", "mul", "neg") for i in n[1:])
        uses.update(component.constraints)
        uses.update(i for f in component.fractions for i in (f.multiplicity, *f.values))
        self.uses = uses
        self.values: dict[int, Value] = {}
        self.cells: dict[tuple[int, int], Value] = {}

    def address(self, table: str, index: int) -> Value:
        slot = self.b.gep(self.args[table], [ir.Constant(U64, index)], source_etype=_POINTER)
        return self.b.load(slot, typ=_POINTER)

    def cell(self, column: int, offset: int) -> Value:
        """16 values of a column at the points, or at the points `offset` rows away."""
        key = (column, offset)
        if key not in self.cells:
            base = self.address("columns", column)
            if offset == 0:
                pointer = self.b.gep(base, [self.at], source_etype=U32)
                self.cells[key] = self.b.load(pointer, typ=VECTOR, align=4)
            else:
                self.cells[key] = self.gather(base, self.inputs.offsets.index(offset))
        return self.cells[key]

    def gather(self, base: Value, shift: int) -> Value:
        b = self.b
        places = b.load(b.gep(self.address("shifts", shift), [self.at], source_etype=U32), typ=VECTOR, align=4)
        out: Value = ir.Constant(VECTOR, ir.Undefined)
        for lane in range(LANES):
            k = ir.Constant(U32, lane)
            place = b.zext(b.extract_element(places, k), U64)
            out = b.insert_element(out, b.load(b.gep(base, [place], source_etype=U32), typ=U32, align=4), k)
        return out

    def scalar(self, table: str, index: int) -> Value:
        pointer = self.b.gep(self.args[table], [ir.Constant(U64, index)], source_etype=U32)
        return emit.broadcast(self.b, self.b.load(pointer, typ=U32, align=4))

    def output(self, index: int) -> Value:
        """Where the 16 values of an output column go."""
        return self.b.gep(self.address("out", index), [self.at], source_etype=U32)

    def weight(self, index: int) -> Value:
        """One signed 64-bit weight in all lanes, marked as having 32 significant bits."""
        b = self.b
        pointer = b.gep(self.args["weights"], [ir.Constant(U64, index)], source_etype=U64)
        number = b.load(pointer, typ=U64, align=8)
        undefined = ir.Constant(emit.HALVES, ir.Undefined)
        first = b.insert_element(undefined, number, ir.Constant(U32, 0))
        both = b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(U32, LANES // 2), [0] * (LANES // 2)))
        return b.ashr(b.shl(both, emit.splat(32, emit.HALVES)), emit.splat(32, emit.HALVES))

    def secure(self, index: int) -> list[Value]:
        return [self.scalar("secure", SECURE * index + k) for k in range(SECURE)]

    def node(self, index: int) -> Value:
        """The vector of a node, emitted at first use."""
        if index not in self.values:
            self.values[index] = self._emit(index)
        return self.values[index]

    def _emit(self, index: int) -> Value:
        c = self.component
        op, *rest = c.nodes[index]
        match op:
            case "const":
                return emit.splat(rest[0])
            case "param":
                return self.scalar("parameters", rest[0])
            case "pre":
                return self.cell(rest[0], 0)
            case "trace":
                return self.cell(len(c.preprocessed) + rest[0], c.masks[rest[0]][rest[1]])
            case "neg":
                return emit.neg(self.b, self.node(rest[0]))
            case "mul":
                return emit.mul(self.b, self.node(rest[0]), self.node(rest[1]))
        plus, minus, products = self._terms(index)
        if products < 2:
            return {"add": emit.add, "sub": emit.sub}[op](self.b, self.node(rest[0]), self.node(rest[1]))
        total = emit.sum_of_products(self.b, *self._emit_terms(plus))
        return emit.sub(self.b, total, emit.sum_of_products(self.b, *self._emit_terms(minus))) if minus else total

    def _terms(self, root: int) -> tuple[list[int], list[int], int]:
        """Flattens a sum whose inner nodes nobody else reads; products among the terms are reduced together."""
        signed: tuple[list[int], list[int]] = ([], [])
        products, stack = 0, [(root, 0)]
        while stack:
            index, sign = stack.pop()
            op, *rest = self.component.nodes[index]
            private = index == root or (self.uses[index] == 1 and index not in self.values)
            if op in ("add", "sub") and private:
                stack.append((rest[1], sign ^ (op == "sub")))
                stack.append((rest[0], sign))
            else:
                signed[sign].append(index)
                products += op == "mul" and private
        return signed[0], signed[1], products

    def _emit_terms(self, terms: list[int]) -> tuple[list[tuple[Value, Value]], list[Value]]:
        pairs, extra = [], []
        for index in terms:
            op, *rest = self.component.nodes[index]
            if op == "mul" and self.uses[index] == 1 and index not in self.values:
                pairs.append((self.node(rest[0]), self.node(rest[1])))
            else:
                extra.append(self.node(index))
        return pairs, extra

    def batch(self, index: int) -> tuple[list[Value], list[Value]]:
        """Numerator and denominator (secure) of one batch of fractions."""
        b, places = self.b, relation_places(self.component)
        parts = []
        for fraction in self.component.batches[index]:
            start = self.inputs.relations + places[fraction.relation]
            z, alphas = self.secure(start), [self.secure(start + 1 + k) for k in range(len(fraction.values))]
            values = [self.node(v) for v in fraction.values]
            head = values[0]  # alpha^0 = 1
            den = []
            for k in range(SECURE):
                pairs = [(v, a[k]) for v, a in zip(values[1:], alphas[1:], strict=True)]
                extra = [emit.neg(b, z[k])] + ([head] if k == 0 else [])
                den.append(emit.sum_of_products(b, pairs, extra))
            parts.append((self.node(fraction.multiplicity), den))
        if len(parts) == 1:
            n, den = parts[0]
            return [n, emit.splat(0), emit.splat(0), emit.splat(0)], den
        (n0, d0), (n1, d1) = parts
        numerator = [emit.sum_of_products(b, [(n0, d1[k]), (n1, d0[k])]) for k in range(SECURE)]
        return numerator, emit.secure_mul(b, d0, d1)

    def interaction(self, index: int, offset: int) -> list[Value]:
        first = len(self.component.preprocessed) + len(self.component.masks) + SECURE * index
        return [self.cell(first + k, offset) for k in range(SECURE)]

    def logup_constraint(self, index: int) -> list[Value]:
        b, last = self.b, index + 1 == self.component.n_interaction
        numerator, denominator = self.batch(index)
        step = self.interaction(index, 0)
        if index:
            step = emit.secure_sub(b, step, self.interaction(index - 1, 0))
        if last:
            step = emit.secure_sub(b, step, self.interaction(index, -1))
            step = emit.secure_add(b, step, self.secure(self.inputs.share))
        return emit.secure_sub(b, emit.secure_mul(b, step, denominator), numerator)


def _emit_constraints(block: _Block, items: Sequence[int]) -> None:
    """Adds the weighted constraints of these indices (the interaction columns' come last) to the four outputs."""
    b, own = block.b, len(block.component.constraints)
    totals: list[Wide] = [(emit.splat(0, emit.HALVES),) * 2 for _ in range(SECURE)]  # type: ignore[misc]
    for count, index in enumerate(i for i in items if i < own):
        even, odd = emit.centred(b, block.node(block.component.constraints[index]))
        for k in range(SECURE):
            weight = block.weight(SECURE * index + k)
            term = (b.mul(even, weight), b.mul(odd, weight))
            full = count and count % emit.MAX_CENTRED_TERMS == 0
            totals[k] = emit.wide_add(b, emit.signed_fold(b, totals[k]) if full else totals[k], term)
    sums = [emit.signed_reduce(b, total) for total in totals]
    for index in (i - own for i in items if i >= own):
        weight = block.secure(block.inputs.weights + index)
        sums = emit.secure_add(b, sums, emit.secure_mul(b, block.logup_constraint(index), weight))
    for k in range(SECURE):
        pointer = block.output(k)
        b.store(emit.add(b, b.load(pointer, typ=VECTOR, align=4), sums[k]), pointer, align=4)


def _emit_fractions(block: _Block, items: Sequence[int]) -> None:
    """Writes the interaction columns of these indices, each on top of the one before it."""
    b = block.b
    for index in items:
        numerator, denominator = block.batch(index)
        total = emit.secure_mul(b, numerator, emit.secure_inverse(b, denominator))
        if index:
            before = [b.load(block.output(SECURE * (index - 1) + k), typ=VECTOR, align=4) for k in range(SECURE)]
            total = emit.secure_add(b, total, before)
        for k in range(SECURE):
            b.store(total[k], block.output(SECURE * index + k), align=4)


_EMITTERS: dict[str, Callable[[_Block, Sequence[int]], None]] = {
    "composition": _emit_constraints,
    "fractions": _emit_fractions,
}


def _parts(component: ComponentLayout, kind: str) -> list[list[int]]:
    """Constraints (or batches) in runs that are compiled on their own: compile time grows faster than code."""
    roots = [[c] for c in component.constraints] if kind == "composition" else []
    roots += [[i for f in batch for i in (f.multiplicity, *f.values)] for batch in component.batches]
    lookups = len(roots) - component.n_interaction
    parts: list[list[int]] = []
    known: set[int] = set()
    cost = _MAX_COST
    for index, own in enumerate(roots):
        needed = _closure(component, own) - known
        added = len(needed) + (_LOOKUP_COST * len(own) if index >= lookups else 1)
        if cost + added > _MAX_COST:
            parts.append([])
            needed, cost = _closure(component, own), 0
            known = set()
        parts[-1].append(index)
        known |= needed
        cost += added
    return parts


def _closure(component: ComponentLayout, roots: Sequence[int]) -> set[int]:
    """The nodes that these depend on, themselves included."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        index = stack.pop()
        if index not in seen:
            seen.add(index)
            if component.nodes[index][0] in ("add", "sub", "mul", "neg"):
                stack.extend(component.nodes[index][1:])
    return seen


def _module(component: ComponentLayout, kind: str) -> ir.Module:
    """The loop over the points. If it has parts, `kernel` goes block by block and calls every part for a block while
    its columns are near."""
    module = ir.Module(name=kind)
    signature = ir.FunctionType(ir.VoidType(), [U64, U64] + [_POINTER] * len(_TABLES))
    functions: list[ir.Function] = []
    parts = _parts(component, kind)
    for number, items in enumerate(parts):
        part = ir.Function(module, signature, name=f"part{number}" if len(parts) > 1 else "kernel")
        _loop(part, LANES, lambda b, args, at, items=items: _EMITTERS[kind](_Block(component, b, args, at), items))
        functions.append(part)

    def call_parts(b: ir.IRBuilder, args: dict[str, Value], at: Value) -> None:
        following = b.add(at, ir.Constant(U64, _BLOCK))
        end = b.select(b.icmp_unsigned("<", following, args["stop"]), following, args["stop"])
        for part in functions:
            b.call(part, [at, end, *(args[name] for name in _TABLES)])

    if len(parts) > 1:
        _loop(ir.Function(module, signature, name="kernel"), _BLOCK, call_parts)
    return module


def _loop(function: ir.Function, step: int, body: Callable[[ir.IRBuilder, dict[str, Value], Value], None]) -> None:
    """for (at = start; at < stop; at += step) body"""
    args = dict(zip(("start", "stop", *_TABLES), function.args, strict=True))
    entry, loop, done = (function.append_basic_block(name) for name in ("entry", "loop", "done"))
    b = ir.IRBuilder(entry)
    b.cbranch(b.icmp_unsigned("<", args["start"], args["stop"]), loop, done)
    b.position_at_end(loop)
    at = b.phi(U64)
    at.add_incoming(args["start"], entry)
    body(b, args, at)
    following = b.add(at, ir.Constant(U64, step))
    at.add_incoming(following, loop)
    b.cbranch(b.icmp_unsigned("<", following, args["stop"]), loop, done)
    b.position_at_end(done)
    b.ret_void()


_loaded: dict[tuple[str, str], Callable[..., None]] = {}


def kernel(component: ComponentLayout, kind: str) -> Callable[..., None]:
    """The compiled kernel, `composition` or `fractions`, of a component's structure. Thread-safe."""
    key = (component.structure, kind)
    if key not in _loaded:
        # The code is straight and already shares what it can: LLVM's passes would only cost time.
        key_on_disk = (_FORMAT, component.structure)
        engine = jit.library().load(kind, key_on_disk, lambda: _module(component, kind), optimise=False)
        _loaded[key] = jit.function(engine, "kernel", 2 + len(_TABLES))
    return _loaded[key]
