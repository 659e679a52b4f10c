"""Is the witness forced? A search for under-constrained cells: the question an author of an AIR should ask.

    for freedom in find_freedoms(air, pre, main, public):
        print(freedom)

Every column has cells changed: by one, at random, to 0 and 1, to the other values that some constraint allows. Then the
search behaves like a forger: while a constraint fails, it solves it for another cell of the same constraint, with
limbs of a sum it decomposes, and when only lookups fail it corrects multiplicities and moves tuples. What the debug
check then accepts is a second witness for the same public meaning. `find_forgeries` changes the public terms instead:
a witness for those is a proof of something else. Whole rows are swapped and rotated, too.

It proves nothing: finding nothing means that forgers who change one thing and mend the rest, one cell at a time, get
nowhere within the budget. Columns are in row order, as for `air.check`.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from air.check import Columns, imbalances, violations
from air.field import P
from air.layout import Air
from air.relation import PublicTerm
from air.repair import Cell, Repair

# What `Component.free` may name beside columns. "(public NAME)": other public terms of that relation may hold, too.
ROTATE, SWAP, PUBLIC = "(rows rotate)", "(rows swap)", "(public {})"


@dataclass(frozen=True)
class Freedom:
    """A column, or an order of rows, that the AIR leaves open. `example` says how; `reason` is the declared one."""

    component: str
    column: str
    example: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.component}.{self.column}: {self.example}" + (f" [{self.reason}]" if self.reason else "")


@dataclass(frozen=True)
class Forgery:
    """Public terms for which the search made a witness, changing `cells` cells."""

    change: str
    public: tuple[PublicTerm, ...]
    cells: int
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.change}: accepted with {self.cells} cells changed" + (f" [{self.reason}]" if self.reason else "")


def find_freedoms(
    air: Air,
    pre: Columns,
    main: Columns,
    public: Sequence[PublicTerm] = (),
    *,
    columns: Collection[tuple[int, int]] | None = None,
    budget: int = 400,
    seed: int = 0,
) -> list[Freedom]:
    """One example for every column that has a free cell. `columns` names those to change first, as (component, column),
    all by default; `budget` is the number of steps a single repair may take."""
    rng = random.Random(seed)
    repair = Repair(air, pre, main)
    found = {(f.component, f.column): f for f in _reordered(air, pre, main, public)}
    for cell in _starts(air, columns, rng):
        layout = air.components[cell[0]]
        if (layout.name, _name(air, cell)) in found:
            continue
        for value in _values(repair, cell, rng):
            changes = repair.run({cell: value}, public, budget)
            if changes is None:
                continue
            example = f"row {cell[2]} from {repair.honest(cell)} to {value}, with {len(changes) - 1} other cells"
            for other in changes:
                if changes[other] != repair.honest(other):
                    key = air.components[other[0]].name, _name(air, other)
                    found.setdefault(key, Freedom(*key, example, _reason(air, other[0], key[1])))
            break
    return list(found.values())


def find_forgeries(
    air: Air,
    pre: Columns,
    main: Columns,
    public: Sequence[PublicTerm],
    *,
    at_most: int = 1000,
    budget: int = 400,
    seed: int = 0,
) -> list[Forgery]:
    """Other public terms that have a witness: each dropped, counted once more, changed by one, moved to another row's
    tuple; and rows' tuples added beside them. `at_most` of these are tried."""
    rng, repair, found = random.Random(seed), Repair(air, pre, main), []
    others = list(_other_terms(repair, public, rng))
    reasons = {name: reason for layout in air.components for name, reason in layout.free}
    for relation, change, terms in others if len(others) <= at_most else rng.sample(others, at_most):
        changes = repair.run({}, terms, budget)
        if changes is not None:
            reason = reasons.get(PUBLIC.format(air.relations[relation]), "")
            found.append(Forgery(f"{air.relations[relation]}: {change}", tuple(terms), len(changes), reason))
    return found


def is_needed(
    air: Air,
    pre: Columns,
    main: Columns,
    public: Sequence[PublicTerm],
    component: int,
    constraint: int,
    *,
    at_most: int = 200,
    budget: int = 100,
    seed: int = 0,
) -> bool:
    """Whether the AIR without this constraint is found to accept a witness that the whole AIR refuses."""
    weak, rng = without(air, component, constraint), random.Random(seed)
    strong, repair = Repair(air, pre, main), Repair(weak, pre, main)
    columns = [(component, column) for column in strong.columns(component, constraint)]
    cells = ({cell: value} for cell in _starts(air, columns, rng) for value in _values(strong, cell, rng))
    others = list(_other_terms(repair, public, rng)) if public else []
    tries = chain(
        ((cell, public) for cell in cells),
        (({}, terms) for _, _, terms in (others if len(others) <= at_most else rng.sample(others, at_most))),
    )
    found = (repair.run(start, terms, budget) for start, terms in tries)
    return any(changes is not None and strong.breaks(component, constraint, changes) for changes in found)


def without(air: Air, component: int, constraint: int) -> Air:
    """A weakened copy: one constraint left out."""
    layout = air.components[component]
    kept = layout.constraints[:constraint] + layout.constraints[constraint + 1 :]
    weak = dataclasses.replace(layout, constraints=kept)
    return dataclasses.replace(air, components=(*air.components[:component], weak, *air.components[component + 1 :]))


def _name(air: Air, cell: Cell) -> str:
    names = air.components[cell[0]].column_names
    return names[cell[1]] if names else f"column[{cell[1]}]"


def _reason(air: Air, component: int, column: str) -> str:
    """Declared for the column itself, or for the whole group of counted columns."""
    free = dict(air.components[component].free)
    return free.get(column, free.get(column.split("[")[0], ""))


def all_columns(air: Air) -> list[tuple[int, int]]:
    """(component, column) of the main trace."""
    return [(k, column) for k, layout in enumerate(air.components) for column in range(len(layout.masks))]


def _starts(air: Air, columns: Collection[tuple[int, int]] | None, rng: random.Random) -> Iterator[Cell]:
    """Cells to change first: of each column the first two rows, the last, the middle and one at random."""
    for index, column in all_columns(air) if columns is None else columns:
        rows = 1 << air.components[index].log_size
        for row in dict.fromkeys((0, 1, rows - 1, rows // 2, rng.randrange(rows))):
            yield index, column, row


def _values(repair: Repair, cell: Cell, rng: random.Random) -> list[int]:
    now = repair.honest(cell)
    wanted = [(now + 1) % P, (now - 1) % P, *repair.alternatives(cell)[:6], 0, 1, rng.randrange(P)]
    return [value for value in dict.fromkeys(wanted) if value != now]


def _reordered(air: Air, pre: Columns, main: Columns, public: Sequence[PublicTerm]) -> Iterator[Freedom]:
    """Orders of a component's rows that hold as well as the given one."""
    position = 0
    for index, layout in enumerate(air.components):
        own = range(position, position + len(layout.masks))
        position += len(layout.masks)
        rows = np.arange(1 << layout.log_size)
        swapped = rows.copy()
        swapped[[1, len(rows) // 2]] = swapped[[len(rows) // 2, 1]]
        for name, order in ((ROTATE, np.roll(rows, 1)), (SWAP, swapped)):
            other = [np.asarray(c)[order] if k in own else np.asarray(c) for k, c in enumerate(main)]
            same = all(np.array_equal(a, b) for a, b in zip(other, main, strict=True))
            if not (same or violations(air, pre, other) or imbalances(air, pre, other, public)):
                yield Freedom(layout.name, name, "the check accepts another order", _reason(air, index, name))


def _other_terms(
    repair: Repair, public: Sequence[PublicTerm], rng: random.Random
) -> Iterator[tuple[int, str, list[PublicTerm]]]:
    terms = list(public)
    for k, term in enumerate(terms):
        rest = terms[:k] + terms[k + 1 :]
        yield term.relation, f"term {k} dropped", rest
        yield term.relation, f"term {k} twice", [*terms, term]
        for values in _near(term.values, rng):
            yield term.relation, f"term {k} changed to {values}", [*rest, dataclasses.replace(term, values=values)]
    # What is public of one row, claimed of another.
    seen = {(term.relation, term.multiplicity) for term in terms}
    for relation, multiplicity in sorted(seen):
        told = {term.values for term in terms if term.relation == relation}
        others = sorted(repair.tuples(relation) - told)
        for values in rng.sample(others, min(len(others), 24)):
            yield relation, f"{values} added", [*terms, PublicTerm(relation, multiplicity, values)]
            victim = rng.choice([k for k, t in enumerate(terms) if t.relation == relation])
            moved = [*terms[:victim], *terms[victim + 1 :], PublicTerm(relation, multiplicity, values)]
            yield relation, f"term {victim} moved to {values}", moved


def _near(values: tuple[int, ...], rng: random.Random) -> Iterator[tuple[int, ...]]:
    for k, value in enumerate(values):
        for other in ((value + 1) % P, (value - 1) % P, rng.randrange(P)):
            yield (*values[:k], other, *values[k + 1 :])
