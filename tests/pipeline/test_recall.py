"""The recall that a service tells of its snapshots."""

from __future__ import annotations

import numpy as np

from octoproof.pipeline import recall as module
from octoproof.pipeline.recall import recall_estimate
from octoproof.pipeline.snapshots import Snapshots
from octoproof.vectors.query import ask
from octoproof.vectors.snapshot import Snapshot

VECTORS = np.random.default_rng(1).normal(0, 1, (600, 8)).astype(np.float32)


def test_what_is_searched_exactly_is_found(tmp_path):
    assert recall_estimate(Snapshot.build(VECTORS, tmp_path / "a", presets=("bench",))) == 1.0


def test_cells_lose_some(tmp_path, monkeypatch):
    """Of 600 rows without clusters, few cells hold not all neighbours; with all cells searched, all are found."""
    snapshot = Snapshot.build(VECTORS, tmp_path / "a", cells=40, presets=("bench",))

    def with_probes(count: int) -> float:
        monkeypatch.setattr(module, "ask", lambda *a, **k: ask(*a, **k, **({"probes": count} if k else {})))
        return recall_estimate(snapshot)

    few, some, all_ = with_probes(1), with_probes(8), with_probes(40)
    assert 0.1 < few < some < all_ == 1.0


def test_a_new_version_is_estimated_again(tmp_path, monkeypatch):
    snapshot = Snapshot.build(VECTORS, tmp_path / "a", cells=40, presets=("bench",))
    asked = []
    monkeypatch.setattr(
        "octoproof.pipeline.snapshots.recall_estimate", lambda snapshot: asked.append(snapshot.number) or 0.5
    )
    served = Snapshots({"a": snapshot.folder})
    assert [served.recall("a"), served.recall("a")] == [0.5, 0.5]
    snapshot.delete([3])
    served.recall("a")
    assert asked == [1, 2]
