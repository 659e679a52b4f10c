"""The tour in the README, command by command, in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def commands() -> list[list[str]]:
    """Every indented line that starts with octoproof; a backslash joins the next one."""
    text = README.replace("\\\n", " ")
    found = re.findall(r"^    octoproof (.*)$", text, flags=re.MULTILINE)
    return [line.partition("#")[0].split() for line in found if "STWO_ORACLE" not in line]


@pytest.mark.slow
def test_every_command_of_the_tour_works(tmp_path: Path) -> None:
    (tmp_path / "octoproof").mkdir()
    (tmp_path / "octoproof" / "data").symlink_to(ROOT / "octoproof" / "data")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    printed = ""
    for arguments in commands():
        command = [sys.executable, "-m", "octoproof", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == (1 if "90" in arguments else 0), f"{arguments}: {done.stdout}{done.stderr}"
        printed += done.stdout
    for shown in re.findall(r"^    ((?:NOT VALID|snapshot root).*)$", README, flags=re.MULTILINE):
        assert shown in printed
    (program,) = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
