"""Service levels by tier (REQUIREMENTS QOS-20 to QOS-23), and what counts as keeping them.

Uptime is in parts per million: 99.999 % is no whole number of basis points. Percentages are never divided out; both
sides are multiplied instead, so that no rounding decides who is right.
"""

from __future__ import annotations

from dataclasses import dataclass

from octoproof.market.errors import MarketError
from octoproof.market.money import BPS, MAX_COUNT, PPM, whole


@dataclass(frozen=True)
class Tier:
    """One service level. A latency of `latency_ms` is already too long; `output` says how far outputs are vouched for.

    `percentile_bps` names the latency that speaks for an epoch of many requests, by nearest rank."""

    name: str
    latency_ms: int
    uptime_ppm: int
    output: str
    price_bps: int
    percentile_bps: int = 9_500


TIERS = {
    tier.name: tier
    for tier in (
        Tier("basic", 10_000, 990_000, "best effort", 10_000),
        Tier("standard", 5_000, 999_000, "guaranteed", 15_000),
        Tier("premium", 1_000, 999_900, "verified", 20_000),
        Tier("enterprise", 500, 999_990, "fully proven", 40_000),
    )
}


def tier_named(name: str) -> Tier:
    """Raises MarketError for a name that no tier has."""
    if name not in TIERS:
        raise MarketError(f"tier: unknown {name!r}; choose one of {', '.join(TIERS)}")
    return TIERS[name]


def price(base: int, tier: Tier) -> int:
    """What a base price becomes in this tier, rounded down. Raises MarketError."""
    return whole(whole(base, "price") * tier.price_bps // BPS, "price of the tier")


def latency(received_ms: int, sent_ms: int) -> int:
    """Milliseconds between two signed times. Raises MarketError for a response before its request."""
    whole(received_ms, "request_received", high=(1 << 63) - 1)
    whole(sent_ms, "response_sent", high=(1 << 63) - 1)
    if sent_ms < received_ms:
        raise MarketError(f"response_sent: {sent_ms} lies before request_received, {received_ms}")
    return sent_ms - received_ms


def in_time(tier: Tier, latency_ms: int) -> bool:
    """Whether one request was answered as fast as promised."""
    return whole(latency_ms, "latency_ms", high=MAX_COUNT) < tier.latency_ms


def uptime(up: int, slots: int) -> int:
    """Parts per million, rounded down, for display. Raises MarketError where nothing was observed."""
    whole(up, "up", high=whole(slots, "slots", 1, MAX_COUNT))
    return up * PPM // slots


def keeps_uptime(tier: Tier, up: int, slots: int) -> bool:
    """Whether so many answered slots of all keep the promise. Raises MarketError where nothing was observed."""
    uptime(up, slots)
    return up * PPM >= slots * tier.uptime_ppm


def nearest_rank(requests: int, percentile_bps: int) -> int:
    """How many requests must be at most L for the percentile to be at most L: the share, rounded up."""
    whole(percentile_bps, "percentile_bps", 1, BPS)
    return -(-whole(requests, "requests", 1, MAX_COUNT) * percentile_bps // BPS)
