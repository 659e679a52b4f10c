"""What Prometheus reads (REQUIREMENTS VQ-32): jobs, latencies, throughput, tombstones, memory.

Jobs may be proven by other runners than the service's own: everything about them is read from the store's table, which
this file alone reads besides `store`, since only times are needed here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from threading import Lock

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

from octoproof.pipeline.database import Database
from octoproof.pipeline.forms import SnapshotView
from octoproof.pipeline.jobs import VERIFIED
from octoproof.pipeline.store import MIGRATIONS

MINUTE_S, OVERLAP_S = 60.0, 10.0
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 300.0)
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Metrics:
    """The figures of one service, from its start on. Safe for many threads."""

    def __init__(self) -> None:
        self._registry, self._lock = CollectorRegistry(), Lock()
        self._jobs = self._gauge("jobs", "Jobs by state", "state")
        self._runners = self._gauge("runners", "Runners that are alive")
        self._per_minute = self._gauge("proofs_per_minute", "Jobs verified in the last minute")
        self._queued = self._histogram("proof_gen_queue_latency_seconds", "From submission to the start of the proof")
        self._proved = self._histogram("prove_seconds", "From the start of a proof to the verified receipt")
        self._tombstones = self._gauge("tombstone_ratio", "Share of deleted rows", "snapshot")
        self._compaction = self._gauge("compaction_queue_depth", "Rewrites of segments that are due", "snapshot")
        self._recall = self._gauge(
            "recall_estimate", "Share of the exact 10 best that the fast search finds", "snapshot"
        )
        self._rows = self._gauge("live_rows", "Rows that are not deleted", "snapshot")
        self._memory = self._gauge(
            "resident_memory_bytes", "Of the service, and of its runner with all it starts", "of"
        )
        self._seen, self._last = dict[str, float](), time.time()

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"octoproof_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"octoproof_{name}", text, buckets=BUCKETS, registry=self._registry)

    def observe(self, folder: Path) -> int:
        """Counts the jobs that were verified since the last call; how many were in the last minute.

        Raises OSError."""
        with self._lock:
            now = time.time()
            # Rows are stamped before they are committed: the last ones are read twice, and known by their ids.
            since = min(self._last - OVERLAP_S, now - MINUTE_S)
            for id, created, started, ended in verified_since(folder, since):
                if id not in self._seen and ended > self._last - OVERLAP_S:
                    self._queued.observe(max(0.0, started - created))
                    self._proved.observe(max(0.0, ended - started))
                self._seen[id] = ended
            self._seen = {id: ended for id, ended in self._seen.items() if ended > since}
            self._last = now
            recent = sum(ended > now - MINUTE_S for ended in self._seen.values())
            self._per_minute.set(recent)
            return recent

    def text(
        self,
        counts: dict[str, int],
        runners: int,
        snapshots: Iterable[SnapshotView],
        recalls: dict[str, float],
        pids: dict[str, int | None],
    ) -> bytes:
        """Prometheus' text format, of what was observed and of these figures; recalls by the snapshots' names."""
        for state, count in counts.items():
            self._jobs.labels(state).set(count)
        self._runners.set(runners)
        for view in snapshots:
            self._tombstones.labels(view.name).set(view.tombstones)
            self._compaction.labels(view.name).set(len(view.compaction))
            self._rows.labels(view.name).set(view.live)
        for name, recall in recalls.items():
            self._recall.labels(name).set(recall)
        for name, pid in pids.items():
            self._memory.labels(name).set(resident_bytes(pid, with_children=name == "runner"))
        return generate_latest(self._registry)


def verified_since(folder: Path, then: float) -> list[tuple[str, float, float, float]]:
    """(id, created, started, ended) of the jobs that were verified after a time. Raises OSError."""
    with closing(Database(folder / "jobs.sqlite", MIGRATIONS)) as db:
        rows = db.all("SELECT id, created, started, updated FROM jobs WHERE state = ? AND updated > ?", VERIFIED, then)
    return [tuple(row) for row in rows]


def resident_bytes(pid: int | None, with_children: bool = False) -> int:
    """Memory of a process, with all that descend from it if wanted; 0 where the system does not tell."""
    if pid is None or not Path("/proc/self/stat").exists():
        return 0
    wanted, parents = {pid}, _parents() if with_children else {}
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in wanted} - wanted
        wanted, grown = wanted | more, bool(more)
    return sum(_resident(one) for one in wanted)


def _parents() -> dict[int, int]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    return found


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0
