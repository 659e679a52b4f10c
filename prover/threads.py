"""How work is spread: kernels release the GIL, so a few Python threads over columns or blocks fill the cores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """A pool of `threads` threads, or none at all for threads = 1. Use as a context manager, or call `close`."""

    def __init__(self, threads: int = 1) -> None:
        if threads < 1:
            raise ValueError("at least one thread")
        self.count = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """function(item) for every item, results in order. An exception in any of them is raised here."""
        work = list(items)
        if self._pool is None or len(work) < 2:
            return [function(item) for item in work]
        return list(self._pool.map(function, work))

    def ranges(self, function: Callable[[int, int], None], count: int, grain: int = 1) -> None:
        """function(start, stop) over 0..count in one contiguous range a thread, cut at multiples of `grain`."""
        units = -(-count // grain)
        parts = min(self.count, units)
        cuts = [min(count, units * part // parts * grain) for part in range(parts)] + [count] if parts else []
        self.map(lambda cut: function(*cut), pairwise(cuts))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


INLINE = Workers(1)
