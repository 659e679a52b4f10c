"""The messages that buyer and provider sign: SNIP-12 types (revision 1), and what a log keeps of them.

    Request          the buyer asks; `previous` is the hash of its request before, 0 for the first of an epoch
    Response         the provider says when it received and answered, with what status, tokens, output and validity
    Acknowledgement  the buyer agrees to the response
    Close            both agree to what the epoch's log holds of their agreement: its segments' leaves
    Pong             the provider answers a witness, who counts how often it does (`attest`)

Times are in ms since 1970, by the clock of whoever signs. Hashing and signatures belong to the chain; they are handed
in as functions (`Signing`), so that nothing here depends on a chain's libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from octoproof.market.errors import RuleError

DOMAIN_NAME, DOMAIN_VERSION = "Octoproof log", "1"

Signature = tuple[int, int]  # r, s
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Party:
    """An account on the chain, and the public key that signs messages for it (named in the agreement)."""

    address: int
    public_key: int


@dataclass(frozen=True)
class Agreement:
    """One buyer's purchase from one provider; its id is a field element that no other chain or contract has."""

    id: int
    provider: Party
    buyer: Party


@dataclass(frozen=True)
class Signing:
    """The chain's part. `hash_all(type name, messages, accounts)` gives SNIP-12 hashes; `verify_all(hashes, signatures,
    public keys)` a verdict each."""

    hash_all: Callable[[str, Sequence[Fields], Sequence[int]], list[int]]
    verify_all: Callable[[Sequence[int], Sequence[Signature], Sequence[int]], list[bool]]


@dataclass(frozen=True)
class Request:
    """`input` is the hash of what is asked, 32 bytes: prompts stay out of the log."""

    provider: int
    agreement: int
    epoch: int
    sequence: int
    previous: int
    input: bytes
    sent_at: int

    TYPE: ClassVar[str] = "Request"

    def fields(self) -> Fields:
        return {
            "provider": self.provider,
            "agreement": self.agreement,
            "epoch": self.epoch,
            "sequence": self.sequence,
            "previous": self.previous,
            **_halves("input", self.input),
            "sent_at": self.sent_at,
        }


@dataclass(frozen=True)
class Response:
    """`request` is the hash of the request, `output` the hash of the answer; `valid` says that it passes the agreed
    checks, `status` is as in HTTP."""

    request: int
    received_at: int
    answered_at: int
    status: int
    valid: bool
    tokens: int
    output: bytes

    TYPE: ClassVar[str] = "Response"

    @property
    def ok(self) -> bool:
        """Whether the service answered, as it says itself."""
        return 200 <= self.status < 300

    def fields(self) -> Fields:
        return {
            "request": self.request,
            "received_at": self.received_at,
            "answered_at": self.answered_at,
            "status": self.status,
            "valid": self.valid,
            "tokens": self.tokens,
            **_halves("output", self.output),
        }


@dataclass(frozen=True)
class Acknowledgement:
    """`response` is the hash of the response."""

    response: int
    acknowledged_at: int

    TYPE: ClassVar[str] = "Acknowledgement"

    def fields(self) -> Fields:
        return {"response": self.response, "acknowledged_at": self.acknowledged_at}


@dataclass(frozen=True)
class Close:
    """`head` is the hash of the last of `count` requests, `leaves` the Blake2s digest of the segments' leaf digests."""

    provider: int
    agreement: int
    epoch: int
    count: int
    head: int
    leaves: bytes

    TYPE: ClassVar[str] = "Close"

    def fields(self) -> Fields:
        return {
            "provider": self.provider,
            "agreement": self.agreement,
            "epoch": self.epoch,
            "count": self.count,
            "head": self.head,
            **_halves("leaves", self.leaves),
        }


@dataclass(frozen=True)
class Pong:
    """The provider's answer to a witness's ping (`attest`): `block` is too young to have been known long before."""

    provider: int
    witness: int
    block: int
    block_hash: int

    TYPE: ClassVar[str] = "Pong"

    def fields(self) -> Fields:
        return {
            "provider": self.provider,
            "witness": self.witness,
            "block": self.block,
            "block_hash": self.block_hash,
        }


TYPES: Mapping[str, Mapping[str, str]] = {
    "Request": {
        "provider": "ContractAddress",
        "agreement": "felt",
        "epoch": "u128",
        "sequence": "u128",
        "previous": "felt",
        "input_low": "u128",
        "input_high": "u128",
        "sent_at": "u128",
    },
    "Response": {
        "request": "felt",
        "received_at": "u128",
        "answered_at": "u128",
        "status": "u128",
        "valid": "bool",
        "tokens": "u128",
        "output_low": "u128",
        "output_high": "u128",
    },
    "Acknowledgement": {"response": "felt", "acknowledged_at": "u128"},
    "Close": {
        "provider": "ContractAddress",
        "agreement": "felt",
        "epoch": "u128",
        "count": "u128",
        "head": "felt",
        "leaves_low": "u128",
        "leaves_high": "u128",
    },
    "Pong": {"provider": "ContractAddress", "witness": "u128", "block": "u128", "block_hash": "felt"},
}

Message = TypeVar("Message", Request, Response, Acknowledgement, Close, Pong)


@dataclass(frozen=True)
class Signed(Generic[Message]):
    """A message with a signature that nobody has checked yet."""

    message: Message
    signature: Signature


def hashes_of(signing: Signing, messages: Sequence[Message], signers: Sequence[Party]) -> list[int]:
    """SNIP-12 hashes of messages of one type, each under the account that signs it."""
    if not messages:
        return []
    fields = [message.fields() for message in messages]
    return signing.hash_all(messages[0].TYPE, fields, [signer.address for signer in signers])


def verified(signing: Signing, signed: Sequence[Signed[Message]], signers: Sequence[Party]) -> list[int]:
    """The hashes of messages that these parties have signed. Raises RuleError naming the first that was not."""
    hashes = hashes_of(signing, [item.message for item in signed], signers)
    keys = [signer.public_key for signer in signers]
    verdicts = signing.verify_all(hashes, [item.signature for item in signed], keys)
    for item, signer, good in zip(signed, signers, verdicts, strict=True):
        if not good:
            raise RuleError(f"{item.message.TYPE.lower()}: the signature is not that of account {signer.address:#x}")
    return hashes


def _halves(name: str, value: bytes) -> dict[str, int]:
    if len(value) != 32:
        raise RuleError(f"{name}: {len(value)} bytes, a hash has 32")
    return {f"{name}_low": int.from_bytes(value[16:], "big"), f"{name}_high": int.from_bytes(value[:16], "big")}
