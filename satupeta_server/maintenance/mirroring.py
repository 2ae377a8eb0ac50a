"""Copying what another place lacks, side by side, and whole or not at all."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from satupeta_server.errors import NotFoundError
from satupeta_server.maintenance.bucket_index import ObjectIndex, pages
from satupeta_server.maintenance.bucket_rows import FileRow
from satupeta_server.maintenance.bucket_store import Entry, RefusedError
from satupeta_server.maintenance.mirror_sides import Side
from satupeta_server.maintenance.parallel import THREADS, Parallel, StoppedError

COPIED, SAME, REMOVED, FAILED = "copied", "unchanged", "removed", "failed"

_SAME_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """What came of one object; the size in bytes."""

    name: str
    result: str
    size: int = 0
    reason: str = ""


@dataclass(frozen=True)
class _Task:
    entry: Entry
    other: Entry | None
    row: FileRow | None


def _no_rows(_names: Sequence[str]) -> Mapping[str, FileRow]:
    return {}


@dataclass
class Mirror:
    """Makes the target have what the source has."""

    source: Side
    target: Side
    rows: Callable[[Sequence[str]], Mapping[str, FileRow]] = _no_rows
    """Gives the rows of objects, whose checksums what is copied must have."""
    compares_content: bool = False
    keeps_other: bool = False
    """An object of the same name with another size is reported, not replaced."""
    is_dry_run: bool = False

    def run(self, *, removes: bool = False, threads: int = THREADS) -> Iterator[Outcome]:
        """Copy, then remove from the target what the source lacks; gives what came of each.

        Raises what :class:`AdministeredStore` raises when a store does not answer; what was
        copied until then is whole, and a second run goes on.
        """
        with ObjectIndex(self.target.entries()) as index:
            parallel: Parallel[_Task, Outcome] = Parallel(
                lambda task: self._do(task, parallel.stopped), threads
            )
            yield from parallel.run(self._tasks(index))
            if removes:
                yield from self._remove(index)

    def extra(self) -> Iterator[Entry]:
        """Give what the target has and the source lacks."""
        with ObjectIndex(self.target.entries()) as index:
            for page in pages(self.source.entries()):
                index.find([entry.name for entry in page])
            yield from index.unknown()

    def _tasks(self, index: ObjectIndex) -> Iterator[_Task]:
        for page in pages(self.source.entries()):
            names = [entry.name for entry in page]
            others, rows = index.find(names), self.rows(names)
            for entry in page:
                yield _Task(entry, others.get(entry.name), rows.get(entry.name))

    def _do(self, task: _Task, stopped: threading.Event) -> Outcome:
        entry = task.entry
        try:
            if task.other is not None and self._is_same(entry, task.other, stopped):
                if self.target.keeps_times and not self.is_dry_run:
                    self.target.settle(entry)
                return Outcome(entry.name, SAME, entry.size)
            if task.other is not None and self.keeps_other:
                return Outcome(entry.name, FAILED, 0, "another one of its name is there")
            if not self.is_dry_run:
                chunks = self.source.read(entry.name)
                self.target.write(entry, _Content(chunks, entry, task.row, stopped))
        except NotFoundError:
            return Outcome(entry.name, FAILED, 0, "it has gone meanwhile")
        except RefusedError as error:
            return Outcome(entry.name, FAILED, 0, str(error))
        return Outcome(entry.name, COPIED, entry.size)

    def _is_same(self, entry: Entry, other: Entry, stopped: threading.Event) -> bool:
        if entry.size != other.size:
            return False
        if self.compares_content:
            return self._has_same_content(entry.name, stopped)
        if self.source.keeps_times or self.target.keeps_times:
            seconds = (entry.modified_at - other.modified_at).total_seconds()
            return abs(seconds) < _SAME_SECONDS or self._has_same_content(entry.name, stopped)
        tags = (entry.etag, other.etag)
        # The tag of an object stored in parts tells of the parts. Objects never change under
        # their names, so size and name are enough then.
        is_plain = all(len(tag) == 32 for tag in tags)
        return tags[0] == tags[1] or not is_plain or self._has_same_content(entry.name, stopped)

    def _has_same_content(self, name: str, stopped: threading.Event) -> bool:
        digests = []
        for side in (self.source, self.target):
            digest = hashlib.sha256()
            for chunk in side.read(name):
                if stopped.is_set():
                    raise StoppedError
                digest.update(chunk)
            digests.append(digest.digest())
        return digests[0] == digests[1]

    def _remove(self, index: ObjectIndex) -> Iterator[Outcome]:
        def remove(entry: Entry) -> Outcome:
            try:
                if not self.is_dry_run:
                    self.target.drop(entry.name)
            except RefusedError as error:
                return Outcome(entry.name, FAILED, 0, str(error))
            return Outcome(entry.name, REMOVED, entry.size)

        for page in pages(index.unknown()):
            # Asked last of all: a file may have been uploaded since the listing.
            kept = self.rows([entry.name for entry in page])
            yield from Parallel(remove).run([one for one in page if one.name not in kept])


class _Content:
    """Chunks as a file; its end is refused unless size and checksum are what they should be."""

    def __init__(
        self, chunks: Iterator[bytes], entry: Entry, row: FileRow | None, stopped: threading.Event
    ) -> None:
        self._chunks = chunks
        self._entry = entry
        self._row = row
        self._stopped = stopped
        self._digest = hashlib.sha256()
        self._left = entry.size
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Give exactly ``size`` bytes, or what is left."""
        pieces, missing = [self._rest], size - len(self._rest)
        while missing > 0 or size < 0:
            chunk = self._next()
            if not chunk:
                break
            pieces.append(chunk)
            missing -= len(chunk)
        data = b"".join(pieces)
        if size < 0:
            self._rest = b""
            return data
        self._rest = data[size:]
        return data[:size]

    def _next(self) -> bytes:
        if self._stopped.is_set():
            raise StoppedError
        chunk = next(self._chunks, b"")
        self._left -= len(chunk)
        if self._row is not None:
            self._digest.update(chunk)
        if self._left < 0 or (not chunk and self._left):
            raise RefusedError("its size is not the one of the listing")
        if not self._left and not self._is_as_recorded():
            raise RefusedError("its checksum is not the one of its row")
        return chunk

    def _is_as_recorded(self) -> bool:
        return self._row is None or self._row.checksum == self._digest.hexdigest()
