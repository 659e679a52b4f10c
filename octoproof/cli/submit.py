"""`octoproof submit`: queries as proof jobs, proven by whoever serves the store, or here with --wait."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from octoproof.cli.console import JSON_OPTION, application, print_json
from octoproof.cli.jobs import STORE_OPTION, document, opened, print_jobs
from octoproof.cli.query import filters_of

if TYPE_CHECKING:
    from octoproof.pipeline.jobs import Job
    from octoproof.pipeline.store import Store

app = application("Submit queries as proof jobs.")


@app.command()
def submit(
    folder: Annotated[Path, typer.Argument(metavar="SNAPSHOT", help="The snapshot's folder.")],
    id: Annotated[list[int] | None, typer.Option("--id", help="Ask for the neighbours of this id; repeatable.")] = None,
    word: Annotated[list[str] | None, typer.Option("--word", help="... of this label; repeatable.")] = None,
    vectors: Annotated[
        Path | None, typer.Option("--vectors", metavar="FILE.npy", help="... of every row, (N, D): one job each.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    metric: Annotated[str, typer.Option("--metric", help="l2, ip or cosine.")] = "l2",
    mode: Annotated[str, typer.Option("--mode", help="strict, ivf, candidates or fast.")] = "strict",
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="FIELD=VALUE", help="Only such vectors; repeatable.")
    ] = None,
    probes: Annotated[int, typer.Option("--probes", min=0, help="Cells that are searched; 0 for the usual 16.")] = 0,
    candidates: Annotated[int, typer.Option("--candidates", min=0, help="Rows that are ranked; 0 for the least.")] = 0,
    preset: Annotated[str, typer.Option("--preset", help="Parameters of the proof.")] = "standard",
    priority: Annotated[str, typer.Option("--priority", help="high, normal or low.")] = "normal",
    deadline: Annotated[
        float | None, typer.Option("--deadline", metavar="SECONDS", help="From now; a job that waits longer fails.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until all have ended; with no runner at work, run them here.")
    ] = False,
    address: Annotated[str | None, typer.Option("--address", help="With --wait: of a Ray cluster.")] = None,
    store: Annotated[Path | None, STORE_OPTION] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> None:
    """Queues one job a query, and prints the jobs. The same query twice is the same job."""
    import time

    from octoproof.pipeline.jobs import Priority
    from octoproof.pipeline.request import request_of
    from octoproof.vectors.query import find, quantise_query
    from octoproof.vectors.snapshot import Snapshot

    try:
        level = Priority[priority.upper()]
    except KeyError:
        raise typer.BadParameter(f"{priority!r}: high, normal or low", param_hint="--priority") from None
    started, snapshot = perf_counter(), Snapshot.open(folder)
    asked = [find(snapshot, id=one) for one in id or ()] + [find(snapshot, label=one) for one in word or ()]
    asked += [quantise_query(snapshot, row) for row in _rows(vectors)]
    if not asked:
        raise typer.BadParameter("at least one is needed", param_hint="--id, --word or --vectors")
    options: dict[str, Any] = {
        "k": k,
        "metric": metric,
        "mode": mode,
        "where": filters_of(where or []),
        "preset": preset,
    }
    requests = [request_of(snapshot, one, probes=probes, candidates=candidates, **options) for one in asked]
    until = None if deadline is None else time.time() + deadline
    with opened(store) as jobs:
        found = [jobs.submit(request, level, until) for request in requests]
        spent = perf_counter() - started
        ended = _wait(jobs, [job.id for job, _ in found], address) if wait else [job for job, _ in found]
    if as_json:
        print_json({"jobs": [document(job) for job in ended], "submit_s": round(spent, 4)})
    else:
        print_jobs(ended)
    raise typer.Exit(1 if wait and any(job.state != "verified" for job in ended) else 0)


def _rows(path: Path | None) -> Any:
    from octoproof.vectors.load import load_arrays

    return () if path is None else load_arrays(path).vectors


def _wait(store: Store, ids: list[str], address: str | None) -> list[Job]:
    """Watches the jobs to their end; starts a runner of its own where none is at work."""
    import subprocess
    import sys
    import time

    from octoproof.cli.working import counting
    from octoproof.pipeline.jobs import OPEN
    from octoproof.vectors.errors import VectorError

    child: subprocess.Popen[bytes] | None = None
    try:
        with counting("proving", len(ids)) as show:
            while True:
                jobs = [store.job(id) for id in ids]
                waiting = [job for job in jobs if job.state in OPEN]
                show(len(jobs) - len(waiting) + sum(job.part / job.parts for job in waiting if job.parts))
                if not waiting:
                    return jobs
                if child is not None and child.poll():
                    reason = child.stderr.read().decode(errors="replace").strip() if child.stderr else ""
                    raise VectorError(f"runner: ended with {child.returncode}: {reason.splitlines()[-1:]}")
                if (child is None or child.poll() is not None) and not store.runners():
                    command = [sys.executable, "-m", "octoproof.pipeline.runner", str(store.folder), "--drain"]
                    command += [] if address is None else ["--address", address]
                    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                time.sleep(0.1)
    finally:
        if child is not None:
            child.terminate()
            child.wait()
