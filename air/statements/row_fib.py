"""Row Fibonacci: three running columns that read neighbouring rows, and two selectors (PROTOCOL 14)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from air.circle import Column, to_storage
from air.component import Component, main, preprocessed
from air.expression import Expression
from air.field import P


@dataclass(frozen=True)
class RowFib(Component):
    log_size: int
    x0: int

    parameters = ("x0",)
    free = {
        "x": "the second value is the prover's choice: only x0 is claimed",
        "y": "it sums x; and on the last row, where `active` is off, nothing holds it",
    }
    first = preprocessed(id="rowfib_first_{log_size}")  # 1 on row 0
    active = preprocessed(id="rowfib_active_{log_size}")  # 0 on the last two rows, where the next ones wrap around
    x, y, w = main(), main(), main()

    def constraints(self, row: Any) -> Iterator[Expression]:
        one, two, before = row.at(1), row.at(2), row.at(-1)
        yield row.first * (row.x - row.x0)
        yield row.active * (two.x - one.x - row.x)
        yield row.active * (one.y - row.y - row.x)
        yield row.first * row.y
        yield (1 - row.first) * (row.w - before.w - 1)
        yield row.first * row.w

    def tree0(self) -> list[Column]:
        """`first` and `active` in storage order."""
        first = np.zeros(1 << self.log_size, dtype=np.uint32)
        active = np.ones(1 << self.log_size, dtype=np.uint32)
        first[0] = 1
        active[-2:] = 0
        return [to_storage(first), to_storage(active)]

    def trace(self) -> list[Column]:
        """x_0 = x0, x_1 = 3, Fibonacci without stop; y_i the sum of x_j for j < i; w_i = i. In storage order."""
        xs, ys = [], []
        x, following, y = self.x0, 3, 0
        for _ in range(1 << self.log_size):
            xs.append(x)
            ys.append(y)
            y, x, following = (y + x) % P, following, (x + following) % P
        ws = np.arange(1 << self.log_size, dtype=np.uint32)
        return [to_storage(np.array(column, dtype=np.uint32)) for column in (xs, ys, ws)]
