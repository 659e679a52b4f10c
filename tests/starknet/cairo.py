"""Cairo tests written by Python tests: cases as constants in a package of their own, run by the Cairo runner."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from octoproof.starknet.build import CONTRACTS, BuildError, find_builder, find_corelib, run_tests

_MANIFEST = """\
[package]
name = "cases"
version = "0.1.0"
edition = "2024_07"

[dependencies]
starknet = "2.19.4"
"""
_VERDICT = re.compile(r"^test \S*::(\w+) \.\.\. (?:\x1b\[[0-9;]*m)?(ok|fail)", re.MULTILINE)


def need_compiler() -> None:
    """Skips the test, saying what is missing, where Cairo cannot be compiled."""
    try:
        find_builder(), find_corelib()
    except BuildError as error:
        pytest.skip(str(error))


def run_cairo(folder: Path, imports: Iterable[str], body: str, contracts: bool = False) -> dict[str, bool]:
    """Whether each #[test] of `body` passes, by name. The package may use those of the workspace, and deploy their
    contracts if `contracts`."""
    sources = folder / "cases" / "src"
    sources.mkdir(parents=True)
    paths = "".join(
        f'octoproof_{name} = {{ path = "{CONTRACTS / name}" }}\n' for name in ("facts", "registry", "stark")
    )
    (folder / "cases" / "Scarb.toml").write_text(
        _MANIFEST + paths + ("[[target.starknet-contract]]\n" if contracts else "")
    )
    (sources / "lib.cairo").write_text("".join(f"use {name};\n" for name in imports) + body)
    try:
        printed = run_tests(folder / "cases")
    except BuildError as error:  # a failing test, or code that does not compile
        printed = str(error)
    found = {name: verdict == "ok" for name, verdict in _VERDICT.findall(printed)}
    assert found, printed
    return found


def constant(name: str, felts: Iterable[int]) -> str:
    """A constant array of felts."""
    values = list(felts)
    return f"const {name}: [felt252; {len(values)}] = [{', '.join(map(hex, values))}];\n"
