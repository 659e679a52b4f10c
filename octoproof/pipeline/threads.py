"""Threads that work on the job store for an event loop: each has a `Store` of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from octoproof.pipeline.store import Store

Result = TypeVar("Result")
Work = Callable[[Store], Result]


class StoreThreads:
    """A context manager: its threads end with the block, after the work that they have."""

    def __init__(self, folder: Path, count: int = 4) -> None:
        """Raises what `Store` raises."""
        self.folder = folder
        self._queue = SimpleQueue[tuple[Future[Any], Work[Any]] | None]()
        opened = [Future[None]() for _ in range(count)]
        self._threads = [Thread(target=self._work, args=(ready,), name="store", daemon=True) for ready in opened]
        for thread in self._threads:
            thread.start()
        try:
            for ready in opened:
                ready.result()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> StoreThreads:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def submit(self, work: Work[Result]) -> Future[Result]:
        """Runs `work(store)` in one of the threads."""
        future = Future[Result]()
        self._queue.put((future, work))
        return future

    async def do(self, work: Work[Result]) -> Result:
        """`submit`, awaited."""
        return await asyncio.wrap_future(self.submit(work))

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, ready: Future[None]) -> None:
        try:
            store = Store(self.folder)
        except Exception as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        with store:
            while (item := self._queue.get()) is not None:
                future, work = item
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(work(store))
                except Exception as error:
                    future.set_exception(error)
