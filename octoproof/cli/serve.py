"""`octoproof serve`: proves the jobs of a store, and serves it over HTTP with a status page."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octoproof.cli.board import Tell, board
from octoproof.cli.console import application
from octoproof.cli.jobs import STORE_OPTION

if TYPE_CHECKING:
    import uvicorn

    from octoproof.pipeline.limits import Rules
    from octoproof.pipeline.service import Desk

app = application("Prove jobs, and serve them over HTTP with a status page.")

WATCH_S, END_S = 1.0, 3
KEEP_S = 65  # longer than clients and proxies keep a connection, so that none is closed under a request


@app.command()
def serve(
    snapshot: Annotated[
        list[str] | None, typer.Option("--snapshot", metavar="NAME=FOLDER", help="What can be asked; repeatable.")
    ] = None,
    store: Annotated[Path | None, STORE_OPTION] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen at; others than loopback need a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 for any that is free.")] = 8642,
    address: Annotated[
        str | None, typer.Option("--address", help="Of a Ray cluster, else one on this machine.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Prover processes; else one a core.")] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Holds the token; mode 0600.")
    ] = None,
    token_fd: Annotated[
        int | None, typer.Option("--token-fd", metavar="N", min=0, help="... an open file to read it from.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON an event.")] = False,
) -> None:
    """Serves until it is interrupted; jobs that are not done then are done next time."""
    from octoproof.pipeline.child import RunnerChild
    from octoproof.pipeline.home import default_store
    from octoproof.pipeline.limits import LOOPBACK, Rules, is_loopback
    from octoproof.pipeline.service import Desk
    from octoproof.pipeline.snapshots import Snapshots
    from octoproof.pipeline.threads import StoreThreads
    from octoproof.vectors.errors import VectorError

    token = _token(token_file, token_fd)
    if token is None and not is_loopback(host):
        raise VectorError(f"host: {host} can be reached by others; give a token with --token-file or --token-fd")
    known, folder = Snapshots(_folders(snapshot or [])), store or default_store()
    arguments = [str(folder)] + ([] if address is None else ["--address", address])
    arguments += [] if workers is None else ["--workers", str(workers)]
    # So that all that follows is left in order when the service is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (
        listening(host, port) as listener,
        StoreThreads(folder) as threads,
        board(as_json) as tell,
        RunnerChild(arguments, lambda text: tell("runner", message=text)) as child,
        _watching(desk := Desk(threads, known, lambda: child.pid), tell),
    ):
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{listener.getsockname()[1]}/"
        tell("serving", url=url, store=str(folder), snapshots=list(known.names))
        server(desk, Rules(token=token, hosts=(*LOOPBACK, name))).run(sockets=[listener])


def _token(file: Path | None, descriptor: int | None) -> bytes | None:
    from octoproof.pipeline.limits import token_from_descriptor, token_from_file

    if file is not None and descriptor is not None:
        raise typer.BadParameter("give one of them", param_hint="--token-file or --token-fd")
    if file is not None:
        return token_from_file(file)
    return None if descriptor is None else token_from_descriptor(descriptor)


def _folders(given: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder) or name in found:
            raise typer.BadParameter(f"{text!r}: give NAME=FOLDER, each name once", param_hint="--snapshot")
        found[name] = Path(folder)
    return found


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Before anything is started, so that a port in use is said at once."""
    from octoproof.vectors.errors import VectorError

    try:
        (family, *_, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise VectorError(f"port: cannot listen at {host}, port {port}: {reason}; choose another") from None
    with listener:
        # Accepted connections inherit it; without it, every answer's second packet waits 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def server(desk: Desk, rules: Rules) -> uvicorn.Server:
    """The HTTP server; `run(sockets=[...])` serves until it is interrupted."""
    import uvicorn

    from octoproof.pipeline.service import application as service

    # Without proxy headers: whoever is served could name any address as his own there, and no limit would hold.
    config = uvicorn.Config(
        service(desk, rules),
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=KEEP_S,
        timeout_graceful_shutdown=END_S,
    )
    return uvicorn.Server(config)


@contextmanager
def _watching(desk: Desk, tell: Tell) -> Iterator[None]:
    """Tells how many jobs are in which state, whenever that has changed."""
    from threading import Event, Thread

    over = Event()

    def watch() -> None:
        told = None
        while not over.wait(WATCH_S):
            try:
                found = desk.store.submit(lambda store: (store.counts(), desk.metrics.observe(store.folder))).result()
            except OSError as error:
                tell("store", message=" ".join(str(error).split()))
                continue
            if found != told:
                told = found
                tell("jobs", counts=found[0], per_minute=found[1])

    thread = Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
