"""The market contract's tests, which are in Cairo: tests/starknet/market.."""

from __future__ import annotations

from pathlib import Path

import pytest

from octoproof.starknet.build import run_tests
from tests.starknet.cairo import need_compiler

CASES = Path(__file__).resolve().parent / "market"
GROUPS = sorted(path.stem for path in (CASES / "src").glob("test_*.cairo"))


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_market(group: str) -> None:
    need_compiler()
    printed = run_tests(CASES, f"{group}::")
    assert "; 0 failed" in printed
    assert f"market_cases::{group}::" in printed
