"""Signed messages: what is signed is SNIP-12, every field is, and nobody else's signature passes."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from octoproof.market.errors import RuleError
from octoproof.market.exchange import (
    GRACE_MS,
    MAX_STATUS,
    SKEW_MS,
    TRANSIT_MS,
    Head,
    check_acknowledgement,
    check_request,
    check_response,
    check_seen,
    in_grace,
)
from octoproof.market.messages import (
    DOMAIN_NAME,
    DOMAIN_VERSION,
    TYPES,
    Acknowledgement,
    Close,
    Pong,
    Request,
    Response,
    Signed,
    verified,
)

HASH = bytes(range(32))
REQUEST = Request(0xA11CE, 17, 6, 0, 0, HASH, 1_000_010)
RESPONSE = Response(99, 1_000_020, 1_000_120, 200, True, 12, HASH)
MESSAGES = (
    REQUEST,
    RESPONSE,
    Acknowledgement(99, 1_000_130),
    Close(0xA11CE, 17, 6, 3, 99, HASH),
    Pong(0xA11CE, 2, 7, 8),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.TYPE)
def test_what_is_signed_is_the_typed_message(message: Any, world: Any) -> None:
    """As starknet.py hashes the document that a wallet would show."""
    typed = pytest.importorskip("starknet_py.utils.typed_data")
    kinds = {"name": "shortstring", "version": "shortstring", "chainId": "shortstring", "revision": "shortstring"}
    document = {
        "types": {
            name: [{"name": field, "type": kind} for field, kind in listed.items()]
            for name, listed in (("StarknetDomain", kinds), (message.TYPE, TYPES[message.TYPE]))
        },
        "primaryType": message.TYPE,
        "domain": {"name": DOMAIN_NAME, "version": DOMAIN_VERSION, "chainId": "SN_SEPOLIA", "revision": "1"},
        "message": message.fields(),
    }
    expected = typed.TypedData.from_dict(document).message_hash(world.provider.address)
    assert world.hashes([message], world.provider) == [expected]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.TYPE)
def test_every_field_is_signed(message: Any, world: Any) -> None:
    (signed,) = world.sign([message], world.provider)
    assert verified(world.signing, [signed], [world.provider])
    others = []
    for field in fields(message):
        value = getattr(message, field.name)
        changed = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else value[::-1]
        others.append(replace(message, **{field.name: changed}))
    assert len({*world.hashes([message, *others], world.provider)}) == len(others) + 1
    for other in others:
        with pytest.raises(RuleError, match=f"{message.TYPE.lower()}: the signature is not that of account 0xa11ce"):
            verified(world.signing, [Signed(other, signed.signature)], [world.provider])
    for stranger in (world.agreement.buyer, replace(world.provider, address=5)):
        with pytest.raises(RuleError, match="signature"):
            verified(world.signing, [signed], [stranger])


def test_an_order_of_bytes_is_an_order_of_halves() -> None:
    low, high = (REQUEST.fields()[f"input_{half}"] for half in ("low", "high"))
    assert (high << 128 | low).to_bytes(32, "big") == HASH
    with pytest.raises(RuleError, match="input: 31 bytes, a hash has 32"):
        replace(REQUEST, input=bytes(31)).fields()


HEAD = Head(4, 77, 1_000_005)
NEXT = replace(REQUEST, sequence=4, previous=77)
REQUESTS = {
    "request.provider": {"provider": 1},
    "request.agreement": {"agreement": 18},
    "request.epoch: 7, but epoch 6": {"epoch": 7},
    "request.sequence: 5, but 4": {"sequence": 5},
    "request.sequence: 3, but 4": {"sequence": 3},
    "request.previous": {"previous": 78},
    "request.sent_at: 1000004 is before 1000005": {"sent_at": 1_000_004},
    "request.sent_at: 281474976710657": {"sent_at": (1 << 48) + 1},
}


def test_the_next_request(world: Any) -> None:
    check_request(NEXT, world.agreement, 6, HEAD, 1_000_000)
    check_request(replace(NEXT, sent_at=HEAD.sent_at), world.agreement, 6, HEAD, 1_000_000)
    with pytest.raises(RuleError, match=r"request\.sent_at: 1000010 is before 1000011"):
        check_request(NEXT, world.agreement, 6, HEAD, 1_000_011)


@pytest.mark.parametrize("message", REQUESTS)
def test_requests_out_of_order(message: str, world: Any) -> None:
    with pytest.raises(RuleError) as refused:
        check_request(replace(NEXT, **REQUESTS[message]), world.agreement, 6, HEAD, 1_000_000)
    assert str(refused.value).startswith(message)


RESPONSES = {
    f"request.sent_at: received {SKEW_MS + 1} ms": {"received_at": 1_000_010 + SKEW_MS + 1, "answered_at": 1_100_000},
    f"request.sent_at: received {-SKEW_MS - 1} ms": {"received_at": 1_000_010 - SKEW_MS - 1},
    "response.answered_at: before": {"answered_at": 1_000_019},
    "response.answered_at: 2814": {"answered_at": (1 << 48) + 1},
    "response.status: -1": {"status": -1},
    "response.status: 1000 is": {"status": MAX_STATUS + 1},
    "response.tokens: 1048576 is": {"tokens": 1 << 20},
    "response.valid: a failed": {"status": 500},
}


def test_a_response() -> None:
    check_response(RESPONSE, REQUEST.sent_at)
    for received in (REQUEST.sent_at - SKEW_MS, REQUEST.sent_at + SKEW_MS):
        check_response(replace(RESPONSE, received_at=received, answered_at=received), REQUEST.sent_at)
    assert [replace(RESPONSE, status=s).ok for s in (0, 199, 200, 299, 300, 404, 500)] == [0, 0, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("message", RESPONSES)
def test_responses_that_cannot_be(message: str) -> None:
    with pytest.raises(RuleError) as refused:
        check_response(replace(RESPONSE, **RESPONSES[message]), REQUEST.sent_at)
    assert str(refused.value).startswith(message)


def test_a_buyer_acknowledges_what_it_saw() -> None:
    """100 ms are claimed: the answer may have travelled a little, but not have come sooner than it was made."""
    sent = REQUEST.sent_at
    for took in (100, 100 + TRANSIT_MS):
        check_seen(RESPONSE, sent, sent + took)
    for took in (99, 101 + TRANSIT_MS):
        with pytest.raises(RuleError, match=f"says 100 ms, but the answer took {took} ms"):
            check_seen(RESPONSE, sent, sent + took)


def test_acknowledging_late() -> None:
    answered = 1_000_000
    for at in (answered - SKEW_MS, answered, answered + 10 * GRACE_MS):
        check_acknowledgement(Acknowledgement(9, at), answered)
    for at in (answered - SKEW_MS - 1, 1 << 49):
        with pytest.raises(RuleError, match="before the answer"):
            check_acknowledgement(Acknowledgement(9, at), answered)
    assert in_grace(answered, answered + GRACE_MS)
    assert not in_grace(answered, answered + GRACE_MS + 1)
