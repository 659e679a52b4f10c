"""`octoproof stark prove`: Stwo's own proofs come out, and nothing half done is ever left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.mark.parametrize("name", ["plonk_6_lifted9", "range_check_t6_u8", "row_fib_6", "wide_fib_5x4_default"])
def test_the_same_proof_as_stwo(octoproof: Any, pair: Any, tmp_path: Path, name: str) -> None:
    files = pair(name)
    done = octoproof("stark", "prove", files.spec, "--out", tmp_path / "ours.json", "--json")
    assert done.code == 0, done.err
    assert (tmp_path / "ours.json").read_text() == files.proof.read_text().strip()
    assert done.json["proof_json_bytes"] == (tmp_path / "ours.json").stat().st_size
    assert done.json["peak_rss_bytes"] > 0


def test_expr_with_trace_fills_the_spec(octoproof: Any, pair: Any, tmp_path: Path) -> None:
    files = pair("expr_topk_8")
    wanted = json.loads(files.spec.read_bytes())
    files.edit("spec", lambda spec: [spec.pop(key) for key in ("claimed_sums", "preprocessed_root")])
    out, out_spec = tmp_path / "ours.json", tmp_path / "filled.json"
    arguments = ("stark", "prove", files.spec, "--trace", files.trace, "--out", out, "--out-spec", out_spec)
    assert octoproof(*arguments).code == 0
    filled = json.loads(out_spec.read_bytes())
    assert filled["claimed_sums"] == wanted["claimed_sums"]
    assert filled["preprocessed_root"] == wanted["preprocessed_root"]
    assert octoproof("stark", "verify", out_spec, out).code == 0


def test_threads_make_no_difference(octoproof: Any, pair: Any, tmp_path: Path) -> None:
    files = pair("plonk_8")
    for threads in (1, 2):
        out = tmp_path / f"{threads}.json"
        assert octoproof("stark", "prove", files.spec, "--out", out, "--threads", threads).code == 0
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_expr_without_trace(octoproof: Any, pair: Any, tmp_path: Path) -> None:
    files = pair("expr_topk_8")
    done = octoproof("stark", "prove", files.spec, "--out", tmp_path / "p")
    assert done.code == 2
    assert "--trace" in done.err


def test_trace_of_wrong_length(octoproof: Any, pair: Any, tmp_path: Path) -> None:
    files = pair("expr_topk_8")
    files.trace.write_bytes(files.trace.read_bytes()[:-4])
    done = octoproof("stark", "prove", files.spec, "--trace", files.trace, "--out", tmp_path / "p")
    assert done.code == 2
    assert "bytes" in done.err
    assert not (tmp_path / "p").exists()


def test_trace_that_is_not_canonical_names_the_cell(octoproof: Any, pair: Any, tmp_path: Path) -> None:
    files = pair("expr_topk_8")
    cells = np.fromfile(files.trace, dtype="<u4")
    cells[256 + 5] = 2**31 - 1
    files.trace.write_bytes(cells.tobytes())
    done = octoproof("stark", "prove", files.spec, "--trace", files.trace, "--out", tmp_path / "p")
    assert done.code == 2
    assert "preprocessed column 1, row 5" in done.err


def test_witness_that_breaks_a_constraint(octoproof: Any, pair: Any, tmp_path: Path) -> None:
    files, out = pair("expr_topk_8"), tmp_path / "p"
    cells = np.fromfile(files.trace, dtype="<u4")
    cells[-600] += 1
    files.trace.write_bytes(cells.tobytes())
    out.write_text("old")
    done = octoproof("stark", "prove", files.spec, "--trace", files.trace, "--out", out)
    assert done.code == 1
    assert out.read_text() == "old"


def test_hopeless_target_is_refused_before_proving(octoproof: Any, pair: Any, tmp_path: Path) -> None:
    files = pair("plonk_8")
    done = octoproof("stark", "prove", files.spec, "--out", tmp_path / "none" / "p")
    assert done.code == 2
    assert "none" in done.err


def test_unknown_parameter_of_an_air(octoproof: Any, pair: Any, tmp_path: Path) -> None:
    files = pair("plonk_8")
    files.edit("spec", lambda spec: spec["air"].update(width=3))
    done = octoproof("stark", "prove", files.spec, "--out", tmp_path / "p")
    assert done.code == 2
    assert "air.width" in done.err


def test_out_of_memory_is_one_line(octoproof: Any, pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prover.memory.available", lambda: 1000)
    files = pair("plonk_8")
    done = octoproof("stark", "prove", files.spec, "--out", tmp_path / "p")
    assert done.code == 2
    assert "GB" in done.err
