"""The approximate first layer: candidates from an HNSW graph, by the package usearch (the extra `ann`).

A graph built twice is not the same graph, and nothing proves it: it only proposes rows, which `rerank` ranks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from octoproof.device import usable_cores
from octoproof.files import write_atomically
from octoproof.vectors.errors import SnapshotError, VectorError

_METRICS = {"l2": "l2sq", "ip": "ip", "cosine": "cos"}
_BOUNDS = {"m": (2, 128), "ef_construction": (64, 512), "ef_search": (1, 512)}


@dataclass(frozen=True)
class HnswParameters:
    """Neighbours a node, and how many candidates are kept while building and searching. Raises VectorError."""

    m: int = 16
    ef_construction: int = 200
    ef_search: int = 200

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise VectorError(f"{name}: {value} is outside {low}..{high}")


DEFAULTS = HnswParameters()


@dataclass(frozen=True)
class HnswIndex:
    """An opened graph; its file stays mapped."""

    graph: Any

    def __len__(self) -> int:
        return len(self.graph)

    def search(self, query: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
        """About the `count` ids nearest to a (D,) query, nearest first; all, if there are fewer. Raises VectorError."""
        values = np.asarray(query, dtype=np.float32)
        if values.shape != (self.graph.ndim,):
            raise VectorError(f"query: shape {values.shape}, but the index has {self.graph.ndim} dimensions")
        if count < 1:
            raise VectorError(f"count: {count}; ask for at least one candidate")
        return self.graph.search(values, count, threads=1).keys.astype(np.int64)


def write_index(
    path: str | os.PathLike[str],
    vectors: npt.NDArray[np.generic],
    ids: npt.NDArray[np.int64],
    metric: str,
    live: npt.NDArray[np.bool_] | None = None,
    parameters: HnswParameters = DEFAULTS,
) -> None:
    """Builds the graph of the live ones of (N, D) vectors with (N,) ids, and writes it, whole or not at all.

    Raises VectorError without usearch and for an unknown metric, OSError."""
    if metric not in _METRICS:
        raise VectorError(f"metric: {metric!r:.40} is not one of {', '.join(_METRICS)}")
    graph = _index_class()(
        ndim=vectors.shape[1],
        metric=_METRICS[metric],
        dtype="f32",
        connectivity=parameters.m,
        expansion_add=parameters.ef_construction,
    )
    kept = slice(None) if live is None else live
    graph.add(ids[kept].astype(np.uint64), vectors[kept].astype(np.float32), threads=usable_cores())
    write_atomically(path, graph.save())


def open_index(path: str | os.PathLike[str], parameters: HnswParameters = DEFAULTS) -> HnswIndex:
    """Maps a file of `write_index`. Raises VectorError without usearch, OSError, SnapshotError for another file.

    Only head and length of the file are looked at: where it may have changed, compare its checksum first."""
    index_class = _index_class()
    os.stat(path)  # usearch has no error of its own for a missing file
    try:
        graph = index_class.restore(os.fspath(path), view=True, expansion_search=parameters.ef_search)
    except (ValueError, RuntimeError) as error:
        raise SnapshotError(f"{os.fspath(path)}: not an index ({error}); build it again") from None
    return HnswIndex(graph)


def _index_class() -> Any:
    try:
        from usearch.index import Index
    except ImportError:
        raise VectorError("hnsw: needs the package usearch; install octoproof[ann]") from None
    return Index
