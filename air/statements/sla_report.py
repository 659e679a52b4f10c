"""What counts of requests mean for a service level: exact, in integers, rounded against whoever gains by rounding up.

    availability   answered / requests in basis points, rounded down: 43,150 of 43,200 are 9988, not 9989
    percentile p   over answered requests: the least edge that at least ceil(p n / 10,000) of n latencies do not exceed;
                   a service that fails fast gains nothing by it, since failed requests do not count
    average        latency of all requests in ms, rounded up

There is no figure where there is nothing to count: the percentile of no answered request is None, which no tier allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from air.statements.sla import FAILED, GOOD, INVALID, MAX_VALUE, Totals
from air.statements.topk import LIMB_BITS

FULL = 10_000  # basis points
SHOWN = (5000, 9000, 9500, 9900)  # percentiles that `describe` lists


@dataclass(frozen=True)
class SlaReport:
    """Counts by band of latency, outcome and acknowledgement (`sla.Totals`), with sums in ms and tokens."""

    edges: tuple[int, ...]
    counts: tuple[tuple[tuple[int, int], ...], ...]
    latency_sum: int
    tokens: int

    @property
    def requests(self) -> int:
        return sum(self._of(outcome) for outcome in (FAILED, INVALID, GOOD))

    @property
    def failed(self) -> int:
        """Requests that the service did not answer, or answered with an error."""
        return self._of(FAILED)

    @property
    def invalid(self) -> int:
        """Answers that do not pass the agreed checks."""
        return self._of(INVALID)

    @property
    def unacknowledged(self) -> int:
        """Requests whose answer the buyer did not counter-sign in time: of these there is the provider's word alone."""
        return sum(pair[0] for band in self.counts for pair in band)

    @property
    def answered(self) -> int:
        return self.requests - self.failed

    def later_than(self, edge: int) -> int:
        """Answered requests with more latency than the edge of this index."""
        return sum(_answered(band) for band in self.counts[edge + 1 :])

    @property
    def fulfilled(self) -> int:
        """Requests with a valid answer within the first edge."""
        return sum(self.counts[0][GOOD])

    @property
    def availability(self) -> int:
        """Basis points, rounded down."""
        return FULL * self.answered // self.requests

    @property
    def average_latency(self) -> int:
        """Of all requests, in ms, rounded up."""
        return -(-self.latency_sum // self.requests)

    def percentile(self, basis_points: int) -> int | None:
        """The band (0 up to the first edge, ...) that holds this percentile; None where no request was answered.

        Raises ValueError outside 1..10,000."""
        if not 1 <= basis_points <= FULL:
            raise ValueError(f"percentile: {basis_points} is outside 1..{FULL} basis points")
        if self.answered == 0:
            return None
        rank = -(-basis_points * self.answered // FULL)
        reached = accumulate(_answered(band) for band in self.counts)
        return next(band for band, count in enumerate(reached) if count >= rank)

    def at_most(self, basis_points: int, edge: int) -> bool:
        """Whether this percentile of latency is at most the edge of this index."""
        band = self.percentile(basis_points)
        return band is not None and band <= edge

    def describe(self) -> dict[str, Any]:
        """For people and JSON."""
        return {
            "requests": self.requests,
            "failed": self.failed,
            "invalid": self.invalid,
            "unacknowledged": self.unacknowledged,
            "fulfilled": self.fulfilled,
            "availability": f"{self.availability // 100}.{self.availability % 100:02} %",
            "later_than_ms": {str(edge): self.later_than(k) for k, edge in enumerate(self.edges)},
            "percentiles_ms": {f"p{p // 100}": self._edge(self.percentile(p)) for p in SHOWN},
            "average_latency_ms": self.average_latency,
            "tokens": self.tokens,
        }

    def _edge(self, band: int | None) -> str:
        if band is None:
            return "none answered"
        return f"<= {self.edges[band]}" if band < len(self.edges) else f"> {self.edges[-1]}"

    def _of(self, outcome: int) -> int:
        return sum(sum(band[outcome]) for band in self.counts)


def report_of(edges: Sequence[int], parts: Iterable[Totals]) -> SlaReport:
    """The report of segments that were counted by the same edges."""
    totals = list(parts)
    counts = tuple(
        tuple((sum(pair[0] for pair in same), sum(pair[1] for pair in same)) for same in zip(*outcomes, strict=True))
        for outcomes in zip(*(part.counts for part in totals), strict=True)
    )
    # Latencies are summed from the least of their band.
    lowest = [0, *(edge + 1 for edge in edges)]
    below = sum(least * sum(map(sum, band)) for least, band in zip(lowest, counts, strict=True))
    latency = below + sum(_sum(part.latency) for part in totals)
    return SlaReport(tuple(edges), counts, latency, sum(_sum(part.tokens) for part in totals))


def latency_edges(promised: int) -> tuple[int, ...]:
    """The edges that tell the refund bands of a promise "less than so many ms" apart: kept, over by less than 5 %, from
    5 %, from 10 % and over 25 % (exactly 10 % and exactly 25 % are in the band from 10 %).

    Raises ValueError for a promise that is too small to be told apart, or too large to be counted."""
    most = (4 * MAX_VALUE - 1) // 5
    if not 20 <= promised <= most:
        raise ValueError(f"latency: a promise of {promised} ms is outside 20..{most}")
    return (promised - 1, -(-promised * 105 // 100) - 1, -(-promised * 110 // 100) - 1, promised * 125 // 100)


def _answered(band: Sequence[tuple[int, int]]) -> int:
    return sum(sum(pair) for outcome, pair in enumerate(band) if outcome != FAILED)


def _sum(limbs: tuple[int, int]) -> int:
    return limbs[0] + (limbs[1] << LIMB_BITS)
