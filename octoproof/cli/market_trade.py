"""The verbs of `octoproof market` that are transactions, and what the market holds."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, print_json
from octoproof.cli.market_link import Link, amount_of, party_address, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from octoproof.starknet.client import Client
    from octoproof.starknet.trading import Market

Json = Annotated[bool, JSON_OPTION]
Purchase = Annotated[int, typer.Argument(metavar="PURCHASE", min=1, help="The purchase's number.")]
Who = Annotated[str | None, typer.Option(metavar="WHO", help="An address or a key's name; else the sender.")]
Token = Annotated[str | None, typer.Option(metavar="ADDRESS", help="A token that is there; a local node gets its own.")]
DAY_S = 86_400


def deploy(
    link: Link,
    treasury: Who = None,
    judge: Who = None,
    court: Who = None,
    payment: Token = None,
    collateral: Token = None,
    as_json: Json = False,
) -> None:
    """Deploys a market over the facts and the registry that were deployed from here. Nothing of it can be changed."""
    from octoproof.cli.chain_link import address
    from octoproof.starknet.deployments import address_of
    from octoproof.starknet.market import Setting
    from octoproof.starknet.market_deploy import deploy_market, deploy_token

    with link.sending() as client:
        chain, own = client.node.chain_id, client.account.address
        people = {
            name: own if given is None else party_address(given)
            for name, given in (("treasury", treasury), ("judge", judge), ("court", court))
        }
        setting = Setting(
            payment=address(payment) or deploy_token(client, "OCTO-W"),
            collateral=address(collateral) or deploy_token(client, "OCTO"),
            sla_facts=address_of(chain, "SlaFacts"),
            answer_facts=address_of(chain, "TopkFacts"),
            registry=address_of(chain, "SnapshotRegistry"),
            **people,
        )
        market = deploy_market(client, setting)
    _print({"market": hex(market.address)} | _shown(asdict(market.setting)), as_json)


def transfer(
    link: Link,
    to: Annotated[str, typer.Argument(metavar="WHO", help="An address, or the name of a key.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In tokens.")],
    collateral: Annotated[bool, typer.Option("--collateral", help="Of the token of stakes, not of prices.")] = False,
    as_json: Json = False,
) -> None:
    """Gives tokens away."""
    from octoproof.starknet import market as calls
    from octoproof.starknet.trading import carried_out

    with link.sending() as client:
        market, units, target = link.place(client.node), amount_of(amount), party_address(to)
        token = market.setting.collateral if collateral else market.setting.payment
        nonce = client.node.nonce(client.account.address)
        carried_out(client, market, f"transfer at nonce {nonce}", calls.transfer(token, target, units))
        left = calls.balance(client.node, token, client.account.address)
    _print({"to": hex(target), "amount": tokens(units), "left": tokens(left)}, as_json)


def stake(
    link: Link, amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="In tokens.")], as_json: Json = False
) -> None:
    """Adds to the stake that answers for what the account sells."""
    from octoproof.starknet import market as calls
    from octoproof.starknet.trading import stake as add

    with link.sending() as client:
        market = link.place(client.node)
        add(client, market, amount_of(amount))
        held = calls.stake_of(client.node, market.address, client.account.address)
    _print({"held": tokens(held.held), "offences": held.offences, "banned": held.banned}, as_json)


def list_service(
    link: Link,
    price: Annotated[str, typer.Option("--price", metavar="AMOUNT", help="Of a prompt in the basic tier, in tokens.")],
    tier: Annotated[str, typer.Option("--tier", help="basic, standard, premium or enterprise.")] = "standard",
    quantity: Annotated[int, typer.Option("--quantity", min=10, help="Prompts for sale.")] = 1_000,
    days: Annotated[int, typer.Option("--days", min=1, max=365, help="How long it is open.")] = 30,
    provider: Annotated[str, typer.Option("--provider", help="openai, anthropic, google or other.")] = "other",
    as_json: Json = False,
) -> None:
    """Offers a service; its log is signed with the account's key."""
    from octoproof.starknet.trading import list_service as offer

    with link.sending() as client:
        market, key = link.place(client.node), link.signing_key(client.node)
        expires = int(time.time()) + days * DAY_S
        listing = offer(client, market, provider, tier, amount_of(price), quantity, expires, key)
    _print({"listing": listing, "tier": tier, "price": price, "quantity": quantity}, as_json)


def buy(
    link: Link,
    listing: Annotated[int, typer.Argument(metavar="LISTING", min=1)],
    quantity: Annotated[int, typer.Option("--quantity", min=1, help="Prompts.")] = 10,
    epoch: Annotated[
        int | None, typer.Option("--epoch", min=0, help="Of the seller's log (else the next it can publish).")
    ] = None,
    snapshot: Annotated[
        int, typer.Option("--snapshot", min=0, help="The seller's published version whose certificate you checked.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Buys prompts; the price waits in escrow."""
    from octoproof.starknet import market as calls
    from octoproof.starknet.trading import agreement_of
    from octoproof.starknet.trading import buy as purchase_of

    with link.sending() as client:
        node, market = client.node, link.place(client.node)
        seller = calls.listing(node, market.address, listing).seller
        number = calls.next_epoch(node, market.address, seller) if epoch is None else epoch
        made = purchase_of(client, market, listing, quantity, number, link.signing_key(node), snapshot)
        agreement, record = agreement_of(node, market, made)
    shown = {"purchase": made, "price": tokens(record.price), "agreement": hex(agreement.id), "epoch": number}
    _print(shown, as_json)


def publish(
    link: Link,
    log: Annotated[Path, typer.Argument(metavar="LOG", help="The closed log's folder.")],
    as_json: Json = False,
) -> None:
    """Publishes the root of a closed epoch; it can never be another one."""
    from octoproof.market.epoch import open_epoch
    from octoproof.starknet import market as calls
    from octoproof.starknet.trading import carried_out

    epoch = open_epoch(log)
    number = epoch.tree.header.number
    with link.sending() as client:
        market = link.place(client.node)
        carried_out(client, market, f"epoch {number}", calls.publish_epoch(market.address, number, epoch.root))
    _print({"epoch": number, "epoch_root": epoch.root.hex()}, as_json)


def deliver(
    link: Link,
    purchase: Purchase,
    receipt: Annotated[Path, typer.Option("--receipt", metavar="FILE", help="Of `octoproof qos prove`.")],
    as_json: Json = False,
) -> None:
    """Shows by a receipt what the service was like; the refund follows from it."""
    from octoproof.cli.airs import read_bounded
    from octoproof.starknet.disputes import deliver as show_service
    from verifier.receipt import MAX_RECEIPT_BYTES

    data = read_bounded(receipt, MAX_RECEIPT_BYTES)
    _moved(link, purchase, as_json, lambda client, market: show_service(client, market, purchase, data))


def concede(link: Link, purchase: Purchase, as_json: Json = False) -> None:
    """Gives all back, where there is nothing to show."""
    _sent(link, purchase, "concede", as_json)


def accept(link: Link, purchase: Purchase, as_json: Json = False) -> None:
    """Agrees to what was delivered; the price is paid out."""
    _sent(link, purchase, "accept", as_json)


def expire(link: Link, purchase: Purchase, as_json: Json = False) -> None:
    """Ends the wait of a purchase that is overdue."""
    _sent(link, purchase, "expire_purchase", as_json)


def show(
    link: Link,
    purchase: Annotated[int | None, typer.Option("--purchase", min=1)] = None,
    listing: Annotated[int | None, typer.Option("--listing", min=1)] = None,
    seller: Annotated[str | None, typer.Option("--seller", metavar="WHO")] = None,
    as_json: Json = False,
) -> None:
    """Shows the market, or one purchase, listing or seller's stake."""
    from octoproof.starknet import market as calls
    from octoproof.starknet.trading import agreement_of

    with link.reading() as node:
        market = link.place(node)
        if purchase is not None:
            agreement, record = agreement_of(node, market, purchase)
            document = _shown(asdict(record)) | {"agreement": hex(agreement.id)}
        elif listing is not None:
            document = _shown(asdict(calls.listing(node, market.address, listing)))
        elif seller is not None:
            document = _shown(asdict(calls.stake_of(node, market.address, party_address(seller))))
        else:
            held = {pot: tokens(calls.held(node, market.address, pot)) for pot in calls.POTS}
            document = {"market": hex(market.address)} | _shown(asdict(market.setting)) | held
    _print(document, as_json)


def _sent(link: Link, purchase: int, name: str, as_json: bool) -> None:
    from octoproof.starknet import market as calls
    from octoproof.starknet.trading import carried_out

    def move(client: Client, market: Market) -> None:
        carried_out(client, market, f"{name} {purchase}", getattr(calls, name)(market.address, purchase))

    _moved(link, purchase, as_json, move)


def _moved(link: Link, purchase: int, as_json: bool, move: Callable[[Client, Market], None]) -> None:
    """Carries out a move of a purchase, and shows it afterwards."""
    from octoproof.starknet import market as calls

    with link.sending() as client:
        market = link.place(client.node)
        move(client, market)
        record = calls.purchase(client.node, market.address, purchase)
    shown = {"purchase": purchase, "state": record.state, "delivered": record.delivered}
    _print(shown | {"refund_bps": record.refund_bps, "deadline": record.deadline}, as_json)


HEX = ("seller", "buyer", "signing_key", "seller_key", "buyer_key", "treasury", "judge", "court", "registry")
TOKENS = ("price", "held", "base", "lost")


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    """As JSON: addresses and keys in hex, amounts in tokens."""
    out: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, bytes):
            out[name] = value.hex()
        elif name in HEX or name.endswith("_facts") or name in ("payment", "collateral"):
            out[name] = hex(value)
        else:
            out[name] = tokens(value) if name in TOKENS else value
    return out


def _print(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        print(f"{name.replace('_', ' ')}: {value}")
