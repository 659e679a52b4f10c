"""What an epoch's proven figures refund: latency at the tier's percentile, uptime and outputs, the largest of them.

Uptime is what the log says (requests that were answered), and, where witnesses pinged the service, what they saw as
well; the worse counts, so that neither refusing requests nor hiding behind pings helps.
"""

from __future__ import annotations

from dataclasses import dataclass

from air.statements.sla_report import SlaReport, latency_edges
from octoproof.market.errors import RuleError
from octoproof.market.refunds import combined, latency_refund, output_refund, uptime_refund
from octoproof.market.tiers import Tier


@dataclass(frozen=True)
class Refund:
    """Basis points by cause. What is paid back is `total`."""

    latency: int = 0
    uptime: int = 0
    outputs: int = 0

    @property
    def total(self) -> int:
        return combined(self.latency, self.uptime, self.outputs)


def epoch_refund(tier: Tier, report: SlaReport, pings: tuple[int, int] | None = None) -> Refund:
    """The refund for an epoch, counted by the edges of this tier. `pings`: how many were answered, of how many.

    An epoch without requests has neither latencies nor outputs. Raises RuleError for a report with other edges."""
    if report.edges != latency_edges(tier.latency_ms):
        raise RuleError(f"report.edges: {report.edges}; tier {tier.name} needs {latency_edges(tier.latency_ms)}")
    seen = uptime_refund(tier, *pings) if pings else 0
    if report.requests == 0:
        return Refund(uptime=seen)
    uptime = combined(seen, uptime_refund(tier, report.answered, report.requests))
    valid = report.answered - report.invalid
    return Refund(_latency(tier, report), uptime, output_refund(valid, report.failed, report.invalid))


def _latency(tier: Tier, report: SlaReport) -> int:
    """By the least latency of the band that holds the percentile: bands are cut where refunds change."""
    band = report.percentile(tier.percentile_bps)
    if band is None:  # nothing was answered: uptime already refunds everything
        return 0
    return latency_refund(tier, report.edges[band - 1] + 1 if band else 0)
