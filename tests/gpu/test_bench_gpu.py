"""The logic of `bench gpu`, on the emulated device: what is run, compared and reported. No figure of it is a card's."""

from __future__ import annotations

import json

import pytest

from air.component import build
from air.statements.native import native
from air.statements.wide_fib import WideFib
from gpu.traffic import traffic
from octoproof import device as devices
from octoproof.cli import bench_gpu, card_runs, main
from octoproof.cli.card_runs import StageClock
from octoproof.cli.working import PHASES
from verifier.config import PRESETS


@pytest.fixture(autouse=True)
def small_runs(monkeypatch):
    monkeypatch.setattr(card_runs, "INSTANCES", 1)
    monkeypatch.setattr(card_runs, "COPIED", 1 << 12)


@pytest.mark.parametrize("air", bench_gpu.WORKLOADS)
def test_every_workload_is_proven_on_both_devices_alike(emulator, air):
    device = emulator.EmulatedDevice()
    report = bench_gpu.measure(device, air, 3, range(5, 6), "test", 1, 5)
    (size,) = report["sizes"]
    assert report["card"] == "emulated"
    assert size["same_proof"] is True
    assert len(size["runs_ms"]) == 1
    assert size["warm_ms"] == size["runs_ms"][0] > 0
    names = [stage["name"] for stage in size["stages"]]
    assert set(names) <= {*PHASES, "making the trace", "scores"}
    assert abs(sum(stage["ms"] for stage in size["stages"]) - size["warm_ms"]) < 1e-6
    moved = {stage["name"] for stage in size["stages"] if stage["bytes"] is not None}
    assert moved >= {"making the trace", "trace", "constraints", "sampling", "quotients", "fri"}
    assert "preprocessed" not in moved  # nothing is there, or it was committed before
    json.dumps(report)


def test_out_of_memory_is_a_result(emulator, capsys):
    device = emulator.EmulatedDevice(272 << 20)
    report = bench_gpu.measure(device, "wide_fib", 20, range(5, 17, 11), "test", 1, 4)
    small, large = report["sizes"]
    assert "warm_ms" in small
    assert "cpu_ms" not in small
    assert "of the card are free" in large["out_of_memory"]
    assert large["published_other_hardware"]["NitrooZK, RTX 4090 (older table)"] == 19
    bench_gpu.show(report)
    printed = capsys.readouterr().out
    assert "out of memory" in printed
    assert "published, other hardware" in printed


def test_a_stage_ends_when_the_card_has_done_it():
    calls = []

    class Watched:
        def synchronise(self) -> None:
            calls.append("waited")

    clock = StageClock(Watched())
    for step in ("a", "b", "a", "end"):
        clock(step)
    assert list(clock.stages) == ["a", "b"]
    assert len(calls) == 4


def test_traffic_is_counted_by_hand():
    """Three columns of 2^5 rows: one pass a transform."""
    found = traffic(build([WideFib(5, 3)]), PRESETS["test"])
    column = 4 << 5
    assert found["making the trace"] == 3 * column
    assert found["trace"] == 3 * (2 + 4 + 2) * column  # both ways, read and written, and hashed at twice the size
    assert found["constraints"] == (3 * 2 + 4 * 2 + 4 * 2 * 2) * column
    assert found["sampling"] == (3 + 8) * column
    assert found["fri"] == 5 * 4 * 2 * column
    # three passes a transform, but what the middle one hands from back to forward is not read again
    assert traffic(build([WideFib(21, 3)]), PRESETS["test"])["trace"] == 3 * (6 + 12 - 2 + 2) * (4 << 21)
    relations = native({"name": "plonk", "log_size": 6, "a0": 1, "b0": 1}).air
    assert {"preprocessed", "interaction"} <= set(traffic(relations, PRESETS["test"]))


def test_without_a_card_there_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(devices, "card", lambda: "no NVIDIA driver here")
    with pytest.raises(SystemExit) as ended:
        main(["bench", "gpu"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "octoproof: device: no NVIDIA driver here\n"
