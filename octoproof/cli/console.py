"""What all verbs share: how their applications are made, and how JSON, tables and sizes are printed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from verifier.errors import Check
    from verifier.security import Figures

JSON_OPTION = typer.Option("--json", help="Print JSON instead of text.")


def _choose(name: str) -> str:
    from octoproof.device import choose

    return choose(name)


DEVICE_OPTION = typer.Option(
    "--device", callback=_choose, help="What proves: auto (a card, if there is one), cpu, gpu."
)


def application(summary: str) -> typer.Typer:
    """A typer application with the project's manners: plain help text, no shell completion, no decorated tracebacks."""
    return typer.Typer(
        help=summary, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )


def print_json(document: Any) -> None:
    """One document on standard output."""
    print(json.dumps(document, indent=2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """Columns that hold only numbers are set flush right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        numeric = bool(rows) and all(_numeric(row[index]) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 160
    console.print(table)


def _numeric(value: object) -> bool:
    return value is None or isinstance(value, (int, float))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def megabytes(count: int | None) -> float | None:
    """Bytes as MB with one decimal."""
    return None if count is None else round(count / 1e6, 1)


def check_documents(checks: Sequence[Check], refusal: Exception | None = None) -> list[dict[str, Any]]:
    """Passed checks, and the one that failed: MerkleError is the check `merkle`."""
    found = [check_document(check.name, True, check.ms) for check in checks]
    if refusal is not None:
        found.append(check_document(type(refusal).__name__.removesuffix("Error").lower(), False))
    return found


def check_document(name: str, ok: bool, ms: float | None = None) -> dict[str, Any]:
    """One line of a verdict."""
    return {"name": name, "ok": ok, "ms": None if ms is None else round(ms, 3)}


def security_document(figures: Figures) -> dict[str, float | str]:
    """Both figures, rounded down to a tenth of a bit, and what binds the proven one."""
    return {
        "conjectured": math.floor(figures.conjectured * 10) / 10,
        "proven": math.floor(figures.proven * 10) / 10,
        "regime": figures.regime,
        "binds": figures.binds,
    }


def security_line(figures: Figures) -> str:
    """Both security figures in one line; what they rest on is in SECURITY.md."""
    shown = security_document(figures)
    return f"{shown['conjectured']} bits of security conjectured, {shown['proven']} proven ({shown['regime']})"
