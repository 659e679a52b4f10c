"""Wide Fibonacci: c[k+2] = c[k]^2 + c[k+1]^2 along every row. The benchmark AIR of the Stwo family (PROTOCOL 14)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from air.arrays import add, mul
from air.circle import Column
from air.component import Component, main
from air.expression import Expression


@dataclass(frozen=True)
class WideFib(Component):
    log_size: int
    width: int

    free = {
        "c": "the claim is that wide Fibonacci rows exist; which two values each starts with is not said",
        "(rows rotate)": "rows are independent of each other",
        "(rows swap)": "rows are independent of each other",
    }
    c = main(count="width")

    def constraints(self, row: Any) -> Iterator[Expression]:
        for a, b, c in zip(row.c, row.c[1:], row.c[2:], strict=False):
            yield c - (a * a + b * b)

    def trace(self) -> list[Column]:
        """Columns in storage order: position r starts with (1, r)."""
        a = np.ones(1 << self.log_size, dtype=np.uint64)
        b = np.arange(1 << self.log_size, dtype=np.uint64)
        columns = [a.astype(np.uint32), b.astype(np.uint32)]
        for _ in range(2, self.width):
            a, b = b, add(mul(a, a), mul(b, b))
            columns.append(b.astype(np.uint32))
        return columns
