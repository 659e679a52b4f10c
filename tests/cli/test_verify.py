"""`octoproof verify`: receipts in, a verdict out; every bad receipt ends in one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MAGIC = len(b"OCTOPROOF-RECEIPT")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(what `query --json` said, receipts by preset) of a small snapshot of two segments."""
    from contextlib import redirect_stdout
    from io import StringIO

    from octoproof.cli import main

    folder = tmp_path_factory.mktemp("snapshot")
    rng = np.random.default_rng(3)
    np.savez(folder / "vectors.npz", vectors=rng.normal(size=(40, 6)).astype(np.float32))

    def run(*arguments: object) -> str:
        with redirect_stdout(StringIO()) as out, pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        assert not end.value.code
        return out.getvalue()

    run("snapshot", "build", folder / "vectors.npz", "--out", folder / "s", "--segment-rows", 20)
    receipts = {}
    for preset in ("bench", "standard"):
        path = folder / f"{preset}.octoproof"
        text = run("query", folder / "s", "--id", 7, "-k", 3, "--preset", preset, "--prove", path, "--json")
        receipts[preset] = path.read_bytes()
    return json.loads(text), receipts


@pytest.fixture
def receipt(asked: Any, tmp_path: Path) -> Path:
    path = tmp_path / "r.octoproof"
    path.write_bytes(asked[1]["standard"])
    return path


def test_valid_receipt(octoproof: Any, receipt: Path, asked: Any) -> None:
    done = octoproof("verify", receipt, "--snapshot-root", asked[0]["snapshot_root"])
    assert done.code == 0
    assert "VALID in" in done.out
    assert "conjectured" in done.out
    assert "proven" in done.out
    assert "root not checked" not in done.out
    assert "root not checked" in octoproof("verify", receipt).out


def test_json(octoproof: Any, receipt: Path, asked: Any) -> None:
    report = octoproof("verify", receipt, "--json", "--snapshot-root", asked[0]["snapshot_root"]).json
    assert set(report) == {"valid", "statement", "checks", "security", "reason"}
    assert report["valid"] is True
    assert all(check["ok"] for check in report["checks"])
    assert report["checks"][-1]["name"] == "snapshot root"
    wanted = [{"id": r["id"], "score": r["score"]} for r in asked[0]["results"]]
    assert report["statement"]["results"] == wanted
    assert report["security"]["conjectured"] > report["security"]["proven"]


def test_another_root_is_refused(octoproof: Any, receipt: Path) -> None:
    done = octoproof("verify", receipt, "--snapshot-root", "00" * 32, "--json")
    assert done.code == 1
    assert done.json["valid"] is False
    assert "snapshot" in done.json["reason"]


def test_what_was_valid_is_known(octoproof: Any, receipt: Path, asked: Any) -> None:
    root = ("--snapshot-root", asked[0]["snapshot_root"])
    first, second = (
        octoproof("verify", receipt, *root, "--json").json,
        octoproof("verify", receipt, *root, "--json").json,
    )
    assert [check["name"] for check in second["checks"]] == ["cached"]
    assert {**second, "checks": []} == {**first, "checks": []}
    assert len(octoproof("verify", receipt, *root, "--json", "--no-cache").json["checks"]) > 1
    # Known under these demands, and no others.
    assert len(octoproof("verify", receipt, "--json", "--min-proven", 50).json["checks"]) > 1
    assert octoproof("verify", receipt, "--snapshot-root", "00" * 32).code == 1
    assert octoproof("verify", receipt, "--min-proven", 99).code == 1
    assert [entry["verdict"]["statement"]["type"] for entry in octoproof("history", "--json").json] == ["topk"] * 2
    receipt.write_bytes(receipt.read_bytes()[:-1] + b"\x01")
    assert octoproof("verify", receipt, *root).code == 1


def test_a_large_batch_is_verified_in_processes(octoproof: Any, receipt: Path, tmp_path: Path) -> None:
    data, paths = receipt.read_bytes(), []
    for number in range(9):
        paths.append(tmp_path / f"{number}.octoproof")
        paths[-1].write_bytes(data if number != 4 else data[:-1] + bytes([data[-1] ^ 1]))
    batch = octoproof("verify", *paths, "--json", "--no-cache").json
    assert [outcome["valid"] for outcome in batch["receipts"]] == [number != 4 for number in range(9)]
    assert batch["valid"] is False


@pytest.mark.parametrize("root", ["00", "zz" * 32, ""])
def test_root_that_is_none(octoproof: Any, receipt: Path, root: str) -> None:
    assert octoproof("verify", receipt, "--snapshot-root", root).code == 2


@pytest.mark.parametrize("demand", [("--min-conjectured", 120), ("--min-proven", 90)])
def test_demands(octoproof: Any, receipt: Path, demand: tuple[str, float]) -> None:
    done = octoproof("verify", receipt, *demand)
    assert done.code == 1
    assert "demanded" in done.out


def test_weak_presets_are_refused_unless_asked_for(octoproof: Any, asked: Any, tmp_path: Path) -> None:
    path = tmp_path / "weak"
    path.write_bytes(asked[1]["bench"])
    done = octoproof("verify", path)
    assert done.code == 1
    assert "96.0 are demanded" in done.out
    assert octoproof("verify", path, "--min-conjectured", 5).code == 0


def test_batch_is_the_and(octoproof: Any, receipt: Path, tmp_path: Path) -> None:
    both = octoproof("verify", receipt, receipt, "--json")
    assert both.code == 0
    single = octoproof("verify", receipt, "--json").json["security"]
    assert both.json["security"]["proven"] == pytest.approx(single["proven"] - 1, abs=0.11)
    bad = tmp_path / "bad"
    data = bytearray(receipt.read_bytes())
    data[-5] ^= 1
    bad.write_bytes(data)
    mixed = octoproof("verify", receipt, bad)
    assert mixed.code == 1
    assert "1 of 2 valid" in mixed.out


def test_batch_figure_counts_against_the_demand(octoproof: Any, receipt: Path) -> None:
    least = octoproof("verify", receipt, "--json").json["security"]["proven"] - 0.5
    assert octoproof("verify", receipt, "--min-proven", least).code == 0
    assert octoproof("verify", receipt, receipt, "--min-proven", least).code == 1


def test_any_changed_byte_is_refused(octoproof: Any, receipt: Path) -> None:
    honest = receipt.read_bytes()
    rng = np.random.default_rng(5)
    for position in rng.integers(MAGIC, len(honest), 40):
        data = bytearray(honest)
        data[position] ^= 1 << int(rng.integers(8))
        receipt.write_bytes(data)
        done = octoproof("verify", receipt)
        assert done.code in (1, 2), position
        assert "VALID in" not in done.out


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda data: data[:-1], "bytes"),
        (lambda data: data + b"\0", "bytes"),
        (lambda data: b"", "receipt"),
        (lambda data: b"X" + data[1:], "receipt"),
        (lambda data: data[:MAGIC] + b"\x03\0\0\0" + data[MAGIC + 4 :], "version 3"),
        (lambda data: data[:MAGIC] + b"\x01\0\0\0" + data[MAGIC + 4 :], "version 1 is no longer read"),
        (lambda data: data[: MAGIC + 12] + b"\xff\xff\xff\xff" + data[MAGIC + 16 :], "receipt"),
    ],
)
def test_what_is_no_receipt(octoproof: Any, receipt: Path, change: Any, complaint: str) -> None:
    receipt.write_bytes(change(receipt.read_bytes()))
    done = octoproof("verify", receipt)
    assert done.code == 2
    assert complaint in done.err
    assert len(done.err.splitlines()) == 1


def test_oversized(octoproof: Any, receipt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verifier.receipt.MAX_RECEIPT_BYTES", 1000)
    done = octoproof("verify", receipt)
    assert done.code == 2
    assert "more than the 1000 bytes" in done.err


def test_missing(octoproof: Any, tmp_path: Path) -> None:
    assert octoproof("verify", tmp_path / "none").code == 2
    assert octoproof("verify", tmp_path).code == 2
    assert octoproof("verify").code == 2
