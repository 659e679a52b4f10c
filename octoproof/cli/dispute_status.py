"""`octoproof dispute status`: a dispute's timeline, live with --watch, or as a page with --html."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, print_json
from octoproof.cli.market_link import Link, tokens

if TYPE_CHECKING:
    from rich.console import Group

    from octoproof.starknet.cases import Case

WATCH_S = 1.0
OUTCOMES = {"slashed": "claim upheld", "keep": "claim failed", "partial_refund": "refunded in part"}


def status(
    link: Link,
    dispute: Annotated[int, typer.Argument(metavar="DISPUTE", min=1, help="The dispute's number.")],
    watch: Annotated[bool, typer.Option("--watch", help="Follow it until the money has moved.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page about it.")] = None,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", metavar="FILE", help="Verify this too, and show its checks on the page.")
    ] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Shows what happened, what was checked, and where the money went."""
    from octoproof.cli.dispute_page import page, receipt_lines
    from octoproof.files import write_atomically
    from octoproof.starknet.cases import case_of

    with link.reading() as node:
        market = link.place(node)
        case = case_of(node, market, dispute)
        if watch:
            case = _watched(lambda: case_of(node, market, dispute), case)
    if html is not None:
        write_atomically(html, page(case, receipt_lines(receipt)))
    if as_json:
        print_json(document(case))
    elif not (watch and sys.stdout.isatty()):
        from rich.console import Console

        console = Console(highlight=False, markup=False)
        if not console.is_terminal:
            console.width = 140
        console.print(shown(case))
    if html is not None and not as_json:
        print(f"page in {html}")


def _watched(read: Any, case: Case) -> Case:
    """Reads it again until it is closed; live on a terminal."""
    if not sys.stdout.isatty():
        while not case.closed:
            time.sleep(WATCH_S)
            case = read()
        return case
    from rich.live import Live

    with Live(shown(case), auto_refresh=False) as live:
        while not case.closed:
            time.sleep(WATCH_S)
            case = read()
            live.update(shown(case), refresh=True)
    return case


def shown(case: Case) -> Group:
    """Timeline, checks and money, for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from octoproof.starknet.cases import describe, findings, moves

    head = Text(title(case), style="bold")
    steps = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("time", "block", "what happened"):
        steps.add_column(heading)
    for step in case.steps:
        steps.add_row(clock(step.at), str(step.block), describe(case, step))
    checks = [Text(f"{'✓' if one.holds else '✗'} {one.what} ({one.detail})", overflow="fold") for one in findings(case)]
    money = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("from", "to", "amount", "token", "why"):
        money.add_column(heading, justify="right" if heading == "amount" else "left")
    for move in moves(case):
        token = "stakes" if move.of_stakes else "prices"
        money.add_row(move.source, move.target, tokens(move.amount), token, move.why)
    return Group(head, "", steps, "", *checks, "", money)


def title(case: Case) -> str:
    """One line."""
    kind, state = case.dispute.kind.replace("_", " "), OUTCOMES.get(case.dispute.state, case.dispute.state)
    spent = f", {case.seconds} s after it was filed" if case.closed else ""
    return f"dispute {case.number} about purchase {case.dispute.purchase}: {kind}, {state}{spent}"


def clock(at: int) -> str:
    """A block's time in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def document(case: Case) -> dict[str, Any]:
    """As JSON."""
    from octoproof.starknet.cases import describe, findings, moves

    found = case.dispute
    return {
        "dispute": case.number,
        "purchase": found.purchase,
        "kind": found.kind,
        "state": found.state,
        "level": found.level,
        "owes": found.owes or None,
        "deadline": found.deadline,
        "decided_by": found.decided_by or None,
        "refund_bps": case.purchase.refund_bps,
        "evidence": found.evidence.hex(),
        "seconds": case.seconds,
        "timeline": [
            {
                "at": step.at,
                "block": step.block,
                "transaction": hex(step.transaction),
                "event": step.name,
                "text": describe(case, step),
            }
            for step in case.steps
        ],
        "checks": [asdict(one) for one in findings(case)],
        "money": [asdict(move) | {"amount": str(move.amount)} for move in moves(case)],
    }
