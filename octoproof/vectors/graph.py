"""HNSW graphs beside a snapshot: one file a version and metric, which proposes rows for the opening modes.

    graphs/ROOT-METRIC.usearch

A graph is no part of what is committed; nothing that is proven rests on it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from octoproof.vectors.hnsw import DEFAULTS, HnswIndex, HnswParameters, open_index, write_index
from octoproof.vectors.snapshot import Snapshot

GRAPHS = "graphs"


def graph_path(snapshot: Snapshot, metric: str) -> Path:
    """Where the graph of this version is, or would be."""
    return snapshot.folder / GRAPHS / f"{snapshot.root.hex()}-{metric}.usearch"


def build_graph(snapshot: Snapshot, metric: str = "l2", parameters: HnswParameters = DEFAULTS) -> Path:
    """Builds and writes the graph over all live rows. Raises VectorError without the package usearch, OSError."""
    path = graph_path(snapshot, metric)
    path.parent.mkdir(exist_ok=True)
    segments = [stored.segment for stored in snapshot.segments]
    vectors = np.concatenate([segment.vectors() for segment in segments])
    ids = np.concatenate([segment.ids for segment in segments])
    live = np.concatenate([segment.live for segment in segments])
    write_index(path, vectors, ids, metric, live, parameters)
    return path


def graph_of(snapshot: Snapshot, metric: str) -> HnswIndex | None:
    """The graph of this version, if one has been built."""
    path = graph_path(snapshot, metric)
    return _opened(path) if path.is_file() else None


@lru_cache(maxsize=4)
def _opened(path: Path) -> HnswIndex:
    return open_index(path)
