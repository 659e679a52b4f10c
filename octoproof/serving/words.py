"""The model that is served: the nearest vectors of a committed snapshot, exactly.

A question is JSON: {"query": coordinates, "metric": "l2", "k": 10}. Answers are those of `starknet.answers`: the hash
that the provider signs can be compared with what was proven.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from air.statements.question import MAX_K, METRICS, Question
from air.statements.topk import MAX_DIMENSION
from octoproof.starknet.answers import STRICT, Answered
from octoproof.vectors.errors import VectorError
from octoproof.vectors.query import Asked, ask
from octoproof.vectors.snapshot import Snapshot
from verifier.strict import fields, integer, items, load_json, string

MAX_QUESTION_BYTES = 64 << 10


def write_question(query: Sequence[int], metric: str, k: int) -> bytes:
    """As it is sent, and hashed into the signed request."""
    return json.dumps({"query": list(query), "metric": metric, "k": k}, separators=(",", ":")).encode()


def read_question(data: bytes) -> Question:
    """From a stranger. Raises ParseError, VectorError."""
    given = fields(load_json(data, "question", MAX_QUESTION_BYTES), "question", ("query", "metric", "k"))
    query = tuple(integer(value, f"question.query[{k}]") for k, value in enumerate(items(given["query"], "query")))
    metric, k = string(given["metric"], "question.metric"), integer(given["k"], "question.k")
    if metric not in METRICS or not 1 <= k <= MAX_K or len(query) > MAX_DIMENSION:
        raise VectorError(f"question: metric is one of {', '.join(METRICS)}, k within 1..{MAX_K}")
    return Question(metric, query, k)


class NearestWords:
    """Answers questions about one version of a snapshot by looking at all of its rows."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def check(self, data: bytes) -> Question:
        """The question, if it can be asked. Raises ParseError, StatementError: then nothing was accepted."""
        question = read_question(data)
        question.check(self.snapshot.header)
        return question

    def answer(self, question: Question) -> bytes:
        """The right answer."""
        numbers = np.array(question.query, dtype=np.float32)
        found = ask(self.snapshot, Asked(question.query, numbers), question.k, question.metric, STRICT)
        rows = tuple((match.id, match.score) for match in found.matches)
        return Answered(self.snapshot.root, question, rows).encode()
