"""What a stranger may ask of the service: who he is (token), how often (rate), how much (size), how many at once.

`Gate` stands before the application, so that what it refuses costs next to nothing. Without a token the service is for
this machine alone: then pages of other sites must not reach it through the user's browser either, whether by naming it
outright (Origin) or by a name of their own that they point at it (Host).
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import math
import os
import re
import stat
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from octoproof.vectors.errors import VectorError

MAX_BODY_BYTES, MAX_RECEIPT_BYTES = 1 << 20, 64 << 20
BODY_S = 30.0  # a body that takes longer is given up
RATE_PER_S, BURST, MAX_CLIENTS = 100.0, 200.0, 4096
PUBLIC = ("/", "/page.css", "/page.js", "/healthz", "/openapi.json")  # nothing in them is secret
UNLIMITED = "/healthz"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

_TOKEN = re.compile(rb"[\x21-\x7e]{16,512}")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def token_from_file(path: Path) -> bytes:
    """The token in a file that nobody else may read. Raises OSError, VectorError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise VectorError(f"token: {path} is no file; name one, or use --token-fd")
        if found.st_mode & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            raise VectorError(f"token: {path} has mode {mode:04o}, others could read it; chmod 600 it")
    except BaseException:
        os.close(descriptor)
        raise
    return token_from_descriptor(descriptor)


def token_from_descriptor(descriptor: int) -> bytes:
    """The token that an open file or pipe holds; closes it. Raises OSError, VectorError."""
    with open(descriptor, "rb") as file:
        raw = file.read(1024).removesuffix(b"\n")
    if not _TOKEN.fullmatch(raw):
        raise VectorError("token: must be 16 to 512 printable ASCII characters without spaces, on one line")
    return raw


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Rate:
    """A token bucket a client: `burst` requests at once, `per_s` a second in the long run."""

    def __init__(
        self, per_s: float = RATE_PER_S, burst: float = BURST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._buckets = OrderedDict[str, tuple[float, float]]()  # client: what is left, and when that was

    def wait(self, address: str) -> float:
        """Takes one; seconds until there is one where there is none, else 0."""
        client, now = _client(address), self._clock()
        left, then = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._per_s)
        allowed = left >= 1.0
        self._buckets[client] = left - 1.0 if allowed else left, now
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._per_s


def _client(address: str) -> str:
    """The address, of IPv6 the network: one subscriber has 2^64 addresses there."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return address


class Slots:
    """At most `running` at once, and `waiting` more for their turn; others are refused. For one event loop."""

    def __init__(self, name: str, running: int, waiting: int = 0) -> None:
        self._name, self._most, self._inside = name, running + waiting, 0
        self._turn = asyncio.Semaphore(running)

    def enter(self) -> None:
        """Raises HTTPException 429 where all are taken; `leave` must follow."""
        if self._inside >= self._most:
            raise HTTPException(429, f"{self._name}: {self._most} at once are allowed; try later", {"Retry-After": "1"})
        self._inside += 1

    def leave(self) -> None:
        self._inside -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for one of those that run. Raises HTTPException 429."""
        self.enter()
        try:
            async with self._turn:
                yield
        finally:
            self.leave()


@dataclass(frozen=True)
class Rules:
    """What the gate lets pass. Without a token, `hosts` are the names that the service is asked by."""

    token: bytes | None = None
    hosts: tuple[str, ...] = LOOPBACK
    rate: Rate = field(default_factory=Rate)
    max_body: int = MAX_BODY_BYTES
    max_bodies: Mapping[str, int] = field(default_factory=lambda: {"/v1/verify": MAX_RECEIPT_BYTES})


class Gate:
    """ASGI middleware: refuses what the rules forbid, and bounds the body before it is read."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            limit = self._admit(scope)
        except HTTPException as refusal:
            answer = JSONResponse({"error": refusal.detail}, refusal.status_code, refusal.headers)
            await answer(scope, receive, headed)
            return
        await self._app(scope, _bounded(receive, limit), headed)

    def _admit(self, scope: Scope) -> int:
        """How many bytes the body may have. Raises HTTPException."""
        rules, headers, path = self._rules, Headers(scope=scope), scope["path"]
        if path != UNLIMITED and (wait := rules.rate.wait((scope.get("client") or ("",))[0])):
            message = "rate: too many requests from this address; slow down"
            raise HTTPException(429, message, {"Retry-After": str(math.ceil(wait))})
        if rules.token is None:
            _check_names(headers, rules.hosts)
        elif path not in PUBLIC:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), rules.token):
                message = "token: missing or wrong; send the header Authorization: Bearer TOKEN"
                raise HTTPException(401, message, {"WWW-Authenticate": "Bearer"})
        limit, length = rules.max_bodies.get(path, rules.max_body), headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 20):
            raise HTTPException(400, "content-length: not a number")
        if int(length) > limit:
            raise HTTPException(413, _too_large(limit), {"Connection": "close"})
        return limit


def _check_names(headers: Headers, hosts: tuple[str, ...]) -> None:
    host, origin = headers.get("host", ""), headers.get("origin")
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name.lower() not in hosts:
        raise HTTPException(400, f"host: this service answers to {', '.join(hosts)}; for others it needs a token")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        raise HTTPException(400, "origin: pages of other sites cannot ask this service")


def _bounded(receive: Receive, limit: int) -> Receive:
    """`receive`, which raises HTTPException once the body is larger than it may be, or has taken too long."""
    size, ends, complete = 0, time.monotonic() + BODY_S, False

    async def counted() -> Message:
        nonlocal size, complete
        if complete:  # from then on it waits for the client to go away
            return await receive()
        try:
            async with asyncio.timeout(ends - time.monotonic()):
                message = await receive()
        except TimeoutError:
            raise HTTPException(400, f"body: not complete after {BODY_S:.0f} s") from None
        size += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if size > limit:
            raise HTTPException(413, _too_large(limit), {"Connection": "close"})
        return message

    return counted


def _too_large(limit: int) -> str:
    return f"body: at most {limit:,} bytes are read"
