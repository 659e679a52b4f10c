"""The verbs `snapshot`, `query` and `demo` as a user runs them: documents, exit codes, one line for what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def octoproof(*arguments: object, code: int = 0) -> str:
    """Standard output of one run, whose exit code must be `code`; for failures, standard error."""
    ran = subprocess.run([sys.executable, "-m", "octoproof", *map(str, arguments)], capture_output=True, text=True)
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stderr if code else ran.stdout


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
        (("query", "snapshot", "--id", 1, "--mode", "fast"), 2, "mode"),
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
