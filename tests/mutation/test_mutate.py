"""The mutation tester finds every check of the verifier, and a sample of what it removes is noticed."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).with_name("mutate.py")


@cache
def mutating() -> ModuleType:
    description = importlib.util.spec_from_file_location("mutate", SCRIPT)
    assert description
    assert description.loader
    module = importlib.util.module_from_spec(description)
    sys.modules["mutate"] = module
    description.loader.exec_module(module)
    return module


def test_every_raise_and_every_absorption_is_mutated() -> None:
    mutate = mutating()
    found = mutate.all_mutations()
    for path in sorted((mutate.ROOT / "verifier").glob("*.py")):
        own = [m for m in found if m.file == path.name]
        raises = sum(isinstance(node, ast.Raise) for node in ast.walk(ast.parse(path.read_text())))
        assert sum(m.kind == "raise" for m in own) == raises
    kinds = {m.kind for m in found}
    assert kinds == {"raise", "check", "absorption", "operand", "bound", "strict"}
    assert len({(m.file, m.start, m.kind, m.new) for m in found}) == len(found) > 200


def test_mutants_are_programs_and_differ() -> None:
    mutate = mutating()
    for mutation in mutate.all_mutations():
        source = (mutate.ROOT / "verifier" / mutation.file).read_text()
        changed = mutation.apply(source)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)), mutation.key


def test_explanations_are_of_mutations_that_exist() -> None:
    mutate = mutating()
    assert set(mutate.explanations()) <= {m.key for m in mutate.all_mutations()}
    assert all(len(reason) > 20 for reason in mutate.explanations().values())


def test_the_page_names_every_survivor() -> None:
    mutate = mutating()
    some = mutate.all_mutations("stark.py")[:3]
    page = mutate.report(some, some[:1])
    assert "**unexplained**" in page or some[0].key in mutate.explanations()
    assert "None." in mutate.report(some, [])


@pytest.mark.slow
def test_a_sample_is_noticed() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--sample", "12", "--seed", "3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
