"""The HTTP service: proof jobs under /v1, metrics, and a status page. What it lets in is in `limits` and `forms`.

Whatever is wrong is answered with one JSON object, {"error": one line}. Blocking work runs in threads.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from air.statement import StatementError
from octoproof import __version__
from octoproof.pipeline import explain
from octoproof.pipeline.forms import (
    BytesView,
    Explanation,
    Failure,
    JobId,
    JobList,
    JobView,
    Root,
    SnapshotView,
    State,
    Submission,
    VerdictView,
)
from octoproof.pipeline.idempotency import KeyReusedError, once
from octoproof.pipeline.jobs import OPEN, STATES, Job
from octoproof.pipeline.limits import Gate, Rules, Slots
from octoproof.pipeline.metrics import Metrics
from octoproof.pipeline.snapshots import Snapshots
from octoproof.pipeline.store import Store
from octoproof.pipeline.threads import StoreThreads
from octoproof.vectors.errors import SnapshotError, VectorError
from verifier.errors import ParseError

EVENT_S, SILENCE_S = 0.25, 15.0  # how often a job is looked at for a listener, and when he hears that he still listens
LISTENERS, VERIFYING, WAITING = 64, 2, 16
_EXPLAINED = 64


@dataclass(frozen=True)
class Desk:
    """What every request works with. `runner_pid` tells the process of the service's own runner, if it has one."""

    store: StoreThreads
    snapshots: Snapshots
    runner_pid: Callable[[], int | None] = lambda: None
    metrics: Metrics = field(default_factory=Metrics)
    listeners: Slots = field(default_factory=lambda: Slots("events", LISTENERS))
    verifying: Slots = field(default_factory=lambda: Slots("verify", VERIFYING, WAITING))
    explained: OrderedDict[str, Explanation] = field(default_factory=OrderedDict)


async def _desk(request: Request) -> Desk:
    return request.app.state.desk


At = Annotated[Desk, Depends(_desk)]
Bits = Annotated[float, Query(ge=0.0, le=1000.0, allow_inf_nan=False)]
router = APIRouter()
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure, "description": "Not what HTTP or JSON is, or from another site"},
    401: {"model": Failure, "description": "The token is missing or wrong"},
    413: {"model": Failure, "description": "The body is larger than what is read"},
    422: {"model": Failure, "description": "Read, and refused"},
    429: {"model": Failure, "description": "Too many requests; Retry-After says for how long"},
    503: {"model": Failure, "description": "Store or snapshot cannot be used at the moment"},
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Failure, "description": "No such job, or none yet"}}
BINARY = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}


def application(desk: Desk, rules: Rules) -> FastAPI:
    """The ASGI application."""
    app = FastAPI(
        title="Octoproof", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False, responses=ERRORS
    )
    app.state.desk = desk
    app.include_router(router)
    for kind, status in STATUS.items():
        app.add_exception_handler(kind, _refusal(status))
    app.add_exception_handler(HTTPException, _http_refusal)
    app.add_exception_handler(RequestValidationError, _form_refusal)
    app.add_middleware(Gate, rules=rules)
    return app


STATUS: dict[type[Exception], int] = {
    ParseError: 422,
    StatementError: 422,
    SnapshotError: 503,
    OSError: 503,
    Exception: 500,
}


def _refusal(status: int) -> Any:
    async def answer(request: Request, error: Exception) -> JSONResponse:
        return _failure(status, str(error) if status < 500 else _UNUSABLE[status])

    return answer


_UNUSABLE = {500: "internal error; see the log of the service", 503: "store or snapshot cannot be used; try later"}


async def _http_refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _failure(error.status_code, error.detail, dict(error.headers or {}))


async def _form_refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "header"))
    return _failure(400 if first["type"] == "json_invalid" else 422, f"{where or 'body'}: {first['msg']}")


def _failure(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    # A stranger's words may be part of it.
    return JSONResponse({"error": " ".join(message.split())[:500]}, status, headers)


@router.post("/v1/jobs", status_code=202, response_model=JobView, responses={409: {"model": Failure}})
async def submit(
    submission: Submission,
    at: At,
    idempotency_key: Annotated[str | None, Header(pattern=r"^[\x21-\x7e]{1,200}$")] = None,
) -> Response:
    """Queues a job. An equal request is the same job; under a key already used, the answer is the one given then."""

    def work(store: Store) -> str:
        request = submission.request(at.snapshots.get(submission.snapshot, submission.version))

        def answer() -> str:
            job, _ = store.submit(request, submission.level, submission.deadline)
            return JobView.of(job, at.snapshots).model_dump_json()

        if idempotency_key is None:
            return answer()
        return once(store.folder, idempotency_key, submission.model_dump_json(), answer)

    try:
        return Response(await at.store.do(work), 202, media_type="application/json")
    except KeyReusedError:
        raise HTTPException(409, "idempotency-key: used before for another request; choose a new one") from None


@router.get("/v1/jobs")
async def jobs(
    at: At, state: Annotated[list[State] | None, Query()] = None, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> JobList:
    """The latest jobs, of these states if any are named."""

    def work(store: Store) -> JobList:
        found = [JobView.of(job, at.snapshots) for job in store.jobs(state or STATES, limit)]
        return JobList(jobs=found, counts=store.counts(), runners=len(store.runners()))

    return await at.store.do(work)


async def _job(at: Desk, id: str) -> Job:
    def work(store: Store) -> Job:
        try:
            return store.job(id)
        except VectorError as error:
            raise HTTPException(404, str(error)) from None

    return await at.store.do(work)


@router.get("/v1/jobs/{id}", responses=MISSING)
async def job(id: JobId, at: At) -> JobView:
    """A job."""
    return JobView.of(await _job(at, id), at.snapshots)


@router.delete("/v1/jobs/{id}", responses=MISSING)
async def cancel(id: JobId, at: At) -> JobView:
    """Cancels a job; one that has ended stays as it is."""
    await _job(at, id)
    return JobView.of(await at.store.do(lambda store: store.cancel(id)), at.snapshots)


async def _receipt(at: Desk, id: str) -> tuple[Job, str]:
    found = await _job(at, id)
    if found.receipt is None:
        raise HTTPException(404, f"receipt: the job is {found.shown_state}; there is one when it is verified")
    return found, found.receipt


@router.get("/v1/jobs/{id}/receipt", response_class=Response, responses=MISSING | {200: BINARY, 304: {}})
async def receipt(id: JobId, at: At, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """The receipt's bytes, once the job is verified."""
    found, name = await _receipt(at, id)
    headers = {"ETag": f'"{name}"', "Cache-Control": "private, no-cache"}
    if if_none_match is not None and f'"{name}"' in if_none_match:
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{found.id}.receipt"'
    data = await at.store.do(lambda store: store.artefacts.get(name))
    return Response(data, headers=headers, media_type="application/octet-stream")


@router.get("/v1/jobs/{id}/explain", responses=MISSING)
async def explanation(id: JobId, at: At) -> Explanation:
    """The receipt for people: what is claimed, the checks of the verifier with their times, where the bytes are."""
    found, name = await _receipt(at, id)
    if name not in at.explained:
        async with at.verifying.turn():
            data = await at.store.do(lambda store: store.artefacts.get(name))
            at.explained[name] = await asyncio.to_thread(_explained, at, found, data)
        if len(at.explained) > _EXPLAINED:
            at.explained.popitem(last=False)
    return at.explained[name]


def _explained(at: Desk, found: Job, data: bytes) -> Explanation:
    verdict = explain.judge(data, bytes.fromhex(found.request.root), min_conjectured=0.0)  # the client chose the preset
    for match in verdict["claim"]["results"] if verdict["claim"] else ():
        folder, version = found.request.snapshot, found.request.version
        match["label"] = at.snapshots.label(at.snapshots.name_of(folder), version, match["id"])
    return Explanation(
        job=found.id, verdict=VerdictView.model_validate(verdict), layout=BytesView.of(explain.layout(data))
    )


@router.get("/v1/jobs/{id}/events", response_class=StreamingResponse, responses=MISSING)
async def events(id: JobId, at: At) -> Response:
    """Server-sent events: `job` whenever it changes, `end` after it has ended."""
    found = await _job(at, id)
    at.listeners.enter()
    return _Stream(_changes(at, found), at.listeners.leave)


class _Stream(StreamingResponse):
    """A stream of events that says when it is over, however it ends."""

    def __init__(self, content: AsyncIterator[str], over: Callable[[], None]) -> None:
        super().__init__(content, media_type="text/event-stream")
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._over()


async def _changes(at: Desk, found: Job) -> AsyncIterator[str]:
    told, heard = "", time.monotonic()
    while True:
        view = JobView.of(found, at.snapshots).model_dump_json()
        if view != told:
            told, heard = view, time.monotonic()
            yield f"event: job\ndata: {view}\n\n"
        elif time.monotonic() - heard > SILENCE_S:
            heard = time.monotonic()
            yield ": still there\n\n"
        if found.state not in OPEN:
            break
        await asyncio.sleep(EVENT_S)
        try:
            found = await _job(at, found.id)
        except HTTPException:  # forgotten meanwhile
            break
    yield "event: end\ndata: {}\n\n"


@router.post(
    "/v1/verify",
    openapi_extra={"requestBody": {"required": True, **BINARY}},
)
async def verify(
    request: Request,
    at: At,
    root: Annotated[Root | None, Query()] = None,
    min_proven: Bits = 0.0,
    min_conjectured: Annotated[float | None, Query(ge=0.0, le=1000.0, allow_inf_nan=False)] = None,
) -> VerdictView:
    """Verifies a receipt. Without `root` it may be about any snapshot; without `min_conjectured`, every part must
    reach 96 bits."""
    async with at.verifying.turn():
        data = await request.body()
        known = None if root is None else bytes.fromhex(root)
        try:
            verdict = await asyncio.to_thread(explain.judge, data, known, min_conjectured, min_proven)
        except ParseError as error:
            raise HTTPException(400, str(error)) from None
    return VerdictView.model_validate(verdict)


@router.get("/v1/snapshots")
async def snapshots(at: At) -> list[SnapshotView]:
    """The snapshots that can be asked, in their newest versions."""
    return await at.store.do(lambda _: _views(at))


def _views(at: Desk) -> list[SnapshotView]:
    return [SnapshotView.of(name, at.snapshots.get(name)) for name in at.snapshots.names]


@router.get("/healthz")
async def health(at: At) -> dict[str, bool]:
    """Whether jobs can be submitted, and whether a runner is there to prove them."""
    return {"ok": True, "runner": await at.store.do(lambda store: bool(store.runners()))}


@router.get("/metrics", response_class=Response)
async def metrics(at: At) -> Response:
    """Figures for Prometheus."""

    def work(store: Store) -> bytes:
        at.metrics.observe(store.folder)
        pids = {"service": os.getpid(), "runner": at.runner_pid()}
        recalls = {name: at.snapshots.recall(name) for name in at.snapshots.names}
        return at.metrics.text(store.counts(), len(store.runners()), _views(at), recalls, pids)

    return Response(await at.store.do(work), media_type="text/plain; version=0.0.4; charset=utf-8")


_PAGES = files("octoproof.pipeline") / "pages"


def _page(path: str, name: str, media_type: str) -> None:
    content = (_PAGES / name).read_bytes()

    @router.get(path, include_in_schema=False)
    async def page() -> Response:
        return Response(content, media_type=media_type, headers={"Cache-Control": "no-cache"})


_page("/", "index.html", "text/html; charset=utf-8")
_page("/page.css", "page.css", "text/css; charset=utf-8")
_page("/page.js", "page.js", "text/javascript; charset=utf-8")
