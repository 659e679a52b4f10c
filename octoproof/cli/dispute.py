"""`octoproof dispute`: claims about purchases, from filing to the money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json
from octoproof.cli.dispute_status import status
from octoproof.cli.market_link import Link, linked

if TYPE_CHECKING:
    from octoproof.market.evidence import Exchange
    from octoproof.starknet.client import Client
    from octoproof.starknet.trading import Market

app = application("Claim that a service was not what was promised, and settle it.")

Json = Annotated[bool, JSON_OPTION]
Dispute = Annotated[int, typer.Argument(metavar="DISPUTE", min=1, help="The dispute's number.")]
Receipt = Annotated[
    Path | None, typer.Option("--receipt", metavar="FILE", help="About the service, or the right answer to a request.")
]
Log = Annotated[Path | None, typer.Option("--log", metavar="FOLDER", help="Your log, for a claim about one request.")]
Sequence = Annotated[int | None, typer.Option("--request", metavar="N", min=0, help="The request's number in the log.")]


def open_(
    link: Link,
    purchase: Annotated[int, typer.Argument(metavar="PURCHASE", min=1)],
    kind: Annotated[str, typer.Option("--kind", help="What is claimed: provider_error, wrong_answer, ...")],
    as_json: Json = False,
) -> None:
    """Files a claim as the buyer, with a bond."""
    from octoproof.starknet.trading import open_dispute

    with link.sending() as client:
        market = link.place(client.node)
        number = open_dispute(client, market, purchase, kind)
        _print(client, market, number, as_json)


def evidence(
    link: Link,
    dispute: Dispute,
    receipt: Receipt = None,
    log: Log = None,
    request: Sequence = None,
    as_json: Json = False,
) -> None:
    """Brings what the claim rests on: a receipt about the service, or a request of the log with, if there is one, a
    receipt of the right answer. A proof decides at once."""
    from octoproof.starknet import disputes

    def move(client: Client, market: Market) -> None:
        if log is None:
            disputes.prove_service(client, market, dispute, _read(receipt))
            return
        exchange, output = _exchange(client, market, dispute, log, request)
        if receipt is None:
            disputes.claim_answer(client, market, dispute, exchange)
        else:
            disputes.prove_answer(client, market, dispute, exchange, output, _read(receipt))

    _moved(link, dispute, as_json, move)


def respond(
    link: Link,
    dispute: Dispute,
    receipt: Receipt = None,
    log: Log = None,
    request: Sequence = None,
    statement: Annotated[
        Path | None, typer.Option("--statement", metavar="FILE", help="An answer without a proof, for a judge to read.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Answers a claim as the seller: by a proof of the contrary, or by a statement, whose hash is kept."""
    from hashlib import blake2s

    from octoproof.starknet import disputes
    from octoproof.starknet import market as calls
    from octoproof.starknet.trading import carried_out

    def move(client: Client, market: Market) -> None:
        if statement is not None:
            digest = blake2s(statement.read_bytes()).digest()
            carried_out(client, market, f"respond {dispute}", calls.respond(market.address, dispute, digest))
        elif log is None:
            disputes.disprove_service(client, market, dispute, _read(receipt))
        else:
            exchange, output = _exchange(client, market, dispute, log, request)
            disputes.disprove_answer(client, market, dispute, exchange, output, _read(receipt))

    _moved(link, dispute, as_json, move)


def resolve(
    link: Link,
    dispute: Dispute,
    rule: Annotated[
        str | None, typer.Option("--rule", metavar="OUTCOME", help="As the judge: valid, invalid or partial.")
    ] = None,
    refund_bps: Annotated[int, typer.Option("--refund-bps", min=0, max=10_000, help="Of a partial ruling.")] = 0,
    as_json: Json = False,
) -> None:
    """Carries out what stands, or what silence has decided; with --rule, decides as the judge or the court."""
    from octoproof.starknet import disputes
    from octoproof.starknet import market as calls
    from octoproof.starknet.trading import carried_out

    def move(client: Client, market: Market) -> None:
        if rule is not None:
            level = calls.dispute(client.node, market.address, dispute).level
            call = calls.rule(market.address, dispute, rule, refund_bps)
            carried_out(client, market, f"rule {dispute} at {level}", call)
        else:
            disputes.resolve(client, market, dispute)

    _moved(link, dispute, as_json, move)


def appeal(link: Link, dispute: Dispute, as_json: Json = False) -> None:
    """Asks for a vote against a judge's ruling, with a bond."""
    from octoproof.starknet.trading import appeal as ask

    _moved(link, dispute, as_json, lambda client, market: ask(client, market, dispute))


app.command("open")(linked(open_))
for verb in (evidence, respond, resolve, appeal, status):
    app.command(verb.__name__)(linked(verb))


def _moved(link: Link, dispute: int, as_json: bool, move: Callable[[Client, Market], None]) -> None:
    with link.sending() as client:
        market = link.place(client.node)
        move(client, market)
        _print(client, market, dispute, as_json)


def _print(client: Client, market: Market, number: int, as_json: bool) -> None:
    from octoproof.starknet import market as calls

    found = calls.dispute(client.node, market.address, number)
    document: dict[str, Any] = {"dispute": number} | asdict(found)
    document |= {"claimant": hex(found.claimant), "respondent": hex(found.respondent), "evidence": found.evidence.hex()}
    if as_json:
        print_json(document)
        return
    owes = f", the {found.owes} is next" if found.owes else ""
    decided = f", decided by {found.decided_by}" if found.decided_by else ""
    print(f"dispute {number} of purchase {found.purchase}, {found.kind}: {found.state} at level {found.level}", end="")
    print(f"{owes}{decided}")


def _read(receipt: Path | None) -> bytes:
    from octoproof.cli.airs import read_bounded
    from verifier.receipt import MAX_RECEIPT_BYTES

    if receipt is None:
        raise typer.BadParameter("a proof is needed", param_hint="--receipt")
    return read_bounded(receipt, MAX_RECEIPT_BYTES)


def _exchange(client: Client, market: Market, dispute: int, log: Path, request: int | None) -> tuple[Exchange, bytes]:
    from octoproof.serving.kept import exchange_in, output_of
    from octoproof.starknet import market as calls

    if request is None:
        raise typer.BadParameter("which request of the log is it?", param_hint="--request")
    purchase = calls.dispute(client.node, market.address, dispute).purchase
    exchange = exchange_in(log, calls.agreement(client.node, market.address, purchase), request)
    return exchange, output_of(log, exchange)
