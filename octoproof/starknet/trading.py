"""What the parties of a market do on the chain, step by step; each step is carried out once (`client`).

The market's rules are in `octoproof.market`, its calls in `octoproof.starknet.market`. Here are the orders in which
they come, with the approvals and facts that they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from octoproof.market.case import appeal_bond, bond
from octoproof.market.messages import Agreement, Party
from octoproof.starknet import market as calls
from octoproof.starknet.client import Client
from octoproof.starknet.errors import ChainError
from octoproof.starknet.events import NamedEvent, named
from octoproof.starknet.facts import Fact, is_fact
from octoproof.starknet.market import PurchaseRecord, Setting
from octoproof.starknet.node import Node
from octoproof.starknet.transactions import Call


@dataclass(frozen=True)
class Market:
    """A market contract, and what it was fixed to when it was deployed."""

    address: int
    setting: Setting


def market_at(node: Node, address: int) -> Market:
    """Raises ChainError where there is no market."""
    if node.class_hash_at(address) is None:
        raise ChainError(f"market: there is no contract at {address:#x} on this network")
    sla, answers, conjectured, proven, registry, treasury, judge, court = node.call(address, "setting")
    payment, collateral = node.call(address, "tokens")
    addresses = (payment, collateral, sla, answers, registry, treasury, judge, court)
    return Market(address, Setting(*addresses, conjectured, proven))


def carried_out(client: Client, market: Market, intent: str, *steps: Call) -> list[NamedEvent]:
    """Sends calls as one transaction, and reads what the market said. Raises as `Client.submit`."""
    receipt = client.invoke(f"market {market.address:#x}: {intent}", steps)
    return named(receipt.events, market.address, client.node.abi(market.address))


def stake(client: Client, market: Market, amount: int) -> None:
    """Adds to the caller's stake."""
    held = calls.stake_of(client.node, market.address, client.account.address).held
    approval = calls.approve(market.setting.collateral, market.address, amount)
    carried_out(client, market, f"stake {amount} on {held}", approval, calls.deposit(market.address, amount))


def list_service(
    client: Client, market: Market, provider: str, tier: str, price: int, quantity: int, expires: int, key: int
) -> int:
    """The number of a new listing that can be bought from. The log of its requests is signed by `key`."""
    call = calls.create_listing(market.address, provider, tier, price, quantity, expires, key)
    listing = _number(carried_out(client, market, _fresh(client, "list"), call), "ListingChanged", "listing")
    carried_out(client, market, f"activate {listing}", calls.activate_listing(market.address, listing))
    return listing


def buy(client: Client, market: Market, listing: int, quantity: int, epoch: int, key: int, snapshot: int = 0) -> int:
    """The number of a new purchase, its price in escrow. The requests are signed by `key`."""
    call = calls.offer(market.address, listing, quantity, epoch, key, snapshot)
    purchase = _number(carried_out(client, market, _fresh(client, "offer"), call), "PurchaseOffered", "purchase")
    price = calls.purchase(client.node, market.address, purchase).price
    approval = calls.approve(market.setting.payment, market.address, price)
    carried_out(client, market, f"pay {purchase}", approval, calls.pay(market.address, purchase, price))
    return purchase


def agreement_of(node: Node, market: Market, purchase: int) -> tuple[Agreement, PurchaseRecord]:
    """What the messages of a purchase's parties name, and the purchase."""
    found = calls.purchase(node, market.address, purchase)
    seller, buyer = Party(found.seller, found.seller_key), Party(found.buyer, found.buyer_key)
    return Agreement(calls.agreement(node, market.address, purchase), seller, buyer), found


def agreements_of(node: Node, market: Market, purchases: Sequence[int]) -> tuple[list[Agreement], PurchaseRecord]:
    """Of purchases that are served in one log: of one seller, key, epoch and snapshot. Raises ChainError."""
    found = [agreement_of(node, market, purchase) for purchase in purchases]
    first = found[0][1]
    for number, (_, record) in zip(purchases, found, strict=True):
        for name in ("seller", "seller_key", "epoch", "snapshot_root"):
            if getattr(record, name) != getattr(first, name):
                raise ChainError(f"purchase {number}: {name} is not that of purchase {purchases[0]}; serve it apart")
        if record.state != "escrowed":
            raise ChainError(f"purchase {number}: it is {record.state}; only what is paid for is served")
    return [agreement for agreement, _ in found], first


def establish(client: Client, contract: int, facts: Sequence[Fact]) -> list[Fact]:
    """Has the contract verify what it does not hold yet; what was sent. Raises as `Client.submit`."""
    sent = []
    for fact in facts:
        if not is_fact(client.node, contract, fact.digest, *fact.worth):
            client.invoke(f"fact {fact.digest.hex()} of {fact.worth} tenths", [fact.call])
            sent.append(fact)
    return sent


def open_dispute(client: Client, market: Market, purchase: int, kind: str) -> int:
    """The number of a new dispute, with the claimant's bond."""
    amount = bond(calls.purchase(client.node, market.address, purchase).price)
    approval = calls.approve(market.setting.payment, market.address, amount)
    events = carried_out(client, market, f"dispute {purchase}", approval, calls.file(market.address, purchase, kind))
    return _number(events, "DisputeFiled", "dispute")


def collected(client: Client, market: Market, dispute: int, evidence: bytes) -> Call:
    """The call that stores evidence in an envelope of the caller's own."""
    nonce = calls.envelopes(client.node, market.address, client.account.address)
    place = client.node.chain_id, market.address, dispute, client.account.address, nonce
    return calls.collect(calls.Envelope(*place, evidence))


def appeal(client: Client, market: Market, dispute: int) -> None:
    """Asks for a vote, with the appellant's bond."""
    found = calls.dispute(client.node, market.address, dispute)
    amount = appeal_bond(calls.purchase(client.node, market.address, found.purchase).price)
    approval = calls.approve(market.setting.payment, market.address, amount)
    carried_out(client, market, f"appeal {dispute}", approval, calls.appeal(market.address, dispute))


def _fresh(client: Client, what: str) -> str:
    """A name for what is meant anew each time."""
    return f"{what} at nonce {client.node.nonce(client.account.address)}"


def _number(events: Sequence[NamedEvent], name: str, field: str) -> int:
    return int(next(event for event in events if event.name == name).fields[field])
