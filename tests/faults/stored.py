"""What was acknowledged, and whether it, and nothing half-written, is there."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from satupeta_server.errors import AppError
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore

# Each finds what must not be: a change is whole, or was never made.
HALF_WRITTEN = {
    "a mapset without its history": "SELECT id FROM mapsets AS one WHERE NOT EXISTS "
    "(SELECT FROM mapset_histories WHERE mapset_id = one.id)",
    "a mapset without each of its revisions": "SELECT id FROM mapsets AS one WHERE revision <> "
    "(SELECT count(*) FROM mapset_revisions WHERE mapset_id = one.id)",
    "a mapset whose last revision is another state": "SELECT id FROM mapsets AS one "
    "JOIN mapset_revisions AS last ON (last.mapset_id, last.revision) = (one.id, one.revision) "
    "WHERE last.state ->> 'name' <> one.name",
    "a mapset without its two sources": "SELECT id FROM mapsets AS one WHERE 2 <> "
    "(SELECT count(*) FROM mapset_sources WHERE mapset_id = one.id)",
    "a record that was refused": "SELECT id FROM mapsets WHERE name LIKE 'Ditolak %%' "
    "UNION ALL SELECT id FROM categories WHERE name LIKE 'Ditolak %%'",
}


@dataclass
class Known:
    """A record, as its writer knows it; a change that was not answered may be made or not."""

    id: str
    names: set[str]
    revision: int
    is_deleted: bool = False
    may_be_deleted: bool = False


@dataclass
class Acknowledged:
    """All that one load was told to be stored."""

    mapsets: list[Known] = field(default_factory=list)
    categories: list[Known] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each file by its id."""
    writes: int = 0


def lost(settings: Settings, acknowledged: Acknowledged) -> list[str]:
    """Name every acknowledged write that is not there as it was acknowledged."""
    with _opened(settings) as (cursor, store):
        return [
            *_lost_records(cursor, "mapsets", acknowledged.mapsets),
            *_lost_records(cursor, "categories", acknowledged.categories),
            *_lost_files(cursor, store, acknowledged.files),
        ]


def half_written(settings: Settings) -> list[str]:
    """Name everything in the database that is not whole."""
    with _opened(settings) as (cursor, store):
        found = []
        for what, query in HALF_WRITTEN.items():
            cursor.execute(query)
            found += [f"{what}: {key}" for (key,) in cursor.fetchall()]
        return found + _without_object(cursor, store)


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[tuple[Any, ObjectStore]]:
    url = settings.database_url
    connection = psycopg2.connect(url.get_secret_value() if url else "")
    with contextlib.closing(connection), contextlib.closing(ObjectStore(settings)) as store:
        yield connection.cursor(), store


def _lost_records(cursor: Any, table: str, records: list[Known]) -> Iterator[str]:
    cursor.execute(f"SELECT id::text, name, revision, deleted_at IS NOT NULL FROM {table}")
    rows = {key: rest for key, *rest in cursor.fetchall()}
    for known in records:
        name, revision, is_deleted = rows.get(known.id, ("", 0, False))
        if revision < known.revision or name not in known.names:
            yield f"{table} {known.id}: {name!r} {revision} instead of {known}"
        if is_deleted != known.is_deleted and not known.may_be_deleted:
            yield f"{table} {known.id}: deleted {is_deleted}"


def _lost_files(cursor: Any, store: ObjectStore, files: dict[str, str]) -> Iterator[str]:
    cursor.execute("SELECT id::text, object_name FROM files")
    names = dict(cursor.fetchall())
    for key, checksum in files.items():
        digest = hashlib.sha256()
        try:
            for chunk in store.open(names.get(key, "no row")):
                digest.update(chunk)
        except AppError as error:
            yield f"file {key}: {error}"
        else:
            if digest.hexdigest() != checksum:
                yield f"file {key}: other content"


def _without_object(cursor: Any, store: ObjectStore) -> list[str]:
    cursor.execute("SELECT object_name, size FROM files")
    found = []
    for name, size in cursor.fetchall():
        try:
            is_whole = store.describe(name).size == size
        except AppError:
            is_whole = False
        if not is_whole:
            found.append(f"a file without its object: {name}")
    return found
