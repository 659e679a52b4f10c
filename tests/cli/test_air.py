"""`octoproof air`: list, show, export and check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NAMES = ("wide_fib", "row_fib", "range_check", "plonk", "poseidon2", "topk")


def test_list(octoproof: Any) -> None:
    assert {row["name"] for row in octoproof("air", "list", "--json").json} == set(NAMES)
    assert "plonk" in octoproof("air", "list").out


@pytest.mark.parametrize("name", NAMES)
def test_every_air_holds_on_its_example(octoproof: Any, name: str) -> None:
    done = octoproof("air", "check", name, "--log-size", 6, "--columns", 6)
    assert done.code == 0, done.out


@pytest.mark.parametrize("name", NAMES)
def test_show(octoproof: Any, name: str) -> None:
    report = octoproof("air", "show", name, "--json").json
    assert all(row["max_degree"] <= 3 for row in report["components"])
    assert octoproof("air", "show", name).code == 0


@pytest.mark.parametrize("name", NAMES)
def test_exported_air_holds_on_its_exported_trace(octoproof: Any, tmp_path: Path, name: str) -> None:
    spec, trace = tmp_path / "spec.json", tmp_path / "trace.bin"
    sizes = ("--log-size", 6, "--columns", 5)
    assert octoproof("air", "export", name, "--out-spec", spec, "--out-trace", trace, *sizes).code == 0
    assert octoproof("air", "check", spec, "--trace", trace).code == 0
    cells = np.fromfile(trace, dtype="<u4")
    cells[-1] ^= 1
    trace.write_bytes(cells.tobytes())
    done = octoproof("air", "check", spec, "--trace", trace)
    assert done.code == 1
    assert "row" in done.out or "relation" in done.out
    assert octoproof("air", "check", spec, "--trace", trace, "--json").json["holds"] is False


def test_export_to_the_screen_is_air_json(octoproof: Any, tmp_path: Path) -> None:
    text = octoproof("air", "export", "plonk", "--log-size", 5).out
    assert json.loads(text)["version"] == 1
    (tmp_path / "air.json").write_text(text)
    assert octoproof("air", "show", tmp_path / "air.json").code == 0
    assert octoproof("air", "check", tmp_path / "air.json").code == 2  # brings no trace


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"version": 2}, "version"),
        ({"version": 1}, "preprocessed"),
        ([], "object"),
        ({"air": {"name": "plonk", "log_size": 99, "a0": 1, "b0": 1}}, "missing"),
    ],
)
def test_bad_airs_are_named(octoproof: Any, tmp_path: Path, document: Any, complaint: str) -> None:
    path = tmp_path / "air.json"
    path.write_text(json.dumps(document))
    done = octoproof("air", "show", path)
    assert done.code == 2
    assert complaint in done.err


def test_unknown_name(octoproof: Any) -> None:
    done = octoproof("air", "show", "wide_fob")
    assert done.code == 2
    assert "wide_fib" in done.err


# The kernel of poseidon2's constraints takes most of a minute to compile.
SOME = [pytest.param(name, marks=pytest.mark.slow) if name == "poseidon2" else name for name in NAMES]


@pytest.mark.parametrize("name", SOME)
def test_stwo_accepts_every_exported_air(octoproof: Any, oracle: Path, tmp_path: Path, name: str) -> None:
    """StarkWare's verifier on proofs of our AIRs, made by our prover."""
    from subprocess import run

    spec, trace, proof, filled = (tmp_path / n for n in ("spec.json", "trace.bin", "proof.json", "filled.json"))
    sizes = ("--log-size", 7, "--columns", 5, "--preset", "bench")
    assert octoproof("air", "export", name, "--out-spec", spec, "--out-trace", trace, *sizes).code == 0
    if name == "topk":  # components of different sizes: Stwo wants the trees of one height
        _lift(spec, 11)
    prove = ("stark", "prove", spec, "--trace", trace, "--out", proof, "--out-spec", filled)
    done = octoproof(*prove)
    assert done.code == 0, done.err
    verdict = run([oracle, "verify", filled, proof], capture_output=True, text=True)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


def _lift(spec: Path, height: int) -> None:
    document = json.loads(spec.read_bytes())
    document["config"]["lifting_log_size"] = height
    spec.write_text(json.dumps(document))
