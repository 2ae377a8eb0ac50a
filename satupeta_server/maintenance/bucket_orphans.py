"""Objects without a row, rows without an object, and uploads that were never completed."""

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from satupeta_server.maintenance.bucket_index import ObjectIndex, pages
from satupeta_server.maintenance.bucket_rows import row_pages, rows_of
from satupeta_server.maintenance.bucket_store import AdministeredStore, Unfinished
from satupeta_server.maintenance.parallel import Parallel

OBJECT, ROW, UPLOAD = "object without a row", "row without an object", "unfinished upload"


@dataclass(frozen=True)
class Orphan:
    """One that lacks its other half; only objects and uploads can be removed."""

    kind: str
    name: str
    size: int | None = None
    since: datetime.datetime | None = None
    file_id: str | None = None
    upload: Unfinished | None = None


def find_orphans(
    store: AdministeredStore,
    before: datetime.datetime,
    *,
    fallback: AdministeredStore | None = None,
    advance: Callable[[float], None] = lambda _amount: None,
) -> Iterator[Orphan]:
    """Give all three kinds, of objects and uploads those that are older than ``before``."""
    store.require()
    with ObjectIndex(store.entries(), advance) as index:
        for page in row_pages():
            found = index.find([row.object_name for row in page])
            for row in page:
                if row.object_name not in found and not _is_anywhere(
                    row.object_name, store, fallback
                ):
                    yield Orphan(ROW, row.object_name, row.size, file_id=str(row.id))
        for entry in index.unknown():
            if entry.modified_at < before:
                yield Orphan(OBJECT, entry.name, entry.size, entry.modified_at)
    for upload in store.unfinished():
        if upload.begun_at < before:
            yield Orphan(UPLOAD, upload.name, None, upload.begun_at, upload=upload)


def remove_orphans(store: AdministeredStore, orphans: list[Orphan]) -> Iterator[Orphan]:
    """Remove objects and uploads, and give each that is gone; one that has a row by now stays."""

    def remove(orphan: Orphan) -> Orphan:
        if orphan.upload is not None:
            store.abort(orphan.upload)
        else:
            store.drop(orphan.name)
        return orphan

    for page in pages(one for one in orphans if one.kind != ROW):
        rows = rows_of([one.name for one in page if one.kind == OBJECT])
        chosen = [one for one in page if one.kind == UPLOAD or one.name not in rows]
        yield from Parallel(remove).run(chosen)


def _is_anywhere(name: str, store: AdministeredStore, fallback: AdministeredStore | None) -> bool:
    """Look again: what was uploaded since the listing is not in it."""
    return store.has(name) or (fallback is not None and fallback.has(name))
