"""Starting background work: tasks, and calls that block."""

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")

_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """Start a task that shares nothing with the one that starts it.

    A task inherits context variables, and peewee-async keeps the connection of an open
    transaction in one: a task started inside a transaction would write into it, and lose its
    data if it outlives it. An empty context prevents that.
    """
    task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


class Threads:
    """A bounded pool of threads for calls that block.

    Those of concurrent.futures are joined when the process ends, so a server that never answers
    would hold up the end; these are not. A call that finds no free thread within ``patience``
    seconds is given up.
    """

    def __init__(self, number: int, name: str, patience: float | None = None) -> None:
        self._number = number
        self._patience = patience
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._started: list[threading.Thread] = []
        self._is_closed = False

    async def run(self, call: Callable[..., Result], *arguments: object) -> Result:
        """Call in a thread, once one is free, and give the result.

        Raises TimeoutError when none becomes free in time, and CancelledError after the end, when
        nobody is left who could be answered.
        """
        if self._is_closed:
            raise asyncio.CancelledError
        future: Future[Result] = Future()
        self._calls.put(lambda: _fulfil(future, call, *arguments))
        if len(self._started) < self._number:
            self._start_one()
        if self._patience is None:
            return await asyncio.wrap_future(future)
        # One that has begun can no longer be cancelled so.
        giving_up = asyncio.get_running_loop().call_later(self._patience, future.cancel)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise TimeoutError from None
        finally:
            giving_up.cancel()

    def close(self) -> None:
        """End each thread once its call is done; what waits for a thread is never called."""
        self._is_closed = True
        for _ in self._started:
            self._calls.put(None)

    def _start_one(self) -> None:
        name = f"{self._name}-{len(self._started)}"
        self._started.append(threading.Thread(target=self._work, name=name, daemon=True))
        self._started[-1].start()

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            if not self._is_closed:
                work()


def _fulfil(future: Future[Result], call: Callable[..., Result], *arguments: object) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call(*arguments)
    except BaseException as error:  # noqa: BLE001  raised again by whoever waits for it
        future.set_exception(error)
    else:
        future.set_result(result)
