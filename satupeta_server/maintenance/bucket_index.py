"""A listing that is kept on the disk, so that buckets of any size can be compared."""

import datetime
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Self, TypeVar

from satupeta_server.maintenance.bucket_store import Entry

Item = TypeVar("Item")

PAGE = 500


def pages(items: Iterable[Item], size: int = PAGE) -> Iterator[list[Item]]:
    """Give items in lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while page := list(islice(iterator, size)):
        yield page


class ObjectIndex:
    """The objects of a listing by their names, and which of them have been asked for."""

    def __init__(
        self, entries: Iterable[Entry], advance: Callable[[float], None] = lambda _amount: None
    ) -> None:
        # The empty name is a private file on the disk that SQLite removes by itself.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE objects (name TEXT PRIMARY KEY, size INTEGER, modified REAL, etag TEXT, "
            "is_known INTEGER DEFAULT 0) WITHOUT ROWID"
        )
        self.count = self.bytes = 0
        for page in pages(entries):
            self._add(page)
            advance(len(page))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def find(self, names: Sequence[str]) -> dict[str, Entry]:
        """Give those of the objects that are there; they are known from now on."""
        rows = self._database.execute(
            "UPDATE objects SET is_known = 1 WHERE name IN (SELECT value FROM json_each(?)) "
            "RETURNING name, size, modified, etag",
            (json.dumps(names),),
        )
        return {entry.name: entry for entry in map(_entry, rows.fetchall())}

    def unknown(self) -> Iterator[Entry]:
        """Give the objects that nobody has asked for, in the order of their names."""
        query = "SELECT name, size, modified, etag FROM objects WHERE NOT is_known ORDER BY name"
        return map(_entry, self._database.execute(query))

    def _add(self, page: list[Entry]) -> None:
        self.count += len(page)
        self.bytes += sum(one.size for one in page)
        rows = [(one.name, one.size, one.modified_at.timestamp(), one.etag) for one in page]
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT OR REPLACE INTO objects (name, size, modified, etag) VALUES (?, ?, ?, ?)", rows
        )
        self._database.execute("COMMIT")


def _entry(row: tuple[str, int, float, str]) -> Entry:
    name, size, modified, etag = row
    return Entry(name, size, datetime.datetime.fromtimestamp(modified, datetime.UTC), etag)
