"""Slashing: the schedule, the ban, and that no order of offences and deposits makes one cheap."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.market.errors import MarketError, RuleError
from octoproof.market.money import BPS
from octoproof.market.slashing import GROWING, SCHEDULE, Stake, deposit, slash, withdraw

OFFENCES = [(role, offence) for role, offences in SCHEDULE.items() for offence in offences]


def test_a_quota_seller_is_banned_at_the_fourth_offence():
    stake, amounts = Stake(100_000), []
    while not stake.banned:
        stake, amount = slash(stake, "quota", "timeout")
        amounts.append(amount)
    assert amounts == [10_000, 15_000, 22_500, 33_750]
    assert GROWING == (1_000, 1_500, 2_250, 3_375)
    with pytest.raises(RuleError, match="banned after 4 offences"):
        slash(stake, "quota", "timeout")


def test_the_example_of_a_thousand():
    stake = Stake(1_000)
    for expected in (100, 150, 225, 337):  # 337.5, rounded down in the smallest unit
        stake, amount = slash(stake, "quota", "garbage_data")
        assert amount == expected
    assert stake == Stake(held=188, base=1_000, lost=812, offences=4, banned=True)


def test_offences_of_different_kinds_count_together():
    stake, _ = slash(Stake(1_000), "quota", "timeout")
    assert slash(stake, "quota", "failed_response")[1] == 150


def test_a_stake_raised_after_an_offence_raises_the_penalty():
    stake, amount = slash(Stake(10), "quota", "timeout")
    assert amount == 1
    _, amount = slash(deposit(stake, 10_000), "quota", "timeout")
    assert amount == 1_501


def test_penalties_by_time_and_warnings():
    assert slash(Stake(1_000), "compute", "downtime", units=3)[1] == 150
    assert slash(Stake(1_000), "rpc", "downtime", units=2)[1] == 200
    assert slash(Stake(1_000), "validator", "liveness", units=10**6)[1] == 1_000
    stake, amount = slash(Stake(1_000), "defi_agent", "late_proof")
    assert amount == 0
    assert slash(stake, "defi_agent", "late_proof")[1] == 100
    with pytest.raises(MarketError, match="not counted by time"):
        slash(Stake(1_000), "quota", "timeout", units=2)


@pytest.mark.parametrize(
    ("role", "offence", "bps", "banned"),
    [
        ("compute", "sybil", 10_000, True),
        ("compute", "invalid_work", 2_500, False),
        ("compute", "price_manipulation", 5_000, True),  # half is lost
        ("storage", "invalid_proof", 2_500, False),
        ("storage", "downtime_day", 1_000, False),
        ("bandwidth", "throttling", 2_500, False),
        ("data", "unauthorised_sharing", 7_500, True),
        ("orchestrator", "poor_routing", 2_500, False),
        ("validator", "censorship", 5_000, True),
        ("rpc", "response_manipulation", 5_000, True),
        ("defi_agent", "no_proof", 5_000, True),
        ("defi_agent", "strategy_deviation", 7_500, True),
        ("defi_agent", "invalid_proof", 10_000, True),
    ],
)
def test_the_schedule_of_the_source(role, offence, bps, banned):
    stake, amount = slash(Stake(BPS), role, offence)
    assert (amount, stake.banned) == (bps, banned)


@settings(deadline=None)
@given(st.integers(0, 10**30), st.lists(st.tuples(st.sampled_from(OFFENCES), st.integers(1, 10**20)), max_size=8))
def test_slashing_never_takes_more_than_is_held_and_ends(held, offences):
    stake = Stake(held)
    for (role, offence), more in offences:
        if stake.banned:
            break
        before = deposit(stake, more)
        stake, amount = slash(before, role, offence)
        assert 0 <= amount <= before.held
        assert stake.held + amount == before.held
        assert stake.banned or stake.lost * BPS < stake.base * 5_000


def test_a_stake_answers_for_open_purchases_and_remembers_its_offences():
    stake, _ = slash(Stake(1_000), "quota", "timeout")
    with pytest.raises(RuleError, match="2 open purchases"):
        withdraw(stake, 1, 2)
    with pytest.raises(RuleError, match="holds 900, less than 901"):
        withdraw(stake, 901, 0)
    back = deposit(withdraw(stake, 900, 0), 50)
    assert slash(back, "quota", "timeout")[1] == 50  # 15 % of the thousand, of which 50 are left
    with pytest.raises(RuleError, match="banned"):
        deposit(replace(stake, banned=True), 1)
    assert withdraw(replace(stake, banned=True), 900, 0).held == 0
    for bad in (0, -1):
        with pytest.raises(MarketError):
            withdraw(stake, bad, 0)
        with pytest.raises(MarketError):
            deposit(stake, bad)


def test_what_is_not_in_the_schedule():
    with pytest.raises(MarketError, match=r"quota\.sybil is not in the schedule"):
        slash(Stake(1), "quota", "sybil")
    with pytest.raises(MarketError, match="known are quota, compute"):
        slash(Stake(1), "king", "sybil")
    with pytest.raises(MarketError, match="units"):
        slash(Stake(1), "rpc", "downtime", units=0)
