"""The guide's program runs as it is printed, and prints what it says it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "air.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_guides_program_runs(capsys: pytest.CaptureFixture[str]) -> None:
    program = compile("\n".join(blocks("python")), str(GUIDE), "exec", dont_inherit=True)
    exec(program, {"__name__": "guide"})  # noqa: S102
    printed = capsys.readouterr().out
    for shown in blocks("text"):
        assert shown.strip() in printed
