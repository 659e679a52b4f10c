"""`octoproof show`: one proof job, and its receipt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json
from octoproof.cli.jobs import STORE_OPTION, document, opened

app = application("Show one proof job, and write its receipt.")


@app.command()
def show(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Its id, or how that begins.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The receipt goes here.")] = None,
    store: Annotated[Path | None, STORE_OPTION] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Shows a job; with --out, writes the receipt of a verified one, else exit 1."""
    from octoproof.files import write_atomically

    with opened(store) as held:
        found = held.job(job)
        data = held.artefacts.get(found.receipt) if found.receipt is not None else None
    if out is not None and data is not None:
        write_atomically(out, data)
    shown = document(found) | {"receipt_bytes": None if data is None else len(data)}
    if as_json:
        print_json(shown)
    else:
        for name, value in shown.items():
            print(f"{name.replace('_', ' ')}: {'-' if value is None else value}")
    if out is not None and data is None:
        print(f"no receipt: the job is {found.shown_state}")
        raise typer.Exit(1)
