"""Receipts that open rows instead of proving over them: the modes `fast` and `candidates`.

The rows themselves are in the receipt, with their paths in the row trees, and whoever verifies scores and ranks them
again. That takes milliseconds to make and says less than a proof:

- `fast`: these rows are in the snapshot, with these scores and in this order;
- `candidates`: the same of 40 to 512 candidates, at least 4 k, of which these are the k best.

Neither says anything of rows that are not shown. The opening is, segment by segment and row by row in ascending
position: the coordinates (int16) and codes (u32), or on a snapshot with Stoolap's row rule the numbers (float32); then,
segment by segment, a count (u32) and the hashes that complete the tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import air.statement as statements
from air.statement import Reader, StatementError, Writer
from air.statements.question import (
    Dictionaries,
    Question,
    Row,
    check_rows,
    read_dictionaries,
    require,
    score_metric,
    write_dictionaries,
)
from air.statements.snapshot import MAX_SEGMENTS, PlacedSegment, SnapshotHeader
from octoproof.vectors.quantise import Quantiser
from octoproof.vectors.rerank import CANDIDATES_A_PLACE, MAX_CANDIDATES, MIN_CANDIDATES
from octoproof.vectors.rowtree import NATIVE, STOOLAP, row_leaf, stoolap_leaf, verify_rows
from verifier.errors import ParseError

MODES = ("fast", "candidates")
PROVES = {
    "fast": "these rows are in the snapshot, with these scores and in this order; nothing about rows not shown",
    "candidates": "these are the k best of the shown candidates, all of them rows of the snapshot; "
    "nothing about rows that are no candidates",
}


@dataclass(frozen=True)
class OpenedRow:
    """One shown row: which of the statement's segments it lies in, its position there, its id and score."""

    segment: int
    position: int
    id: int
    score: int

    def write(self, out: Writer) -> None:
        out.i64(self.segment).i64(self.position).i64(self.id).i64(self.score)

    @classmethod
    def read(cls, source: Reader) -> OpenedRow:
        return cls(*(source.i64() for _ in range(4)))


@dataclass(frozen=True)
class OpenedStatement:
    """One part. `segments` are those that rows are shown of, by ascending index, or if no row is, any one; `rows` are
    all of them, best first."""

    header: SnapshotHeader
    snapshot_root: bytes
    mode: str
    question: Question
    segments: tuple[PlacedSegment, ...]
    rows: tuple[OpenedRow, ...]
    dictionaries: Dictionaries = ()

    def encode(self) -> list[int]:
        out = Writer().header(OPENED.TYPE, OPENED.VERSION)
        self.header.write(out)
        out.bytes32(self.snapshot_root).i64(MODES.index(self.mode))
        self.question.write(out)
        out.items(self.segments, lambda writer, item: item.write(writer))
        out.items(self.rows, lambda writer, item: item.write(writer))
        write_dictionaries(out, self.dictionaries)
        return out.words

    def digest(self) -> bytes:
        return statements.digest(self.encode())

    @property
    def ranked(self) -> list[Row]:
        """(id, score) of every shown row, in order."""
        return [(row.id, row.score) for row in self.rows]

    def check(self) -> None:
        """Everything but the rows themselves. Raises StatementError naming the field."""
        self.header.check()
        require(self.mode in MODES, f"mode: {self.mode!r:.40} is unknown")
        self.question.check(self.header)
        self.question.check_dictionaries(self.header, self.dictionaries)
        for segment in self.segments:
            segment.check(self.header, self.snapshot_root)
        indices = [segment.index for segment in self.segments]
        require(indices == sorted(set(indices)), "segments: not in ascending order")
        require(min(indices, default=1) >= self.header.first_rows, "segments: centroids are no rows")
        # Also where no row passes the filters: nothing else ties the header to the root.
        require(len(self.segments) > 0, "segments: none, at least one must be named")
        check_rows(self.ranked, self.header, "rows")
        for row in self.rows:
            require(0 <= row.segment < len(self.segments), f"rows: id {row.id} is in no segment of the statement")
        self._check_count()

    def _check_count(self) -> None:
        # How many rows pass a filter is not known here, so that a filtered answer may be of fewer rows.
        shown, k, live = len(self.rows), self.question.k, self.header.live
        if self.mode == "fast":
            least, most = min(k, live), k
        else:
            require(
                CANDIDATES_A_PLACE * k <= MAX_CANDIDATES, f"k: {k} results need more than {MAX_CANDIDATES} candidates"
            )
            least, most = min(live, max(MIN_CANDIDATES, CANDIDATES_A_PLACE * k)), MAX_CANDIDATES
        require(shown <= most, f"rows: {shown}, at most {most} may be shown")
        require(shown >= least or bool(self.question.filters), f"rows: {shown}, at least {least} must be shown")

    def in_order(self) -> list[list[OpenedRow]]:
        """The rows of each segment by ascending position: the order of the opening."""
        out: list[list[OpenedRow]] = [[] for _ in self.segments]
        for row in sorted(self.rows, key=lambda row: row.position):
            out[row.segment].append(row)
        return out

    def check_opening(self, opening: bytes) -> None:
        """Raises StatementError unless the rows are in their trees and score what they are said to."""
        shown, siblings = self._read(opening)
        native = self.header.row_rule != STOOLAP.name
        for rows, (coordinates, codes, leaves), placed, path in zip(
            self.in_order(), shown, self.segments, siblings, strict=True
        ):
            size = placed.leaf.rows if native else placed.leaf.live
            positions = [row.position for row in rows]
            rule = NATIVE if native else STOOLAP
            held = verify_rows(placed.leaf.row_root, size, positions, leaves, path, rule) if self.rows else not path
            require(held, f"rows: not the rows of segment {placed.leaf.id}")
            self._check_scores(rows, coordinates, codes)

    def _check_scores(
        self, rows: Sequence[OpenedRow], coordinates: npt.NDArray[np.int64], codes: npt.NDArray[np.uint32]
    ) -> None:
        limit = self.header.limit
        require(bool((np.abs(coordinates) <= limit).all()), f"rows: a coordinate is outside +-{limit}")
        scores = coordinates @ np.array(self.question.query, dtype=np.int64)
        if score_metric(self.question.metric) == "l2":
            scores = 2 * scores - (coordinates * coordinates).sum(axis=1)
        for row, score in zip(rows, scores.tolist(), strict=True):
            require(row.score == score, f"rows: id {row.id} scores {score}, not {row.score}")
        for item in self.question.filters:
            passing = bool((codes[:, item.field] == item.code).all())
            require(passing, f"rows: one is not of {self.header.fields[item.field].name}={item.value!r:.60}")

    def _read(self, opening: bytes) -> tuple[Iterator[tuple[Any, Any, list[bytes]]], list[list[bytes]]]:
        """(for every segment coordinates, codes and leaves; for every segment the hashes beside)."""
        native = self.header.row_rule != STOOLAP.name
        require(native or not self.question.filters, "filters: Stoolap's leaves hold no codes to be filtered by")
        counts = [len(rows) for rows in self.in_order()]
        record = _record(self.header)
        split = sum(counts) * record.itemsize
        require(len(opening) >= split, "opening: truncated")
        records = np.frombuffer(opening[:split], dtype=record)
        siblings, rest = [], opening[split:]
        for _ in counts:
            require(len(rest) >= 4, "opening: truncated")
            count, rest = int.from_bytes(rest[:4], "little"), rest[4:]
            require(len(rest) >= 32 * count, "opening: truncated")
            siblings.append([rest[32 * k : 32 * k + 32] for k in range(count)])
            rest = rest[32 * count :]
        require(not rest, "opening: trailing bytes")
        return self._leaves(records, counts), siblings

    def _leaves(self, records: npt.NDArray[Any], counts: list[int]) -> Iterator[tuple[Any, Any, list[bytes]]]:
        native, start = self.header.row_rule != STOOLAP.name, 0
        for rows, count in zip(self.in_order(), counts, strict=True):
            part = records[start : start + count]
            start += count
            if native:
                codes = part["codes"].astype(np.uint32)
                pairs = zip(rows, part["x"].tolist(), codes.tolist(), strict=True)
                leaves = [row_leaf(row.id, True, x, c) for row, x, c in pairs]
                yield part["x"].astype(np.int64), codes, leaves
            else:
                quantiser = Quantiser(self.header.dimension, self.header.scale, self.header.normalised)
                try:
                    coordinates = quantiser(part["x"], "opening").astype(np.int64)
                except ParseError as error:
                    raise StatementError(str(error)) from None
                leaves = [stoolap_leaf(row.id, x) for row, x in zip(rows, part["x"], strict=True)]
                yield coordinates, np.zeros((count, 0), dtype=np.uint32), leaves

    def describe(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "proves": PROVES[self.mode],
            **self.question.describe(self.header),
            "candidates": len(self.rows),
            "snapshot_root": self.snapshot_root.hex(),
            "snapshot_rows": self.header.rows,
            "rests_on": "the row roots of the segments",
        }


class OpenedType:
    """The statement type; `OPENED` is the one to register."""

    TYPE: int = 2
    VERSION: int = 1
    NAME: str = "opened rows"

    def decode(self, words: Sequence[int]) -> OpenedStatement:
        source = Reader(words)
        source.header(self.TYPE, self.VERSION)
        header, root, mode = SnapshotHeader.read(source), source.bytes32(), source.i64()
        require(0 <= mode < len(MODES), f"mode: {mode} is unknown")
        question = Question.read(source)
        segments = source.items(PlacedSegment.read, MAX_SEGMENTS)
        rows = source.items(OpenedRow.read, 1024)
        dictionaries = read_dictionaries(source)
        source.end()
        return OpenedStatement(header, root, MODES[mode], question, segments, rows, dictionaries)

    def check_together(self, statements: Sequence[OpenedStatement]) -> None:
        """One part says all."""
        require(len(statements) == 1, f"parts: {len(statements)}, where one says all")

    def result(self, statements: Sequence[OpenedStatement]) -> list[Row]:
        """(id, score) of the k best shown rows, in order."""
        return statements[0].ranked[: statements[0].question.k]


OPENED = OpenedType()


def _record(header: SnapshotHeader) -> np.dtype[Any]:
    """One row of an opening."""
    if header.row_rule == STOOLAP.name:
        return np.dtype([("x", "<f4", (header.dimension,))])
    return np.dtype([("x", "<i2", (header.dimension,)), ("codes", "<u4", (len(header.fields),))])


def write_opening(
    header: SnapshotHeader,
    shown: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    siblings: Sequence[Sequence[bytes]],
) -> bytes:
    """The bytes of an opening: for every segment its rows as (n, D) numbers and (n, F) codes, and the hashes beside."""
    out = []
    for numbers, codes in shown:
        records = np.zeros(len(numbers), dtype=_record(header))
        records["x"] = numbers
        if "codes" in (records.dtype.names or ()):
            records["codes"] = codes
        out.append(records.tobytes())
    for path in siblings:
        out.append(len(path).to_bytes(4, "little") + b"".join(path))
    return b"".join(out)
