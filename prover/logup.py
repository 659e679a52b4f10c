"""The interaction trace: one secure column a batch of fractions, the last one summed over the rows (PROTOCOL 12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from air.circle import Column, row_positions
from air.field import QM31, ZERO, P, inverse
from air.layout import SECURE, ComponentLayout
from air.relation import RelationElements
from prover import compile
from prover.emit import LANES
from prover.lanes import addresses
from prover.running_sum import column_sum, running_sum
from prover.threads import Workers


@lru_cache(maxsize=16)
def trace_shift(log_size: int, offset: int) -> Column:
    """For every storage position of a trace column, the position of the row `offset` further."""
    positions = row_positions(log_size)
    out = np.empty(1 << log_size, dtype=np.uint32)
    out[positions] = np.roll(positions, -offset)
    return out


def element_words(component: ComponentLayout, elements: Sequence[RelationElements]) -> list[QM31]:
    """z and the powers of alpha of every relation used, as `compile.relation_places` orders them."""
    out: list[QM31] = []
    seen: set[int] = set()
    for fraction in component.fractions:
        if fraction.relation not in seen:
            seen.add(fraction.relation)
            element = elements[fraction.relation]
            out.append(element.z)
            out += [element.alpha**k for k in range(len(fraction.values))]
    return out


def interaction_columns(
    component: ComponentLayout,
    columns: Sequence[Column],
    elements: Sequence[RelationElements],
    workers: Workers,
) -> tuple[list[Column], QM31]:
    """The 4 * n_interaction base columns and the claimed sum.

    `columns` are the component's preprocessed and main columns of 2^n values in storage order.
    """
    rows = 1 << component.log_size
    layout = compile.inputs(component)
    out = np.empty((SECURE * component.n_interaction, rows), dtype=np.uint32)
    secure = [ZERO] * layout.relations + element_words(component, elements)
    shifts = [trace_shift(component.log_size, offset) for offset in layout.offsets]
    kernel = compile.kernel(component, "fractions")
    run_kernel(kernel, (0, rows), columns, shifts, component, (secure, []), out, workers)
    last = out[-SECURE:]
    total = QM31(*(column_sum(coordinate) for coordinate in last))
    share = total * inverse(rows % P)
    running_sum(last, row_positions(component.log_size), np.array(share.coordinates(), dtype=np.uint32))
    return list(out), total


def run_kernel(
    kernel: Callable[..., None],
    span: tuple[int, int],
    columns: Sequence[Column],
    shifts: Sequence[Column],
    component: ComponentLayout,
    constants: tuple[Sequence[QM31], Sequence[QM31]],
    out: Sequence[Column] | np.ndarray,
    workers: Workers,
) -> None:
    """Calls a compiled kernel over the points of a span, cut in pieces for the workers.

    `constants` are the kernel's secure values and the weights of the author's constraints.
    """
    secure, weights = ([c for value in values for c in value.coordinates()] for values in constants)
    centred = np.array([*weights, 0], dtype=np.int64)
    centred[centred >= 1 << 30] -= P
    tables = [addresses(columns), _table(shifts), np.array((*component.parameters, 0), dtype=np.uint32)]
    tables += [np.array([*secure, 0], dtype=np.uint32), centred, addresses(out)]
    arguments = [table.ctypes.data for table in tables]
    first, last = span
    workers.ranges(lambda a, b: kernel(first + a, first + b, *arguments), last - first, LANES)


def _table(columns: Sequence[Column]) -> np.ndarray:
    """Addresses, at least one entry long."""
    return addresses(columns) if columns else np.zeros(1, dtype=np.intp)
