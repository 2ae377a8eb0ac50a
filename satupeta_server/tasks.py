"""Starting background tasks: the one place that does."""

import asyncio
import contextvars
from collections.abc import Coroutine
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
