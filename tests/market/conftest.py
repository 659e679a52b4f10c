"""A provider and two buyers who exchange signed messages, as fast as their clock is told to tick."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from air.statements.epoch import EpochTree, LogLeaf
from octoproof.market.epoch import ClosedEpoch, close_epoch
from octoproof.market.evidence import Exchange
from octoproof.market.ledger import Ledger, ledgers
from octoproof.market.log import Received, RequestLog
from octoproof.market.messages import (
    DOMAIN_NAME,
    DOMAIN_VERSION,
    TYPES,
    Acknowledgement,
    Agreement,
    Party,
    Request,
    Response,
    Signed,
    Signing,
    hashes_of,
)

OPENED = 1_000_000
EPOCH = 6


@pytest.fixture(scope="session", autouse=True)
def unsynced() -> Iterator[None]:
    """Nothing waits for a disk: these tests lose no power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def device() -> Iterator[Any]:
    from octoproof.device import backend

    with backend(2) as opened:
        yield opened


@pytest.fixture(scope="session")
def world() -> World:
    """The parties, with their keys."""
    pytest.importorskip("starknet_py", reason="needs the extra `chain`: pip install 'octoproof[chain]'")
    return make_world()


def make_world() -> World:
    """What the fixture gives, for programs."""
    from octoproof.starknet.wallet.batch import sign_all, verify_all
    from octoproof.starknet.wallet.curve import public_key
    from octoproof.starknet.wallet.messages import Domain, MessageHasher

    domain = Domain(DOMAIN_NAME, DOMAIN_VERSION, "SN_SEPOLIA")
    hashers = {name: MessageHasher(domain, {name: kinds}) for name, kinds in TYPES.items()}
    signing = Signing(lambda name, messages, accounts: hashers[name].hash_all(messages, accounts), verify_all)
    keys = {0xA11CE: 1234567, 0xB0B: 7654321, 0xCAFE: 55555}
    provider, first, second = (Party(address, public_key(key)) for address, key in keys.items())
    return World(signing, keys, sign_all, Agreement(17, provider, first), Agreement(9, provider, second))


@dataclass(frozen=True)
class World:
    """`agreement` is what most tests are about."""

    signing: Signing
    keys: dict[int, int]
    sign_all: Callable[[Sequence[int], int], list[tuple[int, int]]]
    agreement: Agreement
    other: Agreement

    @property
    def provider(self) -> Party:
        return self.agreement.provider

    def sign(self, messages: Sequence[Any], signer: Party) -> list[Signed[Any]]:
        hashes = self.hashes(messages, signer)
        signatures = self.sign_all(hashes, self.keys[signer.address]) if hashes else []
        return [Signed(message, signature) for message, signature in zip(messages, signatures, strict=True)]

    def hashes(self, messages: Sequence[Any], signer: Party) -> list[int]:
        return hashes_of(self.signing, messages, [signer] * len(messages))

    def log(self, folder: Path) -> Any:
        """A new log, as a context."""
        return RequestLog.create(folder, self.provider, EPOCH, OPENED, [self.agreement, self.other], self.signing)

    def requests(self, log: RequestLog, count: int, agreement: Agreement | None = None) -> list[Received]:
        """The next requests of an agreement, 10 ms apart, each received 3 ms after it was sent."""
        agreement = agreement or self.agreement
        head, made = log.head(agreement.id), []
        sent, last = max(head.sent_at, OPENED), head.last
        for place in range(head.count, head.count + count):
            sent += 10
            named = agreement.provider.address, agreement.id, EPOCH, place, last
            (signed,) = self.sign([Request(*named, place.to_bytes(32, "big"), sent)], agreement.buyer)
            (last,) = self.hashes([signed.message], agreement.buyer)
            made.append(Received(signed, sent + 3))
        return made

    def response(self, request: Request, took: int = 100, status: int = 200, **changes: Any) -> Response:
        (hash,) = self.hashes([request], self.buyer_of(request.agreement))
        received = request.sent_at + 3
        plain = Response(hash, received, received + took, status, 200 <= status < 300, 12, bytes([took % 256]) * 32)
        return replace(plain, **changes)

    def buyer_of(self, agreement: int) -> Party:
        return next(one.buyer for one in (self.agreement, self.other) if one.id == agreement)

    def serve(
        self,
        log: RequestLog,
        took: Sequence[int],
        *,
        agreement: Agreement | None = None,
        status: dict[int, int] | None = None,
        silent: Sequence[int] = (),
    ) -> Served:
        """As many exchanges as there are latencies; some fail by `status`, and the buyer is `silent` about others."""
        agreement = agreement or self.agreement
        received = self.requests(log, len(took), agreement)
        log.accept(received)
        first = received[0].request.message.sequence
        messages = [
            self.response(item.request.message, ms, (status or {}).get(first + k, 200))
            for k, (item, ms) in enumerate(zip(received, took, strict=True))
        ]
        responses = self.sign(messages, self.provider)
        hashes = log.answer(agreement.id, [(first + k, signed) for k, signed in enumerate(responses)])
        marks = {
            first + k: Acknowledgement(hash, message.answered_at + 5)
            for k, (hash, message) in enumerate(zip(hashes, messages, strict=True))
            if first + k not in silent
        }
        signed = self.sign(list(marks.values()), agreement.buyer)
        log.acknowledge(agreement.id, list(zip(marks, signed, strict=True)))
        return Served([item.request for item in received], responses, signed)

    def ledger(self, folder: Path, agreement: Agreement | None = None) -> Ledger:
        return next(one for one in ledgers(folder) if one.agreement == (agreement or self.agreement))


@dataclass(frozen=True)
class Served:
    """The signed messages of some exchanges, in order."""

    requests: list[Signed[Request]]
    responses: list[Signed[Response]]
    acknowledgements: list[Signed[Acknowledgement]] = field(default_factory=list)


CLOSED = 2_000_000
PRESET = "bench"  # weak and quick


@dataclass(frozen=True)
class Run:
    """A closed epoch: 21 requests of the first agreement, with their messages, and 5 of the other."""

    epoch: ClosedEpoch
    ledger: Ledger
    exchanges: list[Exchange]

    @property
    def tree(self) -> EpochTree:
        return self.epoch.tree

    def changed(self, index: int, **changes: Any) -> EpochTree:
        """What the provider commits to with another leaf."""
        leaves = [replace(leaf, **changes) if k == index else leaf for k, leaf in enumerate(self.tree.leaves)]
        return self.with_leaves(leaves)

    def without(self, index: int) -> EpochTree:
        """What the provider commits to without a leaf."""
        return self.with_leaves([leaf for k, leaf in enumerate(self.tree.leaves) if k != index])

    def with_leaves(self, leaves: Sequence[LogLeaf]) -> EpochTree:
        """An epoch of the same provider and number."""
        requests = sum(leaf.rows for leaf in leaves)
        return EpochTree(replace(self.tree.header, requests=requests, segments=len(leaves)), leaves)


@pytest.fixture(scope="session")
def run(world: World, device: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("epoch") / "log"
    with world.log(folder) as log:
        served = world.serve(log, [100] * 15 + [1200] * 6, status={4: 503}, silent=[7])
        world.serve(log, [50] * 5, agreement=world.other)
    exchanges = [Exchange(a, b) for a, b in zip(served.requests, served.responses, strict=True)]
    epoch = close_epoch(folder, CLOSED, device=device, presets=(PRESET,))
    return Run(epoch, world.ledger(folder), exchanges)
