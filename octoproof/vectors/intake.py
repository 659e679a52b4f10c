"""From a source of vectors to rows that can be committed: ids, integer coordinates, dictionary codes, labels.

A source is read twice. `survey` fits the scale and collects ids and dictionaries; `rows_of` makes the rows. What is
held in memory is one segment, the ids and the dictionaries, however large the source is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from air.statements.snapshot import MAX_VALUE_BYTES
from octoproof.vectors.errors import VectorError
from octoproof.vectors.labels import pack_labels
from octoproof.vectors.payload import AUTOMATIC, LABEL, Dictionary
from octoproof.vectors.quantise import Quantiser, fit_chunks
from octoproof.vectors.segment import MAX_ID, Ids, Rows
from octoproof.vectors.source import Chunk, Source


@dataclass(frozen=True)
class Survey:
    """What a first pass over a source tells: the scale that fits it, its ids in its own order, its dictionaries."""

    quantiser: Quantiser
    ids: Ids
    dictionaries: tuple[Dictionary, ...]


def survey(
    source: Source,
    dictionaries: Sequence[Dictionary],
    *,
    quantiser: Quantiser | None = None,
    normalised: bool = False,
    limit: float | None = None,
    first_id: int = 0,
    label_field: bool = False,
) -> Survey:
    """Reads everything once. Ids that the source does not have are first_id, first_id + 1 ...

    With `label_field`, labels of at most `AUTOMATIC` different values, short enough to filter by, become a payload
    field. Without `quantiser`, the scale is fitted (`fit_chunks`). Raises VectorError for what cannot be used."""
    ids: list[Ids] = []
    known = {item.name: item for item in dictionaries}
    found = {LABEL: Dictionary(LABEL, ())} if label_field and LABEL not in known else {}

    def seen() -> Iterator[npt.NDArray[np.generic]]:
        count = 0
        for chunk in source.chunks():
            ids.append(_ids(chunk, first_id + count))
            count += len(chunk.vectors)
            for name in known:
                known[name] = known[name].with_values(texts_of(chunk, name))
            if found and chunk.labels is not None:
                texts = texts_of(chunk, LABEL)
                values = {*found[LABEL].values, *texts}
                if len(values) <= AUTOMATIC and all(len(value.encode()) <= MAX_VALUE_BYTES for value in values):
                    found[LABEL] = found[LABEL].with_values(texts)
                else:
                    found.clear()
            yield chunk.vectors

    stream = seen()
    fitted = quantiser or fit_chunks(stream, source.dimension, normalised=normalised, limit=limit)
    for _ in stream:  # what fitting did not need to read
        pass
    extra = [item for item in found.values() if item.values]
    return Survey(fitted, _distinct(ids), (*known.values(), *extra))


def rows_of(
    source: Source,
    quantiser: Quantiser,
    dictionaries: Sequence[Dictionary],
    *,
    floats: bool,
    exact: bool,
    first_id: int = 0,
) -> Iterator[Rows]:
    """The rows, chunk by chunk. `floats` keeps the original numbers; with `exact` the coordinates are those of the
    numbers as they are kept, in 32 bits, so that whoever sees these can round them again."""
    count = 0
    for chunk in source.chunks():
        kept = np.asarray(chunk.vectors, dtype=np.float32) if floats or exact else None
        coordinates = quantiser(kept if exact and kept is not None else chunk.vectors, first_row=count)
        codes = [item.codes(texts_of(chunk, item.name)) for item in dictionaries]
        size = len(chunk.vectors)
        yield Rows(
            _ids(chunk, first_id + count),
            coordinates,
            np.array(codes, dtype=np.uint32).reshape(len(codes), size),
            kept,
            None if chunk.labels is None else pack_labels(chunk.labels, size),
        )
        count += size


def in_segments(parts: Iterable[Rows], segment_rows: int) -> Iterator[Rows]:
    """The same rows in batches of `segment_rows`, the last one smaller, each in ascending id."""
    held: list[Rows] = []
    for part in parts:
        held.append(part)
        while sum(map(len, held)) >= segment_rows:
            joined = Rows.joined(held)
            yield joined.take(np.arange(segment_rows)).by_id()
            held = [joined.take(np.arange(segment_rows, len(joined)))]
    if sum(map(len, held)):
        yield Rows.joined(held).by_id()


def texts_of(chunk: Chunk, name: str) -> list[str]:
    """The texts of a payload field, one a row. Raises VectorError where the source does not have it."""
    texts = chunk.payload.get(name, chunk.labels if name == LABEL else None)
    if texts is None:
        raise VectorError(f"{name}: missing, and this snapshot is filtered by it; give a text a vector, '' for none")
    return [str(text) for text in texts]


def _ids(chunk: Chunk, first: int) -> Ids:
    count = len(chunk.vectors)
    if chunk.ids is None and first + count - 1 > MAX_ID:
        raise VectorError(
            f"ids: from {first}, to continue after the largest; they must lie in 0..2^63 - 1, so give ids"
        )
    given = np.arange(first, first + count) if chunk.ids is None else np.asarray(chunk.ids)
    if given.dtype.kind not in "iu" or given.shape != (count,):
        raise VectorError(f"ids: {given.dtype} of shape {given.shape}; give {count} integers, one a vector")
    if count and not 0 <= int(given.min()) <= int(given.max()) <= MAX_ID:
        raise VectorError(f"ids: from {given.min()} to {given.max()}; they must lie in 0..2^63 - 1")
    return given.astype(np.int64)


def _distinct(parts: Sequence[Ids]) -> Ids:
    ids = np.concatenate([*parts, np.zeros(0, dtype=np.int64)])
    ordered = np.sort(ids)
    repeated = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(repeated):
        raise VectorError(f"ids: {ordered[repeated[0]]} appears twice; every vector needs an id of its own")
    return ids
