"""Components: named columns, `constraints(row)` and `trace(...)` in one class; `build` traces them into an `Air`.

    @dataclass(frozen=True)
    class Squares(Component):
        log_size: int

        x, y = main(), main()

        def constraints(self, row):
            yield row.y - row.x * row.x

A column declared with `count` is a tuple of cells; the count may name a field of the component. `row.at(1).x` is the
cell one row further (cyclically). Fields listed in `parameters` are read as `row.NAME` too: constants that belong to
the statement and reach the kernels as arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from air.expression import Expression, Graph
from air.field import P
from air.layout import Air, ComponentLayout, Fraction, Node, PreprocessedColumn
from air.relation import Lookup


@dataclass(frozen=True)
class ColumnDeclaration:
    """How a class body names columns; `count` None means one cell instead of a tuple."""

    tree: str
    count: int | str | None = None
    id: str | None = None


def main(count: int | str | None = None) -> Any:
    """A column of the component's own trace."""
    return ColumnDeclaration("main", count)


def preprocessed(count: int | str | None = None, id: str | None = None) -> Any:
    """A column of tree 0. Components sharing an id share the column; `id` is formatted with the component's fields."""
    return ColumnDeclaration("pre", count, id)


class Component:
    """Base of all components; subclasses are frozen dataclasses with a `log_size` field."""

    log_size: int
    batch: ClassVar[int] = 2
    parameters: ClassVar[tuple[str, ...]] = ()
    free: ClassVar[Mapping[str, str]] = {}  # columns that the claim leaves open, with the reason (see `soundness`)

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        """Yields expressions that vanish on every row, and lookups, in the order that numbers them."""
        raise TypeError(f"{type(self).__name__} does not define constraints(row)")

    @property
    def name(self) -> str:
        return type(self).__name__


def declared(component: Component, tree: str) -> list[tuple[str, ColumnDeclaration, int]]:
    """(attribute, declaration, number of columns) of one tree, in order of declaration."""
    found: dict[str, ColumnDeclaration] = {}
    for cls in reversed(type(component).__mro__):
        found |= {k: v for k, v in vars(cls).items() if isinstance(v, ColumnDeclaration)}
    return [(k, v, _count(component, v)) for k, v in found.items() if v.tree == tree]


def _count(component: Component, declaration: ColumnDeclaration) -> int:
    count = declaration.count
    return 1 if count is None else int(getattr(component, count)) if isinstance(count, str) else count


def column_names(component: Component, tree: str) -> list[str]:
    """A name for every column: `x`, or `x[3]` for counted ones."""
    out: list[str] = []
    for name, declaration, count in declared(component, tree):
        out += [name] if declaration.count is None else [f"{name}[{k}]" for k in range(count)]
    return out


def preprocessed_ids(component: Component) -> list[str]:
    """The tree-0 identities of the component's preprocessed columns."""
    out: list[str] = []
    for name, declaration, count in declared(component, "pre"):
        base = (declaration.id or name).format(**vars(component))
        out += [base] if declaration.count is None else [f"{base}_{k}" for k in range(count)]
    return out


class Row:
    """Cells of one row as attributes; `at(offset)` moves to another row."""

    def __init__(self, component: Component, graph: Graph, offset: int = 0) -> None:
        self._component, self._graph, self._offset = component, graph, offset
        position = 0
        for name, declaration, count in declared(component, "main"):
            cells = tuple(graph.node("cell", position + k, offset) for k in range(count))
            setattr(self, name, cells[0] if declaration.count is None else cells)
            position += count
        if offset == 0:
            self._constants()

    def _constants(self) -> None:
        position = 0
        for name, declaration, count in declared(self._component, "pre"):
            cells = tuple(self._graph.node("pre", position + k) for k in range(count))
            setattr(self, name, cells[0] if declaration.count is None else cells)
            position += count
        position = 0
        for name in self._component.parameters:
            value = getattr(self._component, name)
            count = 1 if isinstance(value, int) else len(value)
            cells = tuple(self._graph.node("param", position + k) for k in range(count))
            setattr(self, name, cells[0] if isinstance(value, int) else cells)
            position += count

    def at(self, offset: int) -> Row:
        """The row `offset` further along the trace, cyclically. Tree 0 has no row offsets."""
        return Row(self._component, self._graph, self._offset + offset)


def parameter_values(component: Component) -> tuple[int, ...]:
    """Values of the parameters, reduced into the field, in the order of the param nodes."""
    out: list[int] = []
    for name in component.parameters:
        value = getattr(component, name)
        out += [value % P] if isinstance(value, int) else [v % P for v in value]
    return tuple(out)


def build(components: Sequence[Component], tree0: Sequence[PreprocessedColumn] | None = None) -> Air:
    """Traces the components. `tree0` fixes the order of the preprocessed tree (with columns nobody reads, too);
    without it the columns come in order of first use. Relations are drawn in order of first use.

    Raises AirError where a rule of the layout is broken."""
    columns = list(tree0) if tree0 is not None else []
    relations: list[str] = []
    layouts = []
    for component in components:
        ids = preprocessed_ids(component)
        for id in ids if tree0 is None else ():
            if all(column.id != id for column in columns):
                columns.append(PreprocessedColumn(id, component.log_size))
        place = {column.id: k for k, column in enumerate(columns)}
        layouts.append(_trace(component, [place.get(id, -1) for id in ids], relations))
    return Air(tuple(columns), tuple(relations), tuple(layouts))


def _trace(component: Component, places: list[int], relations: list[str]) -> ComponentLayout:
    graph = Graph()
    constraints: list[int] = []
    lookups: list[Lookup] = []
    for item in component.constraints(Row(component, graph)):
        if isinstance(item, Lookup):
            lookups.append(item)
            if item.relation.name not in relations:
                relations.append(item.relation.name)
        else:
            constraints.append(item.index)
    fractions = [
        (relations.index(u.relation.name), graph.lift(u.times).index, [graph.lift(v).index for v in u.values])
        for u in lookups
    ]
    names = column_names(component, "main")
    offsets: list[set[int]] = [set() for _ in names]
    needed = _needed(graph.nodes, constraints + [i for _, m, values in fractions for i in (m, *values)])
    for index in needed:
        node = graph.nodes[index]
        if node[0] == "cell":
            offsets[node[1]].add(node[2])
    masks = [tuple(sorted(o)) or (0,) for o in offsets]
    read = sorted({graph.nodes[i][1] for i in needed if graph.nodes[i][0] == "pre"})
    number = {old: new for new, old in enumerate(needed)}
    preprocessed = column_names(component, "pre")
    nodes = tuple(_final(graph.nodes[i], masks, read, number) for i in needed)
    return ComponentLayout(
        name=component.name,
        log_size=component.log_size,
        preprocessed=tuple(places[k] for k in read),
        masks=tuple(masks),
        nodes=nodes,
        constraints=tuple(number[c] for c in constraints),
        fractions=tuple(Fraction(r, number[m], tuple(number[v] for v in values)) for r, m, values in fractions),
        batch=component.batch,
        parameters=parameter_values(component),
        column_names=tuple(names),
        preprocessed_names=tuple(preprocessed[k] for k in read),
        free=tuple(component.free.items()),
    )


def _needed(nodes: list[Node], roots: Sequence[int]) -> list[int]:
    """Indices that the roots depend on, ascending: cells made but never used leave no node."""
    wanted = set(roots)
    for index in range(len(nodes) - 1, -1, -1):
        if index in wanted and nodes[index][0] in ("add", "sub", "mul", "neg"):
            wanted.update(nodes[index][1:])
    return sorted(wanted)


def _final(node: Node, masks: list[tuple[int, ...]], read: list[int], number: dict[int, int]) -> Node:
    match node[0]:
        case "cell":
            return ("trace", node[1], masks[node[1]].index(node[2]))
        case "pre":
            return ("pre", read.index(node[1]))
        case "const" | "param":
            return node
        case op:
            return (op, *(number[i] for i in node[1:]))
