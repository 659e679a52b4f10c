"""`octoproof stark verify`: exit codes, and one clear line for every way in which a file can be bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("name", ["plonk_8", "wide_fib_6x20_poseidon", "plonk_7_m31", "expr_topk_8"])
def test_honest_proofs_are_valid(octoproof: Any, pair: Any, name: str) -> None:
    files = pair(name)
    done = octoproof("stark", "verify", files.spec, files.proof)
    assert (done.code, done.out[:5]) == (0, "VALID")
    assert "conjectured" in done.out
    assert "proven" in done.out


def test_json_names_every_phase(octoproof: Any, pair: Any) -> None:
    files = pair("plonk_8")
    report = octoproof("stark", "verify", files.spec, files.proof, "--json").json
    assert report["valid"] is True
    assert report["reason"] is None
    assert report["statement"]["air"] == "plonk"
    assert report["checks"][0]["name"] == "shape"
    assert all(c["ok"] for c in report["checks"])
    assert report["security"]["conjectured"] > report["security"]["proven"] > 0


def test_changed_proof_is_refused_with_its_reason(octoproof: Any, pair: Any) -> None:
    files = pair("plonk_8")
    files.edit("proof", lambda proof: proof.update(proof_of_work=proof["proof_of_work"] + 1))
    done = octoproof("stark", "verify", files.spec, files.proof)
    assert (done.code, done.out[:9]) == (1, "NOT VALID")
    report = octoproof("stark", "verify", files.spec, files.proof, "--json")
    assert report.code == 1
    assert report.json["valid"] is False
    assert "proof_of_work" in report.json["reason"]
    assert report.json["checks"][-1] == {"name": "proofofwork", "ok": False, "ms": None}


def test_wrong_shape_is_not_valid(octoproof: Any, pair: Any) -> None:
    files = pair("plonk_8")
    files.edit("proof", lambda proof: proof["commitments"].pop())
    assert octoproof("stark", "verify", files.spec, files.proof).code == 1


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def _deep(path: Path) -> None:
    path.write_text("[" * 100_000)


@pytest.mark.parametrize("damage", [_truncate, _not_text, _deep, Path.unlink])
@pytest.mark.parametrize("which", ["spec", "proof"])
def test_unreadable_files(octoproof: Any, pair: Any, which: str, damage: Callable[[Path], None]) -> None:
    files = pair("plonk_8")
    damage(getattr(files, which))
    done = octoproof("stark", "verify", files.spec, files.proof)
    assert done.code == 2
    assert done.out == ""
    assert len(done.err.strip().splitlines()) == 1
    assert len(done.err) < 700


@pytest.mark.parametrize("which", ["spec", "proof"])
def test_unknown_field_is_named(octoproof: Any, pair: Any, which: str) -> None:
    files = pair("plonk_8")
    files.edit(which, lambda document: document.update(surprise=1))
    done = octoproof("stark", "verify", files.spec, files.proof)
    assert done.code == 2
    assert "surprise" in done.err


def test_missing_field_is_named(octoproof: Any, pair: Any) -> None:
    files = pair("plonk_8")
    files.edit("spec", lambda spec: spec["config"].pop("n_queries"))
    done = octoproof("stark", "verify", files.spec, files.proof)
    assert done.code == 2
    assert "n_queries" in done.err


def test_oversized_file_is_refused_before_it_is_parsed(
    octoproof: Any, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifier.proof.MAX_PROOF_JSON_BYTES", 1000)
    files = pair("plonk_8")
    done = octoproof("stark", "verify", files.spec, files.proof)
    assert done.code == 2
    assert "1000 bytes" in done.err


def test_errors_as_json(octoproof: Any, tmp_path: Path) -> None:
    done = octoproof("stark", "verify", tmp_path / "none", tmp_path / "none", "--json")
    assert done.code == 2
    assert "check the path" in done.json["error"]


@pytest.mark.parametrize("arguments", [("stark",), ("stark", "verify"), ("nonsense",), ("stark", "verify", "--nope")])
def test_wrong_use(octoproof: Any, arguments: tuple[str, ...]) -> None:
    assert octoproof(*arguments).code == 2
