"""A thousand faults in one process leave no connection, open file, task, thread or memory."""

import asyncio
import contextlib
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import psutil
import psycopg2
import pytest

from satupeta_server.database import database
from satupeta_server.embedded import Addresses
from satupeta_server.errors import UnavailableError
from satupeta_server.settings import Settings
from satupeta_server.tasks import spawn
from tests.conftest import Api
from tests.faults.figures import Figure, figures
from tests.faults.gate import Gate
from tests.serving import wait_until

AT_ONCE = 4
"""Connections of the pool, and requests of one round."""
WARM_ROUNDS, ROUNDS = 5, 50
FAULTS_OF_ROUND = 5 * AT_ONCE
MOST_MEGABYTES = 12
SLEEP = "SELECT pg_sleep(30)"


@pytest.fixture
def gate(addresses: Addresses) -> Iterator[Gate]:
    """A proxy before the object store."""
    store = urlsplit(addresses.object_store_endpoint or "")
    with contextlib.closing(Gate((store.hostname or "", store.port or 80))) as gate:
        yield gate


@pytest.fixture
def settings(settings: Settings, gate: Gate) -> Settings:
    """The settings of the test, with that proxy, a small pool and little patience."""
    return settings.model_copy(
        update={
            "minio_endpoint_url": f"http://127.0.0.1:{gate.port}",
            "database_pool_size": AT_ONCE,
            "database_timeout_seconds": 0.6,
        }
    )


class Breaking:
    """The faults of one round, each as often as the pool has connections."""

    def __init__(self, api: Api, gate: Gate, url: str, file_id: str) -> None:
        self.api, self.gate, self.url, self.file_id = api, gate, url, file_id
        self.statuses: list[int] = []

    def kinds(self) -> list[Callable[[], Awaitable[None]]]:
        """All of them."""
        return [self.cut, self.end_statements, self.give_up, self.exhaust_pool, self.refuse]

    async def cut(self) -> None:
        """PostgreSQL cuts connections in mid-transaction."""
        held = [spawn(self._hold(SLEEP)) for _ in range(AT_ONCE)]
        await self._wait_for_sleepers()
        await asyncio.to_thread(self._terminate)
        await self._all_unavailable(held)

    async def end_statements(self) -> None:
        """PostgreSQL ends statements that take too long."""
        held = [spawn(self._hold("SET LOCAL statement_timeout = 5", SLEEP)) for _ in range(AT_ONCE)]
        await self._all_unavailable(held)

    async def give_up(self) -> None:
        """Clients go away in mid-statement."""
        held = [spawn(self._hold(SLEEP)) for _ in range(AT_ONCE)]
        await self._wait_for_sleepers()
        for task in held:
            task.cancel()
        ends = await asyncio.gather(*held, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in ends)

    async def exhaust_pool(self) -> None:
        """No connection of the pool is free until the patience is at its end."""
        ready = asyncio.Event()

        async def hold() -> None:
            async with database.whole():
                await database.aio_execute_sql("SELECT 1")
                await ready.wait()

        held = [spawn(hold()) for _ in range(AT_ONCE)]
        await asyncio.sleep(0.05)
        answers = await asyncio.gather(
            *[self.api.get("/news", user="viewer") for _ in range(AT_ONCE)]
        )
        self.statuses += [answer.status for answer in answers]
        ready.set()
        await asyncio.gather(*held)

    async def refuse(self) -> None:
        """The object store refuses uploads, and breaks off downloads."""
        self.gate.is_full = True
        sent = [self.api.upload(b"isi", "isi.txt", content_type="text/plain") for _ in range(2)]
        self.statuses += [answer.status for answer in await asyncio.gather(*sent)]
        self.gate.heal()
        self.gate.cut_download = 100
        path = f"/files/{self.file_id}/download"
        answers = await asyncio.gather(*[self.api.get(path) for _ in range(2)])
        self.statuses += [answer.status for answer in answers]
        self.gate.heal()

    @staticmethod
    async def _hold(*statements: str) -> None:
        async with database.whole():
            for statement in statements:
                await database.aio_execute_sql(statement)

    @staticmethod
    async def _all_unavailable(held: "list[asyncio.Task[None]]") -> None:
        ends = await asyncio.gather(*held, return_exceptions=True)
        assert all(isinstance(end, UnavailableError) for end in ends), ends

    def _ask(self, statement: str) -> int:
        connection = psycopg2.connect(self.url)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            (count,) = cursor.fetchone() or (0,)
            return int(count)

    def _terminate(self) -> None:
        self._ask(f"SELECT count(pg_terminate_backend(pid)) {OURS}")

    async def _wait_for_sleepers(self) -> None:
        asked = f"SELECT count(*) {OURS} AND wait_event = 'PgSleep'"
        await asyncio.to_thread(wait_until, lambda: self._ask(asked) == AT_ONCE)

    async def held(self) -> dict[str, int]:
        """What this process holds once its pools are empty."""
        await database._forget_idle_connections()
        self.api.application.storage.store.close()
        me = psutil.Process()
        await asyncio.to_thread(wait_until, lambda: self._ask(f"SELECT count(*) {OURS}") == 0)
        await asyncio.sleep(0.3)
        gc.collect()
        pool = database.pool_backend.pool
        return {
            "connections in use": len(pool._used) if pool else 0,
            "open files": me.num_fds(),
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
            "requests": len(self.api.application.requests._handlers),
            "turns": self.api.application.settings["turns"].callers,
        }


OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'satupeta'"


@pytest.mark.long
@pytest.mark.gen_test(timeout=300)
async def test_a_thousand_faults_leave_nothing(api: Api, gate: Gate, settings: Settings) -> None:
    assert settings.database_url is not None
    answer = await api.upload(b"x" * 5000, "besar.txt", content_type="text/plain")
    url = settings.database_url.get_secret_value()
    breaking = Breaking(api, gate, url, answer.json["id"])
    await api.token("viewer")
    await repeat(breaking, WARM_ROUNDS)
    before, memory = await breaking.held(), psutil.Process().memory_info().rss
    await repeat(breaking, ROUNDS)
    after, grown = await breaking.held(), psutil.Process().memory_info().rss - memory
    assert after == before
    assert grown < MOST_MEGABYTES << 20, f"{grown >> 20} MB more"
    assert set(breaking.statuses) == {503}
    assert (await api.get("/news", user="viewer")).status == 200
    figures.append(Figure("a thousand in one process", ROUNDS * FAULTS_OF_ROUND, 0, 0, 0, None))


async def repeat(breaking: Breaking, rounds: int) -> None:
    for _ in range(rounds):
        for kind in breaking.kinds():
            await kind()
