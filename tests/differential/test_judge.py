"""The differential judge: no mutant is accepted, none raises anything else, and Stwo says the same of every one."""

from __future__ import annotations

import importlib.util
import random
import sys
from functools import cache
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from verifier.errors import EncodingError

FAST, SLOW = 60, 2000


@cache
def judging() -> ModuleType:
    """The script beside this file, as a module."""
    path = Path(__file__).with_name("judge.py")
    description = importlib.util.spec_from_file_location("differential_judge", path)
    assert description
    assert description.loader
    module = importlib.util.module_from_spec(description)
    sys.modules["differential_judge"] = module
    description.loader.exec_module(module)
    return module


def some(count: int, seed: int, only: str | None = None) -> Any:
    judge = judging()
    cases = [judge.load(name) for name in judge.names(only)]
    return islice(judge.mutants(cases, random.Random(seed)), count)


def check(report: Any, count: int) -> None:
    assert report.mutants == count
    assert not report.findings, "\n".join(report.findings)
    assert report.peak_growth_bytes < judging().MAX_BYTES


def test_honest_proofs_are_accepted_by_both(oracle: Path, tmp_path: Path) -> None:
    judge = judging()
    for name in ("plonk_8", "expr_topk_8", "wide_fib_6x20_poseidon", "plonk_7_m31"):
        spec, proof = ((judge.FIXTURES / f"{name}.{kind}.json").read_text() for kind in ("spec", "proof"))
        assert judge.ours(spec, proof) == "accepted"
        assert judge.theirs(oracle, tmp_path, spec, proof)


def test_some_mutants_without_oracle() -> None:
    check(judging().judge(some(2 * FAST, seed=2)), 2 * FAST)


def test_some_mutants(oracle: Path) -> None:
    check(judging().judge(some(FAST, seed=3), oracle), FAST)


def test_some_mutants_of_topk(oracle: Path) -> None:
    check(judging().judge(some(FAST // 2, seed=4, only="topk"), oracle), FAST // 2)


@pytest.mark.slow
def test_many_mutants(oracle: Path) -> None:
    check(judging().judge(some(SLOW, seed=5), oracle), SLOW)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wide_fib_5x4_default", "range_check_t5_u6_poseidon_fold2"])
def test_every_leaf_of_a_proof(name: str) -> None:
    judge = judging()
    report = judge.judge(judge.walk([judge.load(name)], random.Random(6)))
    assert report.mutants > 400
    assert not report.findings


def test_outer_checks_pass_where_the_mutator_means_them_to() -> None:
    """A regrind gets past the proof of work, and a rehash past the Merkle path of its own tree."""
    judge = judging()
    rng, case = random.Random(8), judge.load("wide_fib_7x16_blowup2")
    verdicts = set()
    for _ in range(12):
        mutant = judge.mutate(case, "proof", "regrind", rng)
        verdicts.add(judge.ours(judge.json.dumps(mutant.spec), judge.json.dumps(mutant.proof)))
    assert "ProofOfWorkError" not in verdicts
    assert verdicts & {"MerkleError", "FriError"}
    made = judge.rehash(case, rng)
    assert sum(a != b for a, b in zip(made.proof["commitments"], case.proof["commitments"], strict=True)) == 1


@pytest.mark.parametrize("name", ["wide_fib_7x16_blowup2", "range_check_t6_u8", "wide_fib_6x20_poseidon"])
def test_without_a_change_a_path_leads_to_the_committed_root(name: str) -> None:
    judge = judging()
    case = judge.load(name)
    for tree, values in enumerate(case.proof["queried_values"]):
        if values:
            assert judge.root_of(case, tree, values) == case.proof["commitments"][tree]


@pytest.mark.parametrize("failure", ["accepts", "raises"])
def test_the_judge_is_not_blind(failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier that accepts everything, or falls over, is a finding."""
    judge = judging()

    def broken(spec: Any, proof: Any) -> None:
        if failure == "raises":
            raise IndexError("list index out of range")

    monkeypatch.setattr(judge, "verify_stark", broken)
    report = judge.judge(some(20, seed=9, only="plonk_8"))
    assert report.accepted if failure == "accepts" else report.foreign
    assert not (report.foreign if failure == "accepts" else report.accepted)


def test_a_difference_is_a_finding(oracle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = judging()
    case = judge.load("plonk_8")
    honest = judge.Mutant("plonk_8", "none", (), case.spec, case.proof)

    def strict(spec: Any, proof: Any) -> None:
        raise EncodingError("refused without reason")

    monkeypatch.setattr(judge, "verify_stark", strict)
    assert judge.judge(iter([honest]), oracle).differences
