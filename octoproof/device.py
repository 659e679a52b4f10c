"""Which device proves: decided here, so that the prover does not care (DESIGN 2)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prover.cpu import CpuBackend


@contextmanager
def backend(threads: int | None = None) -> Iterator[CpuBackend]:
    """The CPU backend with so many threads (None: all usable cores); its threads end with the block."""
    from prover.cpu import CpuBackend

    device = CpuBackend(threads or usable_cores())
    try:
        yield device
    finally:
        device.workers.close()


def usable_cores() -> int:
    """Cores that this process may run on; fewer than the machine has inside a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
