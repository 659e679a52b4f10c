"""Any sequence of changes gives the answers of a plain model, and every version stays what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from octoproof.vectors.snapshot import Snapshot

RNG = np.random.default_rng(6)
VECTORS = RNG.normal(0, 1, (50, 3)).astype(np.float32)
KINDS = [("noun", "verb", "")[k % 3] for k in range(50)]
TONES = [("warm", "cold")[k % 2] for k in range(50)]
BUILDS: dict[str, dict[str, Any]] = {"plain": {}, "cells": {"cells": 4}, "stoolap": {"row_rule": "stoolap"}}


def live(snapshot: Snapshot) -> dict[int, tuple[int, ...]]:
    """{id: coordinates} of all live rows."""
    rows = [stored.segment.live_rows() for stored in snapshot.segments]
    return {int(id): tuple(x.tolist()) for part in rows for id, x in zip(part.ids, part.coordinates, strict=True)}


def drawn(rng: np.random.Generator, action: str, model: dict[int, Any]) -> dict[str, Any]:
    """Something to append: new ids, or any."""
    pool = np.arange(300) if action == "replace" else np.setdiff1d(np.arange(300), sorted(model))
    ids = rng.choice(pool, int(rng.integers(1, 30)), replace=False).tolist()
    return {
        "vectors": rng.normal(0, 0.6, (len(ids), 3)).astype(np.float32),
        "ids": ids,
        "labels": rng.choice(["noun", "verb", "new", ""], len(ids)).tolist(),
        "payload": {"tone": rng.choice(["warm", "cold"], len(ids)).tolist()},
    }


@pytest.mark.parametrize("kind", BUILDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_any_sequence_of_changes(kind, seed, tmp_path, proved, verified, exact):
    """The model is a dict from id to vector, label and tone."""
    rng = np.random.default_rng(seed)
    options = {"labels": KINDS, "payload": {"tone": TONES}, "presets": ("bench",), "segment_rows": 20}
    snapshot = Snapshot.build(VECTORS, tmp_path / kind, **options, **BUILDS[kind])
    model = {k: (VECTORS[k], KINDS[k], TONES[k]) for k in range(50)}
    history = {snapshot.number: (snapshot.root, set(model))}
    for _ in range(12):
        action = rng.choice(["append", "replace", "delete", "compact"], p=[0.35, 0.2, 0.35, 0.1])
        if action == "delete":
            victims = rng.choice(sorted(model), int(rng.integers(1, min(9, len(model)))), replace=False).tolist()
            snapshot = snapshot.delete(victims)
            model = {id: row for id, row in model.items() if id not in victims}
        elif action == "compact":
            snapshot = snapshot.compact()
        else:
            more = drawn(rng, action, model)
            texts = more["labels"], more["payload"]["tone"]
            model |= {id: row for id, *row in zip(more["ids"], more["vectors"], *texts, strict=True)}
            snapshot = snapshot.append(more.pop("vectors"), replace=action == "replace", **more)
        snapshot.check()
        history[snapshot.number] = snapshot.root, set(model)
        coordinates = snapshot.quantiser(np.array([row[0] for row in model.values()]))
        assert live(snapshot) == dict(zip(model, map(tuple, coordinates.tolist()), strict=True))
        where = [{}, {"label": "noun"}, {"tone": "cold", "label": "verb"}][int(rng.integers(3))]
        passing = [where.items() <= {"label": row[1], "tone": row[2]}.items() for row in model.values()]
        result = snapshot.query(rng.normal(0, 0.6, 3), k=7, where=where)
        expected = exact(coordinates[passing], np.array(list(model))[passing], result.answer.question.query, 7)
        assert [(match.id, match.score) for match in result.matches] == expected
    for number, (root, ids) in history.items():
        old = Snapshot.open(snapshot.folder, at=number)
        assert old.root == root
        assert live(old).keys() == ids
        result = proved(old, VECTORS[0], k=7, mode="strict" if number in (1, snapshot.number) else "fast")
        assert verified(result.receipt, root=root).results == tuple((m.id, m.score) for m in result.matches)
