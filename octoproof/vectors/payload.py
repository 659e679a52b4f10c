"""Payload fields: one text a row that queries can filter by, committed as a code of a dictionary.

A dictionary only grows: a value keeps its code (its place, from 1) in all later snapshots, so that segments that did
not change need not be committed again. Code 0 stands for a row without this label.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from air.statements.question import Filter
from air.statements.snapshot import (
    MAX_FIELDS,
    MAX_NAME_BYTES,
    MAX_VALUE_BYTES,
    MAX_VALUES,
    PayloadField,
    dictionary_digest,
)
from octoproof.vectors.errors import VectorError

LABEL = "label"  # the field made of the labels themselves
AUTOMATIC = 4096  # labels of so few different values are made a field without being asked


@dataclass(frozen=True)
class Dictionary:
    """The values of one field; value k has the code k + 1."""

    name: str
    values: tuple[str, ...]

    @cached_property
    def field(self) -> PayloadField:
        """What the snapshot's header says of it."""
        return PayloadField(self.name, len(self.values), dictionary_digest(self.values))

    def with_values(self, texts: Iterable[str]) -> Dictionary:
        """With every value that is new, in order of appearance. Raises VectorError for one that cannot be kept."""
        known = dict.fromkeys(self.values)
        for text in dict.fromkeys(texts):
            if text and len(text.encode()) > MAX_VALUE_BYTES:
                raise VectorError(
                    f"{self.name}: a value has {len(text.encode())} bytes, at most {MAX_VALUE_BYTES} can be filtered by"
                )
            if text:
                known.setdefault(text)
        if len(known) > MAX_VALUES:
            raise VectorError(f"{self.name}: {len(known)} different values, at most {MAX_VALUES} can be filtered by")
        return Dictionary(self.name, tuple(known))

    def codes(self, texts: Sequence[str]) -> npt.NDArray[np.uint32]:
        """The code of every text; empty ones are 0. All others must be known."""
        places = {value: code for code, value in enumerate(self.values, 1)} | {"": 0}
        return np.fromiter((places[text] for text in texts), dtype=np.uint32, count=len(texts))


def new_dictionaries(names: Sequence[str]) -> tuple[Dictionary, ...]:
    """Empty ones. Raises VectorError for names that cannot be fields."""
    if len(set(names)) != len(names):
        raise VectorError("fields: a name appears twice")
    if len(names) > MAX_FIELDS:
        raise VectorError(f"fields: {len(names)}, at most {MAX_FIELDS} can be filtered by")
    for name in names:
        if not name or "=" in name or len(name.encode()) > MAX_NAME_BYTES:
            raise VectorError(f"fields: {name!r:.80} is no name for a field; use 1 to {MAX_NAME_BYTES} bytes without =")
    return tuple(Dictionary(name, ()) for name in names)


def filters(dictionaries: Sequence[Dictionary], where: dict[str, str]) -> tuple[Filter, ...]:
    """`{"label": "noun"}` as filters. Raises VectorError for a field or value that the snapshot does not have."""
    found = []
    for name, value in where.items():
        place = next((k for k, item in enumerate(dictionaries) if item.name == name), None)
        if place is None:
            known = ", ".join(item.name for item in dictionaries) or "none"
            raise VectorError(
                f"where: no field {name!r:.60} in this snapshot, which has {known}; build it with --field"
            )
        if value not in dictionaries[place].values:
            raise VectorError(f"where: no row of this snapshot has {name}={value!r:.60}")
        found.append(Filter(place, dictionaries[place].values.index(value) + 1, value))
    return tuple(sorted(found, key=lambda item: item.field))
