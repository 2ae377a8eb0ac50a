"""A standby that takes reads: who may read there, and how far it is behind.

A position is a number of bytes of PostgreSQL's write-ahead log, which primary and standby count
alike: who must see what was written up to a position may read where that much is replayed.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass

import psycopg2
from peewee_async.pool import PoolBackend

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""How old what is known of the standby may be."""
MOST_LAG_SECONDS = 0.7
"""How far it may be behind before nobody reads there: no public page is stale for a second."""
REST_SECONDS = 3
"""How long it is left alone after a failure."""
_PATIENCE_SECONDS = 0.5

# An acknowledged commit has been flushed, so its position is not behind this one.
WRITTEN = "(pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint"
_REPLAYED = (
    "coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() - '0/0'::pg_lsn END, -1)"
    "::bigint"
)


@dataclass
class Reader:
    """Who asks the database in this context."""

    position: int | None
    """What a standby must have replayed to answer; None asks the primary alone."""
    note_write: Callable[[], Awaitable[None]] | None = None
    """What remembers, for the later requests of the same caller, that something was written."""


reader: ContextVar[Reader | None] = ContextVar("reader", default=None)


class Replica:
    """Knows from one look to the next how far a standby is."""

    def __init__(self, standby: PoolBackend, primary: PoolBackend) -> None:
        self.pool = standby
        self._primary = primary
        self._position = -1
        self._next_look = 0.0
        self._goal: int | None = None
        self._goal_set = float("-inf")
        self._complete_until = float("-inf")

    async def has(self, position: int) -> bool:
        """Tell whether it answers, is near enough, and has replayed up to a position."""
        now = time.monotonic()
        if now >= self._next_look:
            # Meanwhile the others go by what is known.
            self._next_look = now + _PATIENCE_SECONDS
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._look(now)
            except (psycopg2.Error, OSError):
                await self.rest()
        return self._position >= position

    async def rest(self) -> None:
        """Leave it alone for a while: it has failed."""
        if self._position >= 0:
            logger.warning("the standby does not answer; the primary is read")
        self._position, self._next_look = -1, time.monotonic() + REST_SECONDS
        if self.pool.pool is not None:
            await self.pool.pool.clear()

    async def _look(self, now: float) -> None:
        """Compare it with where the primary was: no clocks, and silence counts as lag."""
        replayed = await _ask(self.pool, _REPLAYED)
        if self._goal is None or replayed >= self._goal:
            # It has all that was written when the goal was set, and maybe nothing since.
            self._complete_until = self._goal_set
            self._goal_set = now
            self._goal = await _ask(self._primary, WRITTEN)
        is_near = now - self._complete_until <= MOST_LAG_SECONDS
        self._position = replayed if is_near else -1
        self._next_look = now + LOOK_SECONDS


async def _ask(pool: PoolBackend, expression: str) -> int:
    connection = await pool.acquire()
    try:
        async with connection.cursor() as cursor:
            await cursor.execute(f"SELECT {expression}")
            (position,) = await cursor.fetchone()
            return int(position)
    finally:
        await pool.release(connection)
