"""The figures recomputed from the theorems by hand, the table of docs/security.md, and what a caller can demand."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from math import log2, sqrt
from pathlib import Path

import pytest

from air.field import P
from air.statements.native import native
from verifier.config import PRESETS, PcsConfig
from verifier.errors import SecurityError
from verifier.receipt import _demand
from verifier.security import figures

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIELD = 4 * log2(P)


def wide(log_size, columns=100):
    return native({"name": "wide_fib", "components": [{"log_size": log_size, "n_cols": columns}]}).air


def test_the_page_shows_todays_figures():
    spec = importlib.util.spec_from_file_location("security_table", DOCS / "security_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (DOCS / "security.md").read_text()
    assert module.rewritten(page) == page, "run: python docs/security_table.py"


@pytest.mark.parametrize("log_size", [10, 16, 20])
def test_unique_decoding_by_hand(log_size):
    """100 columns and 8 of the composition, one sample each; the field terms add up, queries have (1 + rho)/2 each."""
    terms, domain = 108, 2.0 ** (log_size + 1)
    batching = (terms - 1) * domain
    folding = sum(domain / 2**k for k in range(log_size))
    constraints, out_of_domain = 98, 4 * 2.0**log_size
    rate = (2.0**log_size + 2) / domain
    queries = 2.0**-26 * ((1 + rate) / 2) ** 180
    expected = -log2((batching + folding + constraints + out_of_domain) / 2**FIELD + queries)
    found = figures(PRESETS["strong"], wide(log_size))
    assert found.proven == pytest.approx(expected, abs=1e-6)


def test_johnson_queries_by_hand():
    """70 queries at the Johnson radius less its slack: never more than half a bit each at blow-up 2."""
    found = figures(PRESETS["stwo96"], wide(20))
    assert found.regime == "Johnson"
    assert 26 + 70 * 0.45 < found.proven < 26 - 70 * log2(sqrt(0.5))


@pytest.mark.parametrize("blowup", [2, 3, 4, 5])
def test_only_the_smallest_blowup_is_proven_to_96_bits(blowup):
    air = wide(20)
    assert figures(PRESETS["strong"], air).proven >= 96
    assert figures(PcsConfig(26, blowup, 0, 1024), air).proven < 96


def test_fewer_queries_than_strong_would_hardly_do():
    air = wide(20)
    assert figures(replace(PRESETS["strong"], n_queries=176), air).proven >= 96
    assert figures(replace(PRESETS["strong"], n_queries=175), air).proven < 96


def test_grinding_counts_for_the_queries_only():
    air = wide(20)
    with_all, without = (figures(PcsConfig(bits, 1, 0, 1024), air).proven for bits in (60, 0))
    assert with_all == pytest.approx(without, abs=1e-9)


def test_more_lookups_are_worth_less():
    documents = [
        {"name": "range_check", "table_log": 10, "users": [{"log_size": 20, "n_cols": n, "batch": 2}]} for n in (2, 64)
    ]
    few, many = (figures(PRESETS["strong"], native(d).air) for d in documents)
    assert many.proven < few.proven
    assert many.conjectured <= few.conjectured


@pytest.mark.parametrize("minimum", [96.1, float("inf"), float("nan")])
def test_a_demand_that_is_not_met(minimum):
    """Also NaN: a comparison with it is false, and must not read as "enough"."""
    with pytest.raises(SecurityError):
        _demand("proven", 96.0, minimum)


def test_a_demand_that_is_met():
    _demand("proven", 96.0, 96.0)
