"""Whether this process can serve: its database, its object store, its migrations."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import peewee
from peewee import SQL, fn

from satupeta_server.database import database
from satupeta_server.errors import AppError
from satupeta_server.migration_files import migration_names
from satupeta_server.models.mapsets import Mapset
from satupeta_server.queries.scopes import public_mapset
from satupeta_server.services.records import fetch_row
from satupeta_server.storage import Storage
from satupeta_server.tasks import spawn

CHECK_SECONDS = 1.5


class HealthService:
    """Asks all that the process needs, side by side."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._migrations = migration_names()
        self._under_way: asyncio.Task[dict[str, bool]] | None = None

    async def check(self) -> dict[str, bool]:
        """Tell of each part whether it answers within the time limit.

        Who asks while others do shares their check, so that nobody makes it fail by asking much.
        """
        if self._under_way is None or self._under_way.done():
            self._under_way = spawn(self._check())
        return dict(await asyncio.shield(self._under_way))

    async def _check(self) -> dict[str, bool]:
        checks = {
            "database": self._database(),
            "storage": self.storage.check(),
            "migrations": self._are_migrations_applied(),
        }
        tasks = [spawn(_in_time(check)) for check in checks.values()]
        return dict(zip(checks, await asyncio.gather(*tasks), strict=True))

    async def public_mapsets(self) -> int:
        """Count the mapsets that everybody may see."""
        source = Mapset.alias()
        query = source.select(fn.count(SQL("*"))).where(public_mapset(source))
        row = await fetch_row(query)
        return int(row[0]) if row else 0

    @staticmethod
    async def _database() -> None:
        await fetch_row(peewee.Select(columns=[SQL("1")]))

    async def _are_migrations_applied(self) -> None:
        known = await fetch_row(
            peewee.Select(columns=[fn.to_regclass("_yoyo_migration").cast("text")])
        )
        if known is None or known[0] is None:
            raise AppError

        async def names(_database: Any, cursor: Any) -> set[str]:
            return {row[0] for row in await cursor.fetchall()}

        applied = await database.aio_execute_sql(
            "SELECT migration_id FROM _yoyo_migration", fetch_results=names
        )
        if not applied.issuperset(self._migrations):
            raise AppError


async def _in_time(check: Coroutine[Any, Any, None]) -> bool:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check
    except (AppError, TimeoutError):
        return False
    return True
