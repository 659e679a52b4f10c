"""How much of the true answer the approximate search finds (REQUIREMENTS VQ-32), estimated on a snapshot's own rows."""

from __future__ import annotations

import numpy as np

from octoproof.vectors.graph import graph_of
from octoproof.vectors.query import ask, find
from octoproof.vectors.snapshot import Snapshot

SAMPLE, K = 16, 10


def recall_estimate(snapshot: Snapshot, sample: int = SAMPLE, k: int = K) -> float:
    """Share of the exact k best rows that modes `fast` and `candidates` search out, over some live rows as queries,
    which are the same for the same snapshot. 1.0 where these modes search exactly. Raises VectorError, OSError."""
    if not snapshot.header.cells and graph_of(snapshot, "l2") is None:
        return 1.0
    ids = np.concatenate([stored.segment.ids[stored.segment.live] for stored in snapshot.segments])
    chosen = np.random.default_rng(0).choice(np.sort(ids), min(sample, len(ids)), replace=False)
    found = wanted = 0
    for id in chosen.tolist():
        query = find(snapshot, id=id)
        exact = {match.id for match in ask(snapshot, query, k).matches}
        found += len(exact & {match.id for match in ask(snapshot, query, k, mode="fast").matches})
        wanted += len(exact)
    return found / wanted
