"""Quality and reputation: worked examples, edges, bounds, and that failing more never pays."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from octoproof.market.errors import MarketError
from octoproof.market.money import BPS, MAX_COUNT
from octoproof.market.quality import Record, quality_score, quality_tier
from octoproof.market.reputation import (
    TIERS,
    WEIGHTS,
    capped,
    multiplier,
    reputation_score,
    reputation_tier,
    weighted_score,
)

COUNTS = st.integers(0, MAX_COUNT)


@st.composite
def records(draw) -> Record:
    requests, proofs = draw(COUNTS), draw(COUNTS)
    fulfilled, valid = draw(st.integers(0, requests)), draw(st.integers(0, proofs))
    return Record(requests, fulfilled, proofs, valid, draw(st.integers(0, 3_000)))


def test_the_worked_examples():
    assert quality_score(Record(1_000, 980, 100, 95, 450)) == 97
    assert quality_tier(97) == "elite"
    assert quality_score(Record(1_000, 980, 100, 95, 1_500)) == 87
    assert quality_tier(87) == "premium"


@settings(deadline=None)
@given(records())
def test_the_score_is_the_truncated_formula(record):
    if record.requests == 0:
        assert quality_score(record) == 0
        return
    proofs = Fraction(record.proofs_valid, record.proofs) if record.proofs else 0
    latency = 100 if record.average_ms < 1_000 else 50
    exact = Fraction(record.fulfilled, record.requests) * 40 + proofs * 40 + Fraction(latency, 5)
    assert quality_score(record) == floor(exact)
    assert 0 <= quality_score(record) <= 100


def test_no_work_scores_nothing():
    assert quality_score(Record(0, 0, 0, 0, 0)) == 0
    assert quality_score(Record(0, 0, 9, 9, 0)) == 0
    assert quality_score(Record(1, 1, 0, 0, 0)) == 60
    assert quality_score(Record(1, 1, 1, 1, 999)) == 100


@pytest.mark.parametrize(
    "record", [Record(1, 2, 0, 0, 0), Record(1, 1, 1, 2, 0), Record(-1, 0, 0, 0, 0), Record(1, 1, 1, 1, -1)]
)
def test_counts_that_cannot_be(record):
    with pytest.raises(MarketError):
        quality_score(record)


@pytest.mark.parametrize(
    ("score", "tier"),
    [(0, "basic"), (50, "basic"), (51, "standard"), (75, "standard"), (76, "premium"), (90, "premium"), (91, "elite")],
)
def test_quality_tiers(score, tier):
    assert quality_tier(score) == tier


@pytest.mark.parametrize(
    ("transactions", "successful", "tier", "score"),
    [
        (0, 0, "new", 0),
        (9, 9, "new", 18),
        (10, 8, "new", 16),  # exactly 80 % is not more than 80 %
        (10, 9, "bronze", 21),
        (50, 45, "bronze", 40),
        (50, 46, "silver", 41),
        (100, 95, "silver", 60),
        (100, 96, "gold", 61),
        (500, 495, "gold", 80),
        (500, 496, "platinum", 81),
        (1_000, 1_000, "platinum", 100),
        (1_000, 100, "new", 2),
    ],
)
def test_reputation(transactions, successful, tier, score):
    assert reputation_tier(transactions, successful).name == tier
    assert reputation_score(transactions, successful) == score


@settings(deadline=None)
@given(COUNTS, st.data())
def test_reputation_lies_in_the_range_of_its_tier_and_a_failure_never_lifts_it(transactions, data):
    successful = data.draw(st.integers(0, transactions))
    tier, score = reputation_tier(transactions, successful), reputation_score(transactions, successful)
    assert tier.low <= score <= tier.high
    if successful:
        assert reputation_score(transactions, successful - 1) <= score


def test_the_ranges_leave_no_gap():
    assert [t.low for t in TIERS] == [0] + [t.high + 1 for t in TIERS[:-1]]
    assert [t.step for t in TIERS[:-1]] == [b.transactions - a.transactions for a, b in pairwise(TIERS)]
    assert TIERS[-1].high == 100


@pytest.mark.parametrize(
    ("place", "days", "expected"),
    [
        (1, 29, 100_000),
        (100, 29, 100_000),
        (100, 30, 10_000),
        (101, 59, 50_000),
        (500, 60, 10_000),
        (501, 89, 20_000),
        (1_500, 89, 20_000),
        (1_501, 0, 10_000),
        (1_500, 90, 10_000),
    ],
)
def test_early_multipliers(place, days, expected):
    assert multiplier(0, 0, place, 1_000, 1_000 + days * 86_400) == expected


def test_the_larger_multiplier_holds():
    assert multiplier(1_000, 1_000, 501, 0, 0) == 50_000
    assert multiplier(1_000, 1_000, 1, 0, 0) == 100_000


@settings(deadline=None)
@given(st.sampled_from(sorted(WEIGHTS)), st.data())
def test_weighted_scores_stay_within_bounds(kind, data):
    parts = {name: data.draw(st.integers(0, BPS)) for name in WEIGHTS[kind]}
    assert sum(WEIGHTS[kind].values()) == BPS
    assert min(parts.values()) <= weighted_score(kind, parts) <= max(parts.values())


def test_the_score_of_a_trading_agent():
    assert weighted_score("defi", {"reputation": 8_000, "proof_quality": 10_000}) == 9_400
    assert capped("stake", 5_000) == 5_000
    assert capped("stake", 10**9) == BPS
    with pytest.raises(MarketError, match="is made of reputation, proof_quality"):
        weighted_score("defi", {"reputation": 1})
    with pytest.raises(MarketError, match="unknown kind"):
        weighted_score("chef", {})
    with pytest.raises(MarketError, match="has no cap"):
        capped("fame", 1)
