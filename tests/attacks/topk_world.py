"""What attacks on top-k start from: snapshots made by hand, their honest claims, and columns bent as a forger would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from air.circle import to_rows, to_storage
from air.field import P
from air.statement import RootKey
from air.statements.question import Filter, Question, ranked
from air.statements.snapshot import (
    ColumnRoot,
    PayloadField,
    PlacedSegment,
    SegmentLeaf,
    SnapshotHeader,
    SnapshotTree,
    dictionary_digest,
)
from air.statements.topk import LIMB_BITS, N_LIMBS, RangeTable, coordinate_bound, topk_trace
from air.statements.topk_statement import TOPK, TopkStatement, threshold_of
from octoproof.vectors.scan import scores_reference
from octoproof.vectors.segment import Rows, Segment, make_segment
from verifier.config import PRESETS
from verifier.errors import VerificationError
from verifier.hashes import hasher
from verifier.merkle import commit
from verifier.polynomial import extend
from verifier.receipt import Part, Receipt, registry, verify, write_receipt

CONFIG = PRESETS["test"]
KEY = RootKey("blake2s", CONFIG.log_blowup_factor)
QUESTION = Question("ip", (3, -1, 2), 4)
KINDS = ("noun", "verb")
NOUN, VERB = Filter(0, 1, "noun"), Filter(0, 2, "verb")
ACCEPTED = registry(TOPK)
Row = tuple[int, int]


@dataclass(frozen=True)
class World:
    """A snapshot of segments of 16 rows, 12 of which hold vectors; rows tie for the last place. With cells, the first
    segment holds their centroids."""

    segments: tuple[Segment, ...]
    header: SnapshotHeader
    tree: SnapshotTree
    placed: tuple[PlacedSegment, ...]


@cache
def world(version: int = 1, cells: int = 0) -> World:
    rng = np.random.default_rng(version)
    segments, leaves = [], []
    for number in range(cells + 1 if cells else 2):
        rows = cells if cells and number == 0 else 12
        vectors = rng.integers(-20, 21, (12, 3)).astype(np.int16)
        vectors[1], vectors[2] = (20, -20, 20), (19, -20, 20)
        vectors[[3, 4]] = (18, -18, 18)
        codes = np.arange(12, dtype=np.uint32)[None] * 5 % 3
        ids = np.arange(12) * (5 if rows == 12 else 1) + 100 * number
        segment = make_segment(number, version, Rows(ids[:rows], vectors[:rows], codes[:, :rows]))
        segment.live[7:8] = False
        root = commit([extend(column, 1) for column in segment.tree0()], None, hasher("blake2s"))
        live = int(segment.live.sum())
        leaves.append(SegmentLeaf(number, version, 4, rows, live, bytes(32), (ColumnRoot(KEY, bytes(root)),)))
        segments.append(segment)
    fields = (PayloadField("kind", len(KINDS), dictionary_digest(KINDS)),)
    held = cells or 2
    header = SnapshotHeader(
        3, coordinate_bound(3), 1 << 32, False, 12 * held, 11 * held, len(leaves), cells, fields=fields
    )
    tree = SnapshotTree(header, leaves)
    placed = tuple(PlacedSegment(k, leaf, tree.path(k)) for k, leaf in enumerate(leaves))
    return World(tuple(segments), header, tree, placed)


def own_scores(segment: Segment, question: Question) -> Any:
    """In storage order, padding included."""
    return scores_reference(segment.columns, segment.norms, question.query, question.metric).astype(np.int32)


def claims(where: World, question: Question = QUESTION, probes: int = 0) -> list[TopkStatement]:
    """The honest statements: of all segments, or of the centroids and as many cells as are probed."""
    told = tuple(KINDS for _ in question.filters)
    if not probes:
        return claims_of(where, question, 0, question.k, range(len(where.segments)), told)
    first = claims_of(where, replace(question, filters=()), probes, probes, [0], told)[0]
    nearest = sorted(id + 1 for id, _ in ranked(first.emitted)[:probes])
    return [replace(first, question=question), *claims_of(where, question, probes, question.k, nearest, ())]


def claims_of(
    where: World, question: Question, probes: int, places: int, indices: Sequence[int], told: Any
) -> list[TopkStatement]:
    alive = [alive_rows(where.segments[k], question) for k in indices]
    threshold = threshold_of(where.header, ranked(row for rows in alive for row in rows), places)
    mode = "ivf" if probes else "strict"
    made = [
        TopkStatement(where.header, where.tree.root, where.placed[k], mode, question, probes, threshold, ())
        for k in indices
    ]
    emitted = [replace(c, emitted=reaching(rows, threshold)) for c, rows in zip(made, alive, strict=True)]
    return [replace(emitted[0], dictionaries=told), *emitted[1:]]


def alive_rows(segment: Segment, question: Question) -> list[Row]:
    """(id, score) of every live row that passes the filters."""
    found = to_rows(own_scores(segment, question))[: segment.count].tolist()
    passing = np.all([segment.live, *(segment.codes[item.field] == item.code for item in question.filters)], axis=0)
    rows = zip(segment.ids.tolist(), found, passing.tolist(), strict=True)
    return [(id, score) for id, score, passes in rows if passes]


def reaching(rows: list[Row], threshold: int) -> tuple[Row, ...]:
    return tuple(ranked(row for row in rows if row[1] >= threshold))


def witness(segment: Segment, claim: TopkStatement) -> list[Any]:
    """The honest main columns, in storage order."""
    scores = own_scores(segment, claim.question)
    return topk_trace(claim.component(), scores, segment.stored_live, segment.stored_codes)


def turned(segment: Segment, claim: TopkStatement, row: int, selected: int, eligible: int | None = None) -> list[Any]:
    """The honest columns, but for one row's flags and the limbs and table that come nearest to satisfying them."""
    columns = [to_rows(c).copy() for c in witness(segment, claim)]
    if eligible is not None:
        columns[1 + N_LIMBS][row], columns[2 + N_LIMBS][row] = eligible, 0
    passing = int((columns[1 + N_LIMBS] if claim.component().n_filters else to_rows(segment.stored_live))[row])
    above = int(to_rows(own_scores(segment, claim.question))[row]) - claim.threshold
    gap = (selected * above + (passing - selected) * (-1 - above)) % P
    columns[0][row] = selected % P
    for k in range(N_LIMBS):
        columns[1 + k][row] = gap >> LIMB_BITS * k & ((1 << LIMB_BITS) - 1 if k < N_LIMBS - 1 else P)
    kept = [limb[limb < 1 << LIMB_BITS] for limb in columns[1 : 1 + N_LIMBS]]
    return [*(to_storage(c) for c in columns[:-2]), *RangeTable().trace(kept)]


def under(told: Sequence[TopkStatement], parts: Sequence[Part]) -> list[Part]:
    """These proofs under other statements."""
    return [replace(p, statement=tuple(claim.encode())) for claim, p in zip(told, parts, strict=True)]


def judged(*parts: Part) -> Any:
    return verify(write_receipt(Receipt(parts)), ACCEPTED, min_conjectured=0)


def refusal(error: type[VerificationError], *parts: Part) -> str:
    """The message of exactly this error."""
    with pytest.raises(VerificationError) as caught:
        judged(*parts)
    assert caught.type is error, f"{caught.type.__name__}: {caught.value}"
    return str(caught.value)
