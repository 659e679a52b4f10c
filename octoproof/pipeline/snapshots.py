"""The snapshots that a service answers for: opened once, kept, and opened again when they have a newer version."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from octoproof.pipeline.recall import recall_estimate
from octoproof.vectors.errors import VectorError
from octoproof.vectors.manifest import numbers
from octoproof.vectors.snapshot import Snapshot

_KEPT = 4  # versions of each snapshot


class Snapshots:
    """Snapshots by the name that clients call them. Safe for many threads."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """Opens all. Raises what `Snapshot.open` raises."""
        self._folders = {name: folder.resolve() for name, folder in folders.items()}
        self._opened = {name: OrderedDict[int, Snapshot]() for name in folders}
        self._lock = Lock()
        self._recalls = dict[str, tuple[int, float]]()
        for name in folders:
            self.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._folders)

    def get(self, name: str, version: int | None = None) -> Snapshot:
        """The newest version there is by now, or the one of this number. Raises what `Snapshot.open` raises."""
        if name not in self._folders:
            known = ", ".join(self._folders) or "none"
            raise VectorError(f"snapshot: {name!r:.80} is not served here; these are: {known:.300}")
        folder = self._folders[name]
        number = numbers(folder)[-1] if version is None else version
        with self._lock:
            held = self._opened[name]
            if number not in held:
                held[number] = _opened(folder, number)
                if len(held) > _KEPT:
                    held.popitem(last=False)
            held.move_to_end(number)
            return held[number]

    def recall(self, name: str) -> float:
        """`recall_estimate` of the newest version, kept until there is another. Raises what `get` raises."""
        snapshot = self.get(name)
        number, recall = self._recalls.get(name, (0, 0.0))
        if number != snapshot.number:
            recall = recall_estimate(snapshot)
            self._recalls[name] = snapshot.number, recall
        return recall

    def name_of(self, folder: str) -> str | None:
        """Under which name the snapshot in a folder is served."""
        return next((name for name, known in self._folders.items() if str(known) == folder), None)

    def label(self, name: str | None, version: int, id: int) -> str | None:
        """The label of a row, which nothing proves; None where it is not known any more."""
        if name is None:
            return None
        try:
            place = self.get(name, version).locate(id)
        except (OSError, VectorError):  # the version is gone
            return None
        labels = None if place is None else place[0].segment.labels
        return None if place is None or labels is None else labels[place[1]]


def _opened(folder: Path, number: int) -> Snapshot:
    """With its arrays mapped, so that no request waits for that."""
    snapshot = Snapshot.open(folder, number)
    for stored in snapshot.segments:
        stored.segment  # noqa: B018 a cached property
    return snapshot
