"""Proving that every row of a file has its object, whole and unchanged."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from satupeta_server.errors import NotFoundError
from satupeta_server.maintenance.bucket_index import ObjectIndex
from satupeta_server.maintenance.bucket_rows import FileRow, row_pages
from satupeta_server.maintenance.bucket_store import AdministeredStore
from satupeta_server.maintenance.parallel import THREADS, Parallel

MISSING, SIZE, CHECKSUM = "missing", "size differs", "checksum differs"
NOT_MOVED = "only in the fallback"

Advance = Callable[[float], None]


@dataclass(frozen=True)
class Fault:
    """A row whose object is not as it should be."""

    row: FileRow
    problem: str
    found: str | int | None = None


@dataclass
class Verification:
    """Compares rows with objects; counts what it has looked at."""

    store: AdministeredStore
    fallback: AdministeredStore | None = None
    is_quick: bool = False
    rows: int = 0
    bytes: int = 0

    def run(self, advance: Advance, threads: int = THREADS) -> Iterator[Fault]:
        """Give each row that is wrong; ``advance`` is told how many bytes are done."""
        self.store.require()
        if not self.is_quick:
            rows = (row for page in row_pages() for row in page)
            yield from self._checked(rows, advance, threads)
            return
        with ObjectIndex(self.store.entries()) as index:
            for page in row_pages():
                found = index.find([row.object_name for row in page])
                for row in page:
                    entry = found.get(row.object_name)
                    self._count(row, advance)
                    # What was uploaded since the listing is not in it.
                    fault = self._presence(row, entry.size if entry else None)
                    if fault is not None:
                        yield fault

    def _checked(self, rows: Iterator[FileRow], advance: Advance, threads: int) -> Iterator[Fault]:
        for row, fault in Parallel(self._content, threads).run(rows):
            self._count(row, advance)
            if fault is not None:
                yield fault

    def _count(self, row: FileRow, advance: Advance) -> None:
        self.rows += 1
        self.bytes += row.size
        advance(row.size)

    def _presence(self, row: FileRow, size: int | None) -> Fault | None:
        if size is None and self.store.has(row.object_name):
            return None
        if size is None:
            return self._absent(row)
        return None if size == row.size else Fault(row, SIZE, size)

    def _absent(self, row: FileRow) -> Fault:
        is_there = self.fallback is not None and self.fallback.has(row.object_name)
        return Fault(row, NOT_MOVED if is_there else MISSING)

    def _content(self, row: FileRow) -> tuple[FileRow, Fault | None]:
        digest, size = hashlib.sha256(), 0
        try:
            for chunk in self.store.read(row.object_name):
                digest.update(chunk)
                size += len(chunk)
        except NotFoundError:
            return row, self._absent(row)
        if size != row.size:
            return row, Fault(row, SIZE, size)
        if digest.hexdigest() != row.checksum:
            return row, Fault(row, CHECKSUM, digest.hexdigest())
        return row, None
