"""What the distribution of proof jobs costs: the same queries through the runner, and in one bare loop.

    python benchmarks/jobs.py VECTORS.npz [--queries 100] [--workers 2] [--rounds 3]

The loop is `Session(threads=workers)`: it proves one query after the other with kept trees, and verifies each. Both
sides are measured when they are warm, alternately, in processes of the same niceness. Prints JSON; `ratio` is the
loop's time by the runner's, of the fastest rounds: above 1, the runner is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from octoproof.pipeline.request import request_of
from octoproof.pipeline.store import Store
from octoproof.vectors.answers import Session
from octoproof.vectors.query import ask, find
from octoproof.vectors.snapshot import Snapshot

NICENESS = 15  # Ray's for its workers
WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path, help="an archive with the array `vectors`")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--segment-rows", type=int, default=8192)
    parser.add_argument("--loop", type=int, metavar="SEED", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop is not None:
        print(loop(Snapshot.open(arguments.vectors), arguments.loop, arguments.queries, arguments.workers))
        return
    with tempfile.TemporaryDirectory() as folder:
        vectors = np.load(arguments.vectors)["vectors"]
        rows = arguments.segment_rows
        snapshot = Snapshot.build(vectors, Path(folder) / "snapshot", segment_rows=rows, presets=("standard",))
        rounds = [measure(snapshot, seed, arguments) for seed in range(arguments.rounds)]
    best = {side: min(one[side] for one in rounds) for side in ("loop_s", "runner_s")}
    found = {
        "queries": arguments.queries,
        "segments": len(snapshot.segments),
        "segment_rows": arguments.segment_rows,
        "workers": arguments.workers,
        "cores": os.cpu_count(),
        "rounds": rounds,
        **best,
        "ratio": round(best["loop_s"] / best["runner_s"], 3),
    }
    print(json.dumps(found, indent=2))


def measure(snapshot: Snapshot, seed: int, arguments: Any) -> dict[str, Any]:
    """Seconds of both sides for the same queries."""
    command = [sys.executable, __file__, str(snapshot.folder), "--loop", str(seed)]
    command += ["--queries", str(arguments.queries), "--workers", str(arguments.workers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    runner_s = runner(snapshot, seed, arguments.queries, arguments.workers)
    return {"loop_s": float(done.stdout), "runner_s": runner_s, "ratio": round(float(done.stdout) / runner_s, 3)}


def questions(snapshot: Snapshot, seed: int, queries: int) -> list[int]:
    """Ids to ask for: first those to warm up with."""
    chosen = np.random.default_rng(seed).choice(snapshot.header.rows, WARM_UP + queries, replace=False)
    return [int(id) for id in chosen]


def loop(snapshot: Snapshot, seed: int, queries: int, threads: int) -> float:
    """Seconds of the bare loop."""
    os.nice(NICENESS)
    with Session("standard", threads=threads) as session:
        for number, id in enumerate(questions(snapshot, seed, queries)):
            if number == WARM_UP:
                started = time.perf_counter()
            session.prove(ask(snapshot, find(snapshot, id=id)))
        return time.perf_counter() - started


def runner(snapshot: Snapshot, seed: int, queries: int, workers: int) -> float:
    """Seconds from the first submission until all jobs are verified."""
    requests = [request_of(snapshot, find(snapshot, id=id)) for id in questions(snapshot, seed, queries)]
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        command = [sys.executable, "-m", "octoproof.pipeline.runner", folder, "--workers", str(workers)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _prove_all(store, requests[:WARM_UP], process)
            started = time.perf_counter()
            _prove_all(store, requests[WARM_UP:], process)
            return time.perf_counter() - started
        finally:
            process.terminate()
            process.wait()


def _prove_all(store: Store, requests: list[Any], process: subprocess.Popen[bytes]) -> None:
    before = store.counts()["verified"]
    for request in requests:
        store.submit(request)
    while store.counts()["verified"] < before + len(requests):
        assert process.poll() is None, "the runner has ended"
        time.sleep(0.02)


if __name__ == "__main__":
    main()
