"""A dispute as one HTML page without scripts: timeline, evidence, checks, money."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from octoproof.cli.dispute_status import OUTCOMES, clock, title
from octoproof.cli.market_link import tokens

if TYPE_CHECKING:
    from octoproof.starknet.cases import Case
    from octoproof.starknet.disputes import Step

Lines = Sequence[tuple[str, bool, str]]  # what, whether it holds, detail

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #667085; --line: #e3e7ee; --paper: #fff; --soft: #f6f7fa;
  --good: #15803d; --bad: #b91c1c; --mark: #3538cd; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #98a2b3; --line: #2b3342; --paper: #12161d;
  --soft: #1a202a; --good: #4ade80; --bad: #f87171; --mark: #a4bcfd; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 2.25rem 0 .75rem; }
p, dd { margin: 0; } .dim, dt { color: var(--dim); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1.5rem 0 0; }
.card { background: var(--soft); border-radius: .6rem; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.25rem; }
ol { list-style: none; margin: 0; padding: 0 0 0 1.1rem; border-left: 2px solid var(--line); }
li { position: relative; padding: 0 0 .8rem; overflow-wrap: anywhere; }
li::before { content: ""; position: absolute; left: calc(-1.1rem - 6px); top: .45rem; width: 10px; height: 10px;
  border-radius: 50%; background: var(--mark); }
time { display: block; font-size: .85rem; color: var(--dim); font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: 500; } .n { text-align: right; font-variant-numeric: tabular-nums; }
.yes { color: var(--good); } .no { color: var(--bad); }
code { font: 12.5px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: 9rem 1fr; gap: .3rem 1rem; margin: 0; }
"""


def page(case: Case, receipt: Lines = ()) -> str:
    """The page. Everything that comes from the chain is escaped."""
    from octoproof.starknet.cases import describe, findings, moves

    found, bought = case.dispute, case.purchase
    decided = f"by {found.decided_by}" if found.decided_by else (f"the {found.owes} is next" if found.owes else "")
    cards = (
        (OUTCOMES.get(found.state, found.state), decided),
        (f"{bought.refund_bps / 100:g} %", f"refund of {tokens(bought.price)}"),
        (found.level, "level"),
        (f"{case.seconds:,} s", "since it was filed, by block times"),
    )
    steps = "".join(
        f"<li><time>{clock(first.at)}, block {first.block}</time>{'<br>'.join(escape(describe(case, s)) for s in same)}"
        f'<br><code class="dim">{transaction:#x}</code></li>'
        for transaction, (first, same) in _by_transaction(case).items()
    )
    evidence = (
        ("kind", found.kind.replace("_", " ")),
        ("evidence", f"0x{found.evidence.hex()}"),
        ("claimant", f"{found.claimant:#x} (buyer)"),
        ("respondent", f"{found.respondent:#x} (seller)"),
        ("market", f"{case.market.address:#x}"),
        ("epoch", str(bought.epoch)),
        ("snapshot", f"0x{bought.snapshot_root.hex()}"),
    )
    checks = [(one.what, one.holds, one.detail) for one in findings(case)]
    money = [
        (move.source, move.target, tokens(move.amount), "stakes" if move.of_stakes else "prices", move.why)
        for move in moves(case)
    ]
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title(case))}</title><style>{_STYLE}</style></head><body>",
            f"<h1>Dispute {case.number}</h1>",
            f'<p class="dim">{escape(title(case))}</p>',
            '<div class="cards">',
            *(f'<div class="card"><b>{escape(a)}</b><span class="dim">{escape(b)}</span></div>' for a, b in cards),
            "</div>",
            f"<h2>Timeline</h2><ol>{steps}</ol>",
            "<h2>Evidence</h2><dl>",
            *(f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>" for name, value in evidence),
            f"</dl><h2>Checks</h2>{_checks(checks)}",
            f"<h2>The receipt</h2>{_checks(receipt)}" if receipt else "",
            "<h2>Money</h2>",
            _table(("from", "to", "amount", "token of", "why"), money),
            "</body></html>",
        )
    )


def _by_transaction(case: Case) -> dict[int, tuple[Step, list[Step]]]:
    """The first step and all steps of each transaction, in order."""
    found: dict[int, tuple[Step, list[Step]]] = {}
    for step in case.steps:
        found.setdefault(step.transaction, (step, []))[1].append(step)
    return found


def receipt_lines(path: Path | None) -> Lines:
    """The checks of a receipt, verified here. Raises VerificationError, ParseError, OSError."""
    if path is None:
        return ()
    from octoproof.accepted import accepted
    from octoproof.cli.airs import read_bounded
    from octoproof.cli.console import security_line
    from verifier.receipt import MAX_RECEIPT_BYTES, verify

    verdict = verify(read_bounded(path, MAX_RECEIPT_BYTES), accepted())
    lines = [
        (f"part {number}: {check.name}", True, f"{check.ms:.1f} ms")
        for number, part in enumerate(verdict.parts, 1)
        for check in part.checks
    ]
    return [*lines, ("security", True, security_line(verdict.security))]


def _checks(lines: Lines) -> str:
    rows = "".join(
        f'<tr><td class="{"yes" if ok else "no"}">{"✓" if ok else "✗"}</td><td>{escape(what)}</td>'
        f"<td><code>{escape(detail)}</code></td></tr>"
        for what, ok, detail in lines
    )
    return f"<table>{rows}</table>"


def _table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    named = list(headings)
    right = named.index("amount")
    head = "".join(f"<th{_class(k == right)}>{escape(name)}</th>" for k, name in enumerate(named))
    body = "".join(
        "<tr>" + "".join(f"<td{_class(k == right)}>{escape(cell)}</td>" for k, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _class(number: bool) -> str:
    return ' class="n"' if number else ""
