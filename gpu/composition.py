"""Values of the composition polynomial on the device: weighted constraints over the vanishing polynomials
(PROTOCOL 7.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from air.field import QM31, ZERO, P, inverse, powers
from air.layout import SECURE, Air, ComponentLayout
from air.relation import RelationElements
from gpu import compile
from gpu.device import Array, Device, addresses, kernel
from prover.composition import vanishing_inverse
from prover.logup import element_words


@dataclass(frozen=True)
class Cells:
    """A component's columns on its evaluation domain: preprocessed, main and interaction, in this order."""

    component: ComponentLayout
    columns: Sequence[Array]


def composition_values(
    device: Device,
    air: Air,
    cells: Sequence[Cells],
    coefficient: QM31,
    elements: Sequence[RelationElements],
    claimed_sums: Sequence[QM31],
    log_blowup: int,
) -> Array:
    """(4, 2^(S+1)): the coordinates on the first 2^(S+1) positions of the domain of log size S + blow-up."""
    weights = powers(coefficient, air.n_constraints)[::-1]
    totals, position = iter(claimed_sums), 0
    by_size: dict[int, Array] = {}
    for part in cells:
        component = part.component
        n = component.log_size
        own = weights[position : position + component.n_constraints]
        position += component.n_constraints
        claimed = next(totals) if component.fractions else ZERO
        secure = [*own, claimed * inverse((1 << n) % P), *element_words(component, elements)]
        columns, constants = addresses(device, part.columns), compile.constants(device, component, secure)
        sums = columns[2 * (len(component.preprocessed) + len(component.masks)) :]
        scale = vanishing_inverse(n, log_blowup)
        for step in compile.steps(component, "composition"):
            adding = n in by_size
            out = by_size[n] if adding else by_size.setdefault(n, device.empty(SECURE * 2 << n))
            tables = (columns[2 * step.column :], sums[2 * SECURE * step.batch :])  # an address takes two words
            arguments = (*tables, constants, constants[SECURE * step.item :], out, n, scale, int(adding))
            device.launch(step.kernel, compile.grid(2 << n), compile.BLOCK, *arguments)
    largest = air.log_size
    if largest not in by_size:  # its components have no constraints
        by_size[largest] = device.upload(np.zeros(SECURE * 2 << largest, dtype=np.uint32))
    total, points = by_size.pop(largest), 2 << largest
    lift = kernel("composition.cu", "add_lifted")
    for n, values in by_size.items():
        device.launch(lift, compile.grid(points), compile.BLOCK, total, points, values, largest - n)
    return total
