"""One thing changed in a proof of the SLA AIR, or in what it is said to be about: refused by us and by Stwo alike."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from air.circle import to_storage
from air.statements.sla import Sla, count_totals, sla_air, sla_public_terms, sla_trace
from octoproof import device
from prover.prove import prove
from verifier.config import PRESETS
from verifier.proof import proof_to_json
from verifier.spec import Spec, spec_to_json

JUDGE = Path(__file__).parents[1] / "differential" / "judge.py"


@pytest.fixture(scope="module")
def judging() -> ModuleType:
    """The differential judge, as a module."""
    description = importlib.util.spec_from_file_location("differential_judge_of_sla", JUDGE)
    assert description
    assert description.loader
    module = importlib.util.module_from_spec(description)
    sys.modules[description.name] = module
    description.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def case(judging: ModuleType) -> Any:
    """An honest proof about 50 requests, as the judge takes it."""
    rng, component = np.random.default_rng(4), Sla(6, (999, 1049, 1099, 1250))
    ok = rng.random(50) < 0.9
    flags = ok, ok & (rng.random(50) < 0.9), rng.random(50) < 0.9, np.ones(50)
    own = np.arange(50), rng.integers(0, 3000, 50), rng.integers(0, 1 << 20, 50), *flags
    columns = [to_storage(np.pad(np.asarray(column, dtype=np.uint32), (0, 14))) for column in own]
    terms = sla_public_terms(0, 50, count_totals(component, columns))
    air, config = sla_air(component), PRESETS["test"]
    with device.backend() as backend:
        made = prove(air, columns, sla_trace(component, columns), config=config, statement_u64=(6, 7), backend=backend)
    spec = Spec(air, "blake2s", config, True, (6, 7), made.claimed_sums, terms, made.preprocessed_root)
    return judging.Case(
        "sla", json.loads(json.dumps(spec_to_json(spec))), json.loads(proof_to_json(made.proof, "blake2s"))
    )


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutants(
    count: int, case: Any, judging: ModuleType, oracle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert judging.theirs(oracle, tmp_path, json.dumps(case.spec), json.dumps(case.proof))
    monkeypatch.setattr(judging, "load", lambda _: case)
    report = judging.judge(islice(judging.mutants([case], random.Random(5)), count), oracle)
    assert report.mutants == count
    assert not report.findings, "\n".join(report.findings)
