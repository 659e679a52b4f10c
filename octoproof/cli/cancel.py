"""`octoproof cancel`: ends proof jobs that have not ended by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json
from octoproof.cli.jobs import STORE_OPTION, document, opened, print_jobs

app = application("Cancel proof jobs.")


@app.command()
def cancel(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids, or how they begin.")],
    store: Annotated[Path | None, STORE_OPTION] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Cancels jobs; one that has ended stays as it is, and exit is 1 then."""
    with opened(store) as held:
        found = [held.job(job) for job in jobs]
        after = [held.cancel(job.id) for job in found]
    if as_json:
        print_json([document(job) for job in after])
    else:
        print_jobs(after)
    raise typer.Exit(0 if all(job.state == "cancelled" for job in after) else 1)
