"""Service level of one segment of a request log: how many requests ended how, and how late, counted exactly.

Tree 0 holds the committed segment, one row a request. A row falls into one class: its band of latency (up to the first
edge, up to the second, ..., beyond the last), its outcome (failed, invalid, good) and whether the buyer acknowledged
it. The classes of all live rows are balanced by public terms, one a class with its count; so are sums of latencies and
tokens. The edges are parameters: another tier compiles no other kernel.

What a forger would try, and what stops it:

- a latency beyond its band, below zero or above 2^20 - 1: both distances, to the least and the largest latency of the
  band, have two limbs of 10 bits;
- a request twice, or left out: live rows have the sequence numbers first..first + rows - 1, each once (`CHAIN`);
- padding that counts, or a request that counts twice: flags are 0 or 1, and only live rows are in a class;
- a sum that wraps around P: limbs are summed one by one, and no segment has more than 2^20 rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from air.circle import Column
from air.component import Component, build, main, parameter_values, preprocessed
from air.expression import Expression, boolean, dot
from air.field import P, inverse
from air.layout import Air, PreprocessedColumn
from air.relation import Lookup, PublicTerm, Relation
from air.statements.topk import LIMB_BITS, RANGE_10, RangeTable

VALUE_BITS = 2 * LIMB_BITS
MAX_VALUE = (1 << VALUE_BITS) - 1  # of a latency in ms (longer ones count as this) and of tokens
MAX_SLA_LOG = 20
MAX_EDGES = 8
FAILED, INVALID, GOOD = range(3)  # an outcome is ok + valid
COLUMNS = ("sequence", "latency", "tokens", "ok", "valid", "acknowledged", "live")

CHAIN, CLASS, SUM = Relation("chain"), Relation("class"), Relation("sum")
_RANGE_10, _CHAIN, _CLASS, _SUM = range(4)  # in order of first use, which is how `build` numbers relations
LATENCY_LOW, LATENCY_HIGH, TOKENS_LOW, TOKENS_HIGH = range(4)  # the tuples of SUM
_HIGH = inverse(1 << LIMB_BITS)

Values = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Sla(Component):
    """Puts every request into its class. Band k holds the latencies from edges[k - 1] + 1 to edges[k], in ms."""

    log_size: int
    edges: tuple[int, ...]

    parameters = ("first", "lowest", "reach")
    sequence = preprocessed()  # of the request within the epoch
    latency = preprocessed()  # ms
    tokens = preprocessed()
    ok = preprocessed()  # 1 where the service answered, 0 where it failed
    valid = preprocessed()  # 1 where the answer passes the agreed checks
    acknowledged = preprocessed()  # 1 where the buyer counter-signed in time
    live = preprocessed()  # 1; 0 for padding
    band = main(count="n_edges")  # one of them is 1, or none in the first band
    above = main()  # low limb of the distance to the least latency of the band
    below = main()  # ... to the largest
    tokens_low = main()

    @property
    def n_edges(self) -> int:
        return len(self.edges)

    @property
    def first(self) -> int:
        """The largest latency of the first band."""
        return self.edges[0]

    @property
    def lowest(self) -> tuple[int, ...]:
        """The least latency of each band but the first, where it is 0."""
        return tuple(edge + 1 for edge in self.edges)

    @property
    def reach(self) -> tuple[int, ...]:
        """How much the largest latency of each band but the first exceeds that of the first."""
        return tuple(most - self.first for most in (*self.edges[1:], MAX_VALUE))

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        above = row.latency - dot(row.lowest, row.band)
        below = row.first + dot(row.reach, row.band) - row.latency
        for flag in (row.live, row.ok, row.valid, row.acknowledged, *row.band):
            yield boolean(flag)
        yield boolean(dot([1] * self.n_edges, row.band))  # no row is in two bands
        yield row.valid * (1 - row.ok)  # a failed request has no answer to be valid
        yield (1 - row.live) * row.latency  # padding adds to no sum
        yield (1 - row.live) * row.tokens
        # In the wrong band, or out of 0..2^20 - 1, one of the distances is negative: two limbs cannot express it.
        for value, low in ((above, row.above), (below, row.below), (row.tokens, row.tokens_low)):
            yield RANGE_10.use(low)
            yield RANGE_10.use((value - low) * _HIGH)
        # Telescopes to (first) - (first + rows): as there are fewer than P rows, every number between occurs once.
        yield CHAIN.use(row.sequence, times=row.live)
        yield CHAIN.provide(row.sequence + 1, times=row.live)
        number = dot(range(1, self.n_edges + 1), row.band)
        yield CLASS.use(number, row.ok + row.valid, row.acknowledged, times=row.live)
        yield SUM.use(LATENCY_LOW, times=row.above)
        yield SUM.use(LATENCY_HIGH, times=(above - row.above) * _HIGH)
        yield SUM.use(TOKENS_LOW, times=row.tokens_low)
        yield SUM.use(TOKENS_HIGH, times=(row.tokens - row.tokens_low) * _HIGH)

    def trace(self, latency: Values, tokens: Values) -> list[Column]:
        """The component's columns, in the order of the (2^log_size,) arguments."""
        number, above, below = self.distances(latency)
        bands = [(number == k).astype(np.uint32) for k in range(1, self.n_edges + 1)]
        return [*bands, *(values & (1 << LIMB_BITS) - 1 for values in (above, below, tokens))]

    def distances(self, latency: Values) -> tuple[npt.NDArray[np.int64], Values, Values]:
        """(band of each latency, distance to the least latency of the band, to the largest)."""
        number = np.searchsorted(np.array(self.edges), latency)
        least = np.array([0, *self.lowest], dtype=np.uint32)
        most = np.array([*self.edges, MAX_VALUE], dtype=np.uint32)
        return number, latency - least[number], most[number] - latency


@dataclass(frozen=True)
class Totals:
    """What is public of a segment. `counts[band][outcome][acknowledged]` of requests; sums as (low limbs, high limbs),
    those of latencies counted from the least latency of each band."""

    counts: tuple[tuple[tuple[int, int], ...], ...]
    latency: tuple[int, int]
    tokens: tuple[int, int]


def count_totals(component: Sla, columns: Sequence[Values]) -> Totals:
    """The totals of the columns of tree 0, in any order. Raises ValueError naming the column that is out of bounds."""
    _, latency, tokens, *flags = columns
    for name, values, most in (("latency", latency, MAX_VALUE), ("tokens", tokens, MAX_VALUE)):
        if int(values.max()) > most:
            raise ValueError(f"{name}: {int(values.max())} is more than {most}")
    ok, valid, acknowledged, live = (column.astype(np.int64) for column in flags)
    number, above, _ = component.distances(latency)
    index = (number * 3 + ok + valid) * 2 + acknowledged
    found = np.bincount(index[live == 1], minlength=6 * (component.n_edges + 1)).reshape(-1, 3, 2)
    counts = tuple(tuple((int(pair[0]), int(pair[1])) for pair in band) for band in found)
    return Totals(counts, _limb_sums(above), _limb_sums(tokens))


def _limb_sums(values: Values) -> tuple[int, int]:
    wide = values.astype(np.int64)
    return int((wide & (1 << LIMB_BITS) - 1).sum()), int((wide >> LIMB_BITS).sum())


@lru_cache(maxsize=16)
def sla_air(component: Sla) -> Air:
    """Traced once for all tiers with so many edges, which differ in parameters only."""
    form = _form(component.log_size, component.n_edges)
    asked, table = form.components
    return replace(form, components=(replace(asked, parameters=parameter_values(component)), table))


@lru_cache(maxsize=64)
def _form(log_size: int, n_edges: int) -> Air:
    columns = [PreprocessedColumn(name, log_size) for name in COLUMNS]
    return build([Sla(log_size, tuple(range(n_edges))), RangeTable()], columns)


def sla_trace(component: Sla, columns: Sequence[Values]) -> list[Column]:
    """The main columns of both components, given the columns of tree 0, all in storage order."""
    _, latency, tokens, *_ = columns
    _, above, below = component.distances(latency)
    own = component.trace(latency, tokens)
    high: list[Column] = [values >> np.uint32(LIMB_BITS) for values in (above, below, tokens)]
    return own + RangeTable().trace(own[component.n_edges :] + high)


def sla_public_terms(first: int, rows: int, totals: Totals) -> tuple[PublicTerm, ...]:
    """The verifier's side: both ends of the range table, both ends of the sequence, every class that has requests, and
    the sums."""
    terms = [PublicTerm(_RANGE_10, 1, (0,)), PublicTerm(_RANGE_10, 1, ((1 << LIMB_BITS) - 1,))]
    terms += [PublicTerm(_CHAIN, P - 1, (first,)), PublicTerm(_CHAIN, 1, (first + rows,))]
    for band, outcomes in enumerate(totals.counts):
        for outcome, pair in enumerate(outcomes):
            for acknowledged, count in enumerate(pair):
                if count:
                    terms.append(PublicTerm(_CLASS, -count % P, (band, outcome, acknowledged)))
    sums = (*totals.latency, *totals.tokens)
    return (*terms, *(PublicTerm(_SUM, -value % P, (place,)) for place, value in enumerate(sums) if value))
