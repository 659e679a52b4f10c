"""The interaction trace on the device against the CPU's, which the reference holds; and the sums over rows alone."""

from __future__ import annotations

import numpy as np
import pytest

from air import arrays
from air.circle import row_positions
from air.component import build
from air.field import QM31, P, inverse
from air.layout import Air, ComponentLayout, Fraction
from air.relation import RelationElements
from air.statements.plonk import Plonk
from air.statements.poseidon2 import Poseidon2
from air.statements.range_check import RangeTable, RangeUser
from air.statements.topk import TopK, topk_air
from gpu import logup
from gpu.device import source
from gpu.running_sum import running_sum
from prover import logup as cpu
from prover.threads import INLINE

LOG = 5
AIRS = {
    "plonk": build([Plonk(LOG)]),
    "range": build([RangeTable(LOG), RangeUser(LOG, 3), RangeUser(LOG + 1, 2, 1)]),
    "poseidon2": build([Poseidon2(LOG, 2)]),
    "topk": topk_air(TopK(LOG, "ip", (3, P - 5, 7), 100)),
}


@pytest.mark.parametrize("name", AIRS)
def test_columns_and_sums_are_the_cpus(device, columns, secure, name):
    air = AIRS[name]
    elements = [RelationElements(*secure(k, 2)) for k in range(len(air.relations))]
    for seed, component in enumerate(air.components):
        rows = columns(seed, len(component.preprocessed) + len(component.masks), 1 << component.log_size)
        own = [device.upload(row) for row in rows]
        found, total = logup.interaction_columns(device, component, own, elements)
        wanted, claimed = cpu.interaction_columns(component, list(rows), elements, INLINE)
        assert total == claimed
        assert np.array_equal([device.download(column) for column in found], wanted)


def test_lookups_of_other_rows_and_denominators_of_zero(device, columns):
    """A denominator of zero has zero for an inverse, here as on the CPU: no proof comes of it, but no other bits."""
    nodes = (("trace", 0, 0), ("trace", 0, 1), ("const", 1))
    fractions = (Fraction(0, 2, (0,)), Fraction(0, 1, (1,)), Fraction(0, 0, (1,)))
    component = ComponentLayout("shifted", LOG, (), ((-3, 2),), nodes, (), fractions, 2)
    Air((), ("r",), (component,))
    values = columns(1, 1, 1 << LOG)
    values[0, [3, 4, 9]] = 77
    elements = [RelationElements(QM31(77), QM31(1, 2, 3, 4))]
    found, total = logup.interaction_columns(device, component, [device.upload(values[0])], elements)
    wanted, claimed = cpu.interaction_columns(component, list(values), elements, INLINE)
    assert total == claimed
    assert np.array_equal([device.download(column) for column in found], wanted)


@pytest.mark.parametrize("log_size", [4, 5, 10, 11, 13])
def test_running_sums(device, columns, log_size):
    values = columns(log_size, 4, 1 << log_size)
    array = device.upload(values)
    total = running_sum(device, array, log_size)
    rows = values[:, row_positions(log_size)].astype(np.uint64)
    assert total.coordinates() == tuple(int(row.sum() % P) for row in rows)
    share = total * inverse((1 << log_size) % P)
    steps = arrays.sub(rows, np.array(share.coordinates(), dtype=np.uint64)[:, None])
    found = device.download(array).reshape(4, -1)[:, row_positions(log_size)]
    assert np.array_equal(found, np.cumsum(steps, axis=1) % P)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_89", "sm_90", "sm_100"])
@pytest.mark.parametrize("file", ["running_sum.cu", "sampling.cu", "composition.cu"])
def test_kernels_compile_for_cards(nvrtc, file, architecture):
    assert all(used.stack == used.spilled == 0 for used in nvrtc.compile_source(source(file), architecture).values())
