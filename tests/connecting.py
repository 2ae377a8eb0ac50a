"""Connections over which a test says what no client library would."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

from tests.conftest import Api


def port_of(api: Api) -> int:
    """Where the API listens."""
    port = urlsplit(api.base).port
    assert port is not None
    return port


async def eventually(holds: Callable[[], bool], seconds: float = 5) -> None:
    """Wait until something holds, and not for long."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def connected(
    port: int, **options: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is gone at the end, with what could not be sent over it.

    ``options`` are those of `asyncio.open_connection`.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        yield reader, writer
    finally:
        # Not `close`, which waits for a receiver that may have stopped to read.
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
