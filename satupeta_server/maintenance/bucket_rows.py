"""The rows of files, read page by page over a connection of their own, without an event loop."""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import peewee
from peewee import SQL, Case, fn

from satupeta_server import database
from satupeta_server.maintenance.bucket_index import PAGE
from satupeta_server.models.categories import Category
from satupeta_server.models.files import File
from satupeta_server.models.news import News
from satupeta_server.models.organizations import Organization
from satupeta_server.models.regionals import Regional
from satupeta_server.models.users import User
from satupeta_server.settings import Settings

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_USES = (
    ("thumbnail of a category", Category, Category.thumbnail),
    ("thumbnail of an organization", Organization, Organization.thumbnail),
    ("thumbnail of a region", Regional, Regional.thumbnail),
    ("thumbnail of news", News, News.thumbnail),
    ("profile picture", User, User.profile_picture),
)


@dataclass(frozen=True)
class FileRow:
    """What a row says of its object; size in bytes, SHA-256 in hexadecimal."""

    id: uuid.UUID
    object_name: str
    name: str
    size: int
    checksum: str
    is_deleted: bool


@contextlib.contextmanager
def file_rows(settings: Settings) -> Iterator[None]:
    """Open the connection that the functions of this module use."""
    database.connect(settings)
    with database.translated(), database.synchronous() as connected:
        # Counting all that there is may take longer than a request of the API may.
        connected.execute_sql("SET statement_timeout = '10min'")
        yield


def count_rows() -> tuple[int, int]:
    """Count the rows, deleted ones included, and their bytes."""
    query = File.select(fn.count(File.id), fn.coalesce(fn.sum(File.size), 0)).tuples()
    count, size = next(iter(query.execute()))
    return int(count), int(size)


def row_pages() -> Iterator[list[FileRow]]:
    """Give all rows, deleted ones included: their objects stay, too."""
    after = uuid.UUID(int=0)
    while page := _rows(File.id > after, limit=PAGE):
        yield page
        after = page[-1].id


def rows_of(names: Sequence[str]) -> dict[str, FileRow]:
    """Give the rows of objects by the objects' names."""
    return {row.object_name: row for row in _rows(File.object_name.in_(list(names)))}


def _rows(condition: Any, limit: int | None = None) -> list[FileRow]:
    query = File.select(
        File.id, File.object_name, File.name, File.size, File.checksum,
        File.deleted_at.is_null(is_null=False),
    )  # fmt: skip
    return [FileRow(*row) for row in query.where(condition).order_by(File.id).limit(limit).tuples()]


def usage(by: str) -> list[dict[str, Any]]:
    """Count files and bytes by ``kind`` or by ``organization``, the largest first."""
    source = File.alias("file")
    label = (_kind(source) if by == "kind" else _organization(source)).alias("label")
    labelled = source.select(label, source.size).alias("labelled")
    size = fn.sum(SQL("labelled.size"))
    query = (
        peewee.Select([labelled], [SQL("labelled.label"), fn.count(SQL("*")), size])
        .group_by(SQL("labelled.label"))
        .order_by(size.desc())
    )
    rows = database.database.execute(query)
    return [{by: name, "files": count, "bytes": int(total)} for name, count, total in rows]


def _kind(source: Any) -> Any:
    embedded = News.select(
        fn.unnest(fn.regexp_matches(fn.lower(News.description), _UUID, "g")).cast("uuid")
    )
    uses = [
        (source.id.in_(model.select(column).where(column.is_null(is_null=False))), name)
        for name, model, column in _USES
    ]
    deleted = (source.deleted_at.is_null(is_null=False), "deleted")
    return Case(None, [*uses, (source.id.in_(embedded), "in the text of news"), deleted], "unused")


def _organization(source: Any) -> Any:
    owner = Organization.alias("owner")
    own = owner.select(owner.name).where(owner.thumbnail == source.id).order_by(owner.id).limit(1)
    uploader, home = User.alias("uploader"), Organization.alias("home")
    uploaded = (
        uploader.select(home.name)
        .join(home, on=(home.id == uploader.organization_id))
        .where(uploader.id == source.uploaded_by)
    )
    return fn.coalesce(own, uploaded, "none")
