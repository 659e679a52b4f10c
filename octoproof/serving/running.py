"""The desk's HTTP server, in this thread or beside it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

from octoproof.pipeline.limits import LOOPBACK, Rules
from octoproof.serving.desk import Desk
from octoproof.serving.door import application

if TYPE_CHECKING:
    import uvicorn

START_S, END_S = 20.0, 3


def server(desk: Desk, terms: dict[str, Any], rules: Rules) -> uvicorn.Server:
    """`run(sockets=[...])` serves until it is interrupted."""
    import uvicorn

    config = uvicorn.Config(
        application(desk, terms, rules),
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=END_S,
    )
    return uvicorn.Server(config)


@contextmanager
def served(desk: Desk, terms: dict[str, Any]) -> Iterator[str]:
    """Serves on loopback while the block lasts; yields the URL. Raises OSError."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own = server(desk, terms, Rules(hosts=LOOPBACK))
        thread = Thread(target=own.run, kwargs={"sockets": [listener]}, name="door", daemon=True)
        thread.start()
        ends = time.monotonic() + START_S
        while not own.started and thread.is_alive() and time.monotonic() < ends:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            own.should_exit = True
            thread.join()
