"""A Plonk-like circuit: one gate a row, copy constraints by LogUp over (wire, value) (PROTOCOL 14)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from air.circle import Column
from air.component import Component, main, preprocessed
from air.expression import Expression
from air.field import P
from air.relation import Lookup, PublicTerm, Relation

WIRE = Relation("wire")


@dataclass(frozen=True)
class Plonk(Component):
    """c = a + b on rows with op = 1, c = a b on the others."""

    log_size: int

    free = {"(public wire)": "a public term that names one more wire with the value it has is true"}
    a_wire = preprocessed(id="plonk_a_wire_{log_size}")
    b_wire = preprocessed(id="plonk_b_wire_{log_size}")
    c_wire = preprocessed(id="plonk_c_wire_{log_size}")
    op = preprocessed(id="plonk_op_{log_size}")
    multiplicity, a, b, c = main(), main(), main(), main()

    def constraints(self, row: Any) -> Iterator[Expression | Lookup]:
        yield row.c - row.op * (row.a + row.b) - (1 - row.op) * row.a * row.b
        yield WIRE.use(row.a_wire, row.a)
        yield WIRE.use(row.b_wire, row.b)
        yield WIRE.provide(row.c_wire, row.c, times=row.multiplicity)

    def tree0(self) -> list[Column]:
        """Gate r (a storage position) reads wires r and r + 1, writes r + 2; even gates add, odd ones multiply."""
        r = np.arange(1 << self.log_size, dtype=np.uint32)
        return [r, r + np.uint32(1), r + np.uint32(2), (r & np.uint32(1)) ^ np.uint32(1)]

    def trace(self, a0: int, b0: int) -> list[Column]:
        """The circuit run on inputs a0, b0, in storage order."""
        rows = 1 << self.log_size
        wires = [a0, b0]
        for r in range(rows):
            a, b = wires[r], wires[r + 1]
            wires.append((a + b if r % 2 == 0 else a * b) % P)
        values = np.array(wires, dtype=np.uint32)
        multiplicity = np.minimum(2, rows - 1 - np.arange(rows)).astype(np.uint32)
        return [multiplicity, values[:-2], values[1:-1], values[2:]]


def public_terms(a0: int, b0: int) -> tuple[PublicTerm, ...]:
    """Wires 0 and 1 are inputs: read once and twice, written by nobody. -1/combine(0, a0) - 2/combine(1, b0)."""
    return (PublicTerm(0, P - 1, (0, a0)), PublicTerm(0, P - 2, (1, b0)))
