"""Mends a changed witness: the forger inside `air.soundness`.

A depth-first search over partial assignments. A cell that has been set stays set; a failing constraint is solved for
one of its other cells; the constraint with the fewest such cells comes first, so that what is forced is done at once.
Once no constraint fails, tuples that are out of balance are mended by multiplicities or by moving the values of another
use or provision to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from air.check import Columns, component_columns, imbalances, node_values
from air.field import P, inverse, signed
from air.layout import Air, ComponentLayout
from air.relation import PublicTerm
from air.roots import interpolate, roots

Cell = tuple[int, int, int]  # component, main column of it, row
Changes = dict[Cell, int]
Place = tuple[int, int, int]  # component, constraint or fraction, row
Tuple = tuple[int, tuple[int, ...]]  # relation, values
_PLACES = 6  # of equal tuples that are tried
_ADD, _SUB, _MUL, _CELL, _PRE, _CONSTANT = range(6)
_STEPS = {"add": _ADD, "sub": _SUB, "mul": _MUL, "neg": _SUB}


@dataclass(frozen=True)
class _Cone:
    """How one node is computed, step by step, and the main cells that enter, as (column, row offset)."""

    program: tuple[tuple[int, int, int], ...]
    cells: tuple[tuple[int, int], ...]


class Repair:
    """A witness with its AIR, prepared for many searches. Columns are in row order."""

    def __init__(self, air: Air, pre: Columns, main: Columns) -> None:
        self._air, self._left = air, 0
        parts = component_columns(air, pre, main)
        self._pre = [[np.asarray(c).tolist() for c in part[1]] for part in parts]
        self._main = [[np.asarray(c).tolist() for c in part[2]] for part in parts]
        self._cones = [{node: _cone(layout, node) for node in _roots(layout)} for layout in air.components]
        self._constraints = [_readers([cones[n] for n in layout.constraints]) for layout, cones in self._parts()]
        self._fractions = [
            _readers([_union(cones, (f.multiplicity, *f.values)) for f in layout.fractions])
            for layout, cones in self._parts()
        ]
        relation = {name: k for k, name in enumerate(air.relations)}
        self._private = {(relation[w.relation], w.values): w.surplus for w in imbalances(air, pre, main)}
        self._start: Counter[Tuple] = Counter()
        self._places: dict[Tuple, list[Place]] = {}
        for index, (layout, own_pre, own_main) in enumerate(parts):
            values = node_values(layout, own_pre, own_main) if layout.fractions else []
            for f, fraction in enumerate(layout.fractions):
                rows = zip(*(values[v].tolist() for v in fraction.values), strict=True)
                for row, items in enumerate(rows):
                    self._places.setdefault((fraction.relation, items), []).append((index, f, row))

    def run(self, changes: Changes, public: Sequence[PublicTerm], budget: int) -> Changes | None:
        """Changes that contain these and make a valid witness for these public terms, or None where none was found in
        `budget` steps."""
        self._left, self._start = budget, Counter(self._private)
        for term in public:
            self._start[term.relation, term.values] += term.multiplicity
        failing = {p for cell in changes for p in self._reading(self._constraints, cell) if self._fails(p, changes)}
        return self._mend(changes, failing)

    def honest(self, cell: Cell) -> int:
        """The given witness."""
        return int(self._main[cell[0]][cell[1]][cell[2]])

    def tuples(self, relation: int) -> set[tuple[int, ...]]:
        """Everything that some row names in this relation, whatever its multiplicity."""
        return {values for r, values in self._places if r == relation}

    def columns(self, component: int, constraint: int) -> list[int]:
        """Main columns that a constraint reads."""
        cone = self._cones[component][self._air.components[component].constraints[constraint]]
        return sorted({column for column, _ in cone.cells})

    def breaks(self, component: int, constraint: int, changes: Changes) -> bool:
        """Whether the constraint fails somewhere after the changes."""
        places = {p for cell in changes for p in self._reading(self._constraints, cell)}
        return any(p[:2] == (component, constraint) and self._fails(p, changes) for p in places)

    def alternatives(self, cell: Cell) -> list[int]:
        """Other values of the cell that one of its constraints allows."""
        out: list[int] = []
        for place in self._reading(self._constraints, cell):
            node = self._air.components[place[0]].constraints[place[1]]
            out += self._solve(place[0], node, place[2], cell, {}, 0)
        return [value for value in dict.fromkeys(out) if value != self.honest(cell)]

    def _parts(self) -> Iterator[tuple[ComponentLayout, dict[int, _Cone]]]:
        return zip(self._air.components, self._cones, strict=True)

    def _mend(self, changes: Changes, failing: set[Place]) -> Changes | None:
        if self._left <= 0:
            return None
        self._left -= 1
        if failing:
            options = self._solutions(failing, changes)
        else:
            surplus = self._surplus(changes)
            if not surplus:
                return changes
            options = self._moves(surplus, changes)
        for option in options:
            after = changes | option
            touched = {p for cell in option for p in self._reading(self._constraints, cell)}
            still = (failing - touched) | {p for p in touched if self._fails(p, after)}
            mended = self._mend(after, still)
            if mended is not None or self._left <= 0:
                return mended
        return None

    def _solutions(self, failing: set[Place], changes: Changes) -> Iterator[Changes]:
        """Ways to make one failing constraint hold."""
        open_cells = {place: self._open(place, changes) for place in failing}
        place = min(open_cells, key=lambda p: (len(open_cells[p]), p))
        component, constraint, row = place
        node, cells = self._air.components[component].constraints[constraint], open_cells[place]
        if len(cells) > 1:
            yield from self._digits(component, node, row, cells, changes)
        for cell in cells:
            for value in self._solve(component, node, row, cell, changes, 0):
                yield {cell: value}

    def _digits(self, component: int, node: int, row: int, cells: list[Cell], changes: Changes) -> Iterator[Changes]:
        """Cells that enter with coefficients 1, B, B^2, ... are digits: the value they must make up, decomposed."""
        zero = changes | dict.fromkeys(cells, 0)
        rest = self._value(component, node, row, zero)
        slopes = {c: signed((self._value(component, node, row, zero | {c: 1}) - rest) % P) for c in cells}
        for sign in (1, -1):
            digits = sorted((c for c in cells if sign * slopes[c] > 0), key=lambda c: -abs(slopes[c]))
            kept = {c: v for c, v in zero.items() if c not in digits}
            for c in cells:
                if c not in digits:
                    kept.pop(c, None)
            target = -sign * self._value(component, node, row, kept | dict.fromkeys(digits, 0)) % P
            found: Changes = {}
            for c in digits:
                found[c], target = divmod(target, abs(slopes[c]))
            if len(digits) > 1 and self._value(component, node, row, kept | found) == 0:
                yield found

    def _moves(self, surplus: dict[Tuple, int], changes: Changes) -> Iterator[Changes]:
        """Ways to put the first unbalanced tuple right."""
        wanted, amount = min(surplus.items())
        places = [p for p in self._places.get(wanted, []) if self._tuple(p, changes) == wanted]
        touched = sorted({p for cell in changes for p in self._reading(self._fractions, cell)})
        places += [p for p in touched if self._tuple(p, changes) == wanted and p not in places]
        counted = [p for p in places if self._multiplicity_cells(p, changes)]
        for component, f, row in counted[:_PLACES]:
            node = self._air.components[component].fractions[f].multiplicity
            target = (self._value(component, node, row, changes) - amount) % P
            for cell in self._multiplicity_cells((component, f, row), changes):
                for value in self._solve(component, node, row, cell, changes, target):
                    yield {cell: value}
        others = [t for t in surplus if t[0] == wanted[0] and t != wanted]
        for place in places[:_PLACES]:
            for other in others[:_PLACES]:
                moved = self._renamed(place, other[1], changes)
                if moved:
                    yield moved

    def _multiplicity_cells(self, place: Place, changes: Changes) -> list[Cell]:
        node = self._air.components[place[0]].fractions[place[1]].multiplicity
        return [cell for cell in self._cells(place[0], node, place[2]) if cell not in changes]

    def _renamed(self, place: Place, values: tuple[int, ...], changes: Changes) -> Changes | None:
        """Changes after which the fraction at this place has these values."""
        component, f, row = place
        out: Changes = {}
        for node, target in zip(self._air.components[component].fractions[f].values, values, strict=True):
            if self._value(component, node, row, changes | out) == target:
                continue
            for cell in self._cells(component, node, row):
                solved = [] if cell in changes else self._solve(component, node, row, cell, changes | out, target)
                if solved:
                    out[cell] = solved[0]
                    break
            else:
                return None
        return out

    def _surplus(self, changes: Changes) -> dict[Tuple, int]:
        """What is out of balance."""
        totals = Counter(self._start)
        for place in {p for cell in changes for p in self._reading(self._fractions, cell)}:
            node = self._air.components[place[0]].fractions[place[1]].multiplicity
            totals[self._tuple(place, {})] -= self._value(place[0], node, place[2], {})
            totals[self._tuple(place, changes)] += self._value(place[0], node, place[2], changes)
        return {key: times % P for key, times in totals.items() if times % P}

    def _tuple(self, place: Place, changes: Changes) -> Tuple:
        component, f, row = place
        fraction = self._air.components[component].fractions[f]
        return fraction.relation, tuple(self._value(component, v, row, changes) for v in fraction.values)

    def _reading(self, readers: list[dict[int, list[tuple[int, int]]]], cell: Cell) -> list[Place]:
        """Constraints or fractions, with their rows, that read the cell."""
        component, column, row = cell
        mask = (1 << self._air.components[component].log_size) - 1
        return [(component, k, row - offset & mask) for k, offset in readers[component].get(column, ())]

    def _cells(self, component: int, node: int, row: int) -> list[Cell]:
        mask = (1 << self._air.components[component].log_size) - 1
        return [(component, column, row + offset & mask) for column, offset in self._cones[component][node].cells]

    def _open(self, place: Place, changes: Changes) -> list[Cell]:
        """Cells of a constraint that are not set yet, those that fewest others read first."""
        node = self._air.components[place[0]].constraints[place[1]]
        cells = [c for c in self._cells(place[0], node, place[2]) if c not in changes]
        return sorted(cells, key=lambda c: (len(self._constraints[c[0]].get(c[1], ())), -c[1]))

    def _fails(self, place: Place, changes: Changes) -> bool:
        return self._value(place[0], self._air.components[place[0]].constraints[place[1]], place[2], changes) != 0

    def _solve(self, component: int, node: int, row: int, cell: Cell, changes: Changes, target: int) -> list[int]:
        """Values of the cell for which the node is `target`."""
        at = [self._value(component, node, row, changes | {cell: x}) for x in range(4)]
        constant, *others = interpolate(at)
        if not any(others[1:]):
            return [(target - constant) * inverse(others[0]) % P] if others[0] else []
        found = roots([constant - target, *others])
        return [x for x in found if self._value(component, node, row, changes | {cell: x}) == target]

    def _value(self, component: int, node: int, row: int, changes: Changes) -> int:
        """A node at a row, by its program: values are numbered by their place in it."""
        layout, pre, main = self._air.components[component], self._pre[component], self._main[component]
        mask = (1 << layout.log_size) - 1
        values: list[int] = []
        for operation, i, j in self._cones[component][node].program:
            if operation == _MUL:
                values.append(values[i] * values[j] % P)
            elif operation == _ADD:
                values.append(values[i] + values[j])
            elif operation == _SUB:
                values.append(values[i] - values[j])
            elif operation == _CELL:
                cell = component, i, row + j & mask
                values.append(changes[cell] if cell in changes else main[i][cell[2]])
            else:
                values.append(pre[i][row] if operation == _PRE else i)
        return values[-1] % P


def _roots(layout: ComponentLayout) -> set[int]:
    """Nodes that are evaluated by themselves."""
    return {*layout.constraints, *(n for f in layout.fractions for n in (f.multiplicity, *f.values))}


def _cone(layout: ComponentLayout, node: int) -> _Cone:
    seen, stack = {node}, [node]
    while stack:
        operation, *rest = layout.nodes[stack.pop()]
        new = [i for i in rest if i not in seen] if operation in _STEPS else []
        seen.update(new)
        stack += new
    nodes = sorted(seen)
    place = {index: k + 1 for k, index in enumerate(nodes)}
    program = [(_CONSTANT, 0, 0)]  # what a negation subtracts from
    for operation, *rest in (layout.nodes[i] for i in nodes):
        match operation:
            case "trace":
                column, position = rest
                program.append((_CELL, column, layout.masks[column][position]))
            case "pre":
                program.append((_PRE, rest[0], 0))
            case "const" | "param":
                program.append((_CONSTANT, layout.constant((operation, *rest)), 0))
            case _:
                operands = [0, *(place[i] for i in rest)][-2:]
                program.append((_STEPS[operation], operands[0], operands[1]))
    cells = {(i, j) for operation, i, j in program if operation == _CELL}
    return _Cone(tuple(program), tuple(sorted(cells)))


def _union(cones: dict[int, _Cone], nodes: Sequence[int]) -> _Cone:
    return _Cone((), tuple(sorted({cell for node in nodes for cell in cones[node].cells})))


def _readers(cones: Sequence[_Cone]) -> dict[int, list[tuple[int, int]]]:
    """Per column: (index of the cone, row offset) of everything that reads it."""
    out: dict[int, list[tuple[int, int]]] = {}
    for index, cone in enumerate(cones):
        for column, offset in cone.cells:
            out.setdefault(column, []).append((index, offset))
    return out
