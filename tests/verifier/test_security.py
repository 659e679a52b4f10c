"""The figures, and that they fall where they must."""

from __future__ import annotations

import pytest

from air.statements.native import native
from verifier.config import PRESETS, preset_name
from verifier.security import FIELD_BITS, figures, security


def wide_fib(log_size, columns=100):
    return native({"name": "wide_fib", "components": [{"log_size": log_size, "n_cols": columns}]}).air


def test_conjectured_is_what_stwo_counts():
    air = wide_fib(16)
    assert figures(PRESETS["stwo96"], air).conjectured == 96
    assert figures(PRESETS["standard"], air).conjectured == 96
    assert figures(PRESETS["bench"], air).conjectured == 13
    assert figures(PRESETS["test"], air).conjectured == 5


def test_conjectured_is_capped_by_the_field():
    found = figures(PRESETS["strong"], wide_fib(20))
    assert found.conjectured == pytest.approx(FIELD_BITS - 21)


@pytest.mark.parametrize(("log_size", "least"), [(12, 100), (16, 99), (18, 97), (20, 96)])
def test_strong_is_proven(log_size, least):
    found = figures(PRESETS["strong"], wide_fib(log_size))
    assert found.proven >= least
    assert found.regime == "unique decoding"


def test_what_binds_strong_is_the_field():
    assert figures(PRESETS["strong"], wide_fib(20)).binds == "quotient batching"
    assert figures(PRESETS["strong"], wide_fib(22)).proven < 96
    assert figures(PRESETS["standard"], wide_fib(20)).binds == "FRI queries"


def test_stwo96_is_about_sixty_bits_proven():
    """ANCHORS 0.4: 26 + 70 / 2 = 61 in the Johnson regime, a little less with the other rounds."""
    assert 58 < figures(PRESETS["stwo96"], wide_fib(20)).proven < 61


def test_more_queries_rows_and_parts():
    air = wide_fib(16)
    assert figures(PRESETS["standard"], air).proven < figures(PRESETS["strong"], air).proven
    assert figures(PRESETS["strong"], wide_fib(18)).proven < figures(PRESETS["strong"], air).proven
    assert figures(PRESETS["strong"], wide_fib(16, 1000)).proven < figures(PRESETS["strong"], air).proven
    one, four = figures(PRESETS["standard"], air), figures(PRESETS["standard"], air).of_parts(4)
    assert (one.conjectured - four.conjectured, one.proven - four.proven) == (2, 2)


def test_lookups_cost(case):
    air = native({"name": "range_check", "table_log": 10, "users": [{"log_size": 26, "n_cols": 31, "batch": 2}]}).air
    assert figures(PRESETS["strong"], air).conjectured < 94


def test_every_fixture_has_figures(fixture_name, case):
    c = case(fixture_name)
    shown = security(c.spec.config, c.spec.air)
    assert 0 < shown["proven"] <= shown["conjectured"]
    assert preset_name(PRESETS["standard"]) == "standard"
