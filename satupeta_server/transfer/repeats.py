"""Keys that a file names twice, found with little memory, however long the file."""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Self

_CACHE_KIBIBYTES = 32 * 1024


class Seen:
    """Remembers at which line each key stood first, in a temporary file."""

    def __init__(self) -> None:
        # An empty name is a temporary file of SQLite's own, which it removes.
        self._store = sqlite3.connect("", isolation_level=None)
        self._store.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        self._store.execute("PRAGMA journal_mode = OFF")
        self._store.execute("CREATE TABLE seen (key INTEGER PRIMARY KEY, line INTEGER)")
        self._store.execute("BEGIN")

    def first_line(self, key: str, line: int) -> int:
        """Give the line at which a key stood first; ``line`` itself for a new one."""
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest, signed=True)
        row = self._store.execute(
            "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING line", (number, line)
        ).fetchone()
        if row is not None:
            return line
        found = self._store.execute("SELECT line FROM seen WHERE key = ?", (number,)).fetchone()
        return int(found[0])

    def close(self) -> None:
        """Forget all."""
        self._store.close()

    @classmethod
    @contextlib.contextmanager
    def kept(cls) -> Iterator[Self]:
        """Remember for as long as the context lasts."""
        seen = cls()
        try:
            yield seen
        finally:
            seen.close()
