"""What a running service tells: a table that stays in place on a terminal, else one line an event, or one of JSON."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Group

Tell = Callable[..., None]

SHOWN = 8  # messages under the table


@contextmanager
def board(as_json: bool) -> Iterator[Tell]:
    """Yields `tell(event, **figures)`, for any thread. `jobs` is told `counts` and `per_minute`, `serving` a `url`."""
    if as_json:
        yield lambda event, **figures: print(json.dumps({"event": event} | figures), flush=True)
    elif not sys.stdout.isatty():
        yield lambda event, **figures: print(line(event, figures), flush=True)
    else:
        from rich.live import Live

        table = _Table()
        with Live(get_renderable=table.shown, refresh_per_second=2, transient=True):
            yield table.tell


def line(event: str, figures: dict[str, Any]) -> str:
    """An event as people read it."""
    if event == "jobs":
        counts = ", ".join(f"{count:,} {state}" for state, count in figures["counts"].items() if count) or "none"
        return f"jobs: {counts}; {figures['per_minute']} proofs in the last minute"
    if event == "serving":
        snapshots = ", ".join(figures["snapshots"]) or "no snapshot"
        return f"serving {snapshots} at {figures['url']}, jobs in {figures['store']}"
    return f"{event}: {figures['message']}"


class _Table:
    """Jobs by state, and below them the latest messages."""

    def __init__(self) -> None:
        self._title, self._jobs = "starting", dict[str, Any]()
        self._messages = deque[str](maxlen=SHOWN)

    def tell(self, event: str, **figures: Any) -> None:
        if event == "jobs":
            self._jobs = figures
        elif event == "serving":
            self._title = line(event, figures)
        else:
            self._messages.append(f"{datetime.now():%H:%M:%S} {line(event, figures)}")

    def shown(self) -> Group:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        counts = self._jobs.get("counts", {})
        table = Table(box=None, pad_edge=False, header_style="bold")
        for state in counts:
            table.add_column(state, justify="right")
        table.add_column("proofs a minute", justify="right")
        table.add_row(*(f"{count:,}" for count in counts.values()), f"{self._jobs.get('per_minute', 0):,}")
        # Text, not markup: messages may hold brackets.
        messages = [Text(message, style="dim", overflow="ellipsis", no_wrap=True) for message in self._messages]
        return Group(Text(self._title, style="bold"), table, *messages)
