"""Servers that take connections and never say anything: nobody waits for them for ever."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from satupeta_server import database
from satupeta_server.errors import UnavailableError
from satupeta_server.models.categories import Category
from satupeta_server.settings import Settings
from satupeta_server.storage import THREADS, Storage
from satupeta_server.tasks import spawn

PATIENCE_SECONDS = 1.0


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that never answers."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listener:
        yield listener.getsockname()[1]


async def test_a_silent_postgresql_at_the_start(settings: Settings, silent: int) -> None:
    address = SecretStr(f"postgresql://satupeta:x@127.0.0.1:{silent}/satupeta")
    changes = {"database_url": address, "database_timeout_seconds": PATIENCE_SECONDS}
    database.connect(settings.model_copy(update=changes))
    begin = time.monotonic()
    # More than the pool has room for, none of which waits for the others' failures.
    asked = [spawn(Category.select().aio_execute()) for _ in range(20)]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(end, UnavailableError) for end in ends), ends
    assert time.monotonic() - begin < 3 * PATIENCE_SECONDS
    await database.database.aio_close()


async def test_a_silent_object_store_with_all_its_threads_taken(
    settings: Settings, silent: int
) -> None:
    changes = {
        "minio_endpoint_url": f"http://127.0.0.1:{silent}",
        "request_timeout_seconds": PATIENCE_SECONDS,
    }
    storage = Storage(settings.model_copy(update=changes))
    taken = [spawn(storage.describe("x")) for _ in range(THREADS)]
    await asyncio.sleep(0.1)
    begin = time.monotonic()
    with pytest.raises(UnavailableError):
        await storage.describe("y")
    assert time.monotonic() - begin < 2 * PATIENCE_SECONDS
    for task in taken:
        task.cancel()
    await asyncio.wait(taken)
    storage.close()
