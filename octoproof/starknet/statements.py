"""Statements as the fact contracts take them, and the digests under which they keep them (`contracts/facts`).

A statement goes as the ABI of its struct has it: numbers as felts, negative ones modulo the prime, 32-byte strings as
two halves of a big-endian number, low half first, lists with their count in front.
"""

from __future__ import annotations

from collections.abc import Sequence

from air.statement import Writer, digest
from air.statements.question import METRICS, Row
from air.statements.snapshot import CHANNELS, ROW_RULES, PlacedSegment, SnapshotHeader
from air.statements.topk_statement import MODES, TOPK, TopkStatement
from verifier.errors import StatementError

PRIME = 2**251 + 17 * 2**192 + 1
VERSION = 1
WIDE_FIB, RANGE_CHECK, PLONK, TOPK_RESULT = 64, 65, 66, 67  # types of claims that only the contracts name


def topk_felts(statement: TopkStatement) -> list[int]:
    """A `TopkStatement` of `topk_statement.cairo`. Raises StatementError for what the contracts do not know."""
    return [
        *_header(statement),
        *_placed(statement.segment),
        MODES.index(statement.mode),
        *_question(statement),
        statement.probes,
        statement.threshold % PRIME,
        *_rows(statement.emitted),
    ]


def topk_answer_felts(statements: Sequence[TopkStatement]) -> list[int]:
    """The parts of one receipt as a `TopkAnswer` of `topk_result.cairo`. Raises StatementError."""
    first = statements[0]
    common = [*_header(first), MODES.index(first.mode), *_question(first), first.probes, len(statements)]
    for part in statements:
        common += [*_placed(part.segment), part.threshold % PRIME, *_rows(part.emitted)]
    return common


def topk_result_digest(statements: Sequence[TopkStatement]) -> bytes:
    """What the contract keeps once all parts are facts: snapshot, question and its k best rows."""
    first = statements[0]
    out = Writer().header(TOPK_RESULT, VERSION).bytes32(first.snapshot_root).i64(MODES.index(first.mode))
    first.question.write(out)
    rows = TOPK.result(statements)
    out.i64(first.probes).items(rows, lambda writer, row: writer.i64(row[0]).i64(row[1]))
    return digest(out.words)


def native_digest(kind: int, *numbers: int) -> bytes:
    """Of WIDE_FIB (log size, columns), RANGE_CHECK (table log, log size, columns) or PLONK (log size, a0, b0)."""
    out = Writer().header(kind, VERSION)
    for number in numbers:
        out.i64(number)
    return digest(out.words)


def u256_felts(value: bytes) -> list[int]:
    """32 bytes as a `u256`: (low, high) of the big-endian number."""
    number = int.from_bytes(value, "big")
    return [number % 2**128, number >> 128]


def _header(statement: TopkStatement) -> list[int]:
    header: SnapshotHeader = statement.header
    if header.fields or statement.question.filters or statement.dictionaries:
        raise StatementError("snapshot.fields: the contracts do not know payload fields; use a snapshot without them")
    flags = [int(header.normalised), ROW_RULES.index(header.row_rule)]
    counts = [header.cells, header.rows, header.live, header.segments]
    return [header.dimension, header.limit, header.scale, *flags, *counts, *u256_felts(statement.snapshot_root)]


def _placed(segment: PlacedSegment) -> list[int]:
    leaf = segment.leaf
    out = [segment.index, leaf.id, leaf.version, leaf.log_size, leaf.rows, leaf.live, *u256_felts(leaf.row_root)]
    out.append(len(leaf.column_roots))
    for item in leaf.column_roots:
        key = item.key
        out += [CHANNELS.index(key.channel), key.log_blowup_factor, key.lifting_log_size or 0, *u256_felts(item.root)]
    return [*out, len(segment.path), *(felt for sibling in segment.path for felt in u256_felts(sibling))]


def _question(statement: TopkStatement) -> list[int]:
    asked = statement.question
    query = [value % PRIME for value in asked.query]
    return [METRICS.index(asked.metric), len(query), *query, asked.k]


def _rows(rows: Sequence[Row]) -> list[int]:
    return [len(rows), *(felt for id, score in rows for felt in (id, score % PRIME))]
