"""`octoproof history`: the receipts that were verified here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json, print_table
from octoproof.cli.jobs import STORE_OPTION, opened

app = application("List the receipts that were verified here, the latest first.")


@app.command()
def history(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
    store: Annotated[Path | None, STORE_OPTION] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Lists what `octoproof verify` found valid, with what was demanded then."""
    with opened(store) as held:
        found = held.history(limit)
    if as_json:
        print_json(found)
        return
    rows = []
    for entry in found:
        statement = entry["verdict"]["statement"]
        part = statement["parts"][0]
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["at"]))
        rows.append((when, entry["receipt"][:16], statement["type"], part.get("mode", "-"), part.get("k", "-")))
    print_table(("verified", "receipt", "type", "mode", "k"), rows)
