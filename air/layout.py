"""What every reader of an AIR reads: the traced, immutable form of its components (DESIGN 3).

A component is a DAG of nodes over its cells. Nodes are tuples, operands are indices of earlier nodes:

    ("const", c)  ("param", k)  ("pre", k)  ("trace", column, mask position)
    ("add", i, j)  ("sub", i, j)  ("mul", i, j)  ("neg", i)

`param` nodes are constants that depend on the statement: the kernels take them as arguments, the other readers as
numbers. Construction validates everything a reader relies on, so that an AIR from a stranger cannot mislead one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from air.field import P

Value = TypeVar("Value")
Node = tuple[Any, ...]

MIN_LOG_SIZE, MAX_LOG_SIZE = 4, 26
MAX_DEGREE = 3  # the composition polynomial is split in exactly two halves (PROTOCOL 7)
MAX_OFFSETS = 8
MAX_NODES, MAX_COLUMNS = 1 << 20, 1 << 14
_DEGREE_CAP = 64
SECURE = 4  # base columns of one secure column

_OPERANDS = {"const": 0, "param": 0, "pre": 0, "trace": 0, "add": 2, "sub": 2, "mul": 2, "neg": 1}
_FIELDS = {"const": 1, "param": 1, "pre": 1, "trace": 2, "add": 2, "sub": 2, "mul": 2, "neg": 1}


class AirError(ValueError):
    """An AIR that breaks a rule of the format; the message names the part."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AirError(message)


@dataclass(frozen=True)
class PreprocessedColumn:
    """One column of tree 0: its identity and log2 length."""

    id: str
    log_size: int


@dataclass(frozen=True)
class Fraction:
    """multiplicity / combine(values): all are node indices, `relation` an index into the AIR's relations."""

    relation: int
    multiplicity: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class ComponentLayout:
    """One component. `preprocessed` indexes the AIR's tree 0, `masks` holds the row offsets of each main column."""

    name: str
    log_size: int
    preprocessed: tuple[int, ...]
    masks: tuple[tuple[int, ...], ...]
    nodes: tuple[Node, ...]
    constraints: tuple[int, ...]
    fractions: tuple[Fraction, ...] = ()
    batch: int = 1
    parameters: tuple[int, ...] = ()
    column_names: tuple[str, ...] = field(default=(), compare=False)
    preprocessed_names: tuple[str, ...] = field(default=(), compare=False)
    free: tuple[tuple[str, str], ...] = field(default=(), compare=False)  # columns left open on purpose: name, reason

    @property
    def n_interaction(self) -> int:
        """Number of secure interaction columns: one a batch of fractions."""
        return -(-len(self.fractions) // self.batch)

    @property
    def n_constraints(self) -> int:
        """Constraints of the author and one for every interaction column, in that order (PROTOCOL 15)."""
        return len(self.constraints) + self.n_interaction

    @property
    def batches(self) -> list[tuple[Fraction, ...]]:
        return [self.fractions[k : k + self.batch] for k in range(0, len(self.fractions), self.batch)]

    @property
    def interaction_masks(self) -> list[tuple[int, ...]]:
        """Row offsets of each secure interaction column: only the last one looks back (PROTOCOL 12)."""
        return [(0,)] * (self.n_interaction - 1) + [(-1, 0)] * (self.n_interaction > 0)

    @cached_property
    def degrees(self) -> tuple[int, ...]:
        """Degree of every node in the cells, capped: k squarings would otherwise make 2^k."""
        out: list[int] = []
        for node in self.nodes:
            op = node[0]
            if _OPERANDS[op] == 0:
                out.append(int(op in ("pre", "trace")))
            elif op == "mul":
                out.append(min(_DEGREE_CAP, out[node[1]] + out[node[2]]))
            else:
                out.append(max(out[i] for i in node[1:]))
        return tuple(out)

    @cached_property
    def constraint_degrees(self) -> tuple[int, ...]:
        """Degree of every constraint, those of the interaction columns last."""
        degrees = self.degrees
        out = [degrees[c] for c in self.constraints]
        for batch in self.batches:
            dens = [max(degrees[v] for v in fraction.values) for fraction in batch]
            nums = [degrees[f.multiplicity] + sum(dens) - den for f, den in zip(batch, dens, strict=True)]
            out.append(max(1 + sum(dens), *nums))
        return tuple(out)

    @cached_property
    def structure(self) -> str:
        """Digest of everything but the parameters' values: the key of a compiled kernel."""
        text = repr((self.masks, self.nodes, self.constraints, self.fractions, self.batch, len(self.preprocessed)))
        return hashlib.blake2s(text.encode()).hexdigest()

    def evaluate(self, leaf: Callable[[Node], Value]) -> list[Value]:
        """Value of every node, given the cells and constants (`leaf`) in any type with + - * and unary minus."""
        values: list[Any] = []
        for node in self.nodes:
            match node[0]:
                case "add":
                    values.append(values[node[1]] + values[node[2]])
                case "sub":
                    values.append(values[node[1]] - values[node[2]])
                case "mul":
                    values.append(values[node[1]] * values[node[2]])
                case "neg":
                    values.append(-values[node[1]])
                case _:
                    values.append(leaf(node))
        return values

    def constant(self, node: Node) -> int:
        """The number a const or param node stands for."""
        return int(node[1]) if node[0] == "const" else self.parameters[node[1]]


@dataclass(frozen=True)
class Air:
    """Tree 0, the relations (in drawing order) and the components (in numbering order)."""

    preprocessed: tuple[PreprocessedColumn, ...]
    relations: tuple[str, ...]
    components: tuple[ComponentLayout, ...]

    def __post_init__(self) -> None:
        _check_air(self)

    @property
    def log_size(self) -> int:
        """log2 rows of the largest component."""
        return max(c.log_size for c in self.components)

    @property
    def n_constraints(self) -> int:
        return sum(c.n_constraints for c in self.components)

    @property
    def with_fractions(self) -> tuple[int, ...]:
        """Indices of the components that have a claimed sum."""
        return tuple(k for k, c in enumerate(self.components) if c.fractions)

    @cached_property
    def arities(self) -> tuple[int, ...]:
        """Length of the tuples of each relation."""
        out = [0] * len(self.relations)
        for component in self.components:
            for fraction in component.fractions:
                out[fraction.relation] = len(fraction.values)
        return tuple(out)

    @cached_property
    def sampled_preprocessed(self) -> frozenset[int]:
        """Columns of tree 0 that some component lists; only these are sampled out of domain."""
        return frozenset(k for c in self.components for k in c.preprocessed)

    @cached_property
    def tree_log_sizes(self) -> tuple[tuple[int, ...], ...]:
        """Log sizes of the columns of trees 0, 1 and, with relations, 2 (composition not included)."""
        main = tuple(c.log_size for c in self.components for _ in c.masks)
        trees: tuple[tuple[int, ...], ...] = (tuple(c.log_size for c in self.preprocessed), main)
        if self.relations:
            trees += (tuple(c.log_size for c in self.components for _ in range(SECURE * c.n_interaction)),)
        return trees

    @cached_property
    def tree_masks(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Row offsets sampled for each column of those trees, in commitment order (PROTOCOL 7.6)."""
        trees: tuple[tuple[tuple[int, ...], ...], ...] = (
            tuple((0,) if k in self.sampled_preprocessed else () for k in range(len(self.preprocessed))),
            tuple(mask for c in self.components for mask in c.masks),
        )
        if self.relations:
            trees += (tuple(m for c in self.components for m in c.interaction_masks for _ in range(SECURE)),)
        return trees


def _check_air(air: Air) -> None:
    _require(len(air.components) > 0, "components: at least one is needed")
    _require(len({c.id for c in air.preprocessed}) == len(air.preprocessed), "preprocessed: two columns share an id")
    for column in air.preprocessed:
        _require(MIN_LOG_SIZE <= column.log_size <= MAX_LOG_SIZE, f"preprocessed {column.id!r}: log_size out of range")
    arities: dict[int, int] = {}
    for component in air.components:
        _check_component(component, air)
        for fraction in component.fractions:
            # Tuples of different lengths in one relation would be padded with zeros, invisibly: (a) equals (a, 0).
            known = arities.setdefault(fraction.relation, len(fraction.values))
            _require(known == len(fraction.values), f"{component.name}: relation {fraction.relation} with two lengths")
    _require(sorted(arities) == list(range(len(air.relations))), "relations: each must be used")
    columns = sum(len(c.masks) + c.n_interaction for c in air.components) + len(air.preprocessed)
    _require(columns <= MAX_COLUMNS, f"more than {MAX_COLUMNS} columns")
    _require(any(c.masks for c in air.components), "components: no main column")


def _check_component(component: ComponentLayout, air: Air) -> None:
    name = f"component {component.name!r}"
    _require(MIN_LOG_SIZE <= component.log_size <= MAX_LOG_SIZE, f"{name}: log_size outside 4..26")
    _require(len(set(component.preprocessed)) == len(component.preprocessed), f"{name}: preprocessed repeats")
    for k in component.preprocessed:
        _require(0 <= k < len(air.preprocessed), f"{name}: no preprocessed column {k}")
        _require(air.preprocessed[k].log_size == component.log_size, f"{name}: preprocessed {k} has another size")
    half = 1 << (component.log_size - 1)
    for mask in component.masks:
        _require(1 <= len(mask) <= MAX_OFFSETS and len(set(mask)) == len(mask), f"{name}: bad mask {mask}")
        _require(all(-half < offset < half for offset in mask), f"{name}: offset beyond half the trace in {mask}")
    _check_nodes(component, name)
    known = len(component.nodes)
    _require(component.batch in (1, 2), f"{name}: batch must be 1 or 2")
    for fraction in component.fractions:
        _require(0 <= fraction.relation < len(air.relations), f"{name}: no relation {fraction.relation}")
        _require(len(fraction.values) > 0, f"{name}: a fraction without values")
        operands = (fraction.multiplicity, *fraction.values)
        _require(all(0 <= i < known for i in operands), f"{name}: fraction: no such node")
    _require(all(0 <= i < known for i in component.constraints), f"{name}: constraints: no such node")
    for index, degree in enumerate(component.constraint_degrees):
        _require(degree <= MAX_DEGREE, f"{name}: constraint {index} has degree {degree}, at most {MAX_DEGREE} fit")


def _check_nodes(component: ComponentLayout, name: str) -> None:
    _require(len(component.nodes) <= MAX_NODES, f"{name}: more than {MAX_NODES} nodes")
    for index, node in enumerate(component.nodes):
        where = f"{name}: node {index}"
        _require(node[0] in _FIELDS and len(node) == 1 + _FIELDS[node[0]], f"{where}: unknown form {node!r}")
        op, first = node[0], node[1]
        if _OPERANDS[op]:
            _require(all(0 <= i < index for i in node[1:]), f"{where}: operands must be earlier nodes")
        elif op == "const":
            _require(0 <= first < P, f"{where}: constant is not canonical")
        elif op == "param":
            _require(0 <= first < len(component.parameters), f"{where}: no parameter {first}")
        elif op == "pre":
            _require(0 <= first < len(component.preprocessed), f"{where}: no preprocessed column {first}")
        else:
            _require(0 <= first < len(component.masks), f"{where}: no column {first}")
            _require(0 <= node[2] < len(component.masks[first]), f"{where}: no mask position {node[2]}")
    _require(all(0 <= value < P for value in component.parameters), f"{name}: parameters must be canonical")
