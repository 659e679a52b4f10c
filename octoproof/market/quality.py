"""The quality score of a provider, 0 to 100 (QOS-50; docs/market.md R17).

    0.4 x share of requests within the service level + 0.4 x share of valid proofs + 0.2 x latency points

as one fraction of whole numbers, truncated once at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

from octoproof.market.money import MAX_COUNT, whole

WEIGHT_SLA, WEIGHT_PROOFS, WEIGHT_LATENCY = 40, 40, 20
FAST_MS = 1_000  # an average below it has full latency points
SLOW_POINTS = 10  # of 20, at or above it
TIERS = ((90, "elite"), (75, "premium"), (50, "standard"))  # a score above the figure; else basic


@dataclass(frozen=True)
class Record:
    """What is counted of a provider over a period."""

    requests: int
    fulfilled: int
    proofs: int
    proofs_valid: int
    average_ms: int


def quality_score(record: Record) -> int:
    """0 to 100; 0 without requests, and no points for proofs where none was submitted. Raises MarketError."""
    requests = whole(record.requests, "requests", high=MAX_COUNT)
    proofs = whole(record.proofs, "proofs", high=MAX_COUNT)
    whole(record.fulfilled, "fulfilled", high=requests)
    whole(record.proofs_valid, "proofs_valid", high=proofs)
    whole(record.average_ms, "average_ms", high=MAX_COUNT)
    if requests == 0:
        return 0
    latency = WEIGHT_LATENCY if record.average_ms < FAST_MS else SLOW_POINTS
    proofs = max(proofs, 1)  # 0 of 0 is 0
    points = WEIGHT_SLA * record.fulfilled * proofs + WEIGHT_PROOFS * record.proofs_valid * requests
    return points // (requests * proofs) + latency


def quality_tier(score: int) -> str:
    """The name that goes with a score. Raises MarketError."""
    whole(score, "score", 0, 100)
    return next((name for above, name in TIERS if score > above), "basic")
