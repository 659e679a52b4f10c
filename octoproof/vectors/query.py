"""Queries: an exact search over all segments, the statement it leaves for each, and their proofs as one receipt."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from air.circle import to_rows
from air.statement import RootKey
from air.statements.topk import TopK, topk_trace
from air.statements.topk_statement import (
    MAX_EMITTED,
    MAX_K,
    METRICS,
    TopkStatement,
    ranked,
    score_metric,
    threshold_of,
)
from octoproof.vectors.commit import commit_segment
from octoproof.vectors.errors import SnapshotError, VectorError
from octoproof.vectors.quantise import distance
from octoproof.vectors.search import Scores, best, merge, scores
from octoproof.vectors.segment import Segment
from octoproof.vectors.snapshot import Snapshot, preset_key
from verifier.config import PRESETS
from verifier.receipt import Part, Receipt, statement_spec, write_receipt

Progress = Callable[[str], None]
Trees = MutableMapping[bytes, Any]  # committed segments by column root


@dataclass(frozen=True)
class Match:
    """One found vector. `distance` is in units of the input (`quantise.distance`); `label` None without labels."""

    id: int
    label: str | None
    score: int
    distance: float


@dataclass(frozen=True)
class Answer:
    """The matches, best first, and for every segment what it claims and the scores that make it true."""

    matches: tuple[Match, ...]
    statements: tuple[TopkStatement, ...]
    scores: tuple[Scores, ...]  # a segment's, in row order


def find(snapshot: Snapshot, *, id: int | None = None, label: str | None = None) -> tuple[int, ...]:
    """The coordinates of a live vector of the snapshot, by id or by label. Raises VectorError if it has none."""
    for stored in snapshot.segments:
        if label is not None:
            if stored.labels is None:
                raise VectorError("label: this snapshot has no labels; ask by --id or --vector")
            row = stored.labels.find(label)
        else:
            row = stored.row_of(-1 if id is None else id)
        if row is not None and stored.segment.live[row]:
            return tuple(int(v) for v in stored.segment.vector(row))
    wanted = f"label: {label!r:.60}" if label is not None else f"id: {id}"
    raise VectorError(f"{wanted} is not in this snapshot")


def quantise_query(snapshot: Snapshot, vector: npt.ArrayLike) -> tuple[int, ...]:
    """The coordinates of a (D,) query of numbers. Raises VectorError."""
    values = np.asarray(vector)
    if values.ndim != 1:
        raise VectorError(f"query: an array of shape {values.shape}; give one vector of {snapshot.header.dimension}")
    return tuple(int(v) for v in snapshot.quantiser(values[None, :], "query")[0])


def ask(snapshot: Snapshot, query: Sequence[int], k: int = 10, metric: str = "l2") -> Answer:
    """Searches every segment for the k best rows. `query` are coordinates (`find`, `quantise_query`).

    Raises VectorError for a metric or k that cannot be asked for, and where too many rows tie for a place."""
    header = snapshot.header
    _check_question(snapshot, query, k, metric)
    all_scores, found = [], []
    for stored in snapshot.segments:
        segment = stored.segment
        own = to_rows(scores(segment.columns, segment.norm, query, score_metric(metric)))[: segment.rows]
        all_scores.append(own)
        found.append(best(own, segment.ids, segment.live, k))
    hits = merge(found, k)
    threshold = threshold_of(header, [(hit.id, hit.score) for hit in hits], k)
    emitted = [
        _emitted(stored.segment, own, threshold) for stored, own in zip(snapshot.segments, all_scores, strict=True)
    ]
    if (count := sum(map(len, emitted))) > MAX_EMITTED:
        raise VectorError(f"k: {count} rows reach the score of place {k}, at most {MAX_EMITTED} can be proven; lower k")
    statements = tuple(
        TopkStatement(header, snapshot.root, stored.leaf, metric, tuple(query), k, threshold, tuple(rows))
        for stored, rows in zip(snapshot.segments, emitted, strict=True)
    )
    norm = sum(v * v for v in query)
    matches = tuple(
        Match(hit.id, _label(snapshot, hit.id), hit.score, distance(metric, hit.score, norm, snapshot.quantiser.factor))
        for hit in hits
    )
    return Answer(matches, statements, tuple(all_scores))


def prove_answer(
    snapshot: Snapshot,
    answer: Answer,
    preset: str = "standard",
    *,
    backend: Any,
    trees: Trees | None = None,
    progress: Progress | None = None,
) -> bytes:
    """The receipt of an answer: one validity proof a segment.

    `backend` is a device (`octoproof.device`); `trees` keeps committed segments between queries, without it each is
    committed again. Raises VectorError for a preset that the snapshot was not committed for, SnapshotError where its
    data are not the committed ones."""
    from prover.prove import prove  # compiles kernels: only who proves pays for it

    key, config = preset_key(preset), PRESETS[preset]
    kept: Trees = {} if trees is None else trees
    parts = []
    for number, (stored, statement, own) in enumerate(
        zip(snapshot.segments, answer.statements, answer.scores, strict=True), 1
    ):
        if progress and len(snapshot.segments) > 1:
            progress(f"segment {number} of {len(snapshot.segments)}")
        segment = stored.segment
        tree = _tree(segment, statement, key, backend, kept)
        spec = statement_spec(statement, key.channel, config)
        component = TopK(segment.log_size, score_metric(statement.metric), statement.query, statement.threshold)
        padded = np.zeros(1 << segment.log_size, dtype=np.int64)
        padded[: segment.rows] = own
        proved = prove(
            spec.air,
            tree,
            topk_trace(component, padded, segment.padded_live),
            channel=key.channel,
            config=config,
            statement_u64=spec.statement_u64,
            backend=backend,
            progress=progress,
        )
        parts.append(Part(tuple(statement.encode()), key.channel, proved.claimed_sums, proved.proof))
    return write_receipt(Receipt(tuple(parts)))


def _check_question(snapshot: Snapshot, query: Sequence[int], k: int, metric: str) -> None:
    header = snapshot.header
    if metric not in METRICS:
        raise VectorError(f"metric: {metric!r:.40} is not one of {', '.join(METRICS)}")
    if metric == "cosine" and not header.normalised:
        raise VectorError("metric: cosine needs a snapshot built with --normalise")
    if not 1 <= k <= MAX_K:
        raise VectorError(f"k: {k} is outside 1..{MAX_K}")
    if len(query) != header.dimension:
        raise VectorError(f"query: {len(query)} coordinates, but this snapshot has {header.dimension} dimensions")
    if any(abs(value) > header.limit for value in query):
        raise VectorError(f"query: coordinates beyond {header.limit}, the scale of this snapshot")


def _emitted(segment: Segment, own: Scores, threshold: int) -> list[tuple[int, int]]:
    rows = np.flatnonzero(segment.live & (own >= threshold))
    return ranked((int(segment.ids[row]), int(own[row])) for row in rows)


def _tree(segment: Segment, statement: TopkStatement, key: RootKey, device: Any, kept: Trees) -> Any:
    """The committed segment, compared with the leaf: a proof over other data would only be refused later."""
    known = {item.key: item.root for item in statement.leaf.column_roots}
    if key not in known:
        raise VectorError(f"preset: segment {segment.id} was not committed for it; build the snapshot with --preset")
    wanted = known[key]
    if wanted not in kept:
        tree, root = commit_segment(segment, key, device)
        if root != wanted:
            raise SnapshotError(f"segment {segment.id}: its columns are not the committed ones; run `snapshot check`")
        kept[wanted] = tree
    return kept[wanted]


def _label(snapshot: Snapshot, id: int) -> str | None:
    for stored in snapshot.segments:
        row = stored.row_of(id)
        if row is not None:
            return None if stored.labels is None else stored.labels[row]
    return None
