"""What is being done, on the last line of a terminal; nothing where standard error is not one."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# The phases of `prover.prove`, in order; named again so that a bar can be drawn without importing the prover.
PHASES = (
    "preprocessed",
    "trace",
    "interaction",
    "constraints",
    "composition",
    "sampling",
    "quotients",
    "fri",
    "grind",
    "openings",
)
_PART = re.compile(r"segment (\d+) of (\d+)")


def fraction(step: str, part: int, parts: int) -> tuple[float | None, int, int]:
    """How far the work is after this step began: (0 to 1 or None if the step says nothing of it, part, parts)."""
    found = _PART.search(step)
    if found:
        part, parts = int(found[1]), int(found[2])
        return (part - 1) / parts, part, parts
    if step in PHASES:
        return (part - 1 + PHASES.index(step) / len(PHASES)) / parts, part, parts
    return None, part, parts


@contextmanager
def working(title: str) -> Iterator[Callable[[str], None] | None]:
    """Yields a function that shows a step of the work beside a bar, or None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, part, parts = bar.add_task(title, total=None), 1, 1

        def show(step: str) -> None:
            nonlocal part, parts
            done, part, parts = fraction(step, part, parts)
            bar.update(task, description=f"{title}: {step}")
            if done is not None:
                bar.update(task, total=1.0, completed=done)

        yield show


@contextmanager
def counting(title: str, total: int) -> Iterator[Callable[[float], None]]:
    """Yields a function that shows how many of `total` are done, parts of one included."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
