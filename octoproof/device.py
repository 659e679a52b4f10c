"""Which device proves: decided here, so that the prover does not care (DESIGN 2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prover.cpu import CpuBackend


@contextmanager
def backend(threads: int | None = None) -> Iterator[CpuBackend]:
    """The CPU backend with so many threads (None: all usable cores); its threads end with the block."""
    from prover.cpu import CpuBackend

    device = CpuBackend(threads)
    try:
        yield device
    finally:
        device.workers.close()
