"""The buyer's side: asks, checks what the provider signed, acknowledges, and keeps a log of its own as evidence."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

from octoproof.market.errors import MarketError, RuleError
from octoproof.market.exchange import check_response, check_seen
from octoproof.market.log import Received, RequestLog
from octoproof.market.messages import Acknowledgement, Agreement, Request, Response, Signed, verified
from octoproof.market.validity import output_hash
from octoproof.serving.desk import Clock, now_ms
from octoproof.serving.wire import read_bytes, read_signed, signed_document
from octoproof.starknet.log_signing import Signatory
from verifier.errors import ParseError
from verifier.strict import fields, load_json, string

MAX_ANSWER_BYTES, ANSWER_S = 1 << 20, 120.0


class ServiceError(MarketError):
    """A provider that is not there, or does not speak as one (command line: exit 2)."""


class NoAnswerError(ServiceError):
    """Nothing came back, which says nothing about what the provider has accepted."""


@dataclass(frozen=True)
class Exchanged:
    """One request with its signed response, the output, and why it was not acknowledged, if it was not."""

    request: Signed[Request]
    response: Signed[Response]
    output: bytes
    withheld: str = ""


@dataclass
class Buyer:
    """One agreement in one epoch; `log` is the buyer's own."""

    url: str
    agreement: Agreement
    signatory: Signatory
    log: RequestLog
    clock: Clock = now_ms
    post: Callable[[str, dict[str, Any]], bytes] | None = None

    def ask(self, data: bytes) -> Exchanged:
        """Sends one request, and keeps what both signed. Raises ServiceError, RuleError for a response that breaks a
        rule of the exchange (then nothing is kept: the provider's log will lack it too, or convict it), OSError."""
        head, provider = self.log.head(self.agreement.id), self.agreement.provider
        named = provider.address, self.agreement.id, self.log.epoch, head.count, head.last
        sent = max(self.clock(), head.sent_at)
        hash, request = self.signatory.sign(Request(*named, blake2s(data).digest(), sent))
        question = {"request": signed_document(request), "input": data.hex()}
        try:
            answer = self._post("/v1/requests", question)
        except NoAnswerError:  # lost on the way, perhaps after it was accepted: the same once more
            answer = self._post("/v1/requests", question)
        arrived = self.clock()
        told = fields(load_json(answer, "answer", MAX_ANSWER_BYTES), "answer", ("response", "output"))
        response = read_signed(told["response"], Response, "response")
        output = read_bytes(told["output"], "output", MAX_ANSWER_BYTES)
        (response_hash,) = verified(self.signatory.signing, [response], [provider])
        if response.message.request != hash:
            raise RuleError("response.request: not the hash of the request")
        if output_hash(output) != response.message.output:
            raise RuleError("response.output: not the hash of the output that came with it")
        check_response(response.message, sent)
        self.log.accept([Received(request, response.message.received_at)])
        self.log.answer(self.agreement.id, [(head.count, response)])
        try:
            check_seen(response.message, sent, arrived)
        except RuleError as refusal:
            return Exchanged(request, response, output, str(refusal))
        self._acknowledge(head.count, response_hash)
        return Exchanged(request, response, output)

    def _acknowledge(self, sequence: int, response: int) -> None:
        _, signed = self.signatory.sign(Acknowledgement(response, self.clock()))
        self.log.acknowledge(self.agreement.id, [(sequence, signed)])
        self._post(
            "/v1/acknowledgements",
            {
                "agreement": hex(self.agreement.id),
                "sequence": sequence,
                "acknowledgement": signed_document(signed),
            },
        )

    def _post(self, path: str, document: dict[str, Any]) -> bytes:
        return (self.post or self._over_http)(path, document)

    def _over_http(self, path: str, document: dict[str, Any]) -> bytes:
        body = json.dumps(document).encode()
        request = urllib.request.Request(self.url.rstrip("/") + path, body, {"content-type": "application/json"})
        return fetch(request)


def fetch(request: urllib.request.Request | str) -> bytes:
    """The body of an answer. Raises ServiceError with what the service says."""
    if not (request if isinstance(request, str) else request.full_url).startswith(("http://", "https://")):
        raise ServiceError("service: the URL must begin with http:// or https://")
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            data: bytes = answer.read(MAX_ANSWER_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise ServiceError(f"service: {_said(error.read(MAX_ANSWER_BYTES))} (HTTP {error.code})") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise NoAnswerError(f"service: no answer ({str(reason)[:120]}); is it running?") from None
    if len(data) > MAX_ANSWER_BYTES:
        raise ServiceError(f"service: an answer of more than {MAX_ANSWER_BYTES} bytes")
    return data


def _said(body: bytes) -> str:
    try:
        return string(fields(load_json(body, "answer", MAX_ANSWER_BYTES), "answer", ("error",))["error"], "error")[:300]
    except ParseError:
        return "it does not say why"
