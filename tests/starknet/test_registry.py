"""The snapshot registry's own tests, which are in Cairo beside it."""

from __future__ import annotations

from octoproof.starknet.build import CONTRACTS, run_tests
from tests.starknet.cairo import need_compiler


def test_registry() -> None:
    need_compiler()
    assert "8 passed; 0 failed" in run_tests(CONTRACTS / "registry")
