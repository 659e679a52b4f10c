"""The constraint language: symbolic cells whose arithmetic leaves a DAG with common subexpressions shared.

An author never builds nodes by hand: `Component.constraints` computes with `Expression` values, and the `Graph` that
they belong to remembers each distinct operation once. Folding is limited to what never changes a value's meaning:
constants with constants, and the neutral elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from air.field import P

Node = tuple[Any, ...]


class Graph:
    """Distinct nodes in order of creation. Cells are ("cell", column, offset) until the layout knows the masks."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._index: dict[Node, int] = {}

    def node(self, *node: Any) -> Expression:
        if node[0] in ("add", "mul") and node[1] > node[2]:
            node = (node[0], node[2], node[1])
        index = self._index.get(node)
        if index is None:
            index = self._index[node] = len(self.nodes)
            self.nodes.append(node)
        return Expression(self, index)

    def constant(self, value: int) -> Expression:
        return self.node("const", value % P)

    def lift(self, value: Expression | int) -> Expression:
        return value if isinstance(value, Expression) else self.constant(value)


class Expression:
    """A polynomial in the cells of a component. Combine with + - * and integers."""

    __slots__ = ("graph", "index")

    def __init__(self, graph: Graph, index: int) -> None:
        self.graph, self.index = graph, index

    @property
    def _value(self) -> int | None:
        """The number, where this is a constant."""
        node = self.graph.nodes[self.index]
        return int(node[1]) if node[0] == "const" else None

    def __add__(self, other: Expression | int) -> Expression:
        other = self.graph.lift(other)
        a, b = self._value, other._value
        if a is not None and b is not None:
            return self.graph.constant(a + b)
        if a == 0:
            return other
        return self if b == 0 else self.graph.node("add", self.index, other.index)

    __radd__ = __add__

    def __sub__(self, other: Expression | int) -> Expression:
        other = self.graph.lift(other)
        a, b = self._value, other._value
        if a is not None and b is not None:
            return self.graph.constant(a - b)
        if b == 0:
            return self
        return -other if a == 0 else self.graph.node("sub", self.index, other.index)

    def __rsub__(self, other: int) -> Expression:
        return self.graph.lift(other) - self

    def __mul__(self, other: Expression | int) -> Expression:
        other = self.graph.lift(other)
        a, b = self._value, other._value
        if a is not None and b is not None:
            return self.graph.constant(a * b)
        if a == 0 or b == 0:
            return self.graph.constant(0)
        if a == 1:
            return other
        return self if b == 1 else self.graph.node("mul", self.index, other.index)

    __rmul__ = __mul__

    def __neg__(self) -> Expression:
        value = self._value
        return self.graph.constant(-value) if value is not None else self.graph.node("neg", self.index)

    def __eq__(self, other: object) -> bool:
        raise TypeError("a constraint is an expression that must be zero: yield `a - b`, not `a == b`")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("the value of a cell is not known while constraints are traced")


def dot(weights: Iterable[Expression | int], cells: Iterable[Expression]) -> Expression:
    """The sum of the products, left to right. Raises ValueError for different lengths or none."""
    total: Expression | None = None
    for weight, cell in zip(weights, cells, strict=True):
        total = cell * weight if total is None else total + cell * weight
    if total is None:
        raise ValueError("dot: nothing to add")
    return total


def boolean(cell: Expression) -> Expression:
    """Zero exactly where the cell is 0 or 1."""
    return cell * (cell - 1)


def limbs(cells: Sequence[Expression], bits: int) -> Expression:
    """The integer whose base-2^bits digits these are, low first."""
    return dot([1 << (bits * k) for k in range(len(cells))], cells)
