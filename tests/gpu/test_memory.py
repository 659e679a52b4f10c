"""The estimate covers what a proof takes on a card, proofs that cannot fit are refused, and running out of memory all
the same leaves the process usable."""

from __future__ import annotations

import gc

import pytest

from air.component import build
from air.statements.native import native
from air.statements.topk import TopK, topk_air
from air.statements.wide_fib import WideFib
from gpu import memory
from gpu.backend import GpuBackend
from gpu.twiddles import twiddles
from prover.cpu import CpuBackend
from prover.prove import prove
from verifier.config import PRESETS, PcsConfig

CONFIG = PRESETS["test"]
DOCUMENTS = {
    "wide_fib": {"name": "wide_fib", "components": [{"log_size": 12, "n_cols": 20}]},
    "narrow": {"name": "wide_fib", "components": [{"log_size": 12, "n_cols": 3}]},
    "plonk": {"name": "plonk", "log_size": 12, "a0": 1, "b0": 1},
}


def measuring(device, monkeypatch) -> list[int]:
    """Bytes that the device has lent after each of its allocations."""
    empty, lent = device.empty, []

    def watched(size: int):
        array = empty(size)
        lent.append(device._memory - device.free_memory())
        return array

    monkeypatch.setattr(device, "empty", watched)
    return lent


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("blowup", [1, 2])
def test_the_estimate_is_a_bound_and_no_gross_one(emulator, monkeypatch, name, blowup):
    made, config = native(DOCUMENTS[name]), PcsConfig(1, blowup, 0, 3)
    device = emulator.EmulatedDevice()
    lent = measuring(device, monkeypatch)
    prove(made.air, made.preprocessed(), made.main(), config=config, backend=GpuBackend(device))
    estimate = memory.resident(made.air, config)
    assert max(lent) <= estimate <= 1.25 * max(lent), f"peak {max(lent)}, estimate {estimate}"


def test_large_traces_fit_the_cards_they_are_meant_for():
    """2^24 x 100 in 24 GB, 2^26 x 100 in 141 GB (issue: early release), by the formula."""
    for log_size, gigabytes in ((24, 24), (26, 141)):
        air = build([WideFib(log_size, 100)])
        for preset in ("bench", "standard", "stwo96"):
            assert memory.estimate(air, PRESETS[preset]) < gigabytes * 10**9
    assert memory.estimate(topk_air(TopK(23, "l2", (0,) * 100, 0)), PRESETS["standard"]) < 80 * 10**9


def test_a_proof_that_cannot_fit_is_refused_with_both_figures(emulator):
    device = emulator.EmulatedDevice(10**9)
    air = build([WideFib(22, 100)])
    with pytest.raises(
        MemoryError, match=r"needs about \d+\.\d GB and 1\.0 GB of the card are free; use .* --device cpu"
    ):
        prove(air, [], [], config=CONFIG, backend=GpuBackend(device))
    assert not GpuBackend(device).fits(air, CONFIG)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_out_of_memory_leaves_the_process_usable(emulator, monkeypatch, share):
    """Another program may take what the estimate counted on: the proof ends with MemoryError, all its memory is free
    again, and the next proof is the CPU's."""
    large = native(DOCUMENTS["wide_fib"])
    small = native({"name": "wide_fib", "components": [{"log_size": 9, "n_cols": 3}]})
    device = emulator.EmulatedDevice(int(share * memory.resident(large.air, CONFIG)))
    backend = GpuBackend(device)
    monkeypatch.setattr(backend, "check", lambda air, config: None)
    with pytest.raises(MemoryError, match="out of device memory"):
        prove(large.air, [], large.main(), config=CONFIG, backend=backend)
    gc.collect()
    heaps = twiddles(device, 1)
    assert device._memory - device.free_memory() == 4 * (heaps.forward.size + heaps.backward.size)
    found, wanted = (
        prove(small.air, [], small.main(), config=CONFIG, backend=chosen) for chosen in (backend, CpuBackend(1))
    )
    assert found.proof == wanted.proof
