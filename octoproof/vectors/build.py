"""Building a snapshot: quantise, split into segments or cells, commit, write; whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from air.statements.snapshot import ROW_RULES, SnapshotHeader
from octoproof.device import backend
from octoproof.vectors.cells import assign, fit_cells
from octoproof.vectors.commit import Committer
from octoproof.vectors.errors import VectorError
from octoproof.vectors.intake import in_segments, rows_of, survey
from octoproof.vectors.manifest import new_manifest, write_manifest
from octoproof.vectors.payload import new_dictionaries
from octoproof.vectors.quantise import Quantiser
from octoproof.vectors.rowtree import STOOLAP
from octoproof.vectors.segment import Rows, make_segment
from octoproof.vectors.snapshot import Progress, Snapshot, preset_key
from octoproof.vectors.source import Source, source_from_arrays
from octoproof.vectors.store import sync_folder

SEGMENT_ROWS = 1 << 16
MIN_SEGMENT_ROWS, MAX_SEGMENT_ROWS = 16, 1 << 24
MAX_CELLS = (1 << 16) - 1


def build_snapshot(
    vectors: Source | Any,
    folder: str | os.PathLike[str],
    *,
    ids: Any = None,
    labels: Any = None,
    payload: dict[str, Any] | None = None,
    normalise: bool = False,
    limit: float | None = None,
    segment_rows: int = SEGMENT_ROWS,
    presets: Sequence[str] = ("standard",),
    cells: int = 0,
    seed: int = 0,
    row_rule: str = "native",
    floats: bool = True,
    progress: Progress | None = None,
) -> Snapshot:
    """A snapshot of (N, D) vectors in a new folder, in segments of `segment_rows` in the order of the input.

    `vectors` are an array, an Arrow table or a `Source`; `ids` default to 0, 1, 2 ... `labels` are one text a vector,
    for people, and of few different values also for filters; `payload` has further texts to filter by, by name.
    `limit` is the largest coordinate that a later vector or query may have. With `cells`, rows lie in so many cells
    around centroids (k-means by `seed`), of which a query of mode `ivf` probes a few; `floats` keeps the original
    numbers, for the floating-point re-rank. It is written aside and renamed: raises VectorError for data that cannot
    be used or a folder that exists, OSError; nothing is left behind then."""
    target = Path(folder)
    if target.exists():
        raise VectorError(f"{target}: exists already; choose another folder or remove it")
    if not MIN_SEGMENT_ROWS <= segment_rows <= MAX_SEGMENT_ROWS:
        raise VectorError(f"segment_rows: {segment_rows} is outside {MIN_SEGMENT_ROWS}..{MAX_SEGMENT_ROWS}")
    if not 0 <= cells <= MAX_CELLS:
        raise VectorError(f"cells: {cells} is outside 0..{MAX_CELLS}")
    if row_rule not in ROW_RULES:
        raise VectorError(f"row_rule: {row_rule!r:.40} is not one of {', '.join(ROW_RULES)}")
    stoolap = row_rule == STOOLAP.name
    if stoolap and not floats:
        raise VectorError("floats: Stoolap's leaves hash the original numbers; keep them")
    source = source_of(vectors, ids, labels, payload)
    tell = progress or (lambda _: None)
    tell("reading")
    names = new_dictionaries(source.fields)
    found = survey(source, names, normalised=normalise, limit=limit, label_field=True)
    parts = rows_of(source, found.quantiser, found.dictionaries, floats=floats, exact=stoolap)
    keys = tuple(dict.fromkeys(preset_key(preset) for preset in presets))
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        aside.mkdir()
        with backend() as device:
            committer = Committer(aside, keys, row_rule, device)
            if cells:
                batches, total = _in_cells(Rows.joined(list(parts)), cells, seed, found.quantiser, tell), cells + 1
            else:
                batches, total = in_segments(parts, segment_rows), -(-len(found.ids) // segment_rows)
            stored = []
            for number, rows in enumerate(batches):
                tell(f"committing segment {number + 1} of {total}")
                stored.append(committer.store(make_segment(number, 1, rows)))
        quantiser, count = found.quantiser, len(found.ids)
        fields = tuple(item.field for item in found.dictionaries)
        header = SnapshotHeader(
            quantiser.dimension,
            quantiser.limit,
            quantiser.scale,
            normalise,
            count,
            count,
            len(stored),
            cells,
            row_rule,
            fields,
        )
        write_manifest(aside, new_manifest(1, header, found.dictionaries, stored, segment_rows))
        sync_folder(aside)
        os.rename(aside, target)
        sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return Snapshot.open(target)


def source_of(vectors: Source | Any, ids: Any, labels: Any, payload: dict[str, Any] | None) -> Source:
    """What is given, as a source. Raises VectorError."""
    if not isinstance(vectors, Source):
        return source_from_arrays(vectors, ids, labels, payload)
    if not (ids is None and labels is None and payload is None):
        raise VectorError("ids, labels, payload: a source brings its own")
    return vectors


def _in_cells(rows: Rows, cells: int, seed: int, quantiser: Quantiser, tell: Progress) -> Iterator[Rows]:
    """The centroids, then the rows of every cell, in ascending id."""
    tell("finding cells")
    centroids = fit_cells(rows.coordinates, cells, seed)
    cell = assign(rows.coordinates, centroids)
    yield centroid_rows(centroids, rows, quantiser)
    order = np.lexsort((rows.ids, cell))
    starts = np.searchsorted(cell[order], np.arange(cells + 1))
    for number in range(cells):
        if starts[number] == starts[number + 1]:
            raise VectorError(f"cells: cell {number} of {cells} would be empty; use fewer cells")
        yield rows.take(order[starts[number] : starts[number + 1]])


def centroid_rows(centroids: np.ndarray, like: Rows, quantiser: Quantiser) -> Rows:
    """Centroids as the rows of a segment, with ids 0, 1, 2 ..., and with floats and labels where `like` has them."""
    count = len(centroids)
    return Rows(
        np.arange(count),
        centroids,
        np.zeros((len(like.codes), count), dtype=np.uint32),
        None if like.floats is None else (centroids / quantiser.factor).astype(np.float32),
    )
