"""The rules of the repository itself: arrows between packages, no machine paths, an interruptible program."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import octoproof

ROOT = Path(__file__).resolve().parents[1]
MACHINE_PATH = re.compile(rb"(?<![\w.~-])/(?:root|home|Users|work|mnt)/[\w.-]")


def test_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == octoproof.__version__


def test_imports_point_one_way() -> None:
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or shutil.which("lint-imports")
    if program is None:
        pytest.skip("import-linter is not installed")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_help_loads_no_numbers() -> None:
    """`--help` is quick because nothing heavy is imported for it."""
    program = (
        "import sys, atexit\n"
        "heavy = {'numpy', 'numba', 'llvmlite', 'rich', 'pydantic', 'air.field', 'verifier.stark'}\n"
        "atexit.register(lambda: print('heavy:', sorted(heavy & set(sys.modules))))\n"
        "sys.argv = ['octoproof', '--help']\n"
        "from octoproof.cli import main; main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_every_verb_has_help() -> None:
    from octoproof.cli import VERBS

    for verb in VERBS:
        done = subprocess.run(
            [sys.executable, "-m", "octoproof", verb, "--help"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{verb}: {done.stderr}"
        assert f"octoproof {verb}" in done.stdout


def test_no_machine_paths() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run([git, "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True)
    found = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and path.stat().st_size < 4 << 20 and MACHINE_PATH.search(path.read_bytes()):
            found.append(name)
    assert found == []


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_ctrl_c_ends_quietly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "octoproof", "air", "check", "wide_fib", "--log-size", "20", "--columns", "400"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while _memory(process.pid) < 300 << 20 and time.monotonic() < deadline:  # until it is well inside the check
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "octoproof: interrupted\n"
