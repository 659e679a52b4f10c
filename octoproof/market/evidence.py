"""Evidence that convicts a provider, from what both sides signed and what it published: data and pure checks.

    omission     an exchange that both signed is not in the epoch: its agreement has fewer requests, or is not there
    alteration   the epoch has something else in the exchange's place
    double       the provider signed two answers to one number
    two closings the provider signed two closings of one epoch
    disorder     the epoch's segments are not in order, so that an agreement could be there twice

`check(agreement, epoch_root, signing)` returns where the evidence convicts the agreement's provider, and raises
RuleError or StatementError where it does not. A provider that puts what it signs into its log, once, is convicted by
none of them. A buyer who loses its messages has no evidence.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np

from air.statement import StatementError
from air.statements.epoch import EpochHeader, EpochTree, PlacedLeaf, check_follows
from octoproof.market.errors import RuleError
from octoproof.market.inclusion import Inclusion
from octoproof.market.log_files import felt
from octoproof.market.messages import Agreement, Close, Request, Response, Signed, Signing, verified


@dataclass(frozen=True)
class Exchange:
    """A request with its response, each signed."""

    request: Signed[Request]
    response: Signed[Response]

    def check(self, agreement: Agreement, signing: Signing) -> tuple[int, int]:
        """The hashes of both. Raises RuleError unless the parties of the agreement signed them, the response to the
        request."""
        (request,) = verified(signing, [self.request], [agreement.buyer])
        (response,) = verified(signing, [self.response], [agreement.provider])
        message = self.request.message
        own = (message.provider, message.agreement) == (agreement.provider.address, agreement.id)
        _require(own, "exchange.request: it belongs to another agreement")
        _require(self.response.message.request == request, "exchange.response: it answers another request")
        return request, response


@dataclass(frozen=True)
class Omission:
    """`leaves`: one of the agreement's segments, which says how many requests there are; or, if it has none, the two
    neighbours between which it would be, or the first or the last leaf, beyond which it would be (`absence_of`)."""

    exchange: Exchange
    header: EpochHeader
    leaves: tuple[PlacedLeaf, ...]

    def check(self, agreement: Agreement, epoch_root: bytes, signing: Signing) -> None:
        self.exchange.check(agreement, signing)
        request = self.exchange.request.message
        _check_epoch(self.header, self.leaves, request, agreement, epoch_root)
        if [placed.leaf.agreement for placed in self.leaves] == [felt(agreement.id)]:
            count = self.leaves[0].leaf.count
            _require(request.sequence >= count, f"omission: request {request.sequence} is one of {count}, not left out")
        else:
            absent = _surround(self.header, self.leaves, felt(agreement.id))
            _require(absent, "omission: these leaves do not show that the agreement is missing")


@dataclass(frozen=True)
class Alteration:
    """`shown` is what the epoch has in the exchange's place."""

    exchange: Exchange
    shown: Inclusion

    def check(self, agreement: Agreement, epoch_root: bytes, signing: Signing) -> None:
        hashes = self.exchange.check(agreement, signing)
        request = self.exchange.request.message
        _check_epoch(self.shown.header, (), request, agreement, epoch_root)
        found = self.shown.check(agreement.id, request.sequence, epoch_root)
        signed = signed_fields(self.exchange, hashes)
        differs = any(found[name] != value for name, value in signed.items())
        _require(differs, "alteration: the row is what was signed")


@dataclass(frozen=True)
class Double:
    """Two different answers to one number of an epoch: to one request, or to two that the buyer gave one number."""

    one: Exchange
    other: Exchange

    def check(self, agreement: Agreement, epoch_root: bytes, signing: Signing) -> None:
        hashes = [exchange.check(agreement, signing)[1] for exchange in (self.one, self.other)]
        first, second = self.one.request.message, self.other.request.message
        same = (first.epoch, first.sequence) == (second.epoch, second.sequence)
        _require(same and hashes[0] != hashes[1], "double: the two are not different answers to one number of an epoch")


@dataclass(frozen=True)
class TwoClosings:
    """Two different closings of one epoch."""

    one: Signed[Close]
    other: Signed[Close]

    def check(self, agreement: Agreement, epoch_root: bytes, signing: Signing) -> None:
        both = [self.one, self.other]
        verified(signing, both, [agreement.provider] * 2)
        first, second = ((c.message.provider, c.message.agreement, c.message.epoch) for c in both)
        own = first[:2] == (agreement.provider.address, agreement.id)
        _require(own and first == second, "closings: the two are not about one epoch of this agreement")
        _require(self.one.message != self.other.message, "closings: the two say the same")


@dataclass(frozen=True)
class Disorder:
    """Two leaves next to each other, of which the second cannot follow the first."""

    header: EpochHeader
    left: PlacedLeaf
    right: PlacedLeaf

    def check(self, agreement: Agreement, epoch_root: bytes, signing: Signing) -> None:
        for placed in (self.left, self.right):
            placed.check(self.header, epoch_root)
        _require(self.header.provider == felt(agreement.provider.address), "evidence: the epoch is another provider's")
        _require(self.right.index == self.left.index + 1, "disorder: the leaves are not next to each other")
        try:
            check_follows(self.left.leaf, self.right.leaf)
        except StatementError:
            return
        raise RuleError("disorder: the second leaf may follow the first")


Evidence = Omission | Alteration | Double | TwoClosings | Disorder


def absence_of(tree: EpochTree, exchange: Exchange) -> Omission:
    """What shows that the exchange is not in the epoch, as far as the leaves show it."""
    wanted = felt(exchange.request.message.agreement)
    agreements = [leaf.agreement for leaf in tree.leaves]
    place = bisect_left(agreements, wanted)
    there = place < len(agreements) and agreements[place] == wanted
    around = [place] if there else [k for k in (place - 1, place) if 0 <= k < len(agreements)]
    return Omission(exchange, tree.header, tuple(tree.placed(k) for k in around))


def signed_fields(exchange: Exchange, hashes: tuple[int, int]) -> dict[str, Any]:
    """What a row must hold of an exchange with these hashes of request and response."""
    response = exchange.response.message
    said = {name: getattr(response, name) for name in ("received_at", "answered_at", "tokens", "status", "valid")}
    named = {"output": response.output, "request": felt(hashes[0]), "response": felt(hashes[1])}
    texts = {name: np.void(value) for name, value in named.items()}
    return {"sequence": exchange.request.message.sequence, **said, **texts}


def _check_epoch(
    header: EpochHeader, leaves: tuple[PlacedLeaf, ...], request: Request, agreement: Agreement, root: bytes
) -> None:
    for placed in leaves:
        placed.check(header, root)
    _require(header.provider == felt(agreement.provider.address), "evidence: the epoch is another provider's")
    _require(header.number == request.epoch, f"evidence: the request is of epoch {request.epoch}, not {header.number}")


def _surround(header: EpochHeader, leaves: tuple[PlacedLeaf, ...], agreement: bytes) -> bool:
    """Whether an agreement would be between these leaves, or beyond the first or the last one."""
    match leaves:
        case (only,):
            before_all = only.index == 0 and agreement < only.leaf.agreement
            return before_all or (only.index == header.segments - 1 and only.leaf.agreement < agreement)
        case (left, right):
            return right.index == left.index + 1 and left.leaf.agreement < agreement < right.leaf.agreement
    return False


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RuleError(message)
