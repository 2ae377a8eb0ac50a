"""The objects of a backup: read from the store ahead of the writer, and stored again."""

import contextlib
import csv
import hashlib
import io
import logging
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from satupeta_server.errors import NotFoundError, UnavailableError
from satupeta_server.maintenance.backup_format import (
    OBJECTS,
    BackupFile,
    Slice,
    said_of,
    spool_file,
)
from satupeta_server.maintenance.side_by_side import Stop, side_by_side
from satupeta_server.storage import THREADS, ObjectStore

logger = logging.getLogger(__name__)

LIST = "SELECT object_name, size, checksum, content_type FROM public.files ORDER BY id"
"""What :func:`listed` reads, as CSV."""


_STORING_THREADS = THREADS // 2
"""The store's SDK keeps several parts of a large object in memory while it puts it."""


@dataclass(frozen=True)
class Named:
    """An object as its row describes it; SHA-256 in hexadecimal."""

    name: str
    size: int
    checksum: str
    content_type: str


@dataclass(frozen=True)
class Fetched:
    """An object that was read and compared with its row; no content where they differ."""

    named: Named
    content: BinaryIO | None


@dataclass(frozen=True)
class _Kept:
    """An object in a backup."""

    named: Named
    content: Slice


def listed(rows: BinaryIO) -> Iterator[Named]:
    """Read what the database wrote of :data:`LIST`."""
    text = io.TextIOWrapper(rows, "utf-8", newline="")
    for name, size, checksum, content_type in csv.reader(text):
        yield Named(name, int(size), checksum, content_type)
    text.detach()


def fetch(
    store: ObjectStore, objects: Iterable[Named], folder: Path | None
) -> contextlib.AbstractContextManager[Iterator[Fetched]]:
    """Read objects, several at a time; each waits in memory or, a large one, in ``folder``.

    Raises UnavailableError when the store does not answer.
    """

    def work(named: Named, stop: Stop) -> Fetched:
        spool = spool_file(folder)
        try:
            is_right = _copy(store, named, spool, stop)
        except BaseException:
            spool.close()
            raise
        if is_right:
            spool.seek(0)
            return Fetched(named, spool)
        spool.close()
        return Fetched(named, None)

    def discard(fetched: Fetched) -> None:
        if fetched.content is not None:
            fetched.content.close()

    return side_by_side(work, objects, THREADS, discard)


def _copy(store: ObjectStore, named: Named, spool: BinaryIO, stop: Stop) -> bool:
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in store.open(named.name):
            stop.check()
            digest.update(chunk)
            size += len(chunk)
            spool.write(chunk)
    except NotFoundError:
        return False
    return (size, digest.hexdigest()) == (named.size, named.checksum)


def store_again(
    store: ObjectStore, backup: BackupFile
) -> contextlib.AbstractContextManager[Iterator[tuple[int, bool]]]:
    """Put the objects of a backup into the bucket, several at a time.

    Gives the size of each, and whether it had to be put. One that is there with the same size and
    content is left alone. Raises UnavailableError when the store does not answer.
    """

    def work(kept: _Kept, stop: Stop) -> tuple[int, bool]:
        stop.check()
        if _is_there(store, kept.named, stop):
            return kept.named.size, False
        content = cast("BinaryIO", kept.content)
        store.put(kept.named.name, content, kept.named.size, kept.named.content_type)
        if not _is_there(store, kept.named, stop):
            logger.error("the store does not give back what was put: %s", kept.named.name)
            raise UnavailableError
        return kept.named.size, True

    return side_by_side(work, _kept(backup), _STORING_THREADS)


def _kept(backup: BackupFile) -> Iterator[_Kept]:
    for info in backup.members():
        if info.name.startswith(OBJECTS):
            yield _Kept(_described(info), backup.open(info))


def _described(info: tarfile.TarInfo) -> Named:
    said, name = said_of(info), info.name.removeprefix(OBJECTS)
    return Named(name, info.size, said["sha256"], said["content_type"])


def _is_there(store: ObjectStore, named: Named, stop: Stop) -> bool:
    """Compare by reading: what a store says of an object's checksum differs between stores."""
    try:
        if store.describe(named.name).size != named.size:
            return False
        digest = hashlib.sha256()
        for chunk in store.open(named.name):
            stop.check()
            digest.update(chunk)
    except NotFoundError:
        return False
    return digest.hexdigest() == named.checksum
