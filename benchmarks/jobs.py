"""What the distribution of proof jobs costs: the same queries through the runner, and in one bare loop.

    python benchmarks/jobs.py VECTORS.npz [--queries 100] [--workers 2] [--rounds 3]

The loop is `Session(threads=workers)`: it proves one query after the other with kept trees, and verifies each. The
ideal is as many such loops side by side, with one thread and a share of the queries each. All are measured when they
are warm, alternately, in processes of the same niceness. Prints JSON: of every side the least seconds, and the least
seconds of processor time, which tell more where the machine has other work. `ratio` is the loop's time by the runner's
(above 1, the runner is faster), `ideal_ratio` the ideal's.
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
KINDS = ("s", "cpu_s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path, help="an archive with the array `vectors`")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--segment-rows", type=int, default=8192)
    parser.add_argument("--loop", type=int, metavar="SEED", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loop is not None:
        found = loop(Snapshot.open(arguments.vectors), arguments.loop, arguments.queries, arguments.threads)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        vectors = np.load(arguments.vectors)["vectors"]
        rows = arguments.segment_rows
        snapshot = Snapshot.build(vectors, Path(folder) / "snapshot", segment_rows=rows, presets=("standard",))
        rounds = [measure(snapshot, seed, arguments) for seed in range(arguments.rounds)]
    best = {name: round(min(one[name] for one in rounds), 2) for name in rounds[0]}
    found = {
        "queries": arguments.queries,
        "segments": len(snapshot.segments),
        "segment_rows": arguments.segment_rows,
        "workers": arguments.workers,
        "cores": os.cpu_count(),
        "rounds": rounds,
        **best,
        "ratio": round(best["loop_s"] / best["runner_s"], 3),
        "ideal_ratio": round(best["ideal_s"] / best["runner_s"], 3),
    }
    print(json.dumps(found, indent=2))


def measure(snapshot: Snapshot, seed: int, arguments: Any) -> dict[str, float]:
    """Seconds of all sides for the same queries."""
    queries, workers = arguments.queries, arguments.workers
    sides = {
        "loop": loops(snapshot, seed, queries, 1, workers),
        "ideal": loops(snapshot, seed, queries // workers, workers, 1),
        "runner": runner(snapshot, seed, queries, workers),
    }
    return {f"{name}_{kind}": value for name, pair in sides.items() for kind, value in zip(KINDS, pair, strict=True)}


def loops(snapshot: Snapshot, seed: int, queries: int, processes: int, threads: int) -> tuple[float, float]:
    """Of so many bare loops at once: seconds of the slowest, and of processor time of all."""
    command = [sys.executable, __file__, str(snapshot.folder), "--queries", str(queries), "--threads", str(threads)]
    started = [
        subprocess.Popen([*command, "--loop", str(seed + 1000 * number)], stdout=subprocess.PIPE, text=True)
        for number in range(processes)
    ]
    found = [json.loads(process.communicate()[0]) for process in started]
    return max(seconds for seconds, _ in found), sum(processor for _, processor in found)


def questions(snapshot: Snapshot, seed: int, queries: int) -> list[int]:
    """Ids to ask for: first those to warm up with."""
    chosen = np.random.default_rng(seed).choice(snapshot.header.rows, WARM_UP + queries, replace=False)
    return [int(id) for id in chosen]


def loop(snapshot: Snapshot, seed: int, queries: int, threads: int) -> tuple[float, float]:
    """Of the bare loop: seconds, and seconds of processor time."""
    os.nice(NICENESS)
    with Session("standard", threads=threads) as session:
        for number, id in enumerate(questions(snapshot, seed, queries)):
            if number == WARM_UP:
                started = time.perf_counter(), time.process_time()
            session.prove(ask(snapshot, find(snapshot, id=id)))
        return time.perf_counter() - started[0], time.process_time() - started[1]


def runner(snapshot: Snapshot, seed: int, queries: int, workers: int) -> tuple[float, float]:
    """From the first submission until all jobs are verified: seconds, and seconds of processor time of the runner and
    all that it has started."""
    requests = [request_of(snapshot, find(snapshot, id=id)) for id in questions(snapshot, seed, queries)]
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        command = [sys.executable, "-m", "octoproof.pipeline.runner", folder, "--workers", str(workers)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _prove_all(store, requests[:WARM_UP], process)
            started = time.perf_counter(), processor_time(process.pid)
            _prove_all(store, requests[WARM_UP:], process)
            return time.perf_counter() - started[0], processor_time(process.pid) - started[1]
        finally:
            process.terminate()
            process.wait()


def processor_time(root: int) -> float:
    """Seconds that a process and its descendants have used so far."""
    ticks, children = dict[int, int](), dict[int, list[int]]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        pid = int(path.parent.name)
        ticks[pid] = int(fields[11]) + int(fields[12])
        children.setdefault(int(fields[1]), []).append(pid)
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        total += ticks[pid]
        todo += children.get(pid, [])
    return total / os.sysconf("SC_CLK_TCK")


def _prove_all(store: Store, requests: list[Any], process: subprocess.Popen[bytes]) -> None:
    before = store.counts()["verified"]
    for request in requests:
        store.submit(request)
    while store.counts()["verified"] < before + len(requests):
        assert process.poll() is None, "the runner has ended"
        time.sleep(0.02)


if __name__ == "__main__":
    main()
