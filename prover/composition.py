"""Values of the composition polynomial: weighted constraints over the vanishing polynomials (PROTOCOL 7.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from air import circle
from air.circle import Column
from air.field import QM31, P, inverse, powers
from air.layout import SECURE, Air, ComponentLayout
from air.relation import RelationElements
from prover import compile
from prover.logup import element_words, run_kernel
from prover.threads import Workers


@dataclass(frozen=True)
class Cells:
    """A component's columns on its evaluation domain: preprocessed, main and interaction, in this order."""

    component: ComponentLayout
    columns: Sequence[Column]


@lru_cache(maxsize=16)
def domain_shift(trace_log: int, offset: int) -> Column:
    """For every storage position of the domain of log size n + 1, that of the value `offset` trace rows away."""
    size = trace_log + 1
    half = 1 << trace_log
    d = circle.bit_reversal(size)
    moved = np.where(d < half, (d + offset) % half, half + (d - half - offset) % half)
    return circle.bit_reverse_array(moved, size).astype(np.uint32)


def vanishing_inverse(trace_log: int, log_blowup: int) -> int:
    """1/V_n on the first 2^n storage positions of a column's extension; its negative on the next 2^n.

    These 2^(n+1) positions are a coset of the subgroup that V_n folds to two opposite points.
    """
    x, _ = circle.point((1 << (30 - trace_log - log_blowup) << (trace_log - 1)) % circle.ORDER)
    return inverse(x)


def composition_values(
    air: Air,
    cells: Sequence[Cells],
    coefficient: QM31,
    elements: Sequence[RelationElements],
    claimed_sums: Sequence[QM31],
    log_blowup: int,
    workers: Workers,
) -> npt.NDArray[np.uint32]:
    """(4, 2^(S+1)): the coordinates on the first 2^(S+1) positions of the domain of log size S + blow-up."""
    weights = powers(coefficient, air.n_constraints)[::-1]
    sums, position = iter(claimed_sums), 0
    by_size: dict[int, npt.NDArray[np.uint32]] = {}
    for part in cells:
        component = part.component
        n = component.log_size
        out = by_size.setdefault(n, np.zeros((SECURE, 2 << n), dtype=np.uint32))
        own = weights[position : position + component.n_constraints]
        position += component.n_constraints
        claimed = next(sums) if component.fractions else QM31(0)
        share = claimed * inverse((1 << n) % P)
        scale = vanishing_inverse(n, log_blowup)
        shifts = [domain_shift(n, offset) for offset in compile.inputs(component).offsets]
        kernel = compile.kernel(component, "composition")
        for half, factor in enumerate((scale, P - scale)):
            scaled = [w * factor for w in own]
            secure = [*scaled[len(component.constraints) :], share, *element_words(component, elements)]
            constants = (secure, scaled[: len(component.constraints)])
            run_kernel(kernel, (half << n, (half + 1) << n), part.columns, shifts, component, constants, out, workers)
    return _lifted_sum(by_size)


def _lifted_sum(by_size: dict[int, npt.NDArray[np.uint32]]) -> npt.NDArray[np.uint32]:
    """Adds the smaller components' values, lifted, to those of the largest."""
    largest = max(by_size)
    total = by_size[largest]
    for size, values in by_size.items():
        if size != largest:
            s, k = np.arange(2 << largest), largest - size
            lifted = values[:, ((s >> (k + 1)) << 1) + (s & 1)]
            total = ((total.astype(np.uint64) + lifted) % P).astype(np.uint32)
    return total
