"""The verbs `snapshot`, `query` and `demo` as a user runs them: documents, exit codes, one line for what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def octoproof(*arguments: object, code: int = 0, out: bool = False) -> str:
    """Standard output of one run, whose exit code must be `code`; for failures, standard error unless `out`."""
    ran = subprocess.run([sys.executable, "-m", "octoproof", *map(str, arguments)], capture_output=True, text=True)
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout if out or not code else ran.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("cli")
    vectors = np.random.default_rng(2).normal(0, 1, (100, 4)).astype(np.float32)
    np.savez(place / "vectors.npz", vectors=vectors, words=np.array([f"w{k}" for k in range(100)]))
    np.save(place / "query.npy", vectors[3])
    octoproof("snapshot", "build", place / "vectors.npz", "--out", place / "snapshot", "--segment-rows", 64)
    return place


def test_a_query_with_a_receipt(folder):
    receipt = folder / "receipt"
    asked = ("query", folder / "snapshot", "--word", "w7", "-k", 3)
    shown = json.loads(octoproof(*asked, "--prove", receipt, "--json"))
    assert {"mode", "metric", "k", "snapshot_root", "results", "security", "timings", "receipt"} <= set(shown)
    assert (shown["mode"], shown["metric"], shown["k"]) == ("strict", "l2", 3)
    assert shown["results"][0] == {"id": 7, "label": "w7", "score": shown["results"][0]["score"], "distance": 0.0}
    assert shown["receipt_bytes"] == receipt.stat().st_size
    assert set(shown["security"]) >= {"conjectured", "proven"}
    root = json.loads(octoproof("snapshot", "show", folder / "snapshot", "--json"))["snapshot_root"]
    assert root == shown["snapshot_root"]
    weak = ("--min-conjectured", 90, "--json")  # two parts share 96 bits
    verdict = json.loads(octoproof("verify", receipt, "--snapshot-root", root, *weak))
    assert verdict["valid"]
    told = [(row["id"], row["score"]) for row in verdict["statement"]["results"]]
    assert told == [(row["id"], row["score"]) for row in shown["results"]]
    refused = subprocess.run(
        [sys.executable, "-m", "octoproof", "verify", receipt, "--snapshot-root", "00" * 32, "--min-conjectured", "90"],
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert "another snapshot" in refused.stdout


def test_queries_without_a_proof(folder):
    by_vector = json.loads(octoproof("query", folder / "snapshot", "--vector", folder / "query.npy", "--json"))
    by_id = json.loads(octoproof("query", folder / "snapshot", "--id", 3, "--json"))
    assert by_vector["results"] == by_id["results"]
    assert by_id["receipt"] is by_id["security"] is by_id["timings"]["prove_s"] is None
    assert "w3" in octoproof("query", folder / "snapshot", "--id", 3)


def test_snapshot_check(folder):
    assert json.loads(octoproof("snapshot", "check", folder / "snapshot", "--json"))["holds"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("query", "snapshot", "--word", "nobody"), 2, "label: 'nobody' is not in this snapshot"),
        (("query", "snapshot"), 2, "--word"),
        (("query", "snapshot", "--id", 1, "--mode", "exact"), 2, "mode: 'exact' is not one of strict, ivf"),
        (("query", "snapshot", "--id", 1, "--mode", "ivf"), 2, "mode: ivf needs a snapshot with cells"),
        (("query", "snapshot", "--id", 1, "--where", "label"), 2, "--where"),
        (("query", "snapshot", "--id", 1, "--where", "colour=red"), 2, "where: no field 'colour'"),
        (("query", "snapshot", "--id", 1, "--where", "label=w200"), 2, "where: no row of this snapshot has label="),
        (("query", "snapshot", "--id", 1, "--at", 9), 2, "at: no version 9"),
        (("query", "snapshot", "--id", 1, "--prove", "/nowhere/receipt"), 2, "nowhere"),
        (("query", "snapshot", "--vector", "1,2,x,4"), 2, "--vector"),
        (("query", "nothing", "--id", 1), 2, "no such file"),
        (("snapshot", "build", "vectors.npz", "--out", "snapshot"), 2, "exists already"),
        (("snapshot", "build", "query.npy", "--out", "new"), 2, "vectors: an array of shape"),
        (("snapshot", "show", "vectors.npz"), 2, "vectors.npz"),
    ],
)
def test_one_line_for_what_is_wrong(arguments, code, message, folder):
    places = [
        folder / a if a in ("snapshot", "nothing", "vectors.npz", "query.npy", "new") else a for a in arguments[1:]
    ]
    if arguments[0] == "snapshot":
        places[0] = arguments[1]
    assert message in octoproof(arguments[0], *places, code=code)


def test_the_modes_that_open_rows(folder):
    root = json.loads(octoproof("snapshot", "show", folder / "snapshot", "--json"))["snapshot_root"]
    for mode, shown in (("fast", 3), ("candidates", 40)):
        receipt = folder / f"{mode}.octoproof"
        asked = ("query", folder / "snapshot", "--id", 7, "-k", 3, "--mode", mode, "--where", "label=w7")
        assert len(json.loads(octoproof(*asked, "--json"))["results"]) == 1
        found = json.loads(octoproof(*asked[:-2], "--prove", receipt, "--json"))
        assert len(found["results"]) == 3
        verdict = json.loads(octoproof("verify", receipt, "--snapshot-root", root, "--json"))
        assert verdict["statement"]["parts"][0]["mode"] == mode
        assert verdict["statement"]["parts"][0]["candidates"] == shown
        assert verdict["statement"]["certified"] is None
        assert "nothing about rows" in octoproof("verify", receipt)


def test_a_life_of_a_snapshot(tmp_path):
    rng = np.random.default_rng(3)
    vectors, kinds = rng.normal(0, 1, (80, 4)).astype(np.float32), np.array(["a", "b"] * 40)
    np.savez(tmp_path / "first.npz", vectors=vectors[:60], kind=kinds[:60])
    np.savez(tmp_path / "more.npz", vectors=vectors[60:] / 2, kind=kinds[60:])
    np.savetxt(tmp_path / "gone.txt", np.arange(10), fmt="%d")
    place = tmp_path / "snapshot"

    def run(*arguments: object) -> dict:
        return json.loads(octoproof(*arguments, "--json"))

    built = run("snapshot", "build", tmp_path / "first.npz", "--out", place, "--field", "kind", "--cells", 4)
    assert (built["version"], built["rows"], built["cells"], built["fields"]) == (1, 60, 4, {"kind": 2})
    grown = run("snapshot", "append", place, tmp_path / "more.npz")
    assert (grown["version"], grown["rows"]) == (2, 80)
    shrunk = run("snapshot", "delete", place, "--id", 70, "--ids", tmp_path / "gone.txt")
    assert shrunk["live"] == 69
    run("snapshot", "compact", place)
    versions = run("snapshot", "show", place, "--history")
    assert [v["snapshot_root"] for v in versions][:3] == [v["snapshot_root"] for v in (built, grown, shrunk)]
    assert run("snapshot", "check", place)["snapshot_root"] == versions[-1]["snapshot_root"]
    assert run("query", place, "--id", 5, "--at", 1, "-k", 1)["results"][0]["id"] == 5

    certificate, receipt = tmp_path / "certificate", tmp_path / "receipt"
    made = run("snapshot", "certify", place, "--out", certificate)
    assert made["segments"] == made["proven_now"] == 5
    assert run("snapshot", "certify", place, "--out", certificate)["proven_now"] == 0
    asked = ("query", place, "--id", 50, "-k", 2, "--mode", "ivf", "--probes", 2, "--where", "kind=a")
    found = run(*asked, "--prove", receipt)
    assert all(row["id"] % 2 == 0 for row in found["results"])
    weak = ("--min-conjectured", 90)  # several parts share 96 bits
    verdict = run("verify", receipt, "--certificate", certificate, *weak)
    assert verdict["statement"]["certified"] is True
    assert verdict["checks"][-1] == {"name": "certificate", "ok": True, "ms": None}
    assert run("verify", receipt, *weak)["statement"]["certified"] is False
    assert run("verify", certificate, *weak)["statement"]["type"] == "certify"
    # A certificate is of segment versions: an append makes others of the cells that it touches.
    run("snapshot", "append", place, tmp_path / "more.npz")
    run(*asked, "--prove", receipt)
    refused = octoproof("verify", receipt, "--certificate", certificate, *weak, code=1, out=True)
    assert "certificate: it does not cover the columns" in refused


def test_the_demo(tmp_path):
    shown = json.loads(octoproof("demo", "--word", "river", "--folder", tmp_path / "kept", "--json"))
    assert shown["results"][0]["label"] == "river"
    assert len(shown["results"]) == 10
    assert shown["words"] == 16_384
    assert shown["verdict"]["valid"]
    assert shown["verdict"]["security"]["conjectured"] >= 96
    assert not shown["swapped"]["verdict"]["valid"]
    assert "balance" in shown["swapped"]["verdict"]["reason"]
    assert shown["timings"]["prove"] < 60
    assert (tmp_path / "kept" / "receipt.octoproof").stat().st_size == shown["receipt_bytes"]
