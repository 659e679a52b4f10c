"""The phase that runs, on the last line of a terminal; nothing where standard error is not one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def phases_on_screen() -> Iterator[Callable[[str], None] | None]:
    """Yields what `prove` takes as `progress`."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from prover.prove import PHASES

    layout = (TextColumn("proving: {task.description:<14}"), BarColumn(), TimeElapsedColumn())
    with Progress(*layout, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=len(PHASES))

        def show(phase: str) -> None:
            done = PHASES.index(phase) if phase in PHASES else None
            bar.update(task, description=phase, completed=done)

        yield show
