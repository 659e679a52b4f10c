"""Traces that the device makes are the statements' own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from air.field import P
from air.statements import poseidon2 as statement
from air.statements.poseidon2 import Poseidon2
from air.statements.topk import MAX_GAP, TopK, topk_trace
from air.statements.wide_fib import WideFib
from gpu import trace
from gpu.device import source


def same(device, found, wanted) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(device.download(one), other)


@pytest.mark.parametrize(("log_size", "width"), [(4, 3), (5, 30), (9, 7)])
def test_wide_fib(device, log_size, width):
    component = WideFib(log_size, width)
    same(device, trace.wide_fib(device, component), component.trace())


@pytest.mark.parametrize(("log_size", "instances", "chains"), [(4, 1, 1), (4, 8, 128), (5, 3, 8), (9, 2, 16)])
def test_poseidon2(device, columns, log_size, instances, chains):
    component, start = Poseidon2(log_size, instances), columns(chains, chains, 16)
    start[0, 0] = P  # a start need not be canonical
    same(device, trace.poseidon2(device, component, start), component.trace(start))


def test_poseidon2_chains_must_fill_the_trace(device):
    with pytest.raises(ValueError, match="chains dividing 16"):
        trace.poseidon2(device, Poseidon2(4, 1), np.zeros((3, 16), dtype=np.uint32))


def test_the_kernel_has_the_statements_constants():
    text = source("trace.cu")
    for name in ("WIDTH", "HALF_FULL", "PARTIAL", "CONSTANT"):
        assert f"{name} = {getattr(statement, name)}" in text


@pytest.mark.parametrize("log_size", [4, 11])
@pytest.mark.parametrize("filtered", [(), (1,), (0, 1)])
def test_topk(device, log_size, filtered):
    rng, rows = np.random.default_rng(log_size), 1 << log_size
    component = TopK(log_size, "ip", (0,) * 3, -57, 2, filtered, (2, 0)[: len(filtered)])
    scores = rng.integers(-(1 << 29), 1 << 29, rows, dtype=np.int32)
    scores[:3] = -57, -58, -56
    live, codes = rng.integers(0, 8, rows) > 0, rng.integers(0, 4, (2, rows), dtype=np.uint32)
    arrays = [device.upload(a) for a in (scores, live.astype(np.uint32), codes)]
    for threshold in (-57, (1 << 28) - 1, -(1 << 29)):
        asked = replace(component, threshold=threshold)
        same(device, trace.topk(device, asked, *arrays), topk_trace(asked, scores, live, codes))


def test_a_gap_without_limbs_is_refused(device):
    component = TopK(4, "ip", (0,) * 3, -(1 << 29))
    scores, live = np.zeros(16, dtype=np.int32), np.ones(16, dtype=np.uint32)
    for worst, fits in ((MAX_GAP - (1 << 29), True), (MAX_GAP + 1 - (1 << 29), False)):
        scores[5] = worst
        arrays = [device.upload(a) for a in (scores, live, np.zeros(1, dtype=np.uint32))]
        if fits:
            trace.topk(device, component, *arrays)
            continue
        with pytest.raises(ValueError, match=f"is {MAX_GAP + 1} from the threshold"):
            trace.topk(device, component, *arrays)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_89", "sm_90", "sm_100"])
def test_kernels_compile_for_cards(nvrtc, architecture):
    assert all(
        used.stack == used.spilled == 0 for used in nvrtc.compile_source(source("trace.cu"), architecture).values()
    )
