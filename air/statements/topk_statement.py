"""What a top-k receipt claims, and the verifier's part of it, without which the AIR of `topk` is not sound (DESIGN 5).

One statement a segment: "of segment L of snapshot R, these are the eligible rows that score at least t for query q".
All parts of a receipt together say one of two things, and the result is computed here, from what the parts emit:

- `strict`: these are the k best rows of the snapshot. One part for every segment that holds rows.
- `ivf`: these are the k best rows of the probed cells. The first part is about the centroids and shows, as a top-k of
  its own, which cells are probed; then comes one part for each of them. Nothing is said about rows in other cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import air.statement as statements
from air.layout import Air
from air.relation import PublicTerm
from air.statement import Reader, RootKey, Writer
from air.statements.question import (
    Dictionaries,
    Question,
    Row,
    check_rows,
    ranked,
    read_dictionaries,
    require,
    score_metric,
    write_dictionaries,
)
from air.statements.snapshot import PlacedSegment, SegmentLeaf, SnapshotHeader
from air.statements.topk import MAX_GAP, TopK, score_bound, topk_air, topk_public_terms

MODES = ("strict", "ivf")
MAX_EMITTED, MAX_PROBES = 4096, 1000


@dataclass(frozen=True)
class TopkStatement:
    """One part. `emitted` are (id, score) of every eligible row of this segment with score >= threshold, best first.

    `probes` is the number of cells that are probed, 0 in strict mode. `dictionaries` of the filtered fields are in the
    first part alone."""

    header: SnapshotHeader
    snapshot_root: bytes
    segment: PlacedSegment
    mode: str
    question: Question
    probes: int
    threshold: int
    emitted: tuple[Row, ...]
    dictionaries: Dictionaries = ()

    @property
    def leaf(self) -> SegmentLeaf:
        return self.segment.leaf

    @property
    def is_probe(self) -> bool:
        """Whether this part is about the centroids."""
        return self.mode == "ivf" and self.segment.index == 0

    def encode(self) -> list[int]:
        out = Writer().header(TOPK.TYPE, TOPK.VERSION)
        self.header.write(out)
        out.bytes32(self.snapshot_root)
        self.segment.write(out)
        out.i64(MODES.index(self.mode))
        self.question.write(out)
        out.i64(self.probes).i64(self.threshold)
        out.items(self.emitted, lambda writer, row: writer.i64(row[0]).i64(row[1]))
        write_dictionaries(out, self.dictionaries)
        return out.words

    def digest(self) -> bytes:
        return statements.digest(self.encode())

    def component(self) -> TopK:
        """The component that selects the rows. Centroids have no payload, so no filter holds them back."""
        question, filters = self.question, () if self.is_probe else self.question.filters
        fields, codes = tuple(f.field for f in filters), tuple(f.code for f in filters)
        count = len(self.header.fields)
        metric = score_metric(question.metric)
        return TopK(self.leaf.log_size, metric, question.query, self.threshold, count, fields, codes)

    def air(self) -> Air:
        return self._air

    @cached_property
    def _air(self) -> Air:
        return topk_air(self.component())

    def public_terms(self) -> tuple[PublicTerm, ...]:
        return topk_public_terms(self.emitted)

    def preprocessed_root(self, key: RootKey) -> bytes:
        return self.leaf.column_root(key)

    def check(self) -> None:
        """Everything that can be said of one part. Raises StatementError naming the field."""
        self.header.check()
        self.segment.check(self.header, self.snapshot_root)
        self.question.check(self.header)
        require(self.mode in MODES, f"mode: {self.mode!r:.40} is unknown")
        most = min(self.header.cells, MAX_PROBES) if self.mode == "ivf" else 0
        require(min(1, most) <= self.probes <= most, f"probes: {self.probes} of {self.header.cells} cells")
        require(self.mode == "strict" or self.header.cells > 0, "mode: ivf needs a snapshot with cells")
        self._check_bounds()
        require(len(self.emitted) <= MAX_EMITTED, f"emitted: {len(self.emitted)} rows, at most {MAX_EMITTED} are told")
        require(len(self.emitted) <= self.leaf.rows, f"emitted: {len(self.emitted)} rows of {self.leaf.rows}")
        check_rows(self.emitted, self.header, "emitted")

    def _check_bounds(self) -> None:
        # A row is |s| <= S, so |t| <= S keeps every |s - t| of the segment, emitted or not, within the gap's limbs.
        bound = score_bound(self.header.dimension, self.header.limit)
        require(2 * bound <= MAX_GAP - 1, "snapshot.limit: scores could wrap around")
        require(abs(self.threshold) <= bound, f"threshold: {self.threshold} is outside -{bound}..{bound}")
        for id, score in self.emitted:
            require(score >= self.threshold, f"emitted: id {id} scores {score}, below the threshold")

    def describe(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "proves": PROVES[self.mode],
            **self.question.describe(self.header),
            "probes": self.probes or None,
            "threshold": self.threshold,
            "snapshot_root": self.snapshot_root.hex(),
            "snapshot_rows": self.header.rows,
            "segment": {
                "index": self.segment.index,
                "id": self.leaf.id,
                "version": self.leaf.version,
                "rows": self.leaf.rows,
            },
            "rests_on": "the column root of the segment",
            "emitted": [{"id": id, "score": score} for id, score in self.emitted],
        }


PROVES = {
    "strict": "these are exactly the k best rows of the snapshot: none is left out, none invented",
    "ivf": "these are exactly the k best rows of the probed cells, and the cells are the nearest by their centroids; "
    "nothing about rows in other cells, nor about which cell a row was put into",
}


class TopkType:
    """The statement type; `TOPK` is the one to register."""

    TYPE: int = 1
    VERSION: int = 2
    NAME: str = "topk"

    def decode(self, words: Sequence[int]) -> TopkStatement:
        source = Reader(words)
        if source.header(self.TYPE, self.VERSION) != self.VERSION:
            raise statements.StatementError("statement: version 1 is no longer read; prove it anew")
        header, root, segment = SnapshotHeader.read(source), source.bytes32(), PlacedSegment.read(source)
        mode = source.i64()
        require(0 <= mode < len(MODES), f"mode: {mode} is unknown")
        question, probes, threshold = Question.read(source), source.i64(), source.i64()
        emitted = source.items(lambda reader: (reader.i64(), reader.i64()), MAX_EMITTED)
        dictionaries = read_dictionaries(source)
        source.end()
        return TopkStatement(header, root, segment, MODES[mode], question, probes, threshold, emitted, dictionaries)

    def check_together(self, statements: Sequence[TopkStatement]) -> None:
        """One part for each segment that the mode demands, in order, about one question; t is what the rows make it."""
        first = statements[0]
        for name in ("header", "snapshot_root", "mode", "question", "probes"):
            same = all(getattr(part, name) == getattr(first, name) for part in statements)
            require(same, f"{name}: the parts of the receipt disagree")
        first.question.check_dictionaries(first.header, first.dictionaries)
        require(not any(part.dictionaries for part in statements[1:]), "dictionaries: only the first part has them")
        if first.mode == "ivf":
            require(first.is_probe, "segment.index: the first part must be about the centroids")
            _check_threshold([first], first.probes)
            wanted = sorted(id + 1 for id, _ in ranked(first.emitted)[: first.probes])
            parts = statements[1:]
        else:
            wanted = list(range(first.header.first_rows, first.header.segments))
            parts = statements
        require(len(parts) > 0, "segment.index: no segment is proven")
        # So that no segment is left out, repeated or taken for another.
        require([part.segment.index for part in parts] == wanted, "segment.index: not the segments that are asked for")
        _check_threshold(parts, first.question.k)

    def result(self, statements: Sequence[TopkStatement]) -> list[Row]:
        """(id, score) of the k best rows of a whole receipt, in order. It is as true as the receipt is valid."""
        rows = (row for part in statements if not part.is_probe for row in part.emitted)
        return ranked(rows)[: statements[0].question.k]


TOPK = TopkType()


def _check_threshold(parts: Sequence[TopkStatement], places: int) -> None:
    """Raises StatementError unless all parts have the threshold that the emitted rows of all of them make."""
    emitted = ranked(row for part in parts for row in part.emitted)
    require(len(emitted) <= MAX_EMITTED, f"emitted: {len(emitted)} rows, at most {MAX_EMITTED} over all segments")
    require(len({id for id, _ in emitted}) == len(emitted), "emitted: an id appears in two segments")
    expected = threshold_of(parts[0].header, emitted, places)
    for part in parts:
        require(part.threshold == expected, f"threshold: {part.threshold}, but the emitted rows make it {expected}")


def threshold_of(header: SnapshotHeader, ranked_rows: Sequence[Row], places: int) -> int:
    """The score of the last place, or -S where there are fewer rows than places: then every eligible row is emitted."""
    if len(ranked_rows) >= places:
        return ranked_rows[places - 1][1]
    return -score_bound(header.dimension, header.limit)
