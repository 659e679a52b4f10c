"""What a top-k receipt claims, and the verifier's part of it, without which the AIR of `topk` is not sound (DESIGN 5).

One statement a segment: "of segment L of snapshot R, these are the live rows that score at least t for query q". All
parts of a receipt together say: "these k rows are the best of the snapshot", and the result is computed here, from
what the parts emit, by whoever verifies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import air.statement as statements
from air.layout import Air
from air.relation import PublicTerm
from air.statement import Reader, RootKey, StatementError, Writer
from air.statements.snapshot import SegmentLeaf, SnapshotHeader, snapshot_root
from air.statements.topk import MAX_DIMENSION, MAX_GAP, id_limbs, score_bound, topk_air, topk_public_terms

METRICS = ("ip", "l2", "cosine")  # cosine is ip on a normalised snapshot
MAX_K, MAX_EMITTED = 1000, 4096

Row = tuple[int, int]  # id, score


@dataclass(frozen=True)
class TopkStatement:
    """One part. `emitted` are (id, score) of every live row of this segment with score >= threshold, best first."""

    header: SnapshotHeader
    snapshot_root: bytes
    leaf: SegmentLeaf
    metric: str
    query: tuple[int, ...]
    k: int
    threshold: int
    emitted: tuple[Row, ...]

    def encode(self) -> list[int]:
        out = Writer().header(TOPK.TYPE, TOPK.VERSION)
        self.header.write(out)
        out.bytes32(self.snapshot_root)
        self.leaf.write(out)
        out.i64(METRICS.index(self.metric)).i64s(self.query).i64(self.k).i64(self.threshold)
        out.items(self.emitted, lambda writer, row: writer.i64(row[0]).i64(row[1]))
        return out.words

    def digest(self) -> bytes:
        return statements.digest(self.encode())

    def air(self) -> Air:
        return self._air

    @cached_property
    def _air(self) -> Air:
        return topk_air(self.leaf.log_size, score_metric(self.metric), self.query, self.threshold)

    def public_terms(self) -> tuple[PublicTerm, ...]:
        return topk_public_terms(self.emitted)

    def preprocessed_root(self, key: RootKey) -> bytes:
        return self.leaf.column_root(key)

    def check(self) -> None:
        """Everything that can be said of one part. Raises StatementError naming the field."""
        self.header.check()
        self.leaf.check()
        _require(len(self.query) == self.header.dimension, "query: not of the snapshot's dimension")
        limit = self.header.limit
        for index, value in enumerate(self.query):
            _require(abs(value) <= limit, f"query[{index}]: {value} is outside -{limit}..{limit}")
        _require(self.metric in METRICS, f"metric: {self.metric!r:.40} is unknown")
        _require(self.metric != "cosine" or self.header.normalised, "metric: cosine needs a normalised snapshot")
        _require(1 <= self.k <= MAX_K, f"k: {self.k} is outside 1..{MAX_K}")
        self._check_bounds()
        self._check_emitted()

    def _check_bounds(self) -> None:
        # A row is |s| <= S, so |t| <= S keeps every |s - t| of the segment, emitted or not, within the gap's limbs.
        bound = score_bound(self.header.dimension, self.header.limit)
        _require(2 * bound <= MAX_GAP - 1, "snapshot.limit: scores could wrap around")
        _require(abs(self.threshold) <= bound, f"threshold: {self.threshold} is outside -{bound}..{bound}")
        for id, score in self.emitted:
            _require(abs(score) <= bound, f"emitted: the score {score} of id {id} is outside -{bound}..{bound}")
            _require(score >= self.threshold, f"emitted: id {id} scores {score}, below the threshold")

    def _check_emitted(self) -> None:
        count = len(self.emitted)
        _require(count <= MAX_EMITTED, f"emitted: {count} rows, at most {MAX_EMITTED} may reach the threshold")
        _require(count <= self.leaf.rows, f"emitted: {count} rows of a segment that has {self.leaf.rows}")
        _require(len({id for id, _ in self.emitted}) == count, "emitted: an id appears twice")
        _require(list(self.emitted) == ranked(self.emitted), "emitted: not in order, higher score and smaller id first")
        for id, _ in self.emitted:
            try:
                id_limbs(id)
            except ValueError as error:
                raise StatementError(f"emitted: {error}") from None

    def describe(self) -> dict[str, Any]:
        return {
            "mode": "strict",
            "metric": self.metric,
            "k": self.k,
            "threshold": self.threshold,
            "query": list(self.query),
            "snapshot_root": self.snapshot_root.hex(),
            "snapshot_rows": self.header.rows,
            "segment": {
                "id": self.leaf.id,
                "version": self.leaf.version,
                "rows": self.leaf.rows,
                "row_root": self.leaf.row_root.hex(),
            },
            "rests_on": "the column root of the segment",
            "emitted": [{"id": id, "score": score} for id, score in self.emitted],
        }


class TopkType:
    """The statement type; `TOPK` is the one to register."""

    TYPE: int = 1
    VERSION: int = 1
    NAME: str = "topk"

    def decode(self, words: Sequence[int]) -> TopkStatement:
        source = Reader(words)
        source.header(self.TYPE, self.VERSION)
        header, root, leaf = SnapshotHeader.read(source), source.bytes32(), SegmentLeaf.read(source)
        metric = source.i64()
        _require(0 <= metric < len(METRICS), f"metric: {metric} is unknown")
        query, k, threshold = source.i64s(MAX_DIMENSION), source.i64(), source.i64()
        emitted = source.items(lambda reader: (reader.i64(), reader.i64()), MAX_EMITTED)
        source.end()
        return TopkStatement(header, root, leaf, METRICS[metric], query, k, threshold, emitted)

    def check_together(self, statements: Sequence[TopkStatement]) -> None:
        """One part for every segment, in order, about one question; t is what the emitted rows make it."""
        first = statements[0]
        for name in ("header", "snapshot_root", "metric", "query", "k", "threshold"):
            same = all(getattr(part, name) == getattr(first, name) for part in statements)
            _require(same, f"{name}: the parts of the receipt disagree")
        # The root counts the segments, so that none can be left out, repeated or taken from another snapshot.
        root = snapshot_root(first.header, [part.leaf for part in statements])
        _require(root == first.snapshot_root, "snapshot_root: not the root of these segments")
        emitted = ranked(row for part in statements for row in part.emitted)
        _require(len(emitted) <= MAX_EMITTED, f"emitted: {len(emitted)} rows, at most {MAX_EMITTED} over all segments")
        _require(len({id for id, _ in emitted}) == len(emitted), "emitted: an id appears in two segments")
        expected = threshold_of(first.header, emitted, first.k)
        _require(first.threshold == expected, f"threshold: {first.threshold}, but the emitted rows make it {expected}")


TOPK = TopkType()


def topk_result(statements: Sequence[TopkStatement]) -> list[Row]:
    """(id, score) of the k best rows of a whole receipt, in order. It is as true as the receipt is valid."""
    return ranked(row for part in statements for row in part.emitted)[: statements[0].k]


def score_metric(metric: str) -> str:
    """The metric of the AIR."""
    return "ip" if metric == "cosine" else metric


def ranked(rows: Any) -> list[Row]:
    """Rows with the higher score first, ties by the smaller id."""
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def threshold_of(header: SnapshotHeader, ranked_rows: Sequence[Row], k: int) -> int:
    """The k-th best score, or -S where fewer than k rows live: then every live row is emitted."""
    if len(ranked_rows) >= k:
        return ranked_rows[k - 1][1]
    return -score_bound(header.dimension, header.limit)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise StatementError(message)
