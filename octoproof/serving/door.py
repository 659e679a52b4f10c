"""The desk over HTTP: what is asked and signed, as JSON. What it lets in is bounded by `pipeline.limits`.

    GET  /v1/terms             who serves, under which agreements, and of which snapshot
    POST /v1/requests          {"request": signed, "input": hex} -> {"response": signed, "output": hex}
    POST /v1/acknowledgements  {"agreement", "sequence", "acknowledgement": signed} -> {}

Whatever is refused is answered with {"error": one line}.
"""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from air.statement import StatementError
from octoproof.market.messages import Acknowledgement, Request
from octoproof.pipeline.limits import Gate, Rules
from octoproof.serving.desk import Desk
from octoproof.serving.wire import MAX_NUMBER, read_bytes, read_felt, read_signed, signed_document
from verifier.errors import ParseError, VerificationError
from verifier.strict import fields, integer, load_json

MAX_BODY_BYTES, MAX_INPUT_BYTES = 256 << 10, 64 << 10


def application(desk: Desk, terms: dict[str, Any], rules: Rules) -> Starlette:
    """The ASGI application. `terms` is what GET /v1/terms answers."""

    async def tell(request: HttpRequest) -> JSONResponse:
        return JSONResponse(terms)

    async def serve(request: HttpRequest) -> JSONResponse:
        given = await _document(request, ("request", "input"))
        signed = read_signed(given["request"], Request, "request")
        data = read_bytes(given["input"], "input", MAX_INPUT_BYTES)
        response, output = await run_in_threadpool(desk.serve, signed, data)
        return JSONResponse({"response": signed_document(response), "output": output.hex()})

    async def acknowledge(request: HttpRequest) -> JSONResponse:
        given = await _document(request, ("agreement", "sequence", "acknowledgement"))
        signed = read_signed(given["acknowledgement"], Acknowledgement, "acknowledgement")
        agreement, sequence = read_felt(given["agreement"], "agreement"), integer(given["sequence"], "sequence")
        if not 0 <= sequence <= MAX_NUMBER:
            raise ParseError(f"sequence: {sequence} is outside 0..{MAX_NUMBER}")
        await run_in_threadpool(desk.acknowledge, agreement, sequence, signed)
        return JSONResponse({})

    routes = [
        Route("/v1/terms", tell),
        Route("/v1/requests", serve, methods=["POST"]),
        Route("/v1/acknowledgements", acknowledge, methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {kind: _refusal(status) for kind, status in STATUS.items()}
    return Starlette(routes=routes, middleware=[Middleware(Gate, rules=rules)], exception_handlers=handlers)


STATUS: dict[type[Exception], int] = {ParseError: 400, StatementError: 422, VerificationError: 422, OSError: 503}


def _refusal(status: int) -> Any:
    async def answer(request: HttpRequest, error: Exception) -> JSONResponse:
        return JSONResponse({"error": " ".join(str(error).split())[:500]}, status)

    return answer


async def _document(request: HttpRequest, names: tuple[str, ...]) -> dict[str, Any]:
    return fields(load_json(await request.body(), "body", MAX_BODY_BYTES), "body", names)
