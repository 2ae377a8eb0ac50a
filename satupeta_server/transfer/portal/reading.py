"""Lists of the other portal, page by page: no row twice, and what is missing is noticed."""

import sqlite3
import uuid
from collections.abc import AsyncIterator
from typing import Any

from satupeta_server.transfer.portal.client import (
    AbsentError,
    DeniedError,
    Listed,
    PortalClient,
    UnreadableError,
)
from satupeta_server.transfer.portal.exchange import TooMuchError

PAGE_ROWS = 200
_PASSES = 2
"""A row that moves to another page while the list is read is found by reading once more."""


class SeenIds:
    """The ids that have come, in a temporary file, however many there are."""

    def __init__(self) -> None:
        # An empty name is a temporary file of SQLite's own, which it removes.
        self._store = sqlite3.connect("", isolation_level=None)
        self._store.execute("PRAGMA journal_mode = OFF")
        self._store.execute("CREATE TABLE seen (id BLOB PRIMARY KEY) WITHOUT ROWID")
        self._store.execute("BEGIN")

    def add(self, key: str) -> bool:
        """Take an id in; tells whether it is new."""
        cursor = self._store.execute(
            "INSERT INTO seen VALUES (?) ON CONFLICT DO NOTHING", (_packed(key),)
        )
        return cursor.rowcount > 0

    def __contains__(self, key: object) -> bool:
        found = self._store.execute("SELECT 1 FROM seen WHERE id = ?", (_packed(str(key)),))
        return found.fetchone() is not None

    def close(self) -> None:
        """Forget all."""
        self._store.close()


def _packed(key: str) -> bytes:
    try:
        return uuid.UUID(key).bytes
    except ValueError:
        return key.encode("utf-8", "replace")


class ListReader:
    """Reads one list; afterwards ``total`` and ``came`` say whether all of it came."""

    def __init__(self, client: PortalClient, path: str, sort: str) -> None:
        self._client = client
        self._path = path
        self._sort: str | None = sort
        self._limit = PAGE_ROWS
        self.total: int | None = None
        self.came = 0
        self.seen = SeenIds()

    @property
    def problem(self) -> str | None:
        """What does not fit between what the list says and what came."""
        if self.total is None or self.total == self.came:
            return None
        return f"The list has {self.total} records as it says, and {self.came} came; run it again."

    async def pages(self) -> AsyncIterator[list[Any]]:
        """Give the rows that are new, page by page.

        Raises UnreadableError, of which DeniedError and AbsentError are kinds, and
        UnreachableError.
        """
        for _ in range(_PASSES):
            async for page in self._pass():
                yield page
            if self.problem is None:
                return

    async def _pass(self) -> AsyncIterator[list[Any]]:
        offset = 0
        while True:
            listed = await self._page(offset)
            self.total = listed.total
            offset += len(listed.items)
            rows = [row for row in listed.items if self._is_new(row)]
            self.came += len(rows)
            if rows:
                yield rows
            # Without its total, a list that gives the same page again and again has no end.
            is_stuck = not rows and listed.total is None
            if not listed.items or is_stuck or self._is_end(listed, offset):
                return

    @staticmethod
    def _is_end(listed: Listed, offset: int) -> bool:
        if listed.total is not None:
            return offset >= listed.total
        return listed.has_more is False

    def _is_new(self, row: Any) -> bool:
        key = row.get("id") if isinstance(row, dict) else None
        return self.seen.add(str(key)) if key else True

    async def _page(self, offset: int) -> Listed:
        """Read a page: smaller where it is too large, in no order where it may not be sorted."""
        while True:
            asked: dict[str, object] = {"limit": self._limit, "offset": offset}
            if self._sort is not None:
                asked["sort"] = self._sort
            try:
                return await self._client.page(self._path, **asked)
            except TooMuchError:
                if self._limit == 1:
                    raise UnreadableError(f"A record of {self._path} is too large.") from None
                self._limit = max(1, self._limit // 4)
            except UnreadableError as error:
                is_final = isinstance(error, (DeniedError, AbsentError)) or self._sort is None
                if is_final or offset:
                    raise
                self._sort = None
