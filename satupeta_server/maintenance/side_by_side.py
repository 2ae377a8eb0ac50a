"""Doing a thing for many items in several threads, with few of them under way at a time."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class StoppedError(Exception):
    """Ends work that nobody waits for any longer."""


class Stop:
    """Whether the work is given up; what takes long asks now and then."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def give_up(self) -> None:
        """Let all threads end where they ask next."""
        self._event.set()

    def check(self) -> None:
        """Raise StoppedError once the work is given up."""
        if self._event.is_set():
            raise StoppedError


def _forget(_result: object) -> None:
    """Nothing has to be done with a result that nobody reads."""


@contextlib.contextmanager
def side_by_side(
    work: Callable[[Item, Stop], Result],
    items: Iterable[Item],
    threads: int,
    discard: Callable[[Result], None] = _forget,
) -> Iterator[Iterator[Result]]:
    """Give the results in the order of the items, each once it is there.

    No more than ``threads`` items are ahead of the one whose result is read. What one raises is
    raised where its result is read; leaving the block gives up the rest, and ``discard`` gets
    the results that were not read.
    """
    stop, ahead = Stop(), deque[Future[Result]]()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="side-by-side")

    def in_order() -> Iterator[Result]:
        for item in items:
            ahead.append(pool.submit(work, item, stop))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    try:
        yield in_order()
    finally:
        stop.give_up()
        pool.shutdown(wait=True, cancel_futures=True)
        for future in ahead:
            if not future.cancelled() and future.exception() is None:
                discard(future.result())
