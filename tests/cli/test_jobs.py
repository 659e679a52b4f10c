"""`octoproof submit`, `jobs`, `show`, `cancel`: jobs as a user sees them, and one that is really proven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from octoproof.vectors.build import build_snapshot


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs") / "snapshot"
    vectors = np.random.default_rng(4).normal(0, 1, (60, 4)).astype(np.float32)
    build_snapshot(vectors, folder, labels=[f"w{k}" for k in range(60)], segment_rows=32, presets=("bench",))
    return folder


ASKED = ("-k", 3, "--preset", "bench", "--json")


def test_the_same_question_is_the_same_job(octoproof: Any, snapshot: Path) -> None:
    first = octoproof("submit", snapshot, "--id", 3, "--id", 5, *ASKED).json["jobs"]
    again = octoproof("submit", snapshot, "--word", "w3", *ASKED).json["jobs"]
    assert [job["state"] for job in first] == ["queued", "queued"]
    assert again[0]["id"] == first[0]["id"] != first[1]["id"]
    other = octoproof("submit", snapshot, "--id", 3, "-k", 4, "--preset", "bench", "--json").json["jobs"]
    assert other[0]["id"] not in [job["id"] for job in first]
    listed = octoproof("jobs", "--json").json
    assert listed["counts"]["queued"] == 3
    assert {job["id"] for job in listed["jobs"]} == {job["id"] for job in (*first, *other)}


def test_a_job_is_shown_and_cancelled(octoproof: Any, snapshot: Path, tmp_path: Path) -> None:
    (job,) = octoproof("submit", snapshot, "--id", 3, "--priority", "high", *ASKED).json["jobs"]
    shown = octoproof("show", job["id"][:6], "--json").json
    assert (shown["state"], shown["priority"], shown["k"]) == ("queued", "high", 3)
    missing = octoproof("show", job["id"], "--out", tmp_path / "receipt")
    assert missing.code == 1
    assert "no receipt: the job is queued" in missing.out
    assert not (tmp_path / "receipt").exists()
    assert octoproof("cancel", job["id"][:6], "--json").json[0]["state"] == "cancelled"
    assert "no runner at work" in octoproof("jobs").out
    assert octoproof("submit", snapshot, "--id", 3, *ASKED).json["jobs"][0]["state"] == "queued"


def test_every_row_of_a_file_is_a_job(octoproof: Any, snapshot: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "queries.npy", np.zeros((7, 4), dtype=np.float32) + np.arange(7)[:, None] / 10)
    assert len(octoproof("submit", snapshot, "--vectors", tmp_path / "queries.npy", *ASKED).json["jobs"]) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("submit", "SNAPSHOT"), "--id, --word or --vectors"),
        (("submit", "SNAPSHOT", "--id", 3, "--priority", "urgent"), "--priority"),
        (("submit", "SNAPSHOT", "--id", 99), "id: 99 is not in this snapshot"),
        (("submit", "SNAPSHOT", "--id", 3, "--preset", "none"), "preset: 'none' is not one of"),
        (("show", "abc"), "job: no job of id abc"),
        (("show", "../x"), "is no job's id"),
        (("cancel", "0"), "job: no job of id 0"),
        (("jobs", "--state", "done"), "--state"),
    ],
)
def test_wrong_use(octoproof: Any, snapshot: Path, arguments: tuple[object, ...], message: str) -> None:
    done = octoproof(*(snapshot if a == "SNAPSHOT" else a for a in arguments))
    assert done.code == 2
    assert message in done.err


def test_waiting_proves_here(octoproof: Any, snapshot: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    done = octoproof("submit", snapshot, "--id", 3, "--id", 5, "--wait", *ASKED)
    assert done.code == 0, done.err
    first = done.json["jobs"]
    assert [job["state"] for job in first] == ["verified", "verified"]
    path = tmp_path / "receipt"
    assert octoproof("show", first[0]["id"], "--out", path).code == 0
    verdict = octoproof("verify", path, "--min-conjectured", 0, "--json").json
    assert verdict["valid"]
    assert verdict["statement"]["results"][0]["id"] == 3
    assert octoproof("submit", snapshot, "--id", 3, *ASKED).json["jobs"][0]["receipt"] == first[0]["receipt"]
