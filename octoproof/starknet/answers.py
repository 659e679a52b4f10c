"""Answers to vector queries as a provider signs them: the words that a fact about the answer is hashed from.

Type and version, snapshot root, mode, question, probes, rows (id, score): the hash of these bytes is what
`statements.topk_result_digest` gives, and what the market compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack

from air.statement import Reader, StatementError, Writer
from air.statements.question import MAX_K, Question, Row
from air.statements.topk_statement import MODES
from octoproof.starknet.statements import TOPK_RESULT, VERSION

STRICT = "strict"  # the mode: every row counts
MAX_ANSWER_BYTES = 64 << 10


@dataclass(frozen=True)
class Answered:
    """A question about a snapshot, and the rows that are said to be its answer, best first."""

    snapshot_root: bytes
    question: Question
    rows: tuple[Row, ...]

    def encode(self) -> bytes:
        """What is sent, and what the signed hash is of."""
        out = Writer().header(TOPK_RESULT, VERSION).bytes32(self.snapshot_root).i64(MODES.index(STRICT))
        self.question.write(out)
        return out.i64(0).items(self.rows, lambda writer, row: writer.i64(row[0]).i64(row[1])).to_bytes()


def read_answer(data: bytes) -> Answered:
    """Inverse of `Answered.encode`. Raises StatementError."""
    if len(data) % 4 or len(data) > MAX_ANSWER_BYTES:
        raise StatementError(f"answer: {len(data)} bytes are no answer")
    source = Reader(unpack(f"<{len(data) // 4}I", data))
    source.header(TOPK_RESULT, VERSION)
    root, mode, question, probes = source.bytes32(), source.i64(), Question.read(source), source.i64()
    rows = source.items(lambda reader: (reader.i64(), reader.i64()), MAX_K)
    source.end()
    if mode != MODES.index(STRICT) or probes:
        raise StatementError("answer.mode: not that of an exact search")
    return Answered(root, question, tuple(rows))
