"""The search itself: it finds what is known to be free, and solves what it must solve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.check import imbalances, violations
from air.circle import to_rows
from air.component import Component, build, main
from air.expression import boolean, limbs
from air.field import P
from air.relation import PublicTerm, Relation
from air.roots import interpolate, roots
from air.soundness import find_forgeries, find_freedoms
from air.statements.poseidon2 import Poseidon2, permute_chains, poseidon2_public_terms
from air.statements.topk import RANGE_10, RangeTable

BUS = Relation("bus")


@given(st.lists(st.integers(0, P - 1), min_size=1, max_size=3), st.integers(1, P - 1))
@settings(max_examples=50, deadline=None)
def test_roots_are_found(wanted: list[int], scale: int) -> None:
    values = [scale] * 4
    for x in range(4):
        for root in wanted:
            values[x] = values[x] * (x - root) % P
    assert roots(interpolate(values)) == sorted(set(wanted))


def test_no_roots() -> None:
    assert roots([1, 0, 1]) == []  # -1 is no square, P = 3 mod 4
    assert roots([5]) == roots([]) == []


@dataclass(frozen=True)
class LessThan(Component):
    """The defect of a deployed prover: 2^31 - 1 is zero in this field, so the borrow, hence the answer, is free."""

    log_size: int
    size: int = 2**31 - 1

    a, b, less, rest = main(), main(), main(), main(count=3)

    def constraints(self, row):
        yield boolean(row.less)
        yield row.a - row.b + row.less * (self.size % P) - limbs(row.rest, 10)
        for limb in row.rest:
            yield RANGE_10.use(limb)
        yield BUS.use(row.a, row.b, row.less)

    def columns(self, a: np.ndarray, b: np.ndarray):
        less = (a < b).astype(np.int64)
        rest = (a - b + less * self.size) % P
        digits = [rest >> 10 * k & 1023 for k in range(3)]
        table = [to_rows(c) for c in RangeTable().trace(digits)]
        terms = [PublicTerm(0, 1, (v,)) for v in (0, 1023)]
        terms += [PublicTerm(1, P - 1, tuple(int(v) for v in row)) for row in zip(a, b, less, strict=True)]
        return [a, b, less, *digits, *table], terms


@pytest.mark.parametrize(("size", "broken"), [(2**31 - 1, True), (1 << 20, False)])
def test_a_free_borrow_is_a_forgery(size: int, broken: bool) -> None:
    component = LessThan(4, size)
    air = build([component, RangeTable()])
    a, b = np.arange(16) * 1000 + 20_000, np.arange(16)[::-1] * 700 + 300
    columns, terms = component.columns(a, b)
    assert not violations(air, [], columns)
    assert not imbalances(air, [], columns, terms)
    found = [f for f in find_forgeries(air, [], columns, terms, budget=30) if f.change.startswith("bus")]
    turned = [f for f in found if sum(t.values[2] for t in f.public if t.relation == 1) != sum(columns[2])]
    assert bool(turned) == broken


@dataclass(frozen=True)
class Loose(Component):
    """`twice` is bound to `x`, `idle` to nothing."""

    log_size: int

    x, twice, idle = main(), main(), main()

    def constraints(self, row):
        yield row.twice - 2 * row.x
        yield BUS.use(row.x)


def test_what_is_free_and_what_is_not() -> None:
    x = np.full(16, 7)  # told by the verifier
    terms = [PublicTerm(0, P - 16, (7,))]
    air = build([Loose(4)])
    found = find_freedoms(air, [], [x, 2 * x, 0 * x], terms)
    assert {f.column for f in found} == {"idle"}


def test_poseidon2_does_not_bind_the_length_of_each_chain() -> None:
    """Known and stated beside the AIR: only the links of all chains together are counted."""
    start = np.arange(32, dtype=np.uint32).reshape(2, 16)
    component = Poseidon2(4, 1)
    first, second = permute_chains(start[:1], 7), permute_chains(start[1:], 9)
    links = [permute_chains(start[:1], k)[0] for k in range(7)] + [permute_chains(start[1:], k)[0] for k in range(9)]
    rows = [to_rows(c) for c in component.trace(np.array(links, dtype=np.uint32))]
    terms = poseidon2_public_terms(start.tolist(), [first[0].tolist(), second[0].tolist()])
    assert violations(build([component]), [], rows) == []
    assert imbalances(build([component]), [], rows, terms) == []
