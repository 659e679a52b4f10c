"""The debug check: every constraint on every row, and the balance of every relation, with names (DESIGN 3.5).

This is what an author runs while writing an AIR; it needs no proof. Columns are in row order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from air.arrays import Array, m31
from air.field import P, signed
from air.layout import Air, ComponentLayout, Node
from air.relation import PublicTerm

Columns = Sequence[npt.NDArray[np.uint32]]


@dataclass(frozen=True)
class Violation:
    """A constraint that does not vanish. `cells` are the values it read there, signed where that is shorter."""

    component: str
    constraint: int
    expression: str
    row: int
    value: int
    cells: dict[str, int]
    rows_failing: int

    def __str__(self) -> str:
        cells = ", ".join(f"{name}={value}" for name, value in self.cells.items())
        return (
            f"{self.component}: constraint {self.constraint} is {self.value} instead of 0 on row {self.row} "
            f"({self.rows_failing} rows fail): {self.expression} with {cells}"
        )


@dataclass(frozen=True)
class Imbalance:
    """A tuple that is not used as often as it is provided; `surplus` counts uses minus provisions (signed, mod P)."""

    relation: str
    values: tuple[int, ...]
    surplus: int
    seen_in: tuple[str, ...]

    def __str__(self) -> str:
        side = "used but not provided" if self.surplus > 0 else "provided but not used"
        where = ", ".join(self.seen_in)
        return f"relation {self.relation}: {self.values} is {side} {abs(self.surplus)} times (in {where})"


class _Elements:
    """M31 column with the operators that `ComponentLayout.evaluate` needs."""

    __slots__ = ("values",)

    def __init__(self, values: Array) -> None:
        self.values = values

    def __add__(self, other: _Elements) -> _Elements:
        return _Elements((self.values + other.values) % np.uint64(P))

    def __sub__(self, other: _Elements) -> _Elements:
        return _Elements((self.values + (np.uint64(P) - other.values)) % np.uint64(P))

    def __mul__(self, other: _Elements) -> _Elements:
        return _Elements(self.values * other.values % np.uint64(P))

    def __neg__(self) -> _Elements:
        return _Elements((np.uint64(P) - self.values) % np.uint64(P))


def node_values(component: ComponentLayout, pre: Columns, main: Columns) -> list[Array]:
    """Every node on every row. `pre` are the component's own preprocessed columns, both in row order."""

    def leaf(node: Node) -> _Elements:
        if node[0] == "pre":
            return _Elements(m31(pre[node[1]]))
        if node[0] == "trace":
            return _Elements(m31(np.roll(main[node[1]], -component.masks[node[1]][node[2]])))
        return _Elements(np.full(1, component.constant(node), dtype=np.uint64))

    rows = 1 << component.log_size
    return [np.broadcast_to(v.values, (rows,)) for v in component.evaluate(leaf)]


def component_columns(air: Air, pre: Columns, main: Columns) -> list[tuple[ComponentLayout, Columns, Columns]]:
    """Each component with its own columns of trees 0 and 1. Raises ValueError for a wrong count or length."""
    out: list[tuple[ComponentLayout, Columns, Columns]] = []
    position = 0
    for component in air.components:
        own = main[position : position + len(component.masks)]
        position += len(component.masks)
        out.append((component, [pre[k] for k in component.preprocessed], own))
    if position != len(main) or len(pre) != len(air.preprocessed):
        wanted = f"{len(air.preprocessed)} preprocessed and {position} main"
        raise ValueError(f"columns: expected {wanted}, got {len(pre)} and {len(main)}")
    for component, pres, mains in out:
        for column in (*pres, *mains):
            if len(column) != 1 << component.log_size:
                raise ValueError(f"{component.name}: a column has {len(column)} rows, not 2^{component.log_size}")
    return out


def violations(air: Air, pre: Columns, main: Columns) -> list[Violation]:
    """The first failing row of every constraint that fails somewhere."""
    found: list[Violation] = []
    for component, pres, mains in component_columns(air, pre, main):
        values = node_values(component, pres, mains)
        for index, node in enumerate(component.constraints):
            rows = np.flatnonzero(values[node])
            if len(rows):
                row = int(rows[0])
                cells = {describe(component, i): signed(int(values[i][row])) for i in _cells_of(component, node)}
                found.append(
                    Violation(
                        component.name, index, describe(component, node), row, int(values[node][row]), cells, len(rows)
                    )
                )
    return found


def imbalances(air: Air, pre: Columns, main: Columns, public: Sequence[PublicTerm] = ()) -> list[Imbalance]:
    """Every tuple whose multiplicities do not cancel over all components and the public terms."""
    totals: list[Counter[tuple[int, ...]]] = [Counter() for _ in air.relations]
    places: list[dict[tuple[int, ...], set[str]]] = [{} for _ in air.relations]

    def count(relation: int, values: tuple[int, ...], times: int, where: str) -> None:
        totals[relation][values] = (totals[relation][values] + times) % P
        places[relation].setdefault(values, set()).add(where)

    for component, pres, mains in component_columns(air, pre, main):
        nodes = node_values(component, pres, mains) if component.fractions else []
        for fraction in component.fractions:
            times = nodes[fraction.multiplicity]
            for row in np.flatnonzero(times):
                values = tuple(int(nodes[v][row]) for v in fraction.values)
                count(fraction.relation, values, int(times[row]), component.name)
    for term in public:
        count(term.relation, term.values, term.multiplicity, "the public terms")
    return [
        Imbalance(air.relations[r], values, signed(surplus), tuple(sorted(places[r][values])))
        for r in range(len(air.relations))
        for values, surplus in sorted(totals[r].items())
        if surplus
    ]


def describe(component: ComponentLayout, node: int, depth: int = 6) -> str:
    """A node as a formula with the author's column names; parts deeper than `depth` are shown as `...`."""
    op, *rest = component.nodes[node]
    match op:
        case "const":
            return str(signed(rest[0]))
        case "param":
            return f"parameter[{rest[0]}]"
        case "pre":
            return component.preprocessed_names[rest[0]] if component.preprocessed_names else f"pre[{rest[0]}]"
        case "trace":
            column, position = rest
            offset = component.masks[column][position]
            name = component.column_names[column] if component.column_names else f"column[{column}]"
            return name + (f"@{offset:+d}" if offset else "")
    if depth == 0:
        return "..."
    parts = [describe(component, i, depth - 1) for i in rest]
    symbol: dict[Any, str] = {"add": " + ", "sub": " - ", "mul": " * "}
    return f"-{parts[0]}" if op == "neg" else f"({symbol[op].join(parts)})"


def _cells_of(component: ComponentLayout, node: int) -> list[int]:
    """The cells a node depends on, in order of first appearance."""
    seen, stack = set(), [node]
    while stack:
        index = stack.pop()
        if index not in seen:
            seen.add(index)
            if component.nodes[index][0] in ("add", "sub", "mul", "neg"):
                stack.extend(component.nodes[index][1:])
    return sorted(i for i in seen if component.nodes[i][0] in ("pre", "trace"))
