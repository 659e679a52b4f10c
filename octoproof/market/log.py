"""The request log of a provider for one epoch: what both sides signed, in order, and safe on disk (`log_files`).

A request is kept from the moment it is accepted; its response and the buyer's acknowledgement follow, in any order of
requests. A buyer keeps a log of the same form, with what it signed and received: its evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from octoproof.market.errors import MarketError, RuleError
from octoproof.market.exchange import Head, check_acknowledgement, check_receipt, check_request, check_response
from octoproof.market.log_files import (
    DOCUMENT,
    EPOCH,
    LogError,
    Records,
    append,
    felt,
    locked,
    number,
    read_document,
    records_of,
    repaired,
    write_document,
)
from octoproof.market.messages import Acknowledgement, Agreement, Party, Request, Response, Signed, Signing, verified


@dataclass(frozen=True)
class Received:
    """A signed request, and when it came."""

    request: Signed[Request]
    received_at: int


@dataclass
class _State:
    """How far one agreement has come, by sequence number: what the next message about it must fit."""

    head: Head = field(default_factory=Head)
    requests: list[tuple[int, int]] = field(default_factory=list)  # hash, sent_at
    responses: dict[int, tuple[int, int]] = field(default_factory=dict)  # hash, answered_at
    acknowledged: set[int] = field(default_factory=set)


class RequestLog:
    """One writer at a time. Every method that adds takes a batch, which is checked whole before any of it is written,
    and is on disk when the method returns; of a batch during which the program is killed, the first ones may be."""

    def __init__(
        self,
        folder: Path,
        provider: Party,
        epoch: int,
        opened_at: int,
        agreements: Iterable[Agreement],
        signing: Signing,
    ) -> None:
        """Use `create` or `open`, which hold the lock."""
        self.folder, self.provider, self.epoch, self.opened_at = folder, provider, epoch, opened_at
        self.agreements = {agreement.id: agreement for agreement in agreements}
        self._signing, self._states = signing, {id: _State() for id in self.agreements}
        self._add_requests(repaired(folder, "requests"))
        self._add_responses(repaired(folder, "responses"))
        self._add_acknowledgements(repaired(folder, "acknowledgements"))

    @classmethod
    @contextmanager
    def create(
        cls,
        folder: Path,
        provider: Party,
        epoch: int,
        opened_at: int,
        agreements: Sequence[Agreement],
        signing: Signing,
    ) -> Iterator[RequestLog]:
        """A new log in a new or empty folder. Raises MarketError where there is one, OSError."""
        if any(agreement.provider != provider for agreement in agreements):
            raise MarketError("agreements: one of them is with another provider")
        if len({agreement.id for agreement in agreements}) != len(agreements):
            raise MarketError("agreements: two of them have one id")
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            if (folder / DOCUMENT).exists():
                raise MarketError(f"{folder}: there is a log in this folder already; name another one")
            write_document(folder, provider, epoch, opened_at, agreements)
            yield cls(folder, provider, epoch, opened_at, agreements, signing)

    @classmethod
    @contextmanager
    def open(cls, folder: Path, signing: Signing) -> Iterator[RequestLog]:
        """The log in a folder, to write on. Raises LogError for a damaged one, MarketError while another program
        writes or the epoch is closed, OSError."""
        with locked(folder):
            if (folder / EPOCH).exists():
                raise MarketError(f"{folder}: this epoch is closed; open a log for the next one")
            yield cls(folder, *read_document(folder), signing)

    def head(self, agreement: int) -> Head:
        """What the next request of the agreement follows."""
        return self._state(agreement).head

    def unanswered(self, agreement: int) -> list[int]:
        """Numbers of accepted requests without a response. Before the epoch closes, the provider signs a response that
        says it failed: nothing that was accepted is left out."""
        state = self._state(agreement)
        return [k for k in range(state.head.count) if k not in state.responses]

    def unacknowledged(self, agreement: int) -> list[int]:
        """Numbers of responses that the buyer has not counter-signed. A provider may insist on these before it serves
        on: they count as its word alone."""
        state = self._state(agreement)
        return sorted(state.responses.keys() - state.acknowledged)

    def accept(self, batch: Sequence[Received]) -> list[int]:
        """Takes the next requests of their agreements; returns their hashes. Raises RuleError, OSError."""
        buyers = [self._agreement(item.request.message.agreement).buyer for item in batch]
        hashes = verified(self._signing, [item.request for item in batch], buyers)
        heads, rows = dict[int, Head](), []
        for item, hash in zip(batch, hashes, strict=True):
            request = item.request.message
            head = heads.get(request.agreement, self.head(request.agreement))
            check_request(request, self.agreements[request.agreement], self.epoch, head, self.opened_at)
            check_receipt(request.sent_at, item.received_at)
            heads[request.agreement] = Head(head.count + 1, hash, request.sent_at)
            named = felt(request.agreement), request.sequence, felt(request.previous), request.input
            rows.append((*named, request.sent_at, item.received_at, hash, item.request.signature))
        records = records_of("requests", rows)
        append(self.folder, "requests", records)
        self._add_requests(records)
        return hashes

    def answer(self, agreement: int, batch: Sequence[tuple[int, Signed[Response]]]) -> list[int]:
        """Takes responses to accepted requests, each with its sequence number; returns their hashes. A response goes to
        the buyer after this. Raises RuleError, OSError."""
        state, rows, seen = self._state(agreement), [], set[int]()
        hashes = verified(self._signing, [signed for _, signed in batch], [self.provider] * len(batch))
        for (sequence, signed), hash in zip(batch, hashes, strict=True):
            response = signed.message
            if not 0 <= sequence < len(state.requests):
                raise RuleError(f"response: no request {sequence} was accepted")
            if sequence in state.responses or sequence in seen:
                raise RuleError(f"response: request {sequence} is answered already")
            known, sent_at = state.requests[sequence]
            if response.request != known:
                raise RuleError(f"response.request: not the hash of request {sequence}")
            check_response(response, sent_at)
            seen.add(sequence)
            times = response.received_at, response.answered_at
            said = response.status, int(response.valid), response.tokens, response.output
            rows.append((felt(agreement), sequence, *times, *said, hash, signed.signature))
        records = records_of("responses", rows)
        append(self.folder, "responses", records)
        self._add_responses(records)
        return hashes

    def acknowledge(self, agreement: int, batch: Sequence[tuple[int, Signed[Acknowledgement]]]) -> list[int]:
        """Takes the buyer's acknowledgements, each with its sequence number; returns their hashes. One that is late is
        kept, and counts as missing. Raises RuleError, OSError."""
        state, rows, seen = self._state(agreement), [], set[int]()
        buyer = self.agreements[agreement].buyer
        hashes = verified(self._signing, [signed for _, signed in batch], [buyer] * len(batch))
        for (sequence, signed), hash in zip(batch, hashes, strict=True):
            if sequence not in state.responses:
                raise RuleError(f"acknowledgement: request {sequence} has no response")
            if sequence in state.acknowledged or sequence in seen:
                raise RuleError(f"acknowledgement: response {sequence} is acknowledged already")
            known, answered_at = state.responses[sequence]
            if signed.message.response != known:
                raise RuleError(f"acknowledgement.response: not the hash of response {sequence}")
            check_acknowledgement(signed.message, answered_at)
            seen.add(sequence)
            rows.append((felt(agreement), sequence, signed.message.acknowledged_at, hash, signed.signature))
        records = records_of("acknowledgements", rows)
        append(self.folder, "acknowledgements", records)
        self._add_acknowledgements(records)
        return hashes

    def _agreement(self, id: int) -> Agreement:
        if id not in self.agreements:
            raise RuleError(f"agreement: {id:#x} is not one of this log")
        return self.agreements[id]

    def _state(self, id: int) -> _State:
        return self._states[self._agreement(id).id]

    def _add_requests(self, records: Records) -> None:
        for agreement, sequence, hash, at in _columns(records, "agreement", "sequence", "hash", "sent_at"):
            state = self._read(agreement, "requests")
            if sequence != state.head.count:
                raise LogError(f"{self.folder}: requests.log: request {sequence} is out of order; restore the file")
            state.requests.append((number(hash), at))
            state.head = Head(sequence + 1, number(hash), at)

    def _add_responses(self, records: Records) -> None:
        for agreement, sequence, hash, at in _columns(records, "agreement", "sequence", "hash", "answered_at"):
            state = self._read(agreement, "responses")
            if sequence >= state.head.count or sequence in state.responses:
                raise LogError(f"{self.folder}: responses.log: {sequence} has no request of its own; restore the file")
            state.responses[sequence] = (number(hash), at)

    def _add_acknowledgements(self, records: Records) -> None:
        for agreement, sequence in _columns(records, "agreement", "sequence"):
            state = self._read(agreement, "acknowledgements")
            if sequence not in state.responses or sequence in state.acknowledged:
                raise LogError(f"{self.folder}: acknowledgements.log: {sequence} has no response; restore the file")
            state.acknowledged.add(sequence)

    def _read(self, agreement: bytes, name: str) -> _State:
        if number(agreement) not in self._states:
            raise LogError(f"{self.folder}: {name}.log: an agreement that {DOCUMENT} does not name; restore the folder")
        return self._states[number(agreement)]


def _columns(records: Records, *names: str) -> Iterator[tuple]:  # type: ignore[type-arg]
    return zip(*(records[name].tolist() for name in names), strict=True)
