"""One text a row, kept as one UTF-8 string and the offsets of its parts, so that a million of them load at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from octoproof.vectors.errors import VectorError

MAX_LABEL_BYTES = 4096


@dataclass(frozen=True)
class Labels:
    """Label k is `text[offsets[k]:offsets[k + 1]]`. Labels are for people: nothing proves them."""

    offsets: npt.NDArray[np.uint64]
    text: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        return bytes(self.text[self.offsets[row] : self.offsets[row + 1]]).decode(errors="replace")

    def find(self, label: str) -> list[int]:
        """Every row of this label, ascending."""
        wanted = label.encode()
        rows = np.flatnonzero(np.diff(self.offsets) == len(wanted))
        starts = self.offsets[rows].astype(np.int64)
        for place, byte in enumerate(wanted):
            alike = self.text[starts + place] == byte
            rows, starts = rows[alike], starts[alike]
        return rows.tolist()

    def take(self, rows: npt.NDArray[np.integer]) -> Labels:
        """The labels of these rows, in this order."""
        text = self.text.tobytes()
        starts, stops = self.offsets[:-1][rows].tolist(), self.offsets[1:][rows].tolist()
        return _packed([text[a:b] for a, b in zip(starts, stops, strict=True)])

    @classmethod
    def joined(cls, parts: Sequence[Labels]) -> Labels:
        """All labels of the parts."""
        return _packed([bytes(p.text[a:b]) for p in parts for a, b in zip(p.offsets[:-1], p.offsets[1:], strict=True)])


def pack_labels(labels: Sequence[object] | npt.NDArray[np.generic], rows: int) -> Labels:
    """Raises VectorError for a wrong number of labels, or one that is too long."""
    if len(labels) != rows:
        raise VectorError(f"labels: {len(labels)} for {rows} vectors; give one each")
    parts = [str(label).encode() for label in labels]
    longest = max(map(len, parts), default=0)
    if longest > MAX_LABEL_BYTES:
        raise VectorError(f"labels: one has {longest} bytes, at most {MAX_LABEL_BYTES} are kept; shorten it")
    return _packed(parts)


def no_labels(rows: int) -> Labels:
    """Empty ones, for rows without labels among others that have some."""
    return _packed([b""] * rows)


def _packed(parts: list[bytes]) -> Labels:
    offsets = np.zeros(len(parts) + 1, dtype=np.uint64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return Labels(offsets, np.frombuffer(b"".join(parts), dtype=np.uint8))
