"""The Cairo verifier accepts Stwo 2.3.0 proofs: ours, the oracle's and stored ones, of every AIR it has."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, product
from pathlib import Path
from struct import unpack

import pytest

from tests.starknet.cairo import need_compiler
from tests.starknet.verifying import (
    IMPORTS,
    PASSED,
    Case,
    call,
    plonk_circuit,
    proven,
    proven_by_oracle,
    range_check,
    run,
    topk,
    verify_cases,
    wide_fib,
)
from verifier.config import PRESETS, PcsConfig
from verifier.proof import proof_from_json
from verifier.spec import spec_from_json
from verifier.stark import verify_stark

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

# Fold steps, last layers, blow-ups and heights of every kind; few bits, so that proving is quick.
CONFIGS = {
    "plain": PcsConfig(2, 1, 0, 3),
    "step2": PcsConfig(3, 2, 0, 5, 2),
    "step3": PcsConfig(1, 1, 1, 9, 3),
    "step4": PcsConfig(2, 3, 2, 4, 4),
    "lifted": PcsConfig(2, 2, 0, 6, 2, 14),
}


def test_stored_proofs_are_accepted(tmp_path: Path) -> None:
    need_compiler()
    cases = [
        _fixture("range_check_t6_u8", "range_check::RangeCheck { table_log: 6, log_size: 8 }"),
        _fixture("plonk_8", "plonk::Plonk { log_size: 8 }"),
        _fixture("plonk_6_lifted9", "plonk::Plonk { log_size: 6 }"),
    ]
    outcomes = verify_cases(tmp_path, cases)
    assert {name: outcome.panic for name, outcome in outcomes.items()} == {case.name: PASSED for case in cases}


# Sizes that order the columns of a leaf as they are committed, and otherwise.
CLAIMS = {
    "wide": lambda: wide_fib(8),
    "range": lambda: range_check(8, 8),
    "range_small": lambda: range_check(9, 7),
    "plonk": lambda: plonk_circuit(7),
    "topk_small": lambda: topk("ip", 6),
    "topk_large": lambda: topk("l2", 11),
    "topk_equal": lambda: topk("ip", 10),
}


def test_our_proofs_are_accepted(tmp_path: Path) -> None:
    need_compiler()
    _accepted(tmp_path, list(zip(CLAIMS, cycle(CONFIGS), strict=False)))


@pytest.mark.slow
def test_every_air_with_every_config(tmp_path: Path) -> None:
    need_compiler()
    _accepted(tmp_path, list(product(CLAIMS, CONFIGS)))


def _accepted(folder: Path, pairs: list[tuple[str, str]]) -> None:
    cases = [proven(CLAIMS[claim](), CONFIGS[config], f"{claim}_{config}") for claim, config in pairs]
    for case in cases:
        verify_stark(case.spec, case.proof)
    outcomes = verify_cases(folder, cases)
    assert {name: outcome.panic for name, outcome in outcomes.items()} == {case.name: PASSED for case in cases}


def test_proofs_of_stwo_are_accepted(tmp_path: Path, oracle: Path) -> None:
    need_compiler()
    claims = [wide_fib(8), range_check(6, 9), plonk_circuit(8), topk("l2", 11)]
    cases = [
        proven_by_oracle(oracle, tmp_path / f"{claim.name}_{name}", claim, CONFIGS[name], f"{claim.name}_{name}")
        for claim, name in zip(claims, ("plain", "lifted", "step3", "step2"), strict=True)
    ]
    outcomes = verify_cases(tmp_path, cases)
    assert {name: outcome.panic for name, outcome in outcomes.items()} == {case.name: PASSED for case in cases}


# What a contract might set wrongly: limits of the config, alone and with an AIR, and a root for a tree without columns.
WRONG = {
    "no_queries": ({"n_queries": 0}, "config: out of limits"),
    "no_blowup": ({"log_blowup_factor": 0}, "config: out of limits"),
    "large_blowup": ({"log_blowup_factor": 17}, "config: out of limits"),
    "large_work": ({"pow_bits": 61}, "config: out of limits"),
    "no_fold": ({"fold_step": 0}, "config: out of limits"),
    "large_fold": ({"fold_step": 5}, "config: out of limits"),
    "large_last_layer": ({"log_last_layer_degree_bound": 11}, "config: out of limits"),
    "large_lifting": ({"lifting_log_size": 29}, "config: out of limits"),
    "nothing_to_fold": ({"log_last_layer_degree_bound": 6, "fold_step": 3}, "config: trace too small"),
    "no_proof": ({}, "proof: too short"),
    "low_lifting": ({"lifting_log_size": 8}, "config: lifting too low"),
}


def test_wrong_configs_are_refused(tmp_path: Path) -> None:
    need_compiler()
    case = proven(wide_fib(8), CONFIGS["plain"])
    body = [IMPORTS]
    for name, (changes, _) in WRONG.items():
        spec = replace(case.spec, config=replace(case.spec.config, **changes))
        body.append(f"#[test]\nfn {name}() {{ {call(case.cairo, spec, 'array![].span()')} }}\n")
    large = call("wide_fib_24::WideFib24 { log_size: 26 }", case.spec, "array![].span()").replace(
        "log_blowup_factor: 1", "log_blowup_factor: 3"
    )
    body.append(f"#[test]\nfn large_domain() {{ {large} }}\n")
    rooted = call(case.cairo, case.spec, f"array![{', '.join(map(hex, case.felts))}].span()")
    root = ", ".join(map(str, unpack("<8I", case.spec.tree0_root)))
    assert root in rooted
    body.append(f"#[test]\nfn other_root() {{ {rooted.replace(root, '1, 2, 3, 4, 5, 6, 7, 8')} }}\n")
    outcomes = run(tmp_path, "".join(body))
    expected = {name: why for name, (_, why) in WRONG.items()} | {
        "large_domain": "config: domain too large",
        "other_root": "oods: constraints",
    }
    assert {name: outcome.panic for name, outcome in outcomes.items()} == expected


@pytest.mark.slow
def test_gas_of_the_onchain_config(tmp_path: Path) -> None:
    """96 conjectured bits with 26 bits of work, which are proved with fewer here: their number costs no gas."""
    need_compiler()
    config = replace(PRESETS["onchain"], pow_bits=10)
    cases = [proven(wide_fib(16), config), proven(topk("l2", 16, 100), config)]
    outcomes = verify_cases(tmp_path, cases)
    wide, asked = (outcomes[case.name] for case in cases)
    assert wide.panic == asked.panic == PASSED
    assert wide.gas <= 60_000_000
    assert len(cases[0].felts) <= 1_450
    assert asked.gas <= 90_000_000
    assert len(cases[1].felts) <= 2_300


def _fixture(name: str, cairo: str) -> Case:
    spec = spec_from_json((FIXTURES / f"{name}.spec.json").read_text())
    return Case(name, cairo, spec, proof_from_json((FIXTURES / f"{name}.proof.json").read_text(), "blake2s"))
