"""The prover that attacks are made with is a right one: unweakened, it gives Stwo's own bytes."""

from __future__ import annotations

from typing import Any

import pytest

from verifier.stark import verify_stark

SAME = [
    "expr_plonk_6",
    "expr_topk_8",
    "plonk_6_lifted9",
    "plonk_7_m31",
    "range_check_t5_u6_poseidon_fold2",
    "range_check_t8_u5_u7",
    "row_fib_mixed_7_5",
    "wide_fib_10x6_fold3_last2",
    "wide_fib_6x8_noconfigmix",
    "wide_fib_7x16_blowup2",
]


@pytest.mark.parametrize("name", SAME)
def test_gives_the_bytes_of_stwo(name: str, case: Any, reference: Any) -> None:
    c = case(name)
    assert reference.ReferenceProver(c.spec, *c.columns).prove() == (c.spec, c.proof)


@pytest.mark.parametrize("name", ["row_fib_6", "range_check_t6_u8"])
def test_is_accepted_with_another_config(
    name: str, case: Any, reference: Any, without_work: Any, oracle_accepts: Any
) -> None:
    c = case(name)
    spec, proof = reference.ReferenceProver(without_work(c.spec, fold_step=2), *c.columns).prove()
    verify_stark(spec, proof)
    assert oracle_accepts(spec, proof)
