"""Money: shares, splits and moves lose nothing, and refuse what is no amount."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.market.errors import MarketError, RuleError
from octoproof.market.money import BPS, FEES, MAX_AMOUNT, MAX_COUNT, Move, carry_out, share, split, whole

AMOUNTS = st.integers(0, MAX_AMOUNT)


@settings(deadline=None)
@given(AMOUNTS, st.integers(0, BPS))
def test_a_share_is_rounded_down(amount, bps):
    part = share(amount, bps)
    assert part * BPS <= amount * bps < (part + 1) * BPS


@settings(deadline=None)
@given(AMOUNTS, st.sampled_from(sorted(FEES)))
def test_parts_add_up_and_only_the_first_gains_by_rounding(amount, kind):
    parts = split(amount, FEES[kind])
    assert sum(parts.values()) == amount
    first, *others = FEES[kind]
    assert all(parts[name] == amount * FEES[kind][name] // BPS for name in others)
    assert parts[first] >= amount * FEES[kind][first] // BPS


def test_the_fee_split_of_the_source():
    assert split(1_000, FEES["agent"]) == {"developer": 700, "orchestrator": 150, "treasury": 100, "reputation": 50}
    assert split(1, FEES["agent"]) == {"developer": 1, "orchestrator": 0, "treasury": 0, "reputation": 0}


def test_the_bounds_are_those_of_the_contracts():
    assert MAX_AMOUNT == 2**128 - 1
    assert 40 * MAX_COUNT * MAX_COUNT < 2**128  # the largest product of the scores


def test_shares_that_are_not_the_whole():
    with pytest.raises(MarketError, match="9999 basis points"):
        split(10, {"a": 9_999})


@pytest.mark.parametrize("value", [-1, MAX_AMOUNT + 1, 1.0, True, "1", None])
def test_what_is_no_amount(value):
    with pytest.raises(MarketError, match="no whole number"):
        whole(value, "amount")


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 100)),
    st.lists(st.builds(Move, st.sampled_from("abcd"), st.sampled_from("abcd"), st.integers(0, 60)), max_size=6),
)
def test_moves_keep_the_sum_and_no_account_falls_below_zero(balances, moves):
    try:
        after = carry_out(balances, tuple(moves))
    except RuleError:
        return
    assert sum(after.values()) == sum(balances.values())
    assert min(after.values(), default=0) >= 0


def test_a_move_of_what_is_not_there():
    with pytest.raises(RuleError, match="a: holds 3, but 4 are to go to b"):
        carry_out({"a": 3}, (Move("a", "b", 4),))
    assert carry_out({"a": 3}, (Move("a", "a", 3),)) == {"a": 3}
