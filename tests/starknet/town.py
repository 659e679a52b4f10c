"""A market with its people on a local node, for tests of the whole way from a request to the money."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("uvicorn", reason="needs the extra `service`: pip install 'octoproof[service]'")

from octoproof.device import backend
from octoproof.market.epoch import check_published, close_epoch, close_messages
from octoproof.market.evidence import Exchange
from octoproof.market.ledger import ledgers
from octoproof.market.log import RequestLog
from octoproof.market.money import TOKEN
from octoproof.market.prove_sla import prove_sla
from octoproof.market.tiers import tier_named
from octoproof.serving.buyer import Buyer
from octoproof.serving.desk import Desk, now_ms
from octoproof.serving.kept import exchange_in, keep_output, output_of
from octoproof.serving.running import served
from octoproof.serving.words import NearestWords, write_question
from octoproof.starknet import disputes, trading
from octoproof.starknet import market as calls
from octoproof.starknet.accounts import predeployed
from octoproof.starknet.answers import read_answer
from octoproof.starknet.cases import Case, case_of
from octoproof.starknet.client import Client
from octoproof.starknet.deploy import Class, deploy, local_account
from octoproof.starknet.devnet import devnet
from octoproof.starknet.facts import Fact, facts_of
from octoproof.starknet.log_signing import Signatory, signatory
from octoproof.starknet.market import Setting
from octoproof.starknet.market_deploy import deploy_market, deploy_token
from octoproof.starknet.node import Node, connect
from octoproof.starknet.outbox import Outbox
from octoproof.starknet.profiles import PROFILES, short_string
from octoproof.starknet.registry import publication
from octoproof.starknet.statements import u256_felts
from octoproof.starknet.transactions import Call
from octoproof.vectors.answers import Session
from octoproof.vectors.answers import query as ask_snapshot
from octoproof.vectors.build import build_snapshot
from octoproof.vectors.snapshot import Snapshot

BY_WORD = Path(__file__).resolve().parent / "word"
PRESET, DIMENSION, ROWS, K = "onchain-proven", 100, 1_024, 3
PRICE, QUANTITY, TIER = TOKEN, 10, "standard"
STAKE, FUNDS = 2_000 * TOKEN, 10_000 * TOKEN
SUMMER = 3  # whose neighbours are asked for


WANTED = ("TopkFacts", "SnapshotRegistry", "Account", "Market", "Token", "FactsByWord")


@dataclass
class Town:
    """A market with its people on a node, and a snapshot that the seller has published."""

    node: Node
    market: trading.Market
    clients: dict[str, Client]
    people: dict[str, Signatory]
    snapshot: Snapshot
    listing: int
    folder: Path
    epoch: int = 0

    def balance(self, name: str) -> int:
        return calls.balance(self.node, self.market.setting.payment, self.clients[name].account.address)

    def stake(self) -> Any:
        return calls.stake_of(self.node, self.market.address, self.clients["seller"].account.address)

    def sent(self, name: str, intent: str, call: Call) -> None:
        trading.carried_out(self.clients[name], self.market, intent, call)

    def later(self, seconds: int) -> None:
        self.node.ask("increaseTime", namespace="devnet", time=seconds)

    def buy(self) -> int:
        self.epoch += 1
        key = self.people["buyer"].party.public_key
        return trading.buy(self.clients["buyer"], self.market, self.listing, QUANTITY, self.epoch, key, snapshot=1)

    def served(self, purchase: int, model: Any = None, patience: int = 60_000, count: int = 4) -> Served:
        """Real requests; then the seller closes and publishes the epoch, and both sign it."""
        agreements, record = trading.agreements_of(self.node, self.market, [purchase])
        (agreement,) = agreements
        seller, buyer = self.people["seller"], self.people["buyer"]
        logs = {name: self.folder / f"{name}-{purchase}" for name in ("seller", "buyer")}
        coordinates = tuple(int(v) for v in self.snapshot.segments[0].segment.vector(SUMMER))
        question = write_question(coordinates, "l2", K)
        with ExitStack() as stack:
            named = seller.party, record.epoch, now_ms(), agreements, seller.signing
            theirs = stack.enter_context(RequestLog.create(logs["seller"], *named))
            mine = stack.enter_context(RequestLog.create(logs["buyer"], *named))
            desk = Desk(theirs, seller, model or NearestWords(self.snapshot), patience)
            asking = Buyer(stack.enter_context(served(desk, {})), agreement, buyer, mine)
            for _ in range(count):
                told = asking.ask(question)
                keep_output(logs["buyer"], agreement.id, told.request.message.sequence, told.output)
        with backend() as device:
            closed = close_epoch(logs["seller"], now_ms(), device=device, presets=(PRESET,))
            message = check_published(closed.tree, ledgers(logs["buyer"])[0], device=device)
            assert message == close_messages(closed.tree)[agreement.id]
            edges = edges_of_tier()
            receipt = prove_sla(closed, edges, agreement.id, device=device, preset=PRESET)
        self.sent("seller", f"epoch {self.epoch}", calls.publish_epoch(self.market.address, self.epoch, closed.root))
        exchange = exchange_in(logs["buyer"], agreement.id, 0)
        return Served(receipt, exchange, output_of(logs["buyer"], exchange))

    def right_answer(self) -> bytes:
        """A receipt of what the snapshot really says."""
        with Session(PRESET) as session:
            found = ask_snapshot(
                self.snapshot, id=int(self.snapshot.segments[0].segment.ids[SUMMER]), k=K, prove=True, session=session
            )
        assert found.receipt is not None
        return found.receipt.data

    def case(self, number: int) -> Case:
        return case_of(self.node, self.market, number)


@dataclass(frozen=True)
class Served:
    """What is left of an epoch: the receipt, the first exchange and its output."""

    receipt: bytes
    exchange: Exchange
    output: bytes


class Careless(NearestWords):
    """Leaves out the best row: wrong, whatever is asked."""

    def answer(self, question: Any) -> bytes:
        told = read_answer(super().answer(replace(question, k=question.k + 1)))
        return replace(told, question=question, rows=told.rows[1:]).encode()


def edges_of_tier() -> tuple[int, ...]:
    from air.statements.sla_report import latency_edges

    return latency_edges(tier_named(TIER).latency_ms)


@contextmanager
def opened_town(folder: Path, classes: dict[str, Class]) -> Iterator[Town]:
    """A node with a market, its people, a listing, and facts about services by word."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("OCTOPROOF_CHAIN", str(folder / "chain"))
        local = stack.enter_context(devnet(folder / "node"))
        node = stack.enter_context(connect(PROFILES["devnet"], local.url))
        outbox = stack.enter_context(Outbox(folder / "outbox"))
        people, clients = {}, {}
        for k, name in enumerate(("founder", "seller", "buyer", "judge", "court"), 1):
            key = predeployed(node)[k][1]
            account = local_account(node, outbox, [key], classes["Account"])
            people[name] = signatory(account.address, key, short_string(node.chain_id))
            clients[name] = Client(node, account, outbox)
        founder = clients["founder"]
        contracts = {name: deploy(founder, classes[name]) for name in ("FactsByWord", "TopkFacts", "SnapshotRegistry")}
        setting = Setting(
            payment=deploy_token(founder, "OCTO-W"),
            collateral=deploy_token(founder, "OCTO"),
            sla_facts=contracts["FactsByWord"],
            answer_facts=contracts["TopkFacts"],
            registry=contracts["SnapshotRegistry"],
            treasury=founder.account.address,
            judge=clients["judge"].account.address,
            court=clients["court"].account.address,
        )
        market = deploy_market(founder, setting)
        patch.setattr(disputes, "facts_of", facts_by_word(contracts["FactsByWord"]))
        for name in ("seller", "buyer"):
            to = clients[name].account.address
            gifts = [calls.transfer(token, to, FUNDS) for token in (setting.payment, setting.collateral)]
            founder.invoke(f"gifts to {name}", gifts)
        vectors = np.random.default_rng(5).normal(size=(ROWS, DIMENSION)).astype(np.float32)
        snapshot = build_snapshot(vectors, folder / "words", presets=(PRESET,))
        clients["seller"].invoke("publish", [publication(setting.registry, 1, snapshot.root)])
        trading.stake(clients["seller"], market, STAKE)
        expires = int(time.time()) + 365 * 86_400
        key = people["seller"].party.public_key
        listing = trading.list_service(clients["seller"], market, "other", TIER, PRICE, 1_000, expires, key)
        yield Town(node, market, clients, people, snapshot, listing, folder)


def facts_by_word(by_word: int) -> Callable[[bytes, int], list[Fact]]:
    """Statements about services become facts by word alone; answers must be proven."""

    def made(data: bytes, contract: int) -> list[Fact]:
        if contract != by_word:
            return facts_of(data, contract)
        digests = [part.digest() for part in disputes.service_parts(data)]
        worth = (1_200, 1_200)
        return [Fact("service", d, Call(contract, "set", (*u256_felts(d), *worth)), worth) for d in digests]

    return made
