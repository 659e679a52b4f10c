"""Changing a snapshot: append, delete, compact. Each makes a new version and commits only the segments it touches.

One writer at a time holds the folder's lock, which the system frees if the writer dies. Segments are written first; the
manifest comes last, and with it the new version is there. The lock file lists what is being written, so that the next
writer removes what a killed one left behind.
"""

from __future__ import annotations

import dataclasses
import fcntl
import operator
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from octoproof.device import backend
from octoproof.vectors.build import source_of
from octoproof.vectors.cells import assign
from octoproof.vectors.commit import Committer, keys_of
from octoproof.vectors.errors import BusyError, VectorError
from octoproof.vectors.intake import in_segments, rows_of, survey
from octoproof.vectors.manifest import DICTIONARIES, SNAPSHOTS, Manifest, new_manifest, numbers, write_manifest
from octoproof.vectors.payload import Dictionary
from octoproof.vectors.policy import Figures, Rewrite, plan
from octoproof.vectors.rowtree import STOOLAP, RowTree, row_leaves
from octoproof.vectors.segment import MAX_ID, Ids, Rows, Segment, make_segment
from octoproof.vectors.snapshot import Progress, Snapshot
from octoproof.vectors.store import SEGMENTS, StoredSegment, folder_name

_FOLDER_NAME = re.compile(r"\d{6,}-v\d{6,}")  # what `folder_name` makes


@dataclass
class Draft:
    """The next version in the making: segments by id, the centroids not among them."""

    manifest: Manifest
    committer: Committer
    lock: TextIO
    tell: Progress
    segments: dict[int, StoredSegment]
    dictionaries: tuple[Dictionary, ...]
    next_id: int
    changed: bool = False

    def put(self, segment: Segment, tree: RowTree | None = None, before: StoredSegment | None = None) -> None:
        """Commits and writes a segment version."""
        self.tell(f"committing segment {segment.id}, version {segment.version}")
        print(folder_name(segment.id, segment.version), file=self.lock, flush=True)
        self.segments[segment.id] = self.committer.store(segment, tree, before)
        self.changed = True

    def drop(self, ids: Iterable[int]) -> None:
        """Leaves segments out of the next version."""
        for id in ids:
            del self.segments[id]
            self.changed = True

    def finish(self, folder: Path) -> Snapshot:
        """Writes the manifest. Raises VectorError where no vector would be left, OSError."""
        old = self.manifest
        held = [self.segments[id] for id in sorted(self.segments)]
        if not any(stored.leaf.live for stored in held):
            raise VectorError("ids: no vector would be left; a snapshot needs at least one")
        header = dataclasses.replace(
            old.header,
            rows=sum(stored.leaf.rows for stored in held),
            live=sum(stored.leaf.live for stored in held),
            segments=old.header.first_rows + len(held),
            fields=tuple(item.field for item in self.dictionaries),
        )
        everything = [*old.segments[: old.header.first_rows], *held]
        manifest = new_manifest(old.number + 1, header, self.dictionaries, everything, old.segment_rows)
        write_manifest(folder, manifest)
        return Snapshot(folder, manifest)


@contextmanager
def writing(folder: Path, progress: Progress | None) -> Iterator[Draft]:
    """The current version under the folder's lock, as a draft. Raises BusyError while somebody else writes."""
    numbers(folder)  # a folder that holds no snapshot gets no lock file
    with open(folder / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{folder}: another program is changing this snapshot; try again later") from None
        current = Snapshot.open(folder)
        manifest = current.manifest
        _remove_leftovers(folder, lock, manifest)
        with backend() as device:
            committer = Committer(folder, keys_of(manifest.segments), manifest.header.row_rule, device)
            ids = [int(path.name.split("-")[0]) for path in (folder / SEGMENTS).glob("[0-9]*-v*")]
            held = {stored.leaf.id: stored for stored in current.segments}
            tell = progress or (lambda _: None)
            yield Draft(manifest, committer, lock, tell, held, manifest.dictionaries, max(ids) + 1)


def _remove_leftovers(folder: Path, lock: TextIO, current: Manifest) -> None:
    """Deletes what the last writer wrote if it died before its manifest, and lists what this one will write."""
    lock.seek(0)
    number, *names = lock.read().split() or ["0"]
    if number.isdecimal() and int(number) > current.number:
        for name in names:
            if _FOLDER_NAME.fullmatch(name):  # the file may be a stranger's
                shutil.rmtree(folder / SEGMENTS / name, ignore_errors=True)
    for part in (SEGMENTS, DICTIONARIES, SNAPSHOTS):
        for path in (folder / part).glob(".*.part"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    lock.truncate(0)
    print(current.number + 1, file=lock, flush=True)


def append(
    folder: str | os.PathLike[str],
    vectors: Any,
    *,
    ids: Any = None,
    labels: Any = None,
    payload: dict[str, Any] | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Snapshot:
    """Adds vectors (as `build_snapshot` takes them) in segments of their own, or to the cells that they belong to.

    Without `ids` they continue after the largest one. An id that is live already is refused, or with `replace` its old
    vector deleted. Where hard bounds of `policy` are passed then, a compaction follows as a version of its own. Raises
    VectorError, OSError; the snapshot is as it was then."""
    with writing(Path(folder), progress) as draft:
        snapshot = Snapshot(Path(folder), draft.manifest)
        source = source_of(vectors, ids, labels, payload)
        first = 1 + max(int(stored.segment.ids[-1]) for stored in snapshot.segments)
        if source.dimension != snapshot.header.dimension:
            raise VectorError(
                f"vectors: {source.dimension} coordinates, but this snapshot has {snapshot.header.dimension} dimensions"
            )
        for name in source.fields:
            if name not in {item.name for item in draft.dictionaries}:
                raise VectorError(f"{name}: not a field of this snapshot; leave it out, or build the snapshot with it")
        found = survey(source, draft.dictionaries, quantiser=snapshot.quantiser, first_id=first)
        if not len(found.ids):
            raise VectorError("vectors: none; give at least one")
        taken = _live_among(snapshot, found.ids)
        if len(taken) and not replace:
            raise VectorError(f"ids: {taken[0]} is in this snapshot already; append with --replace, or delete it first")
        draft.dictionaries = found.dictionaries
        floats = snapshot.segments[0].segment.floats is not None
        exact = snapshot.header.row_rule == STOOLAP.name
        parts = rows_of(source, snapshot.quantiser, found.dictionaries, floats=floats, exact=exact, first_id=first)
        if snapshot.header.cells:
            _append_to_cells(draft, snapshot, Rows.joined(list(parts)), taken)
        else:
            _delete(draft, taken, draft.segments)
            for rows in in_segments(parts, draft.manifest.segment_rows):
                draft.put(make_segment(draft.next_id, 1, rows))
                draft.next_id += 1
        done = draft.finish(snapshot.folder)
    return _compacted_if_must(done, progress)


def delete(folder: str | os.PathLike[str], ids: Iterable[int], *, progress: Progress | None = None) -> Snapshot:
    """Deletes vectors by id; earlier versions keep them. A compaction may follow, as after `append`.

    Raises VectorError for an id that is not there, or where none would be left."""
    wanted = _given(ids)
    with writing(Path(folder), progress) as draft:
        snapshot = Snapshot(Path(folder), draft.manifest)
        missing = np.setdiff1d(wanted, _live_among(snapshot, wanted))
        if len(missing):
            raise VectorError(f"ids: {missing[0]} is not in this snapshot")
        _delete(draft, wanted, draft.segments)
        done = draft.finish(snapshot.folder)
    return _compacted_if_must(done, progress)


def compact(folder: str | os.PathLike[str], *, only_must: bool = False, progress: Progress | None = None) -> Snapshot:
    """Rewrites what `policy` says: segments with many deleted rows, and undersized ones together. `only_must` leaves
    what is not past a hard bound. Without anything to do, the current version is returned."""
    with writing(Path(folder), progress) as draft:
        snapshot = Snapshot(Path(folder), draft.manifest)
        for rewrite in due(snapshot):
            if rewrite.must or not only_must:
                draft.tell(rewrite.reason)
                _rewrite(draft, rewrite.ids)
        return draft.finish(snapshot.folder) if draft.changed else snapshot


def due(snapshot: Snapshot) -> list[Rewrite]:
    """What `compact` would do."""
    figures = [Figures(s.leaf.id, s.leaf.rows, s.leaf.live, s.bytes) for s in snapshot.segments]
    return plan(figures, snapshot.manifest.segment_rows, bool(snapshot.header.cells))


def _compacted_if_must(snapshot: Snapshot, progress: Progress | None) -> Snapshot:
    if not any(rewrite.must for rewrite in due(snapshot)):
        return snapshot
    try:
        return compact(snapshot.folder, only_must=True, progress=progress)
    except BusyError:  # the change stands, and the next one compacts
        return snapshot


def _given(ids: Iterable[int]) -> Ids:
    """The ids to delete, ascending. Raises VectorError for none, and for what no vector can have."""
    wanted = []
    for id in ids:
        try:
            wanted.append(operator.index(id))
        except TypeError:
            raise VectorError(f"ids: {id!r:.40} is no id; give integers") from None
        if not 0 <= wanted[-1] <= MAX_ID:
            raise VectorError(f"ids: {wanted[-1]} is not in this snapshot")
    if not wanted:
        raise VectorError("ids: none given; name at least one")
    return np.unique(np.array(wanted, dtype=np.int64))


def _live_among(snapshot: Snapshot, ids: Ids) -> Ids:
    """Those of the ids that are live."""
    found = [np.zeros(0, dtype=np.int64)]
    for stored in snapshot.segments:
        segment = stored.segment
        found.append(np.intersect1d(ids, segment.ids[segment.live]))
    return np.sort(np.concatenate(found))


def _delete(draft: Draft, ids: Ids, segments: Iterable[int]) -> None:
    """Marks rows of these segments as deleted: new versions, with all but flags and trees shared with the old."""
    for number in list(segments):
        stored = draft.segments[number]
        segment = stored.segment
        rows = np.flatnonzero(segment.live & np.isin(segment.ids, ids))
        if not len(rows):
            continue
        new, rule = segment.without(rows), draft.committer.row_rule
        tree = None
        if rule != STOOLAP.name:
            old = stored.row_tree(rule)
            tree = RowTree(np.array(old.nodes), old.size, old.rule)
            vectors = np.stack([segment.vector(int(row)) for row in rows])
            tree.update(rows, row_leaves(new.ids[rows], new.live[rows], vectors, new.codes[:, rows]))
        draft.put(new, tree, before=stored)


def _append_to_cells(draft: Draft, snapshot: Snapshot, rows: Rows, replaced: Ids) -> None:
    """Every row into the cell of its nearest centroid; a cell that gets rows loses its deleted ones. Live rows of the
    ids `replaced` are deleted."""
    cell = 1 + assign(rows.coordinates, snapshot.centroids.segment.vectors())
    getting = sorted(set(cell.tolist()))
    _delete(draft, replaced, [id for id in draft.segments if id not in getting])
    for id in getting:
        segment = draft.segments[id].segment
        old = segment.live_rows()
        kept = old.take(np.flatnonzero(~np.isin(old.ids, replaced)))
        joined = Rows.joined([kept, rows.take(np.flatnonzero(cell == id))]).by_id()
        draft.put(make_segment(id, segment.version + 1, joined))


def _rewrite(draft: Draft, ids: Sequence[int]) -> None:
    """Replaces segments by one of their live rows, under the smallest id."""
    parts = [draft.segments[id].segment for id in ids]
    rows = Rows.joined([part.live_rows() for part in parts]).by_id()
    draft.drop(ids)
    if len(rows):
        draft.put(make_segment(min(ids), 1 + max(part.version for part in parts), rows))
