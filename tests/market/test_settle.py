"""What an epoch refunds: the figures of a report against the same rules on every single latency."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.statements.sla import FAILED, GOOD, INVALID
from air.statements.sla_report import SlaReport, latency_edges
from octoproof.market.errors import RuleError
from octoproof.market.money import BPS
from octoproof.market.refunds import latency_refund
from octoproof.market.settle import Refund, epoch_refund
from octoproof.market.tiers import TIERS, nearest_rank

PREMIUM = TIERS["premium"]


def report(latencies: list[int], failed: int = 0, invalid: int = 0, tier=PREMIUM) -> SlaReport:
    """Good answers with these latencies, and so many failed and invalid ones within the first edge."""
    edges = latency_edges(tier.latency_ms)
    counts = [[[0, 0] for _ in range(3)] for _ in range(len(edges) + 1)]
    for latency in latencies:
        counts[sum(latency > edge for edge in edges)][GOOD][1] += 1
    counts[0][FAILED][1], counts[0][INVALID][1] = failed, invalid
    return SlaReport(edges, tuple(tuple(map(tuple, band)) for band in counts), sum(latencies), 0)


@pytest.mark.parametrize("tier", list(TIERS.values()), ids=lambda tier: tier.name)
@settings(deadline=None)
@given(st.data())
def test_the_band_of_the_percentile_refunds_what_its_latency_does(tier, data):
    edge = st.sampled_from(latency_edges(tier.latency_ms)).flatmap(lambda edge: st.integers(edge - 1, edge + 1))
    latencies = data.draw(st.lists(edge | st.integers(0, 3 * tier.latency_ms), min_size=1, max_size=40))
    at_percentile = sorted(latencies)[nearest_rank(len(latencies), tier.percentile_bps) - 1]
    assert epoch_refund(tier, report(latencies, tier=tier)) == Refund(latency=latency_refund(tier, at_percentile))


def test_an_epoch_of_the_example():
    """1,180 ms at the percentile, 50 of 43,200 requests failed: 10 % for latency, 5 % for uptime, 10 % in all."""
    refund = epoch_refund(PREMIUM, report([1_180] * 43_150, failed=50))
    assert (refund.latency, refund.uptime, refund.outputs, refund.total) == (1_000, 500, 5, 1_000)


def test_nothing_answered_refunds_everything():
    assert epoch_refund(PREMIUM, report([], failed=3)) == Refund(uptime=BPS, outputs=5_000)
    assert epoch_refund(PREMIUM, report([], failed=3)).total == BPS


def test_one_slow_answer_in_twenty_is_allowed_and_two_are_not():
    assert epoch_refund(PREMIUM, report([10] * 19 + [9_999])).latency == 0
    assert epoch_refund(PREMIUM, report([10] * 18 + [9_999] * 2)).latency == 2_500


def test_the_worse_of_log_and_witnesses_counts():
    good = report([10] * 100)
    assert epoch_refund(PREMIUM, good, (100, 100)).total == 0
    assert epoch_refund(PREMIUM, good, (94, 100)).total == BPS
    assert epoch_refund(PREMIUM, report([10] * 98, failed=2), (100, 100)).uptime == 1_000


def test_invalid_outputs():
    assert epoch_refund(PREMIUM, report([], invalid=1)).total == BPS
    assert epoch_refund(PREMIUM, report([1] * 9, invalid=1)).outputs == 1_000


def test_an_epoch_without_requests():
    assert epoch_refund(PREMIUM, report([])).total == 0
    assert epoch_refund(PREMIUM, report([]), (0, 10)).total == BPS


def test_a_report_for_another_promise():
    with pytest.raises(RuleError, match=r"report\.edges"):
        epoch_refund(TIERS["basic"], report([10]))
