"""The interaction trace on the device: one secure column a batch of fractions, the last one summed over the rows
(PROTOCOL 12).

Every thread inverts its own denominators by a chain of about 40 products: less time than reading the columns takes, so
that nothing has to be inverted together.
"""

from __future__ import annotations

from collections.abc import Sequence

from air.field import QM31, ZERO
from air.layout import SECURE, ComponentLayout
from air.relation import RelationElements
from gpu import compile
from gpu.device import Array, Device, addresses
from gpu.running_sum import running_sum
from prover.logup import element_words


def interaction_columns(
    device: Device, component: ComponentLayout, columns: Sequence[Array], elements: Sequence[RelationElements]
) -> tuple[list[Array], QM31]:
    """The 4 * n_interaction base columns and the claimed sum, for which it waits.

    `columns` are the component's preprocessed and main columns of 2^n values in storage order."""
    rows = 1 << component.log_size
    out = device.empty(SECURE * component.n_interaction * rows)
    secure = [ZERO] * (component.n_constraints + 1) + element_words(component, elements)
    table, constants = addresses(device, columns), compile.constants(device, component, secure)
    for step in compile.steps(component, "fractions"):
        arguments = (table[2 * step.column :], constants, out[SECURE * step.batch * rows :], component.log_size)
        device.launch(step.kernel, compile.grid(rows), compile.BLOCK, *arguments)
    total = running_sum(device, out[-SECURE * rows :], component.log_size)
    return out.rows(SECURE * component.n_interaction), total
