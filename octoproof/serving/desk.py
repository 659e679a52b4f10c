"""The provider's desk: every accepted request is answered, signed and on disk before the answer goes out.

What is malformed is refused before it is accepted, and is in no log. What was accepted is answered, if only by saying
that it failed: a request without a signed response would keep the epoch from being closed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2s
from threading import Lock
from typing import Any, Protocol

from octoproof.market.errors import RuleError
from octoproof.market.log import Received, RequestLog
from octoproof.market.log_files import number, read_records
from octoproof.market.messages import Acknowledgement, Request, Response, Signed
from octoproof.market.validity import output_hash
from octoproof.serving.kept import keep_output
from octoproof.starknet.log_signing import Signatory

OK, FAILED, GAVE_UP = 200, 500, 504
Clock = Callable[[], int]


class Model(Protocol):
    """What answers. `check` refuses what cannot be asked, `answer` gives bytes or raises."""

    def check(self, data: bytes) -> Any: ...

    def answer(self, question: Any) -> bytes: ...


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Given:
    """The latest answer under an agreement."""

    request: Signed[Request]
    response: Signed[Response]
    output: bytes


@dataclass
class Desk:
    """One provider, one epoch. `patience_ms`: an answer that takes longer is not given, and counts as failed."""

    log: RequestLog
    signatory: Signatory
    model: Model
    patience_ms: int = 60_000
    clock: Clock = now_ms
    _writing: Lock = field(default_factory=Lock)
    _latest: dict[int, Given] = field(default_factory=dict)

    def serve(self, request: Signed[Request], data: bytes) -> tuple[Signed[Response], bytes]:
        """The signed response, and the output, empty if there is none. Raises RuleError, ParseError, StatementError
        for what is not accepted, OSError.

        The latest request of an agreement is given the same answer again: its first one may have been lost on the way,
        and the buyer can send no other request before it knows the response to this one."""
        received = self.clock()
        asked = request.message
        given = self._latest.get(asked.agreement)
        if given is not None and given.request == request:
            return given.response, given.output
        if blake2s(data).digest() != asked.input:
            raise RuleError("request.input: not the hash of what came with it")
        question = self.model.check(data)
        with self._writing:
            (hash,) = self.log.accept([Received(request, received)])
        status, output = self._answer(question, received)
        told = Response(hash, received, self.clock(), status, status == OK, _tokens(output), output_hash(output))
        keep_output(self.log.folder, asked.agreement, asked.sequence, output)  # to defend it by
        response = self._keep(asked.agreement, asked.sequence, told)
        self._latest[asked.agreement] = Given(request, response, output)
        return response, output

    def acknowledge(self, agreement: int, sequence: int, signed: Signed[Acknowledgement]) -> None:
        """Keeps the buyer's counter-signature. Raises RuleError, OSError."""
        with self._writing:
            self.log.acknowledge(agreement, [(sequence, signed)])

    def fail_unanswered(self) -> int:
        """Signs for what an earlier run accepted and never answered that it failed; how many that were.

        Such an answer is late: it says when it was given."""
        records = read_records(self.log.folder, "requests")
        left = {(agreement, k) for agreement in self.log.agreements for k in self.log.unanswered(agreement)}
        for record in records:
            agreement, sequence = number(record["agreement"]), int(record["sequence"])
            if (agreement, sequence) in left:
                received = int(record["received_at"])
                told = Response(number(record["hash"]), received, self.clock(), FAILED, False, 0, output_hash(b""))
                self._keep(agreement, sequence, told)
        return len(left)

    def _answer(self, question: Any, received: int) -> tuple[int, bytes]:
        try:
            output = self.model.answer(question)
        except Exception:  # whatever a model fails by, the buyer gets a signed word about it
            return FAILED, b""
        late = self.clock() - received > self.patience_ms
        return (GAVE_UP, b"") if late else (OK, output)

    def _keep(self, agreement: int, sequence: int, told: Response) -> Signed[Response]:
        _, signed = self.signatory.sign(told)
        with self._writing:
            self.log.answer(agreement, [(sequence, signed)])
        return signed


def _tokens(output: bytes) -> int:
    """Of an answer of bytes: its 32-bit words."""
    return len(output) // 4
