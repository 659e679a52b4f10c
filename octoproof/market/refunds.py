"""Refunds: bands, their edges, and how several violations combine (QOS-30 to QOS-32; docs/market.md R13 to R16).

A band is reached by comparing whole numbers. An overrun of exactly 5 % or 10 % already has the refund of the band that
begins there; 25 % does not yet, since the source says "more than 25 %". Below 5 % nothing is refunded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from octoproof.market.errors import MarketError
from octoproof.market.money import BPS, FEES, MAX_COUNT, PPM, Move, share, split, whole
from octoproof.market.tiers import Tier, keeps_uptime


@dataclass(frozen=True)
class LatencyBand:
    """From which overrun, in basis points of the tier's bound, what is refunded. `beyond`: the edge is not in it."""

    overrun_bps: int
    refund_bps: int
    beyond: bool = False


@dataclass(frozen=True)
class UptimeBand:
    """Below which uptime, in parts per million, what is refunded. The edge itself belongs to the band above."""

    below_ppm: int
    refund_bps: int


LATENCY_BANDS = (LatencyBand(500, 500), LatencyBand(1_000, 1_000), LatencyBand(2_500, 2_500, beyond=True))
UPTIME_BANDS = (UptimeBand(999_000, 500), UptimeBand(990_000, 1_000), UptimeBand(950_000, BPS))  # the last that holds
OUTPUT_REFUNDS = {"valid": 0, "missing": 5_000, "invalid": BPS}


@dataclass(frozen=True)
class Payout:
    """How an escrowed price is paid out; `refund` and the parts add up to it."""

    refund: int
    parts: dict[str, int]

    def moves(self, escrow: str, accounts: Mapping[str, str]) -> tuple[Move, ...]:
        """The moves out of escrow, none of nothing. `accounts` has the account of each party that has its own name."""
        amounts = {"buyer": self.refund, **self.parts}
        return tuple(Move(escrow, accounts.get(name, name), amount) for name, amount in amounts.items() if amount)


def latency_refund(tier: Tier, latency_ms: int) -> int:
    """Basis points for the latency of one request, or for an epoch's latency at the tier's percentile."""
    over = whole(latency_ms, "latency_ms", high=MAX_COUNT) - tier.latency_ms
    refund = 0
    for band in LATENCY_BANDS:
        reached, edge = over * BPS, tier.latency_ms * band.overrun_bps
        if reached > edge or (reached == edge and not band.beyond):
            refund = band.refund_bps
    return refund


def uptime_refund(tier: Tier, up: int, slots: int) -> int:
    """Basis points for so many answered slots of all; nothing as long as the tier's own promise is kept.

    Raises MarketError where nothing was observed: then there is no figure, and whoever owes the log is in default."""
    if keeps_uptime(tier, up, slots):
        return 0
    refund = 0
    for band in UPTIME_BANDS:
        if up * PPM < slots * band.below_ppm:
            refund = band.refund_bps
    return refund


def output_refund(valid: int, missing: int, invalid: int) -> int:
    """Basis points for outputs, each weighing the same; for a single one just what the table says.

    Raises MarketError for none at all."""
    counts = {"valid": valid, "missing": missing, "invalid": invalid}
    total = sum(whole(count, f"outputs.{name}", high=MAX_COUNT) for name, count in counts.items())
    if total == 0:
        raise MarketError("outputs: none; an epoch without requests has nothing to refund by outputs")
    return sum(count * OUTPUT_REFUNDS[name] for name, count in counts.items()) // total


def combined(*refunds_bps: int) -> int:
    """The refund for several violations at once: the largest, never their sum, and never more than was paid."""
    return max((whole(bps, "refund", high=BPS) for bps in refunds_bps), default=0)


def pay_out(price: int, refund_bps: int, fees: str = "quota") -> Payout:
    """What the buyer gets back of a price, and who gets how much of the rest. Raises MarketError."""
    if fees not in FEES:
        raise MarketError(f"fees: unknown {fees!r}; choose one of {', '.join(FEES)}")
    refund = share(price, refund_bps)
    return Payout(refund, split(price - refund, FEES[fees]))
