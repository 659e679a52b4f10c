"""`octoproof jobs`: the proof jobs of a store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octoproof.pipeline.jobs import Job
    from octoproof.pipeline.store import Store

app = application("List proof jobs, the latest first.")

STORE_OPTION = typer.Option("--store", metavar="DIR", help="The job store (else $OCTOPROOF_STORE, or the user's own).")


@app.command()
def jobs(
    state: Annotated[
        list[str] | None, typer.Option("--state", help="queued, running, proving, verified, failed, cancelled.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
    collect: Annotated[
        float | None,
        typer.Option("--collect-garbage", metavar="DAYS", help="First forget jobs that ended longer ago."),
    ] = None,
    store: Annotated[Path | None, STORE_OPTION] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Lists jobs with their states."""
    from octoproof.pipeline.jobs import STATES

    if unknown := set(state or ()) - set(STATES):
        raise typer.BadParameter(f"{min(unknown)!r}: one of {', '.join(STATES)}", param_hint="--state")
    with opened(store) as held:
        removed = None if collect is None else held.collect_garbage(collect * 86400)
        found = held.jobs(state or STATES, limit)
        counts = held.counts()
        runners = len(held.runners())
    if as_json:
        print_json({"jobs": [document(job) for job in found], "counts": counts, "runners": runners, "removed": removed})
        return
    if removed is not None:
        print(f"forgot {removed[0]} jobs, removed {removed[1]} files of {removed[2]:,} bytes")
    print_jobs(found)
    print(", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no jobs")
    print(f"{runners} runners at work" if runners else "no runner at work: start one with `octoproof serve`")


def opened(folder: Path | None) -> Store:
    """The store that is named, or the user's own."""
    from octoproof.pipeline.home import default_store
    from octoproof.pipeline.store import Store

    return Store(folder or default_store())


def document(job: Job) -> dict[str, Any]:
    """A job as JSON."""
    request = job.request
    return {
        "id": job.id,
        "state": job.state,
        "part": job.part,
        "parts": job.parts,
        "priority": job.priority.name.lower(),
        "deadline": job.deadline,
        "created": job.created,
        "updated": job.updated,
        "attempts": job.attempts,
        "reason": job.reason,
        "receipt": job.receipt,
        "snapshot_root": request.root,
        "mode": request.mode,
        "metric": request.metric,
        "k": request.k,
        "where": dict(request.where),
        "preset": request.preset,
    }


def print_jobs(found: Sequence[Job]) -> None:
    """Jobs as a table."""
    rows = [
        (job.id, job.shown_state, job.priority.name.lower(), job.request.mode, job.request.k, _ago(job.created))
        for job in found
    ]
    print_table(("job", "state", "priority", "mode", "k", "submitted"), rows)


def _ago(then: float) -> str:
    seconds = max(0.0, time.time() - then)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
