"""What proves a claim on the chain, what disproves it, and how a dispute has gone.

service   a receipt about the purchase's requests: its parts become facts, then the market counts by them
answer    the seller's signature under an answer, and a fact about what the right answer is
double    the seller's signatures under two answers to one request
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from starknet_py.hash.selector import get_selector_from_name

from air.statements.sla_statement import SLA, SlaStatement
from air.statements.topk_statement import TOPK, TopkStatement
from octoproof.market.arbitration import ARBITRATION
from octoproof.market.dispute import CLOSED, DECIDED, RULING
from octoproof.market.errors import RuleError
from octoproof.market.evidence import Exchange
from octoproof.market.log_files import felt
from octoproof.market.messages import hashes_of
from octoproof.starknet import market as calls
from octoproof.starknet.answers import read_answer
from octoproof.starknet.client import Client
from octoproof.starknet.events import named
from octoproof.starknet.facts import facts_of
from octoproof.starknet.log_signing import signing_on
from octoproof.starknet.market import DisputeRecord
from octoproof.starknet.node import Node
from octoproof.starknet.profiles import short_string
from octoproof.starknet.receipts import events_of
from octoproof.starknet.trading import Market, agreement_of, carried_out, collected, establish
from verifier.receipt import Part, read_receipt

CHUNK = 256
OF_DISPUTE = ("DisputeFiled", "EvidenceStored", "DisputeChanged", "BondPaid")
OF_PURCHASE = ("PurchaseOffered", "PurchaseChanged", "Settled")
BY_SELLER = ("Slashed",)  # has the purchase as its second key


class Step(BaseModel):
    """One event of a dispute or its purchase. `at` is its block's time in seconds, to which deadlines are compared."""

    model_config = ConfigDict(frozen=True)
    block: int
    at: int
    transaction: int
    name: str
    fields: dict[str, Any]


def prove_service(client: Client, market: Market, dispute: int, receipt: bytes) -> None:
    """The claimant: evidence and proof in one transaction, after the facts. Raises as `Client.submit`."""
    parts = service_parts(receipt)
    establish(client, market.setting.sla_facts, facts_of(receipt, market.setting.sla_facts))
    call = collected(client, market, dispute, calls.service_evidence(parts))
    proof = calls.prove_service(market.address, dispute, parts)
    carried_out(client, market, f"prove {dispute}", call, proof)


def disprove_service(client: Client, market: Market, dispute: int, receipt: bytes) -> None:
    """The respondent: there was no such violation. Raises as `Client.submit`."""
    parts = service_parts(receipt)
    establish(client, market.setting.sla_facts, facts_of(receipt, market.setting.sla_facts))
    carried_out(client, market, f"disprove {dispute}", calls.disprove_service(market.address, dispute, parts))


def deliver(client: Client, market: Market, purchase: int, receipt: bytes) -> None:
    """The seller shows what its service was like. Raises as `Client.submit`."""
    parts = service_parts(receipt)
    establish(client, market.setting.sla_facts, facts_of(receipt, market.setting.sla_facts))
    carried_out(client, market, f"deliver {purchase}", calls.deliver(market.address, purchase, parts))


def prove_answer(client: Client, market: Market, dispute: int, exchange: Exchange, output: bytes, right: bytes) -> None:
    """The claimant: the seller signed `output`, and `right` is a receipt of the right answer to the same question.

    Raises RuleError where both say the same, or the receipt answers something else, and as `Client.submit`."""
    told, parts = read_answer(output), answer_parts(right)
    found = TOPK.result(parts)
    _check_same(told.snapshot_root, told.question, parts)
    if tuple(found) == told.rows:
        raise RuleError("answer: the seller's is the right one; there is nothing to prove")
    establish(client, market.setting.answer_facts, facts_of(right, market.setting.answer_facts))
    evidence = felt(response_hash(client.node, market, dispute, exchange))
    proof = calls.prove_answer(market.address, dispute, exchange, parts[0], told.rows, found)
    carried_out(client, market, f"prove {dispute}", collected(client, market, dispute, evidence), proof)


def disprove_answer(
    client: Client, market: Market, dispute: int, exchange: Exchange, output: bytes, right: bytes
) -> None:
    """The respondent: the answer in the evidence is the right one. Raises as `prove_answer`."""
    told, parts = read_answer(output), answer_parts(right)
    _check_same(told.snapshot_root, told.question, parts)
    if tuple(TOPK.result(parts)) != told.rows:
        raise RuleError("answer: the receipt says another one; it convicts instead")
    establish(client, market.setting.answer_facts, facts_of(right, market.setting.answer_facts))
    call = calls.disprove_answer(market.address, dispute, exchange, parts[0], told.rows)
    carried_out(client, market, f"disprove {dispute}", call)


def claim_answer(client: Client, market: Market, dispute: int, exchange: Exchange) -> None:
    """The claimant names the answer that it disputes, without a proof yet."""
    evidence = felt(response_hash(client.node, market, dispute, exchange))
    carried_out(client, market, f"evidence for {dispute}", collected(client, market, dispute, evidence))


def resolve(client: Client, market: Market, dispute: int) -> str:
    """Moves a dispute on as far as anyone can: time that is over, then a decision that stands. The state after it.

    Raises RuleError where somebody's move is awaited, and as `Client.submit`."""
    while (found := calls.dispute(client.node, market.address, dispute)).state not in CLOSED:
        now = now_on(client.node)
        if found.state in DECIDED and (not _appealable(found) or now > found.deadline):
            step = calls.execute(market.address, dispute)
        elif now > found.deadline:
            step = calls.expire_dispute(market.address, dispute)
        else:
            raise RuleError(
                f"dispute: {f'the {found.owes}' if found.owes else 'whoever appeals'} has {found.deadline - now} s left"
            )
        carried_out(client, market, f"{step.function} {dispute} from {found.state} at {found.level}", step)
    return found.state


def now_on(node: Node) -> int:
    """Seconds, as deadlines are compared with them: the latest block's time, or the clock's if no block came since."""
    return max(int(node.ask("getBlockWithTxHashes", block_id="latest")["timestamp"]), int(time.time()))


def _appealable(found: DisputeRecord) -> bool:
    return found.level == ARBITRATION and found.decided_by == RULING


def response_hash(node: Node, market: Market, dispute: int, exchange: Exchange) -> int:
    """What names an exchange as evidence. Raises RuleError unless the parties of the dispute's purchase signed it."""
    agreement, _ = agreement_of(node, market, calls.dispute(node, market.address, dispute).purchase)
    signing = signing_on(short_string(node.chain_id))
    exchange.check(agreement, signing)
    (hash,) = hashes_of(signing, [exchange.response.message], [agreement.provider])
    return hash


def service_parts(receipt: bytes) -> list[SlaStatement]:
    """The statements of a receipt about a service; not verified here."""
    return [SLA.decode(part.statement) for part in _proven(receipt)]


def answer_parts(receipt: bytes) -> list[TopkStatement]:
    """The statements of a receipt about an answer; not verified here."""
    return [TOPK.decode(part.statement) for part in _proven(receipt)]


def timeline(node: Node, market: Market, purchase: int, dispute: int = 0) -> list[Step]:
    """What the market has told of a purchase and its dispute, in order."""
    abi, times, found = node.abi(market.address), dict[int, int](), list[tuple[tuple[int, int, int], Step]]()
    seller = calls.purchase(node, market.address, purchase).seller
    wanted = [(OF_PURCHASE, [[hex(purchase)]]), (BY_SELLER, [[hex(seller)], [hex(purchase)]])]
    wanted += [(OF_DISPUTE, [[hex(dispute)]])] if dispute else []
    for names, keys in wanted:
        for raw in _events(node, market.address, names, keys):
            (event,) = events_of([raw])
            (read,) = named([event], market.address, abi)
            block = int(raw["block_number"])
            if block not in times:
                times[block] = int(node.ask("getBlockWithTxHashes", block_id={"block_number": block})["timestamp"])
            place = block, int(raw.get("transaction_index", 0)), int(raw.get("event_index", 0))
            told = (times[block], int(raw["transaction_hash"], 16), read.name, read.fields)
            step = Step(block=block, at=told[0], transaction=told[1], name=told[2], fields=told[3])
            found.append((place, step))
    return [step for _, step in sorted(found, key=lambda item: item[0])]


def _events(node: Node, address: int, names: Sequence[str], keys: list[list[str]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    asked: dict[str, Any] = {
        "from_block": {"block_number": 0},
        "to_block": "latest",
        "address": hex(address),
        "keys": [[hex(get_selector_from_name(name)) for name in names], *keys],
        "chunk_size": CHUNK,
    }
    while True:
        answer = node.ask("getEvents", filter=asked)
        found += answer["events"]
        if not (token := answer.get("continuation_token")):
            return found
        asked["continuation_token"] = token


def _proven(receipt: bytes) -> list[Part]:
    parts = read_receipt(receipt).parts
    if not all(isinstance(part, Part) for part in parts):
        raise RuleError("receipt: it opens rows, a contract needs a proof; use mode strict")
    return list(parts)  # type: ignore[arg-type]


def _check_same(root: bytes, question: Any, parts: Sequence[TopkStatement]) -> None:
    if parts[0].snapshot_root != root:
        raise RuleError("receipt: it is about another snapshot than the answer")
    if parts[0].question != question:
        raise RuleError("receipt: it answers another question")
