"""Reputation: tiers, scores and multipliers (REQUIREMENTS 6.1), and the weighted scores of other roles (6.2).

The source gives each tier a range of scores and a requirement, but no formula. Ours: the requirement alone decides the
tier, and within its range the score grows with the transactions towards the next tier's number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from octoproof.market.errors import MarketError
from octoproof.market.money import BPS, MAX_COUNT, whole


@dataclass(frozen=True)
class ReputationTier:
    """Reached with at least so many transactions, of which more than so many basis points succeeded.

    `step` is over how many further transactions the score goes from `low` to `high`."""

    name: str
    low: int
    high: int
    multiplier_bps: int
    transactions: int
    success_bps: int
    step: int


@dataclass(frozen=True)
class EarlyBonus:
    """A multiplier for the first to join: up to this place, for so many days."""

    place: int
    multiplier_bps: int
    days: int


TIERS = (
    ReputationTier("new", 0, 20, 10_000, 0, 0, 10),
    ReputationTier("bronze", 21, 40, 15_000, 10, 8_000, 40),
    ReputationTier("silver", 41, 60, 20_000, 50, 9_000, 50),
    ReputationTier("gold", 61, 80, 30_000, 100, 9_500, 400),
    ReputationTier("platinum", 81, 100, 50_000, 500, 9_900, 500),
)
EARLY = (EarlyBonus(100, 100_000, 30), EarlyBonus(500, 50_000, 60), EarlyBonus(1_500, 20_000, 90))
DAY_S = 86_400

# Basis points of each part. Parts are shares in basis points themselves, see `capped` for the orchestrator's.
WEIGHTS: Mapping[str, Mapping[str, int]] = {
    "agent": {"success": 4_000, "response_time": 2_000, "rating": 2_000, "proofs": 1_000, "tenure": 1_000},
    "orchestrator_trust": {"reputation": 4_000, "stake": 3_000, "age": 2_000, "tasks": 1_000},
    "orchestrator": {"success": 4_000, "satisfaction": 2_500, "latency": 1_500, "cost": 2_000},
    "data": {"accuracy": 4_000, "freshness": 2_000, "completeness": 2_000, "reputation": 2_000},
    "defi": {"reputation": 3_000, "proof_quality": 7_000},
}
CAPS = {"stake": 10_000, "age": 365, "tasks": 1_000}  # tokens, days, tasks


def reputation_tier(transactions: int, successful: int) -> ReputationTier:
    """The highest tier whose requirement is met; success is strictly more than its share. Raises MarketError."""
    whole(successful, "successful", high=whole(transactions, "transactions", high=MAX_COUNT))
    met = TIERS[0]
    for tier in TIERS[1:]:
        if transactions >= tier.transactions and successful * BPS > transactions * tier.success_bps:
            met = tier
    return met


def reputation_score(transactions: int, successful: int) -> int:
    """0 to 100, within the range of the tier. Raises MarketError."""
    tier = reputation_tier(transactions, successful)
    if tier is TIERS[0]:  # by success alone: numbers of failures must not lift anyone
        return tier.high * successful // max(transactions, tier.step)
    done = min(transactions - tier.transactions, tier.step)
    return tier.low + (tier.high - tier.low) * done // tier.step


def multiplier(transactions: int, successful: int, place: int, joined: int, now: int) -> int:
    """Basis points: the tier's multiplier, or the one for joining early while it lasts, whichever is larger.

    `place` counts who joined, from 1; times are in seconds. Raises MarketError."""
    whole(place, "place", 1, MAX_COUNT)
    age = whole(now, "now", whole(joined, "joined"), MAX_COUNT) - joined
    early = next((bonus for bonus in EARLY if place <= bonus.place), None)
    bonus = early.multiplier_bps if early and age < early.days * DAY_S else 0
    return max(reputation_tier(transactions, successful).multiplier_bps, bonus)


def weighted_score(kind: str, parts: Mapping[str, int]) -> int:
    """Basis points: the parts by the weights of this kind, truncated once. Raises MarketError."""
    weights = WEIGHTS.get(kind)
    if weights is None:
        raise MarketError(f"score: unknown kind {kind!r}; choose one of {', '.join(WEIGHTS)}")
    if parts.keys() != weights.keys():
        raise MarketError(f"score: {kind} is made of {', '.join(weights)}, not of {', '.join(parts) or 'nothing'}")
    return sum(weight * whole(parts[name], name, high=BPS) for name, weight in weights.items()) // BPS


def capped(name: str, value: int) -> int:
    """Stake in tokens, age in days or tasks as a share of its cap, in basis points. Raises MarketError."""
    if name not in CAPS:
        raise MarketError(f"score: {name!r} has no cap; those with one are {', '.join(CAPS)}")
    return min(whole(value, name), CAPS[name]) * BPS // CAPS[name]
