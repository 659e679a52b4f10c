"""Refunds: each band from both sides of each edge, and what no combination can exceed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.market.errors import MarketError
from octoproof.market.money import BPS, MAX_AMOUNT, MAX_COUNT
from octoproof.market.refunds import combined, latency_refund, output_refund, pay_out, uptime_refund
from octoproof.market.tiers import TIERS, in_time, keeps_uptime, latency, nearest_rank, price, tier_named, uptime

BASIC, STANDARD, PREMIUM, ENTERPRISE = TIERS.values()
ALL = st.sampled_from(list(TIERS.values()))


@pytest.mark.parametrize(
    ("latency_ms", "refund"),
    [
        (0, 0),
        (999, 0),
        (1_000, 0),
        (1_049, 0),
        (1_050, 500),
        (1_099, 500),
        (1_100, 1_000),
        (1_180, 1_000),
        (1_250, 1_000),
        (1_251, 2_500),
        (1_000_000, 2_500),
    ],
)
def test_latency_bands_of_premium(latency_ms, refund):
    assert latency_refund(PREMIUM, latency_ms) == refund


@settings(deadline=None)
@given(ALL, st.integers(0, 100_000))
def test_latency_bands_are_those_of_the_fraction(tier, latency_ms):
    over = Fraction(latency_ms - tier.latency_ms, tier.latency_ms)
    percent = 0 if over < Fraction(5, 100) else 5 if over < Fraction(1, 10) else 10 if over <= Fraction(1, 4) else 25
    assert latency_refund(tier, latency_ms) == 100 * percent


@settings(deadline=None)
@given(ALL, st.integers(0, MAX_COUNT), st.integers(0, MAX_COUNT))
def test_a_longer_latency_never_refunds_less(tier, a, b):
    assert latency_refund(tier, min(a, b)) <= latency_refund(tier, max(a, b))


@pytest.mark.parametrize(
    ("tier", "up", "refund"),
    [
        (BASIC, 99_000, 0),  # its own promise is kept, whatever the band says
        (BASIC, 98_999, 1_000),
        (STANDARD, 99_900, 0),
        (STANDARD, 99_899, 500),
        (STANDARD, 99_000, 500),  # the edge belongs to the band above
        (STANDARD, 98_999, 1_000),
        (STANDARD, 95_000, 1_000),
        (STANDARD, 94_999, 10_000),
        (STANDARD, 0, 10_000),
        (PREMIUM, 99_950, 0),  # below its promise, but the source's bands begin at 99.9 %
        (PREMIUM, 99_899, 500),
    ],
)
def test_uptime_bands(tier, up, refund):
    assert uptime_refund(tier, up, 100_000) == refund


@settings(deadline=None)
@given(ALL, st.integers(1, 10**6), st.data())
def test_uptime_bands_are_those_of_the_fraction(tier, slots, data):
    up = data.draw(st.integers(0, slots))
    found, promise = Fraction(up, slots), Fraction(tier.uptime_ppm, 10**6)
    assert keeps_uptime(tier, up, slots) == (found >= promise)
    percent = 100 if found < Fraction(95, 100) else 10 if found < Fraction(99, 100) else 5
    expected = 0 if found >= promise or found >= Fraction(999, 1000) else percent
    assert uptime_refund(tier, up, slots) == 100 * expected


@pytest.mark.parametrize(("up", "slots"), [(0, 0), (1, 0), (2, 1), (-1, 1)])
def test_uptime_of_nothing(up, slots):
    with pytest.raises(MarketError):
        uptime_refund(BASIC, up, slots)


@pytest.mark.parametrize(
    ("counts", "refund"),
    [((1, 0, 0), 0), ((0, 1, 0), 5_000), ((0, 0, 1), 10_000), ((2, 1, 0), 1_666), ((8, 1, 1), 1_500)],
)
def test_outputs(counts, refund):
    assert output_refund(*counts) == refund


def test_no_outputs():
    with pytest.raises(MarketError, match="outputs: none"):
        output_refund(0, 0, 0)


@settings(deadline=None)
@given(st.lists(st.integers(0, BPS), max_size=5))
def test_the_largest_refund_holds_not_the_sum(refunds):
    assert combined(*refunds) == max([0, *refunds])


@settings(deadline=None)
@given(st.integers(0, MAX_AMOUNT), ALL, st.integers(0, MAX_COUNT), st.integers(1, 10**6), st.data())
def test_a_refund_never_exceeds_the_payment_and_nothing_is_lost(paid, tier, latency_ms, slots, data):
    up, fees = data.draw(st.integers(0, slots)), data.draw(st.sampled_from(["quota", "agent"]))
    refund = combined(latency_refund(tier, latency_ms), uptime_refund(tier, up, slots), output_refund(1, 2, 3))
    payout = pay_out(paid, refund, fees)
    assert 0 <= payout.refund <= paid
    assert payout.refund + sum(payout.parts.values()) == paid
    assert sum(move.amount for move in payout.moves("escrow", {})) == paid


@pytest.mark.parametrize("refund", [-1, BPS + 1])
def test_a_refund_of_more_than_everything(refund):
    with pytest.raises(MarketError):
        pay_out(100, refund)
    with pytest.raises(MarketError):
        combined(0, refund)


def test_the_worked_example():
    """Premium, 200 OCTO-W, 1,180 ms: 18 % over, 10 % back; 43,150 of 43,200 pings: 5 %; both together: 10 %."""
    taken = latency(1_000_000, 1_001_180)
    assert latency_refund(PREMIUM, taken) == 1_000
    assert uptime(43_150, 43_200) == 998_842
    assert uptime_refund(PREMIUM, 43_150, 43_200) == 500
    payout = pay_out(200, combined(1_000, 500))
    assert (payout.refund, payout.parts) == (20, {"seller": 180})


def test_a_response_before_its_request():
    with pytest.raises(MarketError, match="lies before"):
        latency(10, 9)
    assert latency(10, 10) == 0


def test_tiers():
    assert [(t.latency_ms, t.uptime_ppm, price(100, t)) for t in TIERS.values()] == [
        (10_000, 990_000, 100),
        (5_000, 999_000, 150),
        (1_000, 999_900, 200),
        (500, 999_990, 400),
    ]
    assert in_time(PREMIUM, 999)
    assert not in_time(PREMIUM, 1_000)
    assert keeps_uptime(ENTERPRISE, 99_999, 100_000)
    assert not keeps_uptime(ENTERPRISE, 99_998, 100_000)
    with pytest.raises(MarketError, match="basic, standard, premium, enterprise"):
        tier_named("gold")


@settings(deadline=None)
@given(st.integers(1, 1_000), st.integers(1, BPS))
def test_nearest_rank_is_the_smallest_count_that_is_a_large_enough_share(requests, percentile):
    rank = nearest_rank(requests, percentile)
    assert 1 <= rank <= requests
    assert Fraction(rank, requests) >= Fraction(percentile, BPS) > Fraction(rank - 1, requests)
