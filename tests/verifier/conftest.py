"""Fixtures: Stwo's own proofs and test vectors."""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
NAMES = sorted(p.name.removesuffix(".spec.json") for p in (ROOT / "fixtures").glob("*.spec.json"))


@cache
def load_vectors(name: str):
    return json.loads((ROOT / "vectors" / f"{name}.json").read_text())


@cache
def load_case(name: str):
    from verifier.proof import proof_from_json
    from verifier.spec import spec_from_json

    spec_text = (ROOT / "fixtures" / f"{name}.spec.json").read_text()
    proof_text = (ROOT / "fixtures" / f"{name}.proof.json").read_text()
    spec = spec_from_json(spec_text)
    return SimpleNamespace(
        name=name,
        spec=spec,
        spec_text=spec_text,
        proof=proof_from_json(proof_text, spec.channel),
        proof_text=proof_text,
    )


@pytest.fixture
def vectors():
    return load_vectors


@pytest.fixture
def case():
    return load_case


def pytest_generate_tests(metafunc):
    if "fixture_name" in metafunc.fixturenames:
        metafunc.parametrize("fixture_name", NAMES)


@pytest.fixture(scope="session")
def reference():
    """The module `reference.py` beside this file: a plain prover."""
    spec = importlib.util.spec_from_file_location("reference_prover", Path(__file__).with_name("reference.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference_prover"] = module
    spec.loader.exec_module(module)
    return module
