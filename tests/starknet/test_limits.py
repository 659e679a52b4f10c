"""Starknet's limits: every class can be declared, every proof sent, and the presets are the best that fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from air.statements.native import native
from octoproof.device import backend
from octoproof.starknet import presets
from octoproof.starknet.build import PACKAGES, ContractClass, compile_package
from octoproof.starknet.calldata import proof_to_felts
from octoproof.starknet.limits import MAX_BYTECODE_FELTS, MAX_CALLDATA_FELTS, over_limits, proof_felts
from prover.prove import prove
from tests.starknet.cairo import need_compiler
from verifier.config import PRESETS, PcsConfig
from verifier.errors import ConfigError
from verifier.security import figures
from verifier.spec import Spec

STATEMENT_FELTS = 500  # 100 coordinates, the segment and its path, and 150 rows


@pytest.mark.parametrize("package", PACKAGES)
def test_classes_can_be_declared(package: str) -> None:
    need_compiler()
    classes = compile_package(package)
    assert classes
    assert [line for item in classes.values() for line in over_limits(item)] == []


def test_a_class_that_is_too_large_is_named() -> None:
    large = ContractClass("Large", Path(), Path(), 1, MAX_BYTECODE_FELTS + 1, 1, 1)
    assert over_limits(large) == ["Large: 81,921 bytecode felts, Starknet takes 81,920"]
    assert over_limits(replace(large, bytecode_felts=MAX_BYTECODE_FELTS)) == []


@pytest.mark.parametrize("preset", presets.ONCHAIN)
def test_proofs_and_statements_fit_in_a_transaction(preset: str) -> None:
    for log_size in presets.TOPK_SIZES:
        assert proof_felts(PRESETS[preset], presets.topk(log_size)) + STATEMENT_FELTS <= MAX_CALLDATA_FELTS


DOCUMENTS: list[dict[str, Any]] = [
    {"name": "wide_fib", "components": [{"log_size": 10, "n_cols": 24}]},
    {"name": "plonk", "log_size": 9, "a0": 1, "b0": 2},
    {"name": "range_check", "table_log": 8, "users": [{"log_size": 8, "n_cols": 4, "batch": 2}]},
]
CONFIGS = [PcsConfig(0, 1, 0, 9), PcsConfig(0, 3, 2, 5, 3), PcsConfig(0, 2, 3, 12, 2), PcsConfig(0, 5, 1, 3, 4)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d["name"])
@pytest.mark.parametrize("config", CONFIGS)
def test_the_formula_bounds_real_proofs(document: dict[str, Any], config: PcsConfig) -> None:
    made, most = native(document), 0
    with backend() as device:
        for salt in range(5):  # five sets of queries
            words = (*made.statement_u64, salt)
            proved = prove(
                made.air, made.preprocessed(), made.main(), config=config, backend=device, statement_u64=words
            )
            root = proved.proof.commitments[0]
            sums, terms = proved.claimed_sums, made.public_terms
            spec = Spec(made.air, "blake2s", config, True, words, sums, terms, preprocessed_root=root)
            most = max(most, len(proof_to_felts(spec, proved.proof)))
    bound = proof_felts(config, made.air)
    assert 0.7 * bound <= most <= bound


def neighbours(config: PcsConfig) -> Iterator[PcsConfig]:
    for blowup in (-1, 0, 1):
        for step in (-1, 0, 1):
            for last in (-1, 0, 1):
                for queries in range(-4, 8):
                    yield replace(
                        config,
                        log_blowup_factor=config.log_blowup_factor + blowup,
                        fold_step=config.fold_step + step,
                        log_last_layer_degree_bound=config.log_last_layer_degree_bound + last,
                        n_queries=config.n_queries + queries,
                    )


def test_no_neighbour_of_the_proven_preset_proves_more() -> None:
    """Among those whose proofs leave room for the statement, at 2^20 rows of 100 dimensions."""
    air, preset = presets.topk(20), PRESETS["onchain-proven"]
    best = figures(preset, air).proven
    for other in neighbours(preset):
        if proof_felts(other, air) + STATEMENT_FELTS <= MAX_CALLDATA_FELTS:
            assert figures(other, air).proven <= best + 0.05, other


def test_the_cheap_preset_is_worth_96_bits() -> None:
    for log_size in presets.TOPK_SIZES:
        assert figures(PRESETS["onchain"], presets.topk(log_size)).conjectured >= 96


def test_both_presets_share_the_roots_of_tree_0() -> None:
    keys = {(PRESETS[name].log_blowup_factor, PRESETS[name].lifting_log_size) for name in presets.ONCHAIN}
    assert len(keys) == 1


def test_constants_are_current() -> None:
    """Run `python -m octoproof.starknet.presets` after a change of presets or of `verifier/security.py`."""
    assert presets.PAGE.read_text() == presets.generated()


def test_every_size_of_the_tables_is_one_that_the_presets_fit() -> None:
    airs = [presets.topk(n) for n in presets.TOPK_SIZES] + [presets.wide_fib(n) for n in presets.WIDE_FIB_SIZES]
    airs += [make(n).air for n in presets.ROOT_SIZES for make in (presets.range_check, presets.plonk)]
    for name in presets.ONCHAIN:
        for air in airs:
            try:
                PRESETS[name].check_fits(air)
            except ConfigError as error:
                pytest.fail(f"{name}: {error}")
