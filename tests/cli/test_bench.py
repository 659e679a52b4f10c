"""`octoproof bench`: what is counted, and a run against the real Stwo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from octoproof.cli.compare import parallel_build, side, stwo_phases

REPORT = {
    "runs_ms": [12.0, 10.0],
    "total_ms": 10.0,
    "threads": 1,
    "peak_rss_bytes": 5,
    "proof_json_bytes": 7,
    "phases_ms": {
        "commit trace": 3.0,
        "interaction trace gen": 0.5,
        "commit interaction": 1.0,
        "prove_ex": 6.0,
        "prove_ex/Grind": 2.0,
        "prove_ex/commit": 1.5,
    },
}


def test_stwo_spans_become_our_phases() -> None:
    phases = stwo_phases(REPORT)
    assert phases == {"trace": 3.0, "interaction": 1.5, "grind": 2.0, "fri": 1.5, "openings": 2.0}


def test_grinding_is_not_in_the_total() -> None:
    found = side([REPORT, {**REPORT, "total_ms": 11.0}], stwo_phases)
    assert found.best_ms == 8.0
    assert found.document()["grind_ms"] == 2.0
    assert min(found.runs_ms) == 8.0


def test_parallel_build_is_found_beside(tmp_path: Path) -> None:
    plain = tmp_path / "stwo-oracle" / "release" / "stwo-oracle"
    other = tmp_path / "stwo-oracle-par" / "release" / "stwo-oracle"
    assert parallel_build(plain) is None
    for path in (plain, other):
        path.parent.mkdir(parents=True)
        path.touch()
    assert parallel_build(plain) == other


def test_compare_with_stwo(octoproof: Any, oracle: Path) -> None:
    arguments = ("--oracle", oracle, "--air", "plonk", "--log-size", 7, "--json")
    done = octoproof("bench", "compare", *arguments)
    assert done.code == 0, done.err
    report = done.json
    assert report["same_proof"] is True
    assert report["ratio"] == pytest.approx(report["ours"]["best_ms"] / report["stwo"]["best_ms"])
    assert len(report["ours"]["runs_ms"]) == len(report["stwo"]["runs_ms"]) >= 5
    assert {"trace", "interaction", "fri"} <= {phase["name"] for phase in report["phases"]}


@pytest.mark.parametrize(
    "arguments",
    [("--air", "topk"), ("--air", "nothing"), ("--repeat", 4), ("--threads", 2), ("--log-size", 6)],
)
def test_wrong_use(octoproof: Any, tmp_path: Path, arguments: tuple[object, ...]) -> None:
    done = octoproof("bench", "compare", "--oracle", tmp_path / "none", *arguments)
    assert done.code == 2
    assert done.err


def test_kernels_are_measured(octoproof: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octoproof.cli.kernels._SECONDS", 0.0)
    rows = octoproof("bench", "cpu", "--log-size", 10, "--threads", 2, "--json").json
    assert len(rows) == 10
    assert all(row["millions_per_s"] > 0 for row in rows)
