"""Knowing at once, in every process, that something changed which the public may read.

Triggers (migration 0012) notify of each change when it is committed. A notification can be lost
with the connection that should bring it, so that connection is also asked for an answer again and
again: PostgreSQL sends what was committed before the question no later than that answer.
"""

import asyncio
import logging
import time

import aiopg
import psycopg2

from satupeta_server.tasks import spawn

logger = logging.getLogger(__name__)

CHANNEL = "satupeta_changes"
QUESTION_SECONDS = 0.3
"""How often the connection is asked."""
KNOWN_SECONDS = 0.8
"""How long after a question that was answered nothing older is known to be out of date."""
ANSWER_SECONDS = 2.0
"""After how long without an answer another connection is made."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 3.0
_CANCEL_SECONDS = 0.1

# Behind a pooler the process id is not that of the server which listens, and hears nothing.
_QUESTION = "SELECT pg_backend_pid(), to_regproc('public.notice_change') IS NOT NULL"


class Changes:
    """The number of changes that this process knows of, and whether it would know of another."""

    def __init__(self, dsn: str) -> None:
        self.version = 0
        """What was read before this number last grew may be out of date."""
        self._dsn = dsn
        self._known_until = 0.0
        self._task: asyncio.Task[None] | None = None
        self._was_told = False

    @property
    def is_known(self) -> bool:
        """Whether every change that was committed over KNOWN_SECONDS ago has been counted."""
        return time.monotonic() < self._known_until

    def note(self) -> None:
        """Count a change."""
        self.version += 1

    def start(self) -> None:
        """Listen from now on; a server that does not answer is tried again until the end."""
        self._task = spawn(self._listen())

    async def close(self) -> None:
        """Stop listening."""
        self._known_until = 0.0
        # What aiopg waits with, Python 3.11's wait_for, loses a cancel that comes with an answer.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=_CANCEL_SECONDS)

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            begun = time.monotonic()
            try:
                await self._listen_once()
            except (psycopg2.Error, OSError, TimeoutError, asyncio.CancelledError) as error:
                # aiopg reports a statement that the server ended as a cancel.
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._lose(type(error).__name__)
            if time.monotonic() - begun > 2 * _LONGEST_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _lose(self, reason: str) -> None:
        self._known_until = 0.0
        if not self._was_told:
            logger.warning("public answers are not kept for now: %s", reason)
        self._was_told = True

    async def _listen_once(self) -> None:
        connection = await aiopg.connect(
            self._dsn,
            timeout=ANSWER_SECONDS,
            enable_json=False,
            enable_hstore=False,
            enable_uuid=False,
            application_name="satupeta changes",
        )
        connection.raw.notifies = _Notices(self)
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(f"LISTEN {CHANNEL}")
            # What changed before was not heard of.
            self.note()
            while True:
                await self._ask(connection)
                await asyncio.sleep(QUESTION_SECONDS)
        finally:
            await connection.close()

    async def _ask(self, connection: aiopg.Connection) -> None:
        asked = time.monotonic()
        async with connection.cursor() as cursor:
            await cursor.execute(_QUESTION)
            process, has_notices = await cursor.fetchone()
        raw = connection.raw
        # Reads what came with the answer, but stands behind it.
        raw.poll()
        if has_notices and process == raw.get_backend_pid():
            self._known_until = asked + KNOWN_SECONDS
            self._was_told = False
            return
        self.note()
        self._lose("a migration is missing" if not has_notices else "a pooler stands between")


class _Notices:
    """Takes the place of the driver's list, so that a notification counts as soon as it is read.

    aiopg's own queue loses one that comes while the waiting for it is given up.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def append(self, _notice: object) -> None:
        """Count a notification."""
        self._changes.note()

    def __len__(self) -> int:
        return 0
