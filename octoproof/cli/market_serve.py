"""`octoproof market serve` and `ask`: real requests, signed by both sides, each with a log of its own."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, print_json, print_table
from octoproof.cli.market_link import Link

Json = Annotated[bool, JSON_OPTION]


def serve(
    link: Link,
    purchases: Annotated[list[int], typer.Argument(metavar="PURCHASE...", min=1, help="What is served.")],
    snapshot: Annotated[Path, typer.Option("--snapshot", metavar="FOLDER", help="Whose vectors are searched.")],
    log: Annotated[Path, typer.Option("--log", metavar="FOLDER", help="The epoch's log, new or to go on with.")],
    at: Annotated[
        int | None, typer.Option("--at", metavar="N", help="The version numbered N, else the newest.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen at; others than loopback need a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 for any that is free.")] = 8643,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Holds the token; mode 0600.")
    ] = None,
    patience: Annotated[
        int, typer.Option("--patience", metavar="MS", min=0, help="An answer that takes longer is not given.")
    ] = 60_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Answers requests for nearest vectors until it is interrupted. What it has accepted is in the log."""
    from octoproof.cli.serve import listening
    from octoproof.market.errors import RuleError
    from octoproof.pipeline.limits import LOOPBACK, Rules, is_loopback, token_from_file
    from octoproof.serving.desk import Desk
    from octoproof.serving.running import server
    from octoproof.serving.words import NearestWords
    from octoproof.starknet.profiles import short_string
    from octoproof.starknet.trading import agreements_of
    from octoproof.vectors.errors import VectorError
    from octoproof.vectors.snapshot import Snapshot

    token = None if token_file is None else token_from_file(token_file)
    if token is None and not is_loopback(host):
        raise VectorError(f"host: {host} can be reached by others; give a token with --token-file")
    found = Snapshot.open(snapshot, at)
    with link.reading() as node:
        agreements, record = agreements_of(node, link.place(node), purchases)
        own, chain = link.signatory(node), short_string(node.chain_id)
    if own.party != agreements[0].provider:
        raise RuleError(f"purchase {purchases[0]}: sold by another account or key than the one that serves")
    if record.snapshot_root not in (found.root, bytes(32)):
        raise RuleError(f"purchase {purchases[0]}: it is about snapshot {record.snapshot_root.hex()[:16]}..., not this")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        listener = stack.enter_context(listening(host, port))
        kept = stack.enter_context(_log(log, own.party, record.epoch, agreements, own.signing))
        desk = Desk(kept, own, NearestWords(found), patience)
        desk.fail_unanswered()
        stack.callback(desk.fail_unanswered)
        name = f"[{host}]" if ":" in host else host
        terms: dict[str, Any] = {
            "chain": chain,
            "provider": hex(own.party.address),
            "epoch": record.epoch,
            "agreements": [hex(one.id) for one in agreements],
            "snapshot_root": found.root.hex(),
        }
        url = f"http://{name}:{listener.getsockname()[1]}/"
        print(json.dumps({"event": "serving", "url": url} | terms) if as_json else f"serving at {url}", flush=True)
        server(desk, terms, Rules(token=token, hosts=(*LOOPBACK, name))).run(sockets=[listener])


def ask(
    link: Link,
    purchase: Annotated[int, typer.Argument(metavar="PURCHASE", min=1)],
    url: Annotated[str, typer.Option("--url", help="Where the provider serves.")],
    snapshot: Annotated[Path, typer.Option("--snapshot", metavar="FOLDER", help="The same vectors, to ask about.")],
    log: Annotated[Path, typer.Option("--log", metavar="FOLDER", help="Your own log, new or to go on with.")],
    id: Annotated[list[int] | None, typer.Option("--id", help="Of a vector whose neighbours are asked for ...")] = None,
    word: Annotated[list[str] | None, typer.Option("--word", help="... or its label; both repeatable.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many, the word itself included.")] = 10,
    count: Annotated[int, typer.Option("--count", min=1, help="How often each is asked.")] = 1,
    metric: Annotated[str, typer.Option("--metric", help="l2, ip or cosine.")] = "l2",
    as_json: Json = False,
) -> None:
    """Asks a provider; keeps what both signed, and every output, as evidence."""
    from octoproof.serving.buyer import Buyer
    from octoproof.serving.kept import keep_output
    from octoproof.serving.words import write_question
    from octoproof.starknet.answers import read_answer
    from octoproof.starknet.trading import agreement_of
    from octoproof.vectors.query import find
    from octoproof.vectors.snapshot import Snapshot

    found = Snapshot.open(snapshot)
    asked = [find(found, id=one) for one in id or ()] + [find(found, label=one) for one in word or ()]
    if not asked:
        raise typer.BadParameter("what is asked for?", param_hint="--id or --word")
    questions = [write_question(one.coordinates, metric, k) for one in asked]
    with link.reading() as node:
        agreement, record = agreement_of(node, link.place(node), purchase)
        own = link.signatory(node)
    rows: list[dict[str, Any]] = []
    with _log(log, agreement.provider, record.epoch, [agreement], own.signing) as kept:
        buyer = Buyer(url, agreement, own, kept)
        for question in questions * count:
            told = buyer.ask(question)
            response, sequence = told.response.message, told.request.message.sequence
            keep_output(log, agreement.id, sequence, told.output)
            row: dict[str, Any] = {
                "sequence": sequence,
                "status": response.status,
                "latency_ms": response.answered_at - response.received_at,
                "acknowledged": not told.withheld,
                "withheld": told.withheld or None,
            }
            rows.append(row | {"rows": read_answer(told.output).rows if told.output else []})
    if as_json:
        print_json({"agreement": hex(agreement.id), "requests": rows})
        return
    shown = [(row["sequence"], row["status"], row["latency_ms"], row["acknowledged"]) for row in rows]
    print_table(("request", "status", "ms", "acknowledged"), shown)
    for row in rows:
        if row["withheld"]:
            print(f"request {row['sequence']}: {row['withheld']}")


def _log(folder: Path, provider: Any, epoch: int, agreements: list[Any], signing: Any) -> Any:
    """The log in a folder, or a new one. Raises RuleError for one of something else."""
    from octoproof.market.errors import RuleError
    from octoproof.market.log import RequestLog
    from octoproof.market.log_files import DOCUMENT, read_document
    from octoproof.serving.desk import now_ms

    if not (folder / DOCUMENT).exists():
        return RequestLog.create(folder, provider, epoch, now_ms(), agreements, signing)
    held, number, _, known = read_document(folder)
    if (held, number, known) != (provider, epoch, agreements):
        raise RuleError(f"{folder}: the log of other agreements, or of another epoch; name another folder")
    return RequestLog.open(folder, signing)
