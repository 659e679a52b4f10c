"""What the README says about the chain, command by command, on a node of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from octoproof.starknet.deploy import Class
from octoproof.starknet.devnet import stop

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_command_works(devnet_installed: Path, account_class: Class, tmp_path: Path) -> None:
    (script,) = re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "octoproof").mkdir()
    (tmp_path / "octoproof" / "data").symlink_to(ROOT / "octoproof" / "data")
    chain = tmp_path / "chain"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "OCTOPROOF_CHAIN": str(chain)}
    printed = ""
    try:
        for line in script.splitlines():
            command = [sys.executable, "-m", *line.split()]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
            printed += done.stdout
    finally:
        for place in chain.glob("**/node.json"):
            stop(place.parent)
    assert re.search(r"^FACT [0-9a-f]{64}: 96.0 bits of security conjectured", printed, flags=re.MULTILINE)
