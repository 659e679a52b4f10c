"""Range check: user columns looked up in a preprocessed table of 2^bits values (PROTOCOL 14)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from air.circle import Column
from air.component import Component, main, preprocessed
from air.expression import Expression
from air.field import P
from air.relation import Lookup, Relation

RANGE = Relation("range")


@dataclass(frozen=True)
class RangeTable(Component):
    """Provides every value as often as it is used."""

    log_size: int

    free = {"multiplicity": "it counts what the users look up"}
    batch = 1
    value = preprocessed(id="range_{log_size}")
    multiplicity = main()

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        yield RANGE.provide(row.value, times=row.multiplicity)

    def tree0(self) -> list[Column]:
        return [np.arange(1 << self.log_size, dtype=np.uint32)]

    def trace(self, used: Sequence[Column]) -> list[Column]:
        """The multiplicity of every value among the columns that use the table."""
        counts = np.zeros(1 << self.log_size, dtype=np.int64)
        for column in used:
            counts += np.bincount(column, minlength=len(counts))
        return [(counts % P).astype(np.uint32)]


@dataclass(frozen=True)
class RangeUser(Component):
    """Uses every cell of its columns once."""

    log_size: int
    width: int
    batch: int = field(default=2)  # type: ignore[misc]

    free = {
        "v": "the claim is that all values lie in the table, not which they are",
        "(rows rotate)": "rows are independent of each other",
        "(rows swap)": "rows are independent of each other",
    }
    v = main(count="width")

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        for cell in row.v:
            yield RANGE.use(cell)

    def trace(self, table_log: int, user: int) -> list[Column]:
        """Column k at storage position r: (r (2k + 3) + 7k + 11 user) mod 2^table_log."""
        r = np.arange(1 << self.log_size, dtype=np.int64)
        mask = (1 << table_log) - 1
        return [(r * (2 * k + 3) + 7 * k + 11 * user & mask).astype(np.uint32) for k in range(self.width)]
