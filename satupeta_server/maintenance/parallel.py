"""Doing many things side by side, with no more of them in memory than are being done."""

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 8
_END_SECONDS = 5.0


class StoppedError(Exception):
    """The work that this is part of has been stopped."""


class Parallel(Generic[Item, Result]):
    """Threads that do ``work`` on items.

    Those of concurrent.futures are joined when the process ends, so a server that never answers
    would hold up Ctrl-C; these are waited for a few seconds only, to undo what they have begun.
    """

    def __init__(self, work: Callable[[Item], Result], threads: int = THREADS) -> None:
        self.stopped = threading.Event()
        self._work = work
        self._waiting: queue.SimpleQueue[tuple[Item] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Result | None, BaseException | None]] = (
            queue.SimpleQueue()
        )
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def run(self, items: Iterable[Item]) -> Generator[Result, None, None]:
        """Give the results as they come, in no order; the first error ends it and is raised."""
        for thread in self._threads:
            thread.start()
        under_way = 0
        try:
            for item in items:
                if under_way >= 2 * len(self._threads):
                    under_way -= 1
                    yield self._next()
                self._waiting.put((item,))
                under_way += 1
            for _ in range(under_way):
                yield self._next()
        finally:
            self._end()

    def _next(self) -> Result:
        result, error = self._done.get()
        if error is not None:
            raise error
        return cast("Result", result)

    def _end(self) -> None:
        self.stopped.set()
        for _ in self._threads:
            self._waiting.put(None)
        deadline = time.monotonic() + _END_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self.stopped.is_set():
                continue
            try:
                self._done.put((self._work(item[0]), None))
            except BaseException as error:  # noqa: BLE001  raised again by whoever takes it
                self._done.put((None, error))
