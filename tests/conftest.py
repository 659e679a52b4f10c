"""Fixtures for all tests: the Rust oracle, where it can be had, and one place for compiled kernels."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from prover import cache

cache.use()  # before numba is imported, so that test runs share their kernels with the command line

ROOT = Path(__file__).resolve().parent.parent
SOURCE = Path(os.environ.get("OCTOPROOF_ORACLE_SOURCE") or ROOT.parent / "shared" / "stwo-oracle")


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's jobs and verified receipts, nor another test's."""
    monkeypatch.setenv("OCTOPROOF_STORE", str(tmp_path / "jobs"))


@pytest.fixture(scope="session")
def oracle() -> Path:
    """Path of the Rust oracle (StarkWare's Stwo behind a command line): $OCTOPROOF_ORACLE, else built and cached."""
    named = os.environ.get("OCTOPROOF_ORACLE")
    if named:
        assert Path(named).is_file(), f"OCTOPROOF_ORACLE: {named} does not exist"
        return Path(named)
    cargo = shutil.which("cargo")
    if cargo is None or not SOURCE.is_dir():
        pytest.skip("no Rust oracle: set OCTOPROOF_ORACLE to its path")
    target = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "octoproof" / "stwo-oracle"
    binary, stamp = target / "release" / "stwo-oracle", target / f"source-{_content_hash(SOURCE)}"
    if not (binary.is_file() and stamp.is_file()):
        # Several test processes may come here at once; cargo itself lets one build and the others wait.
        command = [cargo, "build", "--release", "--locked", "-q", "--target-dir", str(target)]
        built = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True)
        if built.returncode != 0:
            pytest.skip(f"the Rust oracle does not build: {built.stderr.strip().splitlines()[-1:]}")
        for old in target.glob("source-*"):
            old.unlink(missing_ok=True)
        stamp.touch()
    return binary


def _content_hash(folder: Path) -> str:
    digest = hashlib.blake2s(digest_size=8)
    files = (path for path in folder.rglob("*") if path.is_file())
    for path in sorted(p for p in files if not p.relative_to(folder).parts[0].startswith("target")):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
