"""From a component's expression DAG to CUDA statements for one point, which `compile` makes kernels of.

Every node becomes one variable, computed where it is first needed; cells are read there too, so that few values are
alive at a time. Sums of products of base and secure values are kept in 64 bits (kernels/sums.cuh) and folded before a
fourth product could overflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from air.layout import SECURE, ComponentLayout, Fraction

MAX_TERMS = 3  # products of canonical values that fit on a folded sum: 3 * 2^62 + 2^34 < 2^64
_OPERATIONS = ("add", "sub", "mul", "neg")


@dataclass(frozen=True)
class Places:
    """Where a kernel finds what in `constants` (u32 words): a weight for every constraint, the share of the claimed
    sum, z and the powers of alpha of each relation used, in order of first use, and the parameters."""

    share: int
    relations: dict[int, int]
    parameters: int


def places(component: ComponentLayout) -> Places:
    share = SECURE * component.n_constraints
    position, relations = share + SECURE, dict[int, int]()
    for fraction in component.fractions:
        if fraction.relation not in relations:
            relations[fraction.relation] = position
            position += SECURE * (1 + len(fraction.values))
    return Places(share, relations, position)


def schedule(component: ComponentLayout, roots: Sequence[int], known: set[int]) -> list[int]:
    """The nodes that the roots need beyond the known ones, operands before what uses them; adds them to the known.

    Cells and parameters come where they are first read; numbers are no values of their own."""
    wanted, stack = set[int](), list(roots)
    while stack:
        index = stack.pop()
        if index not in known and index not in wanted:
            wanted.add(index)
            stack += _operands(component, index)
    order = []
    for index in sorted(wanted):
        for node in (*_operands(component, index), index) if _operands(component, index) else ():
            if node not in known:
                known.add(node)
                order.append(node)
    for root in roots:  # one that is a cell itself
        if root not in known:
            known.add(root)
            order.append(root)
    return [index for index in order if component.nodes[index][0] != "const"]


def peak_live(component: ComponentLayout, groups: Sequence[Sequence[int]]) -> int:
    """The most values that are alive at once while the roots of one group after the other are computed."""
    known: set[int] = set()
    steps: list[tuple[int, Sequence[int]]] = []  # the node computed (-1: none) and what is read for it
    for roots in groups:
        steps += [(index, _operands(component, index)) for index in schedule(component, roots, known)]
        steps.append((-1, roots))
    last = {node: step for step, (_, read) in enumerate(steps) for node in read}
    alive: set[int] = set()
    most = 0
    for step, (index, read) in enumerate(steps):
        if index >= 0:
            alive.add(index)
        most = max(most, len(alive))
        alive -= {node for node in read if last[node] == step}
    return most


def _operands(component: ComponentLayout, index: int) -> Sequence[int]:
    op, *rest = component.nodes[index]
    return rest if op in _OPERATIONS else ()


def first_column(component: ComponentLayout, roots: Iterable[int]) -> int:
    """The first of the columns that these nodes read; 0 without any."""
    cells = [component.nodes[index] for index in schedule(component, list(roots), set())]
    before = {"pre": 0, "trace": len(component.preprocessed)}
    return min((before[cell[0]] + cell[1] for cell in cells if cell[0] in before), default=0)


class Statements:
    """The statements for the point `i`, in `lines`. They use `columns`, `sums`, `constants`, `weights` and `log_size`,
    as the kernels of `compile` declare them; `neighbour` names the function that finds the row an offset away.

    `column` is the first of `columns`, `batch` the first of the interaction columns `sums`: equal constraints on other
    columns have equal statements."""

    def __init__(self, component: ComponentLayout, neighbour: str, column: int, batch: int) -> None:
        self.component, self.places, self.lines = component, places(component), list[str]()
        self._neighbour, self._column, self._batch = neighbour, column, batch
        self._known: set[int] = set()
        self._names: dict[int, str] = {}
        self._shifts: dict[int, str] = {0: "i"}
        self._pending = 0

    def add(self, line: str) -> None:
        self.lines.append(line)

    def values(self, roots: Sequence[int]) -> list[str]:
        """The names of these nodes' values, which are computed if they are not yet."""
        for index in schedule(self.component, roots, self._known):
            expression = self._expression(index)
            self._names[index] = f"v{len(self._names)}"
            self.add(f"const u32 {self._names[index]} = {expression};")
        return [self._name(root) for root in roots]

    def _name(self, index: int) -> str:
        op, *rest = self.component.nodes[index]
        return f"{rest[0]}u" if op == "const" else self._names[index]

    def _expression(self, index: int) -> str:
        op, *rest = self.component.nodes[index]
        match op:
            case "param":
                return f"constants[{self.places.parameters + rest[0]}]"
            case "pre":
                return self.cell(rest[0], 0)
            case "trace":
                return self.cell(len(self.component.preprocessed) + rest[0], self.component.masks[rest[0]][rest[1]])
        if op in ("add", "mul"):  # numbers last, wherever the graph has them
            rest = sorted(rest, key=lambda i: self.component.nodes[i][0] == "const")
        return f"{op}({', '.join(self._name(i) for i in rest)})"

    def cell(self, column: int, offset: int) -> str:
        """The value of a preprocessed or main column at the point, or at the one `offset` rows away."""
        return self._read("columns", column - self._column, offset)

    def _read(self, table: str, column: int, offset: int) -> str:
        if offset not in self._shifts:
            self._shifts[offset] = f"i{len(self._shifts)}"
            self.add(f"const u32 {self._shifts[offset]} = {self._neighbour}(i, {offset}, log_size);")
        return f"__ldg({table}[{column}] + {self._shifts[offset]})"

    def accumulate(self, sums: str, value: str, words: str) -> None:
        """sums += value * the secure constant at `words`."""
        if self._pending == MAX_TERMS:
            self.add(f"fold({sums});")
            self._pending = 0
        self.add(f"accumulate({sums}, {value}, {words});")
        self._pending += 1

    def start_sums(self, sums: str) -> None:
        """Declares sums that are zero; the last ones that were declared are those that can be added to."""
        self.add(f"wide_sums {sums} = {{0, 0, 0, 0}};")
        self._pending = 0

    def secure(self, column: int, offset: int) -> str:
        """A secure interaction column at the point."""
        cells = [self._read("sums", SECURE * (column - self._batch) + k, offset) for k in range(SECURE)]
        return f"qm31{{{{{cells[0]}, {cells[1]}}}, {{{cells[2]}, {cells[3]}}}}}"

    def batch(self, index: int) -> tuple[str, str]:
        """Names of the numerator and the denominator of one batch of fractions."""
        parts = [self._fraction(index, k, f) for k, f in enumerate(self.component.batches[index])]
        if len(parts) == 1:
            (number, denominator), name = parts[0], f"n{index - self._batch}"
            self.add(f"const qm31 {name} = secure({number});")
            return name, denominator
        (n0, d0), (n1, d1) = parts
        numerator, denominator = f"n{index - self._batch}", f"d{index - self._batch}"
        self.add(f"const qm31 {numerator} = add(mul({d1}, {n0}), mul({d0}, {n1}));")
        self.add(f"const qm31 {denominator} = mul({d0}, {d1});")
        return numerator, denominator

    def _fraction(self, index: int, number: int, fraction: Fraction) -> tuple[str, str]:
        """The multiplicity and v0 + alpha v1 + alpha^2 v2 + ... - z."""
        name, start = f"d{index - self._batch}_{number}", self.places.relations[fraction.relation]
        multiplicity, head, *others = self.values((fraction.multiplicity, *fraction.values))
        self.start_sums(f"s{name}")
        for k, value in enumerate(others):
            self.accumulate(f"s{name}", value, f"constants + {start + SECURE * (2 + k)}")
        self.add(f"const qm31 {name} = sub(add(reduce(s{name}), {head}), constant(constants + {start}));")
        return multiplicity, name
