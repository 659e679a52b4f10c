"""What an answer claims: one statement for every part of its receipt, from what the search scored."""

from __future__ import annotations

import numpy as np

from air.statements.question import Dictionaries, Row, ranked
from air.statements.topk_statement import MAX_EMITTED, TopkStatement, threshold_of
from octoproof.vectors.errors import VectorError
from octoproof.vectors.opened import OpenedRow, OpenedStatement
from octoproof.vectors.query import Answer, Scored, Searched, eligible
from octoproof.vectors.rowtree import STOOLAP
from octoproof.vectors.search import storage_rows

Claim = tuple[Scored, TopkStatement]


def proven_claims(answer: Answer) -> list[Claim]:
    """For the modes `strict` and `ivf`: every part, with the scores that make it true.

    Raises VectorError where more rows tie for the last place than can be told."""
    told = _dictionaries(answer)
    if answer.cells is None:
        return _parts(answer, answer.rows, answer.question.k, told)
    # The probe finds as many cells as are probed, and has no filter.
    return _parts(answer, answer.cells, answer.probes, told) + _parts(answer, answer.rows, answer.question.k, ())


def _parts(answer: Answer, searched: Searched, places: int, told: Dictionaries) -> list[Claim]:
    """One part a segment: the rows that reach the score of the last place over all of them."""
    snapshot, out = answer.snapshot, []
    threshold = threshold_of(snapshot.header, [(found.hit.id, found.hit.score) for found in searched.best], places)
    for part in searched.segments:
        statement = TopkStatement(
            header=snapshot.header,
            snapshot_root=snapshot.root,
            segment=snapshot.placed(part.stored),
            mode=answer.mode,
            question=answer.question,
            probes=answer.probes,
            threshold=threshold,
            emitted=tuple(_reaching(answer, part, threshold, filtered=searched is answer.rows)),
            dictionaries=() if out else told,
        )
        out.append((part, statement))
    if (count := sum(len(statement.emitted) for _, statement in out)) > MAX_EMITTED:
        raise VectorError(
            f"k: {count} rows reach the score of place {places}, at most {MAX_EMITTED} can be proven; lower k"
        )
    return out


def _reaching(answer: Answer, part: Scored, threshold: int, filtered: bool) -> list[Row]:
    """(id, score) of the eligible rows that score at least the threshold, best first."""
    segment = part.stored.segment
    rows = eligible(segment, answer.question) if filtered else segment.stored_live
    places = np.flatnonzero(rows & (part.scores >= threshold))
    ids = segment.ids[storage_rows(segment.log_size)[places]]
    return ranked(zip(ids.tolist(), part.scores[places].tolist(), strict=True))


def opened_claim(answer: Answer) -> OpenedStatement:
    """For the modes `fast` (the matches) and `candidates` (all of them): the rows that are shown.

    Raises VectorError for filters where the rows are committed without codes."""
    snapshot, question = answer.snapshot, answer.question
    if snapshot.header.row_rule == STOOLAP.name and question.filters:
        raise VectorError("where: rows by the rule stoolap are committed without labels; use the mode strict or ivf")
    shown = answer.rows.best[: question.k] if answer.mode == "fast" else answer.rows.best
    held = {item.stored.leaf.id: item.stored for item in shown}
    places = {id: number for number, id in enumerate(sorted(held))}
    live = {id: np.cumsum(held[id].segment.live) - 1 for id in held} if snapshot.header.row_rule == STOOLAP.name else {}
    rows = []
    for item in shown:
        id = item.stored.leaf.id
        position = int(live[id][item.row]) if live else item.row
        rows.append(OpenedRow(places[id], position, item.hit.id, item.hit.score))
    segments = tuple(snapshot.placed(held[id]) for id in sorted(held)) or (snapshot.placed(snapshot.segments[0]),)
    return OpenedStatement(
        snapshot.header, snapshot.root, answer.mode, question, segments, tuple(rows), _dictionaries(answer)
    )


def _dictionaries(answer: Answer) -> Dictionaries:
    return tuple(answer.snapshot.dictionaries[item.field].values for item in answer.question.filters)
