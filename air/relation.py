"""LogUp: relations between components, their fractions and the constraints that sum them (PROTOCOL 12).

A row says "I use this tuple" or "I provide it"; a relation balances when every tuple is used as often as provided.
The verifier sees that as one sum of fractions multiplicity / combine(tuple) that must be zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from air.expression import Expression
from air.field import ONE, QM31, ZERO, P, batch_inverse, inverse
from air.layout import ComponentLayout


@dataclass(frozen=True)
class Lookup:
    """What a component yields for one fraction: times / combine(values), times an integer or an expression."""

    relation: Relation
    values: tuple[Expression | int, ...]
    times: Expression | int


@dataclass(frozen=True)
class Relation:
    """A named bus. Tuples of one relation have one length, and no other relation's tuple can balance them."""

    name: str

    def use(self, *values: Expression | int, times: Expression | int = 1) -> Lookup:
        """The row needs this tuple `times` times."""
        return Lookup(self, values, times)

    def provide(self, *values: Expression | int, times: Expression | int = 1) -> Lookup:
        """The row offers this tuple `times` times."""
        return Lookup(self, values, -times)


@dataclass(frozen=True)
class PublicTerm:
    """A fraction that the verifier adds by itself: integers, all canonical M31."""

    relation: int
    multiplicity: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class RelationElements:
    """The challenges of one relation."""

    z: QM31
    alpha: QM31

    def combine(self, values: Iterable[QM31 | int]) -> QM31:
        """v0 + alpha v1 + alpha^2 v2 + ... - z."""
        total, power = -self.z, ONE
        for value in values:
            total = total + power * value
            power = power * self.alpha
        return total


def public_sum(terms: Sequence[PublicTerm], elements: Sequence[RelationElements]) -> QM31:
    """Sum of multiplicity / combine(values). Raises ZeroDivisionError if a denominator vanishes."""
    inverses = batch_inverse(elements[t.relation].combine(t.values) for t in terms)
    total = ZERO
    for term, scale in zip(terms, inverses, strict=True):
        total = total + scale * term.multiplicity
    return total


def logup_constraints(
    component: ComponentLayout,
    values: Sequence[QM31],
    interaction: Sequence[Sequence[QM31]],
    elements: Sequence[RelationElements],
    claimed_sum: QM31,
) -> list[QM31]:
    """The constraints of the interaction columns at one point.

    `values` are the component's node values, `interaction[b]` the samples of secure column b: [here] for all but the
    last, [before, here] for the last.
    """
    share = claimed_sum * inverse((1 << component.log_size) % P)
    out: list[QM31] = []
    previous = ZERO
    for index, batch in enumerate(component.batches):
        numerator, denominator = ZERO, ONE
        for fraction in batch:
            n = values[fraction.multiplicity]
            d = elements[fraction.relation].combine(values[v] for v in fraction.values)
            numerator, denominator = numerator * d + denominator * n, denominator * d
        if index + 1 < component.n_interaction:
            (here,) = interaction[index]
            step = here - previous
            previous = here
        else:
            before, here = interaction[index]
            step = here - before - previous + share
        out.append(step * denominator - numerator)
    return out
