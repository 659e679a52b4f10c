"""Proof jobs for some minutes under mixed load, with faults: what becomes of the jobs, and of the memory.

    python benchmarks/soak.py [--minutes 30] [--workers 2] [--kill-every 40]

Jobs in all modes are submitted as others end, some are cancelled, workers are killed, the snapshot grows, and garbage
is collected. Prints JSON: counts, and every few seconds the anonymous memory (mapped files aside) of the runner and of
each worker. Growth is that of the medians of the last third by those of the first: of the runner, and of the workers
that lived through a third.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from octoproof.pipeline.child import RunnerChild
from octoproof.pipeline.jobs import OPEN, Priority
from octoproof.pipeline.request import request_of
from octoproof.pipeline.store import Store
from octoproof.vectors.query import quantise_query
from octoproof.vectors.receipts import QueryReceipt
from octoproof.vectors.snapshot import Snapshot

ROWS, DIMENSION, SEGMENT_ROWS = 20_000, 32, 2048
MODES: tuple[dict[str, Any], ...] = ({}, {}, {"metric": "ip"}, {"mode": "ivf", "probes": 3}, {"mode": "fast"})
OPEN_JOBS = 16
SAMPLE_S, APPEND_S, GARBAGE_S = 5.0, 20.0, 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=40.0, metavar="SECONDS", help="a worker; 0: none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(soak(Path(folder), arguments.minutes * 60, arguments.workers, arguments.kill_every), indent=2))


def soak(folder: Path, seconds: float, workers: int, kill_every: float) -> dict[str, Any]:
    """What happened in so many seconds, and until all jobs had ended."""
    rng, said, done = np.random.default_rng(3), Counter[str](), Counter[str]()
    vectors = rng.normal(0, 1, (ROWS, DIMENSION)).astype(np.float32)
    plain = Snapshot.build(vectors, folder / "plain", segment_rows=SEGMENT_ROWS, presets=("bench",))
    cells = Snapshot.build(vectors, folder / "cells", cells=10, presets=("bench",))
    samples, due = list[dict[str, Any]](), dict.fromkeys(("sample", "append", "garbage", "kill"), 0.0)
    intervals = {"sample": SAMPLE_S, "append": APPEND_S, "garbage": GARBAGE_S, "kill": kill_every}
    arguments = [str(folder / "store"), "--workers", str(workers)]
    with Store(folder / "store") as store, RunnerChild(arguments, lambda text: said.update([kind_of(text)])) as child:
        wait_for(lambda: workers_of(child.pid))
        started = time.monotonic()
        while (now := time.monotonic() - started) < seconds:
            for name in [name for name in due if now >= due[name]]:
                due[name] = now + intervals[name]
                if name == "sample":
                    samples.append({"at_s": round(now), **memory(child.pid)})
                elif name == "append":
                    plain = plain.append(rng.normal(0, 0.5, (50, DIMENSION)).astype(np.float32))
                elif name == "garbage":
                    done.update(forgotten=store.collect_garbage(GARBAGE_S)[0])
                elif 0 < kill_every < now and (alive := workers_of(child.pid)):
                    os.kill(random.choice(alive), signal.SIGKILL)
                    done.update(killed=1)
            jobs = store.jobs(OPEN)
            for _ in range(OPEN_JOBS - len(jobs)):
                options = MODES[rng.integers(len(MODES))]
                snapshot = cells if options.get("mode") == "ivf" else plain
                asked = quantise_query(snapshot, rng.normal(0, 0.5, DIMENSION))
                request = request_of(snapshot, asked, preset="bench", **options)
                store.submit(request, Priority(rng.integers(3)))
                done.update(submitted=1)
            if jobs and rng.random() < 0.02:
                store.cancel(jobs[rng.integers(len(jobs))].id)
                done.update(cancelled=1)
            time.sleep(0.05)
        wait_for(lambda: not store.jobs(OPEN))
        left = store.jobs(limit=100_000)
        for job in left:
            if job.receipt is not None:
                QueryReceipt(store.artefacts.get(job.receipt)).verify(job.request.root, min_conjectured=0.0)
        starts = child.starts
    return {
        "seconds": seconds,
        "done": dict(done),
        "said": dict(said),
        "runner_starts": starts,
        "jobs_left": dict(Counter(job.shown_state for job in left)),
        "growth": growth(samples, seconds),
        "samples": samples,
    }


def kind_of(text: str) -> str:
    """What a line of the runner's is about."""
    return next((kind for kind in ("verified", "failed", "dealt again", "workers with") if kind in text), text[:60])


def wait_for(condition: Any) -> None:
    ends = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < ends, "it never happens"
        time.sleep(0.1)


def workers_of(root: int | None) -> list[int]:
    return [pid for pid, text in tree(root).items() if "ray::ProverActor" in text]


def memory(root: int | None) -> dict[str, Any]:
    """Megabytes of the runner, of each worker by its process, and of all that is Ray's own."""
    found = {pid: (text, anonymous(pid)) for pid, text in tree(root).items()}
    workers = {str(pid): size for pid, (text, size) in found.items() if "ray::ProverActor" in text}
    own = found[root][1] if root in found else 0
    rest = sum(size for _, size in found.values()) - own - sum(workers.values())
    return {"runner_mb": own, "workers_mb": workers, "ray_mb": rest}


def anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon:")), 0)


def tree(root: int | None) -> dict[int, str]:
    """The command lines of a process and its descendants."""
    children, texts = dict[int, list[int]](), dict[int, str]()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            texts[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.name))
    found, todo = dict[int, str](), [root] if root in texts else []
    while todo:
        pid = todo.pop()
        found[pid] = texts[pid]
        todo += children.get(pid, [])
    return found


def growth(samples: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Megabytes in the first and in the last third of the time; of each worker, of its own time without its start."""
    first = [one["runner_mb"] for one in samples if one["at_s"] < seconds / 3]
    last = [one["runner_mb"] for one in samples if one["at_s"] > 2 * seconds / 3]
    lives: dict[str, list[int]] = {}
    for one in samples:
        for pid, size in one["workers_mb"].items():
            lives.setdefault(pid, []).append(size)
    long = [life[2:] for life in lives.values() if len(life) > max(8, seconds / 3 / SAMPLE_S)]
    thirds = [(median(life[: len(life) // 3]), median(life[-len(life) // 3 :])) for life in long]
    return {"runner_mb": [median(first), median(last)], "workers_mb": thirds}


if __name__ == "__main__":
    main()
