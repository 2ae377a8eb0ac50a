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


@contextlib.contextmanager
def side_by_side(
    work: Callable[[Item, Stop], Result], items: Iterable[Item], threads: int
) -> Iterator[Iterator[Result]]:
    """Give the results in the order of the items, each once it is there.

    No more than ``threads`` items are ahead of the one whose result is read. What one raises is
    raised where its result is read; leaving the block gives up the rest.
    """
    stop = Stop()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="side-by-side")
    try:
        yield _in_order(pool, lambda item: work(item, stop), items, threads)
    finally:
        stop.give_up()
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    ahead: deque[Future[Result]] = deque()
    for item in items:
        ahead.append(pool.submit(work, item))
        if len(ahead) > threads:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()
