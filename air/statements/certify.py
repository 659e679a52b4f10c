"""Certify: a committed segment is well-formed. The proofs of top-k over it take that for granted (DESIGN 5).

Proven once a version of a segment, over the tree 0 that its leaf names:

- every coordinate lies in [-Q, Q] and `norm` is |x|^2, so that no score and no gap wraps around P;
- `live` is 0 or 1, and as many rows live as the leaf says;
- the ids of the rows 0..rows - 1 rise strictly and have limbs of 21 bits; no row beyond them lives;
- every payload code is 0 or stands for a value of its field's dictionary;
- where the vectors are normalised, |x|^2 of every live row is that of a rounded unit vector. Cosine similarity is taken
  as the inner product, so that a row committed too long would win every query that points its way.

Columns of tree 0 cannot be read at other rows: what is compared with the next row is copied into main columns. There is
no first row either. The prover may start to count anywhere, so all that is said of the order of rows is said up to a
rotation, which is harmless: other proofs read the segment as a set of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from air.circle import Column, to_rows, to_storage
from air.component import Component, build, main, preprocessed
from air.expression import Expression, boolean, dot, limbs
from air.field import P
from air.layout import MIN_LOG_SIZE, Air
from air.relation import Lookup, PublicTerm, Relation
from air.statements.topk import ID_BITS, LIMB_BITS, N_ID_LIMBS, RANGE_10, RangeTable, segment_columns

N_DIGITS = 3  # of a number of 21 bits: ten, ten and one, low first
GROUP = 32  # coordinates in one component
COORDINATE, LIVE, NORM = Relation("coordinate"), Relation("live"), Relation("norm")

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint32]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Certify(Component):
    """One row of the segment. `values` are the sizes of the payload fields' dictionaries; `norms` the least and the
    largest |x|^2 of a live row, None where the vectors are not normalised."""

    log_size: int
    dimension: int
    limit: int
    rows: int
    values: tuple[int, ...] = ()
    norms: tuple[int, int] | None = None

    parameters = ("size", "rows", "several", "shortest")
    x = preprocessed(count="dimension")
    norm = preprocessed()
    id = preprocessed(count=N_ID_LIMBS)
    live = preprocessed()
    code = preprocessed(count="fields")
    place = main()  # 0..2^n - 1, from the row that the prover starts at
    link = main()  # 1 where the next row holds a vector as well: on the places 0..rows - 2
    top, middle = main(), main()  # 1 where this is the highest limb in which the next row's id differs
    digit = main(count=N_ID_LIMBS * N_DIGITS)  # of the id
    gap = main(count=N_DIGITS)  # by how much that limb rises, less one

    @property
    def size(self) -> int:
        return 1 << self.log_size

    @property
    def fields(self) -> int:
        return len(self.values)

    @property
    def several(self) -> int:
        """1 unless there is a single vector, which links to none."""
        return int(self.rows > 1)

    @property
    def shortest(self) -> int:
        return self.norms[0] if self.norms else 0

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        yield from self._values(row)
        yield from self._places(row)
        yield from self._ids(row)

    def _values(self, row: Any) -> Iterator[Expression | Lookup]:
        yield dot(row.x, row.x) - row.norm
        yield boolean(row.live)
        yield LIVE.use(0, times=row.live)  # balanced by the number of live rows in the leaf
        for k, code in enumerate(row.code):
            yield code_relation(k).use(code)
        if self.norms:
            yield NORM.use(row.norm - row.shortest, times=row.live)

    def _places(self, row: Any) -> Iterator[Expression]:
        before, after = row.at(-1), row.at(1)
        # Each cyclic step goes up by 1 or down by 2^n - 1. The steps add up to zero, so exactly one goes down: there
        # the place is 2^n - 1, hence 0 on the next row, and every place occurs once.
        turn = after.place - row.place - 1
        yield turn * (turn + row.size)
        yield turn * (row.place - row.size + 1)
        # The link is `several` at place 0 and changes at most once before the turn, after place rows - 2. It does
        # change where it was 1: ids rise wherever the link is not 0, which they cannot do all around the cycle.
        yield turn * (after.link - row.several)
        yield (after.link - row.link) * (row.place - row.rows + 2) * (turn + row.size)
        yield row.live * row.place * (1 - before.link)  # a live row is at place 0 or linked to

    def _ids(self, row: Any) -> Iterator[Expression | Lookup]:
        here, after = _threes(row.digit), _threes(row.at(1).digit)
        for low, high, bit in (*here, row.gap):
            yield RANGE_10.use(low)
            yield RANGE_10.use(high)
            yield boolean(bit)
        for id, digits in zip(row.id, here, strict=True):
            yield id - limbs(digits, LIMB_BITS)
        # One of the three is 1 on a linked row, none on others. The limbs above the chosen one are equal, and it rises:
        # as limbs are below 2^21, a fall would be an element of the field that the gap's digits cannot express.
        bottom = row.link - row.top - row.middle
        yield boolean(row.top)
        yield boolean(row.middle)
        yield boolean(bottom)
        rise = [limbs(digits, LIMB_BITS) - id for digits, id in zip(after, row.id, strict=True)]
        yield (row.middle + bottom) * rise[2]
        yield bottom * rise[1]
        yield bottom * rise[0] + row.middle * rise[1] + row.top * rise[2] - row.link - limbs(row.gap, LIMB_BITS)

    def trace(self, ids: Ids) -> list[Column]:
        """The component's columns in storage order, from the (rows,) ids. Raises ValueError unless they rise."""
        _within("id", ids, 0, (1 << ID_BITS * N_ID_LIMBS) - 1)
        padded = np.zeros(self.size, dtype=np.int64)
        padded[: self.rows] = ids
        place = np.arange(self.size)
        link = place < self.rows - 1
        limb = [padded >> ID_BITS * k & (1 << ID_BITS) - 1 for k in range(N_ID_LIMBS)]
        rise = [(np.roll(values, -1) - values) * link for values in limb]
        top, middle = rise[2] != 0, (rise[2] == 0) & (rise[1] != 0)
        gap = np.where(top, rise[2], np.where(middle, rise[1], rise[0])) - link
        if (gap < 0).any():
            row = int(np.argmax(gap < 0))
            raise ValueError(f"row {row + 1}, id: {ids[row + 1]} does not exceed {ids[row]}, the id of the row before")
        digits = [values >> LIMB_BITS * k & (1 << LIMB_BITS) - 1 for values in (*limb, gap) for k in range(N_DIGITS)]
        return list(to_storage(np.array([place, link, top, middle, *digits], dtype=np.uint32)))


@dataclass(frozen=True)
class Coordinates(Component):
    """Looks up some coordinates, `first` and those after it. A single component with all of them would compile to one
    long kernel, another for every dimension; groups of the same number share a short one."""

    log_size: int
    dimension: int
    limit: int
    first: int

    parameters = ("limit",)
    x = preprocessed(count="dimension")
    idle = main()  # Stwo-side readers want a main column in every component

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        yield row.idle
        for x in row.x[self.first : self.first + GROUP]:
            yield COORDINATE.use(x + row.limit)


@dataclass(frozen=True)
class Interval(Component):
    """The values 0..top of a relation in the main trace, repeated where there are more rows than values."""

    log_size: int
    relation: str
    top: int

    parameters = ("top",)
    value, multiplicity = main(), main()

    @classmethod
    def of(cls, relation: Relation, top: int) -> Interval:
        """The smallest table that holds all values."""
        return cls(max(MIN_LOG_SIZE, top.bit_length()), relation.name, top)

    @property
    def name(self) -> str:
        return f"Interval {self.relation}"

    @property
    def free(self) -> dict[str, str]:  # type: ignore[override]
        return {
            "(rows rotate)": "the values may begin on any row",
            "value": "any value may be repeated",
            "multiplicity": "a repeated value may be provided on any of its rows",
            f"(public {self.relation})": "these terms are constants; more or fewer uses of a value are balanced",
        }

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        # Each cyclic step stays, goes up by 1, or falls from `top` to 0. The steps add up to zero, and there are fewer
        # than P, so without a fall the column is constant: the public uses of 0 and of `top` exclude that (or leave 0,
        # the only value, where top is 0). After a fall the column starts at 0 and does not go down before the next one,
        # at `top`, which it reaches without wrapping around P: all values lie in 0..top, however many falls there are.
        after = row.at(1).value
        step = after - row.value
        yield step * (step - 1) * (row.value - row.top)
        yield step * (step - 1) * after
        yield Relation(self.relation).provide(row.value, times=row.multiplicity)

    def trace(self, counts: Counts) -> list[Column]:
        """Both columns in storage order, given how often each of 0..top is looked up."""
        spare = (1 << self.log_size) - 1 - self.top
        value = np.maximum(np.arange(1 << self.log_size) - spare, 0)
        multiplicity = np.zeros_like(value)
        multiplicity[spare:] = counts
        multiplicity[spare] += 1  # the public uses of both ends
        multiplicity[-1] += 1
        return list(to_storage(np.array([value, multiplicity], dtype=np.uint32)))


def _threes(digits: Sequence[Expression]) -> list[Sequence[Expression]]:
    return [digits[k : k + N_DIGITS] for k in range(0, len(digits), N_DIGITS)]


def code_relation(field: int) -> Relation:
    """What the codes of one payload field are looked up in."""
    return Relation(f"code_{field}")


def groups(certify: Certify) -> list[Coordinates]:
    """The components that look up the coordinates."""
    firsts = range(0, certify.dimension, GROUP)
    return [Coordinates(certify.log_size, certify.dimension, certify.limit, first) for first in firsts]


def intervals(certify: Certify) -> list[Interval]:
    """The tables beside the one of ten bits: coordinates plus Q, codes of each field, |x|^2 less the least."""
    tables = [Interval.of(COORDINATE, 2 * certify.limit)]
    tables += [Interval.of(code_relation(k), top) for k, top in enumerate(certify.values)]
    if certify.norms:
        least, largest = certify.norms
        tables.append(Interval.of(NORM, largest - least))
    return tables


def certify_air(certify: Certify) -> Air:
    """The AIR over a whole segment. Raises ValueError where `check_counts` does."""
    check_counts(certify.dimension, certify.log_size)
    columns = segment_columns(certify.log_size, certify.dimension, certify.fields)
    return build([certify, *groups(certify), *intervals(certify), RangeTable()], columns)


def check_counts(dimension: int, log_size: int) -> None:
    """Raises ValueError where there are more coordinates than P can count.

    A value looked up P times would count as not looked up at all, whether it is in the table or not."""
    if dimension << log_size >= P:
        raise ValueError(f"dimension: {dimension} is too many for 2^{log_size} rows; make smaller segments")


def certify_public_terms(certify: Certify, air: Air, live: int) -> tuple[PublicTerm, ...]:
    """The verifier's side: one use of each end of every table, and the number of live rows."""
    ends = [(table.relation, table.top) for table in intervals(certify)]
    ends.append((RANGE_10.name, (1 << LIMB_BITS) - 1))
    number = {name: k for k, name in enumerate(air.relations)}
    anchors = [PublicTerm(number[name], 1, (value,)) for name, top in ends for value in (0, top)]
    return (*anchors, PublicTerm(number[LIVE.name], -live % P, (0,)))


def certify_trace(
    certify: Certify, ids: Ids, live: Flags, columns: npt.NDArray[np.int16], norms: npt.NDArray[np.int32], codes: Codes
) -> list[Column]:
    """The main columns of all components, in storage order.

    `ids` and `live` are (rows,) and `codes` (F, rows), in row order; `columns` are (D, 2^n) and `norms` (2^n,), in
    storage order. Raises ValueError naming row and column where the segment is not well-formed."""
    if len(ids) != certify.rows:
        raise ValueError(f"ids: {len(ids)}, but the segment has {certify.rows} rows")
    counts = [_count_coordinates(certify, columns, norms)]
    for k, (top, column) in enumerate(zip(certify.values, codes, strict=True)):
        _within(f"code_{k}", column, 0, top)
        counts.append(np.bincount(column, minlength=top + 1))
        counts[-1][0] += certify.size - certify.rows
    if certify.norms:
        least, largest = certify.norms
        of_live = np.where(live, to_rows(norms)[: certify.rows], least)
        _within("norm", of_live, least, largest)
        counts.append(np.bincount(of_live[live] - least, minlength=largest - least + 1))
    own = certify.trace(ids)
    digits = own[4:]  # after place, link, top and middle
    looked_up = [digit for k, digit in enumerate(digits) if k % N_DIGITS < 2]
    idle = [np.zeros(certify.size, dtype=np.uint32) for _ in groups(certify)]
    tables = [table.trace(uses) for table, uses in zip(intervals(certify), counts, strict=True)]
    return [*own, *idle, *chain.from_iterable(tables), *RangeTable().trace(looked_up)]


def _count_coordinates(certify: Certify, columns: npt.NDArray[np.int16], norms: npt.NDArray[np.int32]) -> Counts:
    """How often each coordinate occurs, from -Q up; checks them and the norms on the way."""
    counts = np.zeros(2 * certify.limit + 1, dtype=np.int64)
    total = np.zeros(certify.size, dtype=np.int64)
    for k, column in enumerate(columns):
        if int(column.min()) < -certify.limit or int(column.max()) > certify.limit:
            _within(f"x_{k}", to_rows(column), -certify.limit, certify.limit)
        wide = column.astype(np.int64)
        total += wide * wide
        wide += certify.limit
        counts += np.bincount(wide, minlength=len(counts))
    if (total != norms).any():
        row = int(np.argmax(to_rows(total != norms)))
        raise ValueError(f"row {row}, norm: {to_rows(norms)[row]} is not |x|^2, which is {to_rows(total)[row]}")
    return counts


def _within(name: str, column: npt.NDArray[Any], low: int, high: int) -> None:
    """Raises ValueError for the first row of the column that is outside the bounds."""
    outside = (column < low) | (column > high)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(f"row {row}, {name}: {column[row]} is outside {low}..{high}")
