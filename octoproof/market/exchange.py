"""The rules of one exchange: when a message may follow the ones before it. Pure, and the same for both sides.

Each party checks what the other signed before it signs anything itself. What is refused here never gets into a log:

- a request out of its order: numbers rise by one, each names the hash of the one before, and times do not fall;
- a clock that is far off: a request is received within `SKEW_MS` of when it says it was sent, before or after. That
  also keeps requests from being signed long before or after they are sent;
- an answer before its request;
- an answer whose latency is not what the buyer saw: by its own clock the round trip may exceed the claimed latency by
  `TRANSIT_MS`, and not fall short of it. So much can a provider shave off, and no more;
- an acknowledgement that comes later than `GRACE_MS` is kept, and counts as missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from air.statements.epoch import MAX_REQUESTS, MAX_TIME
from air.statements.sla import MAX_VALUE
from octoproof.market.errors import RuleError
from octoproof.market.messages import Acknowledgement, Agreement, Request, Response

SKEW_MS = 2_000
TRANSIT_MS = 200
GRACE_MS = 60_000
MAX_STATUS = 999


@dataclass(frozen=True)
class Head:
    """How far the requests of an agreement have come in an epoch."""

    count: int = 0
    last: int = 0  # hash of the last request
    sent_at: int = 0


def check_request(request: Request, agreement: Agreement, epoch: int, head: Head, opened_at: int) -> None:
    """Whether the request is the next one. Raises RuleError."""
    _require(request.provider == agreement.provider.address, "request.provider: it is meant for another provider")
    _require(request.agreement == agreement.id, "request.agreement: it belongs to another agreement")
    _require(request.epoch == epoch, f"request.epoch: {request.epoch}, but epoch {epoch} is open")
    _require(request.sequence == head.count, f"request.sequence: {request.sequence}, but {head.count} is next")
    _require(request.previous == head.last, "request.previous: not the hash of the request before")
    least = max(opened_at, head.sent_at)
    _require(
        least <= request.sent_at <= MAX_TIME,
        f"request.sent_at: {request.sent_at} is before {least}, when the epoch was opened or the last request sent",
    )
    _require(request.sequence < MAX_REQUESTS, f"request.sequence: an epoch has {MAX_REQUESTS} requests at most")


def check_receipt(sent_at: int, received_at: int) -> None:
    """Whether a request can have been sent just now. Raises RuleError."""
    delay = received_at - sent_at
    _require(
        abs(delay) <= SKEW_MS,
        f"request.sent_at: received {delay} ms after it says it was sent, {SKEW_MS} either way are allowed; "
        "set the clocks, and sign a request when it is sent",
    )


def check_response(response: Response, sent_at: int) -> None:
    """Whether the response can be one to a request of this time. Raises RuleError."""
    check_receipt(sent_at, response.received_at)
    _require(response.answered_at >= response.received_at, "response.answered_at: before response.received_at")
    _require(response.answered_at <= MAX_TIME, f"response.answered_at: {response.answered_at} is no time")
    _require(0 <= response.status <= MAX_STATUS, f"response.status: {response.status} is outside 0..{MAX_STATUS}")
    _require(0 <= response.tokens <= MAX_VALUE, f"response.tokens: {response.tokens} is outside 0..{MAX_VALUE}")
    _require(response.ok or not response.valid, "response.valid: a failed request has no valid answer")


def check_seen(response: Response, sent_at: int, arrived_at: int) -> None:
    """Before a buyer acknowledges: whether the latency is what it saw by its own clock. Raises RuleError."""
    seen, told = arrived_at - sent_at, latency_of(response)
    _require(
        told <= seen <= told + TRANSIT_MS,
        f"response: says {told} ms, but the answer took {seen} ms to arrive; do not acknowledge it, dispute it",
    )


def check_acknowledgement(acknowledgement: Acknowledgement, answered_at: int) -> None:
    """Whether the acknowledgement can be one of an answer of this time; it may be late. Raises RuleError."""
    at = acknowledgement.acknowledged_at
    _require(answered_at - SKEW_MS <= at <= MAX_TIME, f"acknowledgement.acknowledged_at: {at} is before the answer")


def latency_of(response: Response) -> int:
    """Milliseconds from receipt to answer."""
    return response.answered_at - response.received_at


def in_grace(answered_at: int, acknowledged_at: int) -> bool:
    """Whether an acknowledgement counts."""
    return acknowledged_at <= answered_at + GRACE_MS


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RuleError(message)
