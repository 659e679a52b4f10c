"""Every AIR of the project under attack: what the search finds free is what the AIR declares free, and no more.

The AIRs come from the list behind `octoproof air list`, so that one added there is attacked without new code here.
"""

from __future__ import annotations

import random
from functools import cache
from typing import NamedTuple

import pytest

from air.check import imbalances, violations
from air.circle import to_rows
from air.layout import Air
from air.relation import PublicTerm
from air.soundness import PUBLIC, all_columns, find_forgeries, find_freedoms, is_needed
from octoproof.cli.examples import FAMILIES

NARROW = 60  # main columns; wider AIRs are sampled by the fast tests


class Witness(NamedTuple):
    air: Air
    pre: list
    main: list
    public: tuple[PublicTerm, ...]

    @property
    def wide(self) -> bool:
        return len(self.main) > NARROW


@cache
def witness(name: str) -> Witness:
    example = FAMILIES[name].example(4, 4)
    pre = [to_rows(c) for c in (example.preprocessed() if example.preprocessed else [])]
    return Witness(example.air, pre, [to_rows(c) for c in example.main()], tuple(example.public_terms))


def sampled(items: list, count: int) -> list:
    return random.Random(1).sample(items, min(count, len(items)))


def declared(air: Air, public: bool) -> set[tuple[str, str]]:
    """What `free` names, as far as the AIR has it: columns that are counted may be none."""
    found = set()
    for layout in air.components:
        columns = {grouped(column) for column in layout.column_names}
        found |= {(layout.name, name) for name, _ in layout.free if name.startswith("(") or name in columns}
    return {key for key in found if key[1].startswith(PUBLIC[:7]) == public}


def grouped(column: str) -> str:
    return column.split("[")[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_sample_itself_holds(name: str) -> None:
    w = witness(name)
    assert violations(w.air, w.pre, w.main) == []
    assert imbalances(w.air, w.pre, w.main, w.public) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_free_cells_are_the_declared_ones(name: str) -> None:
    w = witness(name)
    columns = sampled(all_columns(w.air), 3) if w.wide else None
    budget = 6 if w.wide else 25 if w.public else 60  # mending one column along 16 rows takes some thirty steps
    found = find_freedoms(w.air, w.pre, w.main, w.public, columns=columns, budget=budget)
    assert [str(f) for f in found if not f.reason] == []
    assert {(f.component, grouped(f.column)) for f in found} == declared(w.air, public=False)


@pytest.mark.parametrize("name", [name for name in FAMILIES if witness(name).public])
def test_no_witness_for_other_public_terms(name: str) -> None:
    w = witness(name)
    found = find_forgeries(w.air, w.pre, w.main, w.public, at_most=150, budget=5 if w.wide else 40)
    assert [str(f) for f in found if not f.reason] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_more_of_the_same(name: str) -> None:
    w = witness(name)
    columns = sampled(all_columns(w.air), 40) if w.wide else None
    for seed in range(1, 2 if w.wide else 5):
        found = find_freedoms(w.air, w.pre, w.main, w.public, columns=columns, budget=20 if w.wide else 400, seed=seed)
        assert [str(f) for f in found if not f.reason] == []
        forged = find_forgeries(w.air, w.pre, w.main, w.public, budget=10 if w.wide else 300, seed=seed)
        assert [str(f) for f in forged if not f.reason] == []


# Constraints whose loss goes unnoticed: (AIR, constraint of its first component) and why it is there.
UNNOTICED = {
    ("topk", 0): "live is a column of tree 0: this constrains what was committed, not the witness",
}


def constraints(name: str) -> list[tuple[int, int]]:
    """Of a wide AIR none: a second witness of a permutation needs more steps than the search may take."""
    air = witness(name).air
    every = [(k, i) for k, layout in enumerate(air.components) for i in range(len(layout.constraints))]
    return [] if witness(name).wide else every


@pytest.mark.parametrize("which", [(name, *which) for name in FAMILIES for which in constraints(name)])
def test_without_any_constraint_more_is_accepted(which: tuple[str, int, int]) -> None:
    name, component, constraint = which
    w = witness(name)
    needed = is_needed(w.air, w.pre, w.main, w.public, component, constraint, at_most=1000, budget=30)
    assert needed == ((name, constraint) not in UNNOTICED or component > 0)
