"""Queries: search in one of four modes. What an answer can be proven by is in `claims`.

- `strict` scores every row; `ivf` those of the cells whose centroids are nearest. Both are proven.
- `fast` and `candidates` take rows from an approximate first layer, score these exactly, and open them (`opened`).

The first layer is an HNSW graph where one has been built (`graph`), the cells where the snapshot has cells, else the
exact scan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from air.statements.question import MAX_K, METRICS, Question, score_metric
from air.statements.topk_statement import MAX_PROBES
from octoproof.device import usable_cores
from octoproof.vectors.errors import VectorError
from octoproof.vectors.graph import graph_of
from octoproof.vectors.payload import filters
from octoproof.vectors.quantise import distance
from octoproof.vectors.rerank import Agreement, agreement, candidate_count, rerank
from octoproof.vectors.scan import scan
from octoproof.vectors.search import Hit, best_stored
from octoproof.vectors.segment import Segment
from octoproof.vectors.snapshot import Snapshot
from octoproof.vectors.store import StoredSegment
from prover.threads import INLINE, Workers

MODES = ("strict", "ivf", "candidates", "fast")
OPENING = ("candidates", "fast")
PROBES = 16

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Match:
    """One found vector. `distance` is in units of the input (`quantise.distance`); `label` None without labels."""

    id: int
    label: str | None
    score: int
    distance: float


@dataclass(frozen=True)
class Asked:
    """A query vector: its coordinates, and the numbers that they were rounded from, for the floating-point order."""

    coordinates: tuple[int, ...]
    numbers: Floats = field(repr=False)


@dataclass(frozen=True)
class Found:
    """A row that may be among the best."""

    stored: StoredSegment
    row: int
    hit: Hit


@dataclass(frozen=True)
class Scored:
    """A segment that was searched: the score of every row in storage order."""

    stored: StoredSegment
    scores: npt.NDArray[np.int32] = field(repr=False)


@dataclass(frozen=True)
class Searched:
    """Segments that were scored, and the best of their rows in order; without segments, a graph proposed the rows."""

    segments: tuple[Scored, ...]
    best: tuple[Found, ...]


@dataclass(frozen=True)
class Answer:
    """The matches, best first, and what was searched for them, of which the best are the candidates (matches included).
    `cells` is the search among the centroids, for so many `probes`. `agreement` says how the floating-point order of
    the candidates compares."""

    snapshot: Snapshot
    mode: str
    question: Question
    matches: tuple[Match, ...]
    rows: Searched
    agreement: Agreement
    cells: Searched | None = None
    probes: int = 0


def find(snapshot: Snapshot, *, id: int | None = None, label: str | None = None) -> Asked:
    """A live vector of the snapshot as a query, by id or by label. Raises VectorError if it has none."""
    for stored in snapshot.segments:
        segment = stored.segment
        if label is None:
            row = segment.row_of(-1 if id is None else id)
        else:
            labelled = segment.labels.find(label) if segment.labels is not None else ()
            row = next((row for row in labelled if segment.live[row]), None)
        if row is not None:
            return Asked(tuple(int(v) for v in segment.vector(row)), _numbers(snapshot, segment, row))
    if label is not None and all(stored.segment.labels is None for stored in snapshot.segments):
        raise VectorError("label: this snapshot has no labels; ask by --id or --vector")
    wanted = f"label: {label!r:.60}" if label is not None else f"id: {id}"
    raise VectorError(f"{wanted} is not in this snapshot")


def quantise_query(snapshot: Snapshot, vector: npt.ArrayLike) -> Asked:
    """A (D,) vector of numbers as a query. Raises VectorError."""
    values = np.asarray(vector)
    if values.ndim != 1:
        raise VectorError(f"query: an array of shape {values.shape}; give one vector of {snapshot.header.dimension}")
    coordinates = snapshot.quantiser(values[None, :], "query")[0]
    return Asked(tuple(int(v) for v in coordinates), values.astype(np.float32))


def ask(
    snapshot: Snapshot,
    query: Asked,
    k: int = 10,
    metric: str = "l2",
    mode: str = "strict",
    *,
    where: Mapping[str, str] | None = None,
    probes: int | None = None,
    candidates: int | None = None,
) -> Answer:
    """The k best rows that pass the filters `where`, as the mode searches.

    `probes` is how many cells are searched where cells are, 16 by default, and more where they hold too few rows for a
    mode that has to show some; `candidates` how many rows mode `candidates`
    ranks, at least max(40, 4 k). Raises VectorError for a question that cannot be asked."""
    header = snapshot.header
    if metric not in METRICS:
        raise VectorError(f"metric: {metric!r:.40} is not one of {', '.join(METRICS)}")
    if metric == "cosine" and not header.normalised:
        raise VectorError("metric: cosine needs a snapshot built with --normalise")
    if mode not in MODES:
        raise VectorError(f"mode: {mode!r:.40} is not one of {', '.join(MODES)}")
    if not 1 <= k <= MAX_K:
        raise VectorError(f"k: {k} is outside 1..{MAX_K}")
    question = Question(metric, query.coordinates, k, filters(snapshot.dictionaries, where or {}))
    pool = candidate_count(k, candidates or 0, header.live) if mode == "candidates" else max(k, 40)
    graph = graph_of(snapshot, metric) if mode in OPENING and not question.filters else None
    if graph is not None:
        rows = _scored_rows(snapshot, question, graph.search(query.coordinates, pool))
        if len(rows.best) >= min(pool, header.live):  # a graph may lead to fewer rows than have to be shown
            return _answer(snapshot, mode, question, query, rows)
    with Workers(usable_cores()) as workers:
        if mode == "ivf" or (mode in OPENING and header.cells):
            count = _probes(snapshot, probes)
            wanted = header.cells if mode in OPENING else count
            cells = _search([snapshot.centroids], Question(metric, question.query, count), wanted, workers)
            if mode in OPENING:
                count = _enough(snapshot, cells.best, count, pool)
                cells = replace(cells, best=cells.best[:count])
            probed = [snapshot.manifest.segments[id + 1] for id in sorted(cell.hit.id for cell in cells.best)]
            return _answer(snapshot, mode, question, query, _search(probed, question, pool, workers), cells, count)
        return _answer(snapshot, mode, question, query, _search(snapshot.segments, question, pool, workers))


def _probes(snapshot: Snapshot, wanted: int | None) -> int:
    most = min(snapshot.centroids.leaf.rows, MAX_PROBES)
    if wanted is not None and not 1 <= wanted <= most:
        raise VectorError(f"probes: {wanted} is outside 1..{most}")
    return min(PROBES, most) if wanted is None else wanted


def _enough(snapshot: Snapshot, cells: Sequence[Found], least: int, rows: int) -> int:
    """How many cells, the nearest first, hold so many live rows: that many have to be shown. At least `least`."""
    live = 0
    for count, cell in enumerate(cells, 1):
        live += snapshot.manifest.segments[cell.hit.id + 1].leaf.live
        if count >= least and live >= rows:
            return count
    return len(cells)


def _search(segments: Sequence[StoredSegment], question: Question, count: int, workers: Workers) -> Searched:
    """All scores, and the `count` best rows. Many segments are dealt to the threads, few are split among them."""
    many = len(segments) >= workers.count

    def one(stored: StoredSegment) -> tuple[Scored, list[Found]]:
        segment, metric = stored.segment, score_metric(question.metric)
        scores = scan(segment.columns, segment.norms, question.query, metric, INLINE if many else workers)
        hits = best_stored(scores, segment.ids, eligible(segment, question), count)
        rows = np.searchsorted(segment.ids, [hit.id for hit in hits]).tolist()
        return Scored(stored, scores), [Found(stored, row, hit) for row, hit in zip(rows, hits, strict=True)]

    done = workers.map(one, segments) if many else [one(stored) for stored in segments]
    found = sorted((item for _, own in done for item in own), key=lambda item: item.hit)
    return Searched(tuple(scored for scored, _ in done), tuple(found[:count]))


def eligible(segment: Segment, question: Question) -> npt.NDArray[np.bool_]:
    """(2^log_size,) which rows are live and pass the filters, in storage order."""
    passing = segment.stored_live
    for item in question.filters:
        passing = passing & (segment.stored_codes[item.field] == item.code)
    return passing


def _scored_rows(snapshot: Snapshot, question: Question, ids: npt.NDArray[np.int64]) -> Searched:
    """The rows of these ids, with their exact scores, best first."""
    query, found = np.array(question.query, dtype=np.int64), []
    for id in ids:
        if (place := snapshot.locate(int(id))) is not None:
            vector = place[0].segment.vector(place[1]).astype(np.int64)
            product = int(query @ vector)
            score = 2 * product - int(vector @ vector) if score_metric(question.metric) == "l2" else product
            found.append(Found(*place, Hit(-score, int(id))))
    return Searched((), tuple(sorted(found, key=lambda item: item.hit)))


def _answer(
    snapshot: Snapshot,
    mode: str,
    question: Question,
    query: Asked,
    rows: Searched,
    cells: Searched | None = None,
    probes: int = 0,
) -> Answer:
    norm, factor = sum(v * v for v in question.query), snapshot.quantiser.factor
    matches = []
    for item in rows.best[: question.k]:
        labels, score = item.stored.segment.labels, item.hit.score
        label = None if labels is None else labels[item.row]
        matches.append(Match(item.hit.id, label, score, distance(question.metric, score, norm, factor)))
    same = _agreement(snapshot, question, query, rows.best)
    return Answer(snapshot, mode, question, tuple(matches), rows, same, cells, probes)


def _agreement(snapshot: Snapshot, question: Question, query: Asked, found: Sequence[Found]) -> Agreement:
    """The candidates ranked in floating point, compared with their order by integer scores."""
    ids = np.array([item.hit.id for item in found], dtype=np.int64)
    rows = [_numbers(snapshot, item.stored.segment, item.row) for item in found]
    # Coordinates of a normalised snapshot are those of unit vectors, which all metrics rank like the cosine.
    metric = "cosine" if snapshot.header.normalised else question.metric
    vectors = np.array(rows, dtype=np.float32).reshape(len(rows), snapshot.header.dimension)
    by_float, _ = rerank(vectors, ids, query.numbers, metric, question.k)
    return agreement(by_float, ids[: question.k])


def _numbers(snapshot: Snapshot, segment: Segment, row: int) -> Floats:
    """(D,) original numbers of a row; where they are not kept, those that its coordinates stand for."""
    if segment.floats is not None:
        return np.array(segment.floats[row])
    return (segment.vector(row) / snapshot.quantiser.factor).astype(np.float32)
