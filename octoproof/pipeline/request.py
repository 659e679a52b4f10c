"""What a job is asked to prove, and the key that makes two equal requests the same job (DESIGN 6)."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from air.statements.topk_statement import TOPK
from octoproof.vectors.opened import OPENED
from octoproof.vectors.snapshot import Snapshot, preset_key
from verifier.errors import ParseError
from verifier.receipt import VERSION
from verifier.strict import fields, integer, items, load_json, string

if TYPE_CHECKING:
    from octoproof.vectors.query import Answer, Asked

# A receipt's bytes depend on these: of another version, an equal request is another job.
FORMATS = f"receipt {VERSION}, topk {TOPK.VERSION}, opened {OPENED.VERSION}"
MAX_REQUEST_BYTES = 1 << 20


@dataclass(frozen=True)
class Request:
    """A query of one snapshot version, by its integer coordinates. `where` are (field, value), ascending; `probes` and
    `candidates` are 0 for the mode's default."""

    snapshot: str
    version: int
    root: str
    query: tuple[int, ...]
    k: int
    metric: str
    mode: str
    where: tuple[tuple[str, str], ...]
    probes: int
    candidates: int
    preset: str

    @property
    def key(self) -> str:
        """64 hex digits over everything that the receipt's bytes depend on: not where the snapshot lies."""
        document = asdict(replace(self, snapshot="", version=0)) | {"formats": FORMATS}
        return hashlib.blake2s(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    def open(self) -> Snapshot:
        """The snapshot. Raises what `Snapshot.open` raises, ParseError if it is another one by now."""
        snapshot = Snapshot.open(self.snapshot, self.version)
        if snapshot.root.hex() != self.root:
            raise ParseError(f"snapshot: version {self.version} of {self.snapshot} has another root than was asked")
        return snapshot

    def answer(self, snapshot: Snapshot) -> Answer:
        """Searches again: the same matches and claims each time. Raises VectorError."""
        from octoproof.vectors.query import Asked, ask  # compiles kernels: only who proves pays for it

        numbers = (np.array(self.query) / snapshot.quantiser.factor).astype(np.float32)
        return ask(
            snapshot,
            Asked(self.query, numbers),
            self.k,
            self.metric,
            self.mode,
            where=dict(self.where),
            probes=self.probes or None,
            candidates=self.candidates or None,
        )


class OpenSnapshots:
    """The snapshots of the latest requests, opened once."""

    KEPT = 4

    def __init__(self) -> None:
        self._opened = OrderedDict[tuple[str, int, str], Snapshot]()

    def get(self, request: Request) -> Snapshot:
        """Raises what `Request.open` raises."""
        name = (request.snapshot, request.version, request.root)
        if name not in self._opened:
            self._opened[name] = request.open()
            if len(self._opened) > self.KEPT:
                self._opened.popitem(last=False)
        self._opened.move_to_end(name)
        return self._opened[name]


def request_of(
    snapshot: Snapshot,
    asked: Asked,
    *,
    k: int = 10,
    metric: str = "l2",
    mode: str = "strict",
    where: Mapping[str, str] | None = None,
    probes: int = 0,
    candidates: int = 0,
    preset: str = "standard",
) -> Request:
    """The request that a question of an opened snapshot makes. Raises VectorError for a preset that there is not."""
    preset_key(preset)
    return Request(
        snapshot=str(snapshot.folder.resolve()),
        version=snapshot.number,
        root=snapshot.root.hex(),
        query=asked.coordinates,
        k=k,
        metric=metric,
        mode=mode,
        where=tuple(sorted((where or {}).items())),
        probes=probes,
        candidates=candidates,
        preset=preset,
    )


def request_from_json(text: str | bytes) -> Request:
    """Inverse of `to_json`. Raises ParseError naming the field."""
    names = list(Request.__dataclass_fields__)
    doc: dict[str, Any] = fields(load_json(text, "request", MAX_REQUEST_BYTES), "request", names)
    where = []
    for pair in items(doc["where"], "request.where"):
        name, value = (string(part, "request.where") for part in _pair(pair))
        where.append((name, value))
    texts = {name: string(doc[name], f"request.{name}") for name in ("snapshot", "root", "metric", "mode", "preset")}
    numbers = {name: integer(doc[name], f"request.{name}") for name in ("version", "k", "probes", "candidates")}
    query = tuple(integer(value, "request.query") for value in items(doc["query"], "request.query"))
    return Request(**texts, **numbers, query=query, where=tuple(where))


def _pair(value: Any) -> list[Any]:
    found = items(value, "request.where")
    if len(found) != 2:
        raise ParseError("request.where: pairs of a field and a value")
    return found
