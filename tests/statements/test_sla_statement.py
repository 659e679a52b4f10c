"""The verifier's part of an SLA receipt: each check has a test that changes one thing and sees it refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from air.statement import RootKey, StatementError
from air.statements.epoch import FELT, EpochHeader, EpochTree, LogLeaf, PlacedLeaf, check_complete
from air.statements.sla import MAX_VALUE, Totals
from air.statements.sla_report import FULL, SlaReport, latency_edges, report_of
from air.statements.sla_statement import SLA, SlaStatement
from air.statements.snapshot import ColumnRoot

KEY = RootKey("blake2s", 1)
EDGES = latency_edges(1000)


def felt(value: int) -> bytes:
    return value.to_bytes(32, "big")


def leaf(agreement: int, count: int, first: int = 0, rows: int | None = None, fill: int = 9) -> LogLeaf:
    roots = (ColumnRoot(KEY, bytes([fill]) * 32),)
    rows = count if rows is None else rows
    return LogLeaf(felt(agreement), felt(7 * agreement), felt(99), count, first, rows, 4, bytes(32), roots)


# An agreement of one segment, one of three, one of one.
LEAVES = (leaf(1, 14), leaf(2, 40, 0, 16), leaf(2, 40, 16, 16), leaf(2, 40, 32, 8), leaf(5, 3))
HEADER = EpochHeader(felt(1234), 6, 1_000_000, 2_000_000, 57, 5)
TREE = EpochTree(HEADER, LEAVES)


def counts(rows: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """One failed, one late and not acknowledged, where there are so many; the rest is good."""
    late, failed = int(rows > 1), int(rows > 2)
    nothing = ((0, 0), (0, 0), (0, 0))
    return (((0, failed), (0, 0), (0, rows - late - failed)), nothing, nothing, ((0, 0), (0, 0), (late, 0)), nothing)


def part(index: int, scope: str = "agreement", tree: EpochTree = TREE) -> SlaStatement:
    rows = tree.leaves[index].rows
    totals = Totals(counts(rows), (10 * rows, rows), (rows, 0))
    return SlaStatement(tree.header, tree.root, tree.placed(index), scope, EDGES, totals)


CLAIM = part(0)
AGREEMENT = [part(k) for k in (1, 2, 3)]
EPOCH = [part(k, "epoch") for k in range(5)]


def test_the_honest_claims() -> None:
    for claims in ([CLAIM], AGREEMENT, [part(4)], EPOCH):
        for claim in claims:
            claim.check()
        SLA.check_together(claims)
    assert SLA.report(EPOCH).requests == HEADER.requests


def test_a_statement_is_its_encoding() -> None:
    words = CLAIM.encode()
    assert words[:2] == [4, 1]
    assert SLA.decode(words) == CLAIM
    assert SLA.decode(words).digest() == CLAIM.digest()
    for cut in range(len(words)):
        with pytest.raises(StatementError):
            SLA.decode(words[:cut])
    with pytest.raises(StatementError):
        SLA.decode([*words, 0])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_word_counts(data: st.DataObject) -> None:
    words = AGREEMENT[1].encode()
    index = data.draw(st.integers(0, len(words) - 1))
    words[index] ^= 1 << data.draw(st.integers(0, 31))
    try:
        changed = SLA.decode(words)
    except StatementError:
        return
    assert changed != AGREEMENT[1]
    assert changed.digest() != AGREEMENT[1].digest()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_hostile_words_are_refused_in_one_way(data: st.DataObject) -> None:
    words = AGREEMENT[1].encode()
    for _ in range(data.draw(st.integers(1, 4))):
        words[data.draw(st.integers(2, len(words) - 1))] = data.draw(st.sampled_from([0, 1, 5, 1 << 31, (1 << 32) - 1]))
    try:
        changed = SLA.decode(words)
        assert changed.encode() == words
        changed.check()
        changed.public_terms()
        changed.air()
    except StatementError:
        return


def moved(*changes: tuple[int, int, int, int], claim: SlaStatement = CLAIM) -> Totals:
    """(band, outcome, acknowledged, change) of counts."""
    told = [[list(pair) for pair in band] for band in claim.totals.counts]
    for band, outcome, mark, change in changes:
        told[band][outcome][mark] += change
    return replace(claim.totals, counts=tuple(tuple((a, b) for a, b in band) for band in told))


TOTALS = CLAIM.totals
ALONE = {
    "epoch.number: -1 is outside": {"header": replace(HEADER, number=-1)},
    "epoch.closed: 1 is outside": {"header": replace(HEADER, closed=1)},
    "epoch.provider: not 32 bytes of a field element": {"header": replace(HEADER, provider=felt(FELT))},
    "epoch.requests: 4 is outside": {"header": replace(HEADER, requests=4)},
    "epoch.segments: 0 is outside": {"header": replace(HEADER, segments=0)},
    "epoch_root: not that of": {"epoch_root": bytes(32)},
    "epoch_root: not that of this": {"header": replace(HEADER, requests=58)},
    "epoch_root: not that of this header": {"header": replace(HEADER, provider=felt(4321))},
    "epoch_root: not that of this header and": {"segment": replace(CLAIM.segment, leaf=leaf(1, 14, fill=8))},
    "epoch_root: not that of this header and this": {"segment": replace(CLAIM.segment, index=1)},
    "epoch.segment.index: 5 is outside": {"segment": replace(CLAIM.segment, index=5)},
    "epoch.segment.path: too short": {"segment": replace(CLAIM.segment, path=())},
    "epoch.segment.path: too long": {"segment": replace(CLAIM.segment, path=(*CLAIM.segment.path, bytes(32)))},
    "epoch.segment.rows: 0 is outside": {"segment": replace(CLAIM.segment, leaf=leaf(1, 14, rows=0))},
    "epoch.segment.rows: 17 is outside": {"segment": replace(CLAIM.segment, leaf=leaf(1, 17))},
    "epoch.segment.first: 5 is outside": {"segment": replace(CLAIM.segment, leaf=leaf(1, 14, 5, 10))},
    "epoch.segment.count: 0 is outside": {"segment": replace(CLAIM.segment, leaf=leaf(1, 0))},
    "epoch.segment.log_size: 21 is outside": {"segment": replace(CLAIM.segment, leaf=replace(LEAVES[0], log_size=21))},
    "epoch.segment.agreement: not 32 bytes": {
        "segment": replace(CLAIM.segment, leaf=replace(LEAVES[0], agreement=felt(FELT)))
    },
    "scope: 'all' is unknown": {"scope": "all"},
    "edges: 0, 1 to 8": {"edges": ()},
    "edges: 9, 1 to 8": {"edges": tuple(range(9))},
    "edges: they must ascend": {"edges": (5, 5, 7, 8)},
    "edges: they must ascend within": {"edges": (-1, 5, 7, 8)},
    f"edges: they must ascend within 0..{MAX_VALUE - 1}": {"edges": (1, 5, 7, MAX_VALUE)},
    "counts: not one for each": {"edges": (1, 5, 7)},
    "counts: not one for each band": {"totals": replace(TOTALS, counts=tuple(band[:2] for band in TOTALS.counts))},
    "counts: -1 is outside 0..14": {"totals": moved((0, 1, 0, -1), (0, 2, 1, 1))},
    "counts: 15 is outside 0..14": {"totals": moved((0, 2, 1, 3))},
    "counts: they add up to 13": {"totals": moved((0, 2, 1, -1))},
    "counts: they add up to 15": {"totals": moved((4, 0, 0, 1))},
    "latency: a sum of -1": {"totals": replace(TOTALS, latency=(-1, 0))},
    "latency: a sum of 14323 is outside 0..14322": {"totals": replace(TOTALS, latency=(0, 14 * 1023 + 1))},
    "tokens: a sum of -1": {"totals": replace(TOTALS, tokens=(0, -1))},
    "tokens: a sum of 14323": {"totals": replace(TOTALS, tokens=(14 * 1023 + 1, 0))},
}


@pytest.mark.parametrize("message", ALONE)
def test_one_part_alone(message: str) -> None:
    with pytest.raises(StatementError) as refused:
        replace(CLAIM, **ALONE[message]).check()
    assert str(refused.value).startswith(message)


def with_leaf(claim: SlaStatement, **changes: object) -> SlaStatement:
    return replace(claim, segment=replace(claim.segment, leaf=replace(claim.leaf, **changes)))


OTHER = replace(HEADER, number=7)
TOGETHER = {
    "header: the parts": [AGREEMENT[0], replace(AGREEMENT[1], header=OTHER), AGREEMENT[2]],
    "epoch_root: the parts": [AGREEMENT[0], replace(AGREEMENT[1], epoch_root=bytes(32)), AGREEMENT[2]],
    "scope: the parts": [AGREEMENT[0], replace(AGREEMENT[1], scope="epoch"), AGREEMENT[2]],
    "edges: the parts": [AGREEMENT[0], replace(AGREEMENT[1], edges=(1, 2, 3, 4)), AGREEMENT[2]],
    "segments: an agreement is cut short": AGREEMENT[:2],
    "segment.first: 16, but": AGREEMENT[1:],
    "segment.first: 32 does not follow": [AGREEMENT[0], AGREEMENT[2]],
    "segment.first: 16 does not follow": [AGREEMENT[0], AGREEMENT[1], AGREEMENT[1], AGREEMENT[2]],
    "segment.first: 0 does not follow": [CLAIM, CLAIM],
    "segments: agreements do not ascend": [*AGREEMENT, CLAIM],
    "segments: two of one agreement": [AGREEMENT[0], with_leaf(AGREEMENT[1], count=41), AGREEMENT[2]],
    "segments: two of one agreement disagree": [AGREEMENT[0], with_leaf(AGREEMENT[1], buyer=felt(1)), AGREEMENT[2]],
    "segments: two of one agreement disagree about": [
        AGREEMENT[0],
        with_leaf(AGREEMENT[1], head=felt(1)),
        AGREEMENT[2],
    ],
    "segment.agreement: the parts": [CLAIM, *AGREEMENT],
    "segment.index: not all segments": EPOCH[:4],
    "segment.index: not all segments of": EPOCH[1:],
    "segment.index: not all segments of the": [EPOCH[0], EPOCH[4]],
    "epoch.requests: 58, but 57": [replace(p, header=replace(HEADER, requests=58)) for p in EPOCH],
}


@pytest.mark.parametrize("message", TOGETHER)
def test_parts_together(message: str) -> None:
    with pytest.raises(StatementError) as refused:
        SLA.check_together(TOGETHER[message])
    assert str(refused.value).startswith(message)


TREES = {
    "segments: 4, but the epoch has 5": (HEADER, LEAVES[:4]),
    "segments: 57 rows, but the epoch has 56": (replace(HEADER, requests=56), LEAVES),
    "segments: agreements do not ascend": (HEADER, (*LEAVES[1:], LEAVES[0])),
    "segment.first: 0 does not follow": (replace(HEADER, segments=2), (LEAVES[0], LEAVES[0])),
    "epoch.segment.rows": (HEADER, (*LEAVES[:4], leaf(5, 3, rows=0))),
}


@pytest.mark.parametrize("message", TREES)
def test_a_tree_of_what_is_no_epoch(message: str) -> None:
    with pytest.raises(StatementError) as refused:
        EpochTree(*TREES[message])
    assert str(refused.value).startswith(message)


def test_no_segments_are_no_epoch() -> None:
    with pytest.raises(StatementError, match="segments: none"):
        check_complete([])


@pytest.mark.parametrize("size", range(1, 10))
def test_every_leaf_has_its_place(size: int) -> None:
    tree = EpochTree(replace(HEADER, segments=size, requests=3 * size), [leaf(k + 1, 3) for k in range(size)])
    for index in range(size):
        placed = tree.placed(index)
        placed.check(tree.header, tree.root)
        for other in range(size):
            if other != index:
                with pytest.raises(StatementError):
                    PlacedLeaf(other, placed.leaf, placed.path).check(tree.header, tree.root)


def test_the_root_of_tree_0_comes_from_the_leaf() -> None:
    assert CLAIM.preprocessed_root(KEY) == bytes([9]) * 32
    with pytest.raises(StatementError, match="close it with that preset"):
        CLAIM.preprocessed_root(RootKey("poseidon252", 1))


# The report


def report(*counted: tuple[int, int, int, int], edges: tuple[int, ...] = EDGES, latency: int = 0) -> SlaReport:
    """(band, outcome, acknowledged, count)"""
    told = [[[0, 0] for _ in range(3)] for _ in range(len(edges) + 1)]
    for band, outcome, mark, count in counted:
        told[band][outcome][mark] += count
    return SlaReport(edges, tuple(tuple((a, b) for a, b in band) for band in told), latency, 0)


def test_availability_is_rounded_down() -> None:
    """REQUIREMENTS US-4: 43,150 of 43,200 are 99.884 %; never 99.89."""
    assert report((0, 2, 1, 43_150), (0, 0, 1, 50)).availability == 9988
    assert report((0, 2, 1, 99_999), (0, 0, 1, 1)).availability == 9999
    assert report((0, 2, 1, 1)).availability == FULL
    assert report((0, 0, 1, 1)).availability == 0


def test_a_percentile_needs_so_many() -> None:
    """p95 of 100 is the 95th: at most L if 95 are; of 99 the 95th as well, since 94.05 is more than 94."""
    for total, in_time, kept in ((100, 95, True), (100, 94, False), (99, 95, True), (99, 94, False), (1, 1, True)):
        assert report((0, 2, 1, in_time), (1, 2, 1, total - in_time)).at_most(9500, 0) is kept
    assert report((0, 2, 1, 9999), (4, 2, 1, 1)).at_most(9999, 0)
    assert not report((0, 2, 1, 9999), (4, 2, 1, 1)).at_most(FULL, 3)


def test_failing_fast_makes_no_percentile() -> None:
    quick = report((0, 0, 1, 1000), (3, 2, 1, 10))
    assert quick.percentile(5000) == 3
    assert report((0, 0, 1, 5)).percentile(5000) is None
    assert not report((0, 0, 1, 5)).at_most(1, 3)


@pytest.mark.parametrize("percentile", [0, -1, FULL + 1])
def test_a_percentile_is_within_bounds(percentile: int) -> None:
    with pytest.raises(ValueError, match=r"outside 1\.\.10000 basis points"):
        report((0, 2, 1, 1)).percentile(percentile)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2000), min_size=1, max_size=50), st.integers(1, FULL))
def test_the_percentile_is_that_of_sorting(latencies: list[int], basis_points: int) -> None:
    counted = [(sum(latency > edge for edge in EDGES), 2, 1, 1) for latency in latencies]
    rank = -(-basis_points * len(latencies) // FULL)
    exact = sorted(latencies)[rank - 1]
    for edge in range(len(EDGES)):
        assert report(*counted).at_most(basis_points, edge) == (exact <= EDGES[edge])


def test_counts_of_several_parts_add_up() -> None:
    whole = SLA.report(AGREEMENT)
    assert (whole.requests, whole.failed, whole.unacknowledged, whole.fulfilled) == (40, 3, 3, 34)
    assert (whole.later_than(0), whole.later_than(2), whole.later_than(3)) == (3, 3, 0)
    assert whole.latency_sum == 10 * 40 + 1024 * 40 + 3 * (EDGES[2] + 1)
    assert whole.average_latency == -(-whole.latency_sum // 40)
    assert whole.tokens == 40
    assert report_of(EDGES, [part.totals for part in AGREEMENT]) == whole


@pytest.mark.parametrize("promised", [20, 21, 99, 500, 1000, 5000, 10_000, 838_859])
def test_the_edges_of_a_promise(promised: int) -> None:
    """REQUIREMENTS 17.13: over by 5 % to 10 %, from 10 % to 25 % with both ends, and beyond."""
    edges = latency_edges(promised)
    for latency in {
        promised + d for base in (0, 5, 10, 25) for d in range(base * promised // 100 - 2, base * promised // 100 + 3)
    }:
        over = 100 * (latency - promised)
        band = 0 if over < 0 else 1 if over < 5 * promised else 2 if over < 10 * promised else 3
        band = 4 if over > 25 * promised else band
        assert sum(latency > edge for edge in edges) == band


@pytest.mark.parametrize("promised", [19, 0, -5, 838_860])
def test_promises_that_cannot_be_told_apart(promised: int) -> None:
    with pytest.raises(ValueError, match=r"is outside 20\.\.838859"):
        latency_edges(promised)


def test_what_is_said_of_it() -> None:
    said = CLAIM.describe()
    assert said["availability"] == "92.85 %"
    assert said["percentiles_ms"] == {"p50": "<= 999", "p90": "<= 999", "p95": "<= 1250", "p99": "<= 1250"}
    assert said["later_than_ms"] == {"999": 1, "1049": 1, "1099": 1, "1250": 0}
    assert said["buyer"] == "0x7"
    assert report((0, 0, 1, 5)).describe()["percentiles_ms"]["p50"] == "none answered"
    assert report((4, 2, 1, 5)).describe()["percentiles_ms"]["p50"] == "> 1250"
