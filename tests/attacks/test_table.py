"""docs/attacks.md lists every item of the checklist, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "attacks.md").read_text()


def names_of(folder: str) -> set[str]:
    return {
        node.name
        for path in (ROOT / "tests" / folder).glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_named_test_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert named <= names_of("attacks") | names_of("differential")
    assert len(named) > 90


def test_every_attack_is_in_the_table() -> None:
    lettered = {name for name in names_of("attacks") if re.match(r"test_[a-f]\d", name)}
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert lettered <= named | {"test_d17_honest_openings"}


def test_every_item_has_a_line() -> None:
    found: set[int] = set()
    for cell in re.findall(r"^\| ([\d, to]+) \|", TEXT, re.MULTILINE):
        for part in cell.split(", "):
            first, _, last = part.partition(" to ")
            found |= set(range(int(first), int(last or first) + 1))
    assert found == set(range(1, 46))
