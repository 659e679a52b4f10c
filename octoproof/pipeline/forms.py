"""What clients send and get: pydantic models, from which the OpenAPI document is made too."""

from __future__ import annotations

import time
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from air.statements.question import MAX_K, METRICS, Question
from air.statements.snapshot import MAX_FIELDS, MAX_NAME_BYTES, MAX_VALUE_BYTES
from air.statements.topk import MAX_DIMENSION
from air.statements.topk_statement import MAX_PROBES
from octoproof.pipeline.explain import Bytes
from octoproof.pipeline.jobs import STATES, Job, Priority
from octoproof.pipeline.request import Request, request_of
from octoproof.pipeline.snapshots import Snapshots
from octoproof.vectors.change import due
from octoproof.vectors.errors import VectorError
from octoproof.vectors.labels import MAX_LABEL_BYTES
from octoproof.vectors.payload import filters
from octoproof.vectors.query import MODES, find, quantise_query
from octoproof.vectors.rerank import MAX_CANDIDATES, candidate_count
from octoproof.vectors.segment import MAX_ID
from octoproof.vectors.snapshot import Snapshot, preset_key
from verifier.config import PRESETS

MAX_DEADLINE_S = 30 * 86400.0
LARGEST = 3.4e38  # what a float32 can hold

Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_BYTES)]
Value = Annotated[str, StringConstraints(max_length=MAX_VALUE_BYTES)]
State, Metric, Mode, Preset = Literal[STATES], Literal[METRICS], Literal[MODES], Literal[tuple(PRESETS)]
Level = Literal["low", "normal", "high"]
JobId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{16,64}$")]
Root = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Submission(BaseModel):
    """A query of a snapshot, by its numbers, or as one of the snapshot's vectors by id or label."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    snapshot: Name
    version: int | None = Field(None, ge=1, le=999_999_999, description="else the newest")
    query: list[Number] | None = Field(None, min_length=1, max_length=MAX_DIMENSION)
    id: int | None = Field(None, ge=0, le=MAX_ID)
    label: str | None = Field(None, max_length=MAX_LABEL_BYTES)
    k: int = Field(10, ge=1, le=MAX_K)
    metric: Metric = "l2"
    mode: Mode = "strict"
    where: dict[Name, Value] = Field(default_factory=dict, max_length=MAX_FIELDS)
    probes: int | None = Field(None, ge=1, le=MAX_PROBES)
    candidates: int | None = Field(None, ge=1, le=MAX_CANDIDATES)
    preset: Preset = "standard"
    priority: Level = "normal"
    deadline_s: float | None = Field(None, gt=0, le=MAX_DEADLINE_S, description="from now; who waits longer fails")

    @model_validator(mode="after")
    def _one_query(self) -> Self:
        given = sum(value is not None for value in (self.query, self.id, self.label))
        if given != 1:
            raise ValueError(f"give one of query, id and label, not {given}")
        return self

    def request(self, snapshot: Snapshot) -> Request:
        """The request, checked as far as that needs no search. Raises VectorError, StatementError."""
        if self.query is not None:
            asked = quantise_query(snapshot, self.query)
        else:
            asked = find(snapshot, id=self.id, label=self.label)
        question = Question(self.metric, asked.coordinates, self.k, filters(snapshot.dictionaries, self.where))
        question.check(snapshot.header)
        if self.mode == "candidates":
            candidate_count(self.k, self.candidates or 0, snapshot.header.live)
        if self.mode == "ivf" and (self.probes or 1) > snapshot.centroids.leaf.rows:
            raise VectorError(f"probes: {self.probes} is more than the {snapshot.centroids.leaf.rows} cells")
        return request_of(
            snapshot,
            asked,
            k=self.k,
            metric=self.metric,
            mode=self.mode,
            where=self.where,
            probes=self.probes or 0,
            candidates=self.candidates or 0,
            preset=self.preset,
        )

    @property
    def level(self) -> Priority:
        return Priority[self.priority.upper()]

    @property
    def deadline(self) -> float | None:
        """As a time."""
        return None if self.deadline_s is None else time.time() + self.deadline_s


class Failure(BaseModel):
    """What is wrong, in one line."""

    error: str


class JobView(BaseModel):
    """A job. Times are seconds since 1970; `part` of `parts` are proven; `receipt` is the hash of its bytes."""

    id: str
    state: State
    part: int
    parts: int
    priority: Level
    deadline: float | None
    created: float
    started: float | None
    updated: float
    attempts: int
    reason: str | None
    receipt: str | None
    snapshot: str | None
    version: int
    snapshot_root: str
    mode: str
    metric: str
    k: int
    where: dict[str, str]
    preset: str

    @classmethod
    def of(cls, job: Job, snapshots: Snapshots) -> JobView:
        request = job.request
        return cls(
            id=job.id,
            state=job.state,
            part=job.part,
            parts=job.parts,
            priority=job.priority.name.lower(),
            deadline=job.deadline,
            created=job.created,
            started=job.started,
            updated=job.updated,
            attempts=job.attempts,
            reason=job.reason,
            receipt=job.receipt,
            snapshot=snapshots.name_of(request.snapshot),
            version=request.version,
            snapshot_root=request.root,
            mode=request.mode,
            metric=request.metric,
            k=request.k,
            where=dict(request.where),
            preset=request.preset,
        )


class JobList(BaseModel):
    """The latest jobs first; `counts` are of all there are."""

    jobs: list[JobView]
    counts: dict[str, int]
    runners: int


class SnapshotView(BaseModel):
    """A served snapshot in its newest version. `tombstones` is the share of deleted rows; `compaction` says why
    segments ought to be rewritten; `presets` are those that it is committed for."""

    name: str
    version: int
    root: str
    dimension: int
    rows: int
    live: int
    segments: int
    cells: int
    normalised: bool
    fields: list[str]
    presets: list[str]
    tombstones: float
    compaction: list[str]

    @classmethod
    def of(cls, name: str, snapshot: Snapshot) -> SnapshotView:
        header = snapshot.header
        keys = set.intersection(*({item.key for item in s.leaf.column_roots} for s in snapshot.manifest.segments))
        return cls(
            name=name,
            version=snapshot.number,
            root=snapshot.root.hex(),
            dimension=header.dimension,
            rows=header.rows,
            live=header.live,
            segments=len(snapshot.segments),
            cells=header.cells,
            normalised=header.normalised,
            fields=[item.name for item in snapshot.dictionaries],
            presets=[preset for preset in PRESETS if preset_key(preset) in keys],
            tombstones=(header.rows - header.live) / header.rows,
            compaction=[rewrite.reason for rewrite in due(snapshot)],
        )


class CheckView(BaseModel):
    """A check of the verifier; `part` is which of the receipt's parts it is about."""

    name: str
    ok: bool
    ms: float | None = None
    part: int | None = None


class Match(BaseModel):
    """A proven result. Nothing proves the label."""

    id: int
    score: int
    label: str | None = None


class SegmentView(BaseModel):
    """A segment that the claim is about: `emitted` of its rows reach the threshold."""

    index: int
    id: int
    version: int
    rows: int
    emitted: int
    threshold: int


class Claim(BaseModel):
    """What a receipt says; a certificate has neither question nor results."""

    type: str
    preset: str | None
    parts: int
    proves: str | None = None
    mode: str | None = None
    metric: str | None = None
    k: int | None = None
    where: dict[str, str] = {}
    snapshot_root: str | None
    results: list[Match]
    segments: list[SegmentView]


class Security(BaseModel):
    """Bits, and what the proven ones rest on and are bound by."""

    conjectured: float
    proven: float
    regime: str
    binds: str


class VerdictView(BaseModel):
    """What the verifier says of a receipt."""

    valid: bool
    reason: str | None
    claim: Claim | None
    security: Security | None
    checks: list[CheckView]
    ms: float
    bytes: int
    receipt_hash: str


class BytesView(BaseModel):
    """Where bytes are: `size` is the sum over `parts`, where there are some."""

    name: str
    size: int
    parts: list[BytesView]

    @classmethod
    def of(cls, node: Bytes) -> BytesView:
        return cls.model_construct(name=node.name, size=node.size, parts=[cls.of(part) for part in node.parts])


class Explanation(BaseModel):
    """A job's receipt for people."""

    job: str
    verdict: VerdictView
    layout: BytesView
