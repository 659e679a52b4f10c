"""What an SLA receipt claims, and the verifier's part of it, without which the AIR of `sla` is not sound.

One statement a segment: "of segment L of epoch E, so many requests are in each class, with these sums of latencies and
tokens". All parts of a receipt together are about one of two scopes, and none of it is left out:

- `agreement`: all requests of one agreement in the epoch;
- `epoch`: all requests of all agreements.

A statement says nothing of what is not in the log. That both parties signed what is in it, and nothing they both signed
is missing, is shown beside the proof: by the buyer's signature over the segment's leaf, and by evidence of omission.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import air.statement as statements
from air.layout import Air
from air.relation import PublicTerm
from air.statement import Reader, RootKey, Writer
from air.statements.epoch import EpochHeader, LogLeaf, PlacedLeaf, check_complete
from air.statements.question import require
from air.statements.sla import MAX_EDGES, MAX_VALUE, Sla, Totals, sla_air, sla_public_terms
from air.statements.sla_report import SlaReport, report_of
from air.statements.topk import LIMB_BITS

SCOPES = ("agreement", "epoch")
OUTCOMES, MARKS = 3, 2  # failed, invalid, good; not acknowledged, acknowledged


@dataclass(frozen=True)
class SlaStatement:
    """One part. `edges` are latencies in ms: counts are told apart by whether they exceed them."""

    header: EpochHeader
    epoch_root: bytes
    segment: PlacedLeaf
    scope: str
    edges: tuple[int, ...]
    totals: Totals

    @property
    def leaf(self) -> LogLeaf:
        return self.segment.leaf

    def encode(self) -> list[int]:
        out = Writer().header(SLA.TYPE, SLA.VERSION)
        self.header.write(out)
        out.bytes32(self.epoch_root)
        self.segment.write(out)
        out.i64(SCOPES.index(self.scope)).i64s(self.edges)
        out.i64s(count for band in self.totals.counts for pair in band for count in pair)
        for value in (*self.totals.latency, *self.totals.tokens):
            out.i64(value)
        return out.words

    def digest(self) -> bytes:
        return statements.digest(self.encode())

    def component(self) -> Sla:
        """The component that counts."""
        return Sla(self.leaf.log_size, self.edges)

    def air(self) -> Air:
        return self._air

    @cached_property
    def _air(self) -> Air:
        return sla_air(self.component())

    def public_terms(self) -> tuple[PublicTerm, ...]:
        return sla_public_terms(self.leaf.first, self.leaf.rows, self.totals)

    def preprocessed_root(self, key: RootKey) -> bytes:
        return self.leaf.column_root(key)

    def check(self) -> None:
        """Everything that can be said of one part. Raises StatementError naming the field."""
        self.header.check()
        self.segment.check(self.header, self.epoch_root)
        require(self.scope in SCOPES, f"scope: {self.scope!r:.40} is unknown")
        require(1 <= len(self.edges) <= MAX_EDGES, f"edges: {len(self.edges)}, 1 to {MAX_EDGES} are told apart")
        # Bands that are empty or overlap would let a row choose; an edge out of range would let a distance wrap around.
        ascends = all(a < b for a, b in pairwise((-1, *self.edges, MAX_VALUE)))
        require(ascends, f"edges: they must ascend within 0..{MAX_VALUE - 1}")
        self._check_totals()

    def _check_totals(self) -> None:
        # A count is a multiplicity, known modulo P alone: one beyond the rows, or below zero, would be another number.
        rows, counts = self.leaf.rows, self.totals.counts
        shape = len(counts) == len(self.edges) + 1 and all(len(band) == OUTCOMES for band in counts)
        require(shape, "counts: not one for each band, outcome and acknowledgement")
        flat = [count for band in counts for pair in band for count in pair]
        for count in flat:
            require(0 <= count <= rows, f"counts: {count} is outside 0..{rows}")
        require(sum(flat) == rows, f"counts: they add up to {sum(flat)}, but the segment has {rows} requests")
        most = rows * ((1 << LIMB_BITS) - 1)
        for name in ("latency", "tokens"):
            for value in getattr(self.totals, name):
                require(0 <= value <= most, f"{name}: a sum of {value} is outside 0..{most}")

    def describe(self) -> dict[str, Any]:
        return {
            "proves": PROVES[self.scope],
            "scope": self.scope,
            "epoch_root": self.epoch_root.hex(),
            "epoch": self.header.number,
            "provider": _address(self.header.provider),
            "agreement": _address(self.leaf.agreement),
            "buyer": _address(self.leaf.buyer),
            "segment": {"index": self.segment.index, "first": self.leaf.first, "rows": self.leaf.rows},
            **report_of(self.edges, [self.totals]).describe(),
            "rests_on": "the column root of the segment",
        }


PROVES = {
    "agreement": "the requests of this agreement that the epoch's log holds are counted, each once and none left out",
    "epoch": "the requests that the epoch's log holds are counted, each once and none left out",
}


class SlaType:
    """The statement type; `SLA` is the one to register."""

    TYPE: int = 4
    VERSION: int = 1
    NAME: str = "sla"

    def decode(self, words: Sequence[int]) -> SlaStatement:
        source = Reader(words)
        source.header(self.TYPE, self.VERSION)
        header, root, segment = EpochHeader.read(source), source.bytes32(), PlacedLeaf.read(source)
        scope = source.i64()
        require(0 <= scope < len(SCOPES), f"scope: {scope} is unknown")
        edges = source.i64s(MAX_EDGES)
        flat = source.i64s((MAX_EDGES + 1) * OUTCOMES * MARKS)
        require(len(flat) == (len(edges) + 1) * OUTCOMES * MARKS, "counts: not one for each class")
        sums = tuple(source.i64() for _ in range(4))
        source.end()
        pairs = list(zip(flat[::2], flat[1::2], strict=True))
        counts = tuple(tuple(pairs[k : k + OUTCOMES]) for k in range(0, len(pairs), OUTCOMES))
        totals = Totals(counts, (sums[0], sums[1]), (sums[2], sums[3]))
        return SlaStatement(header, root, segment, SCOPES[scope], edges, totals)

    def check_together(self, statements: Sequence[SlaStatement]) -> None:
        """All segments of what the scope demands, in order, counted by the same edges."""
        first = statements[0]
        for name in ("header", "epoch_root", "scope", "edges"):
            same = all(getattr(part, name) == getattr(first, name) for part in statements)
            require(same, f"{name}: the parts of the receipt disagree")
        # So that no segment, where the bad requests may be, is left out, and none with good ones is counted twice.
        check_complete([part.leaf for part in statements])
        if first.scope == "epoch":
            indices = [part.segment.index for part in statements]
            require(indices == list(range(first.header.segments)), "segment.index: not all segments of the epoch")
            rows = sum(part.leaf.rows for part in statements)
            require(rows == first.header.requests, f"epoch.requests: {first.header.requests}, but {rows} are counted")
        else:
            one = len({part.leaf.agreement for part in statements}) == 1
            require(one, "segment.agreement: the parts of the receipt are about several")

    def report(self, statements: Sequence[SlaStatement]) -> SlaReport:
        """The counts of a whole receipt. They are as true as the receipt is valid."""
        return report_of(statements[0].edges, [part.totals for part in statements])


SLA = SlaType()


def _address(value: bytes) -> str:
    return hex(int.from_bytes(value, "big"))
