"""What all plain resources share: list, detail, create, update and delete."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson
import peewee
from peewee import SQL, fn
from peewee_async.databases import fetchone

from satupeta_server.database import database
from satupeta_server.errors import (
    ForbiddenError,
    InvalidError,
    NotFoundError,
    PreconditionFailedError,
)
from satupeta_server.messages import Message
from satupeta_server.models.audit import Changes, recording
from satupeta_server.models.base import Record, now
from satupeta_server.queries.listing import Listing, ListRequest
from satupeta_server.queries.paging import cut
from satupeta_server.queries.scopes import within
from satupeta_server.queries.shapes import shaped
from satupeta_server.representations.base import Representation, array_text
from satupeta_server.security.callers import Caller
from satupeta_server.settings import Settings
from satupeta_server.statements import Slot, Statement, parameter

MOST_SHAPES = 300
"""Statements that are kept as they were written; a client can ask in any number of ways."""

Values = dict[Any, Any]
Revisions = Collection[int] | None
"""The revisions that If-Match allows; None allows every one."""


@dataclass(frozen=True)
class Document:
    """A record as JSON text, with the revision that it has."""

    json: str
    revision: int


@dataclass(frozen=True)
class Page:
    """A page of a list: its items as the text of a JSON array, and how many rows there are."""

    items: str
    total: int
    limit: int
    offset: int
    has_more: bool
    next_cursor: str | None = None
    members: Mapping[str, str] = field(default_factory=dict)
    """What this list answers besides, as the texts of JSON values."""


@dataclass(frozen=True)
class Resource:
    """What a plain resource is made of."""

    subject: str
    """Its name in permissions and paths, such as ``categories``."""
    representation: Representation
    listing: Listing
    references: Mapping[str, Any] = field(default_factory=dict)
    """Columns that point at records, which must be living when they are set."""

    @property
    def model(self) -> Any:
        """The table."""
        return self.representation.model


def whole_page(rows: Sequence[Mapping[str, Any]]) -> Page:
    """Give rows that are few, all of them, in the shape of a page."""
    return Page(orjson.dumps(rows).decode(), len(rows), len(rows), 0, has_more=False)


class ReadService:
    """Lists and details of one resource, narrowed to what the caller may see."""

    resource: Resource

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def visible(self, caller: Caller, source: Any) -> Any:
        """The condition of the rows that the caller may see.

        Raises NotAuthenticatedError or ForbiddenError when there are none by right.
        """
        scope = caller.scope(f"{self.resource.subject}:read")
        return self.resource.model.living(source) & within(scope, caller, source)

    async def list(self, caller: Caller, request: ListRequest) -> Page:
        """Give one page and the number of all rows, from one statement and one snapshot.

        Raises InvalidError for a filter that the resource does not know.
        """
        listing = self.resource.listing
        limit = listing.limit(request, self.settings.list_limit)
        needed = None if limit is None else request.offset + limit
        shape, values = shaped(listing, request, needed=needed)
        values |= caller.values() | {"limit": limit, "offset": request.offset}
        write = self._page if shape.is_large else self._kept_page
        text, count = await run(write(caller.shape(), shape), values)
        end = count if limit is None else request.offset + limit
        shown = limit if limit is not None else count
        return Page(text, count, shown, request.offset, has_more=end < count)

    def _page(self, caller: Caller, shape: ListRequest) -> Statement:
        listing, source = self.resource.listing, self.resource.model.alias()
        condition = self.visible(caller, source) & listing.condition(source, shape)
        rows = source.select().where(condition).order_by(*listing.order(source, shape))
        # Only the rows of the page get their JSON built, so the page is cut out first.
        limit, offset = parameter(Slot("limit"), "bigint"), parameter(Slot("offset"), "bigint")
        page = cut(rows, shape.limit, limit, offset).alias("page")
        items = array_text(self.resource.representation.json(page.c), page)
        total = source.select(fn.count(SQL("*"))).where(condition)
        anew = bool(shape.words or shape.is_large)
        return compiled(peewee.Select(columns=[items, total]), is_planned_anew=anew)

    _kept_page = lru_cache(maxsize=MOST_SHAPES)(_page)

    async def get(self, caller: Caller, record_id: uuid.UUID) -> Document:
        """Give one record; raises NotFoundError when it is not there for this caller."""
        return await self._document(caller, record_id)

    async def document(self, record_id: uuid.UUID) -> Document:
        """Give one record, whoever may see it; raises NotFoundError."""
        return await self._document(None, record_id)

    async def _document(self, caller: Caller | None, record_id: uuid.UUID) -> Document:
        values = {"id": str(record_id)} | (caller.values() if caller else {})
        return Document(*await run(self._detail(caller and caller.shape()), values))

    @lru_cache(maxsize=MOST_SHAPES)  # noqa: B019
    def _detail(self, caller: Caller | None) -> Statement:
        resource, source = self.resource, self.resource.model.alias()
        condition = SQL("true") if caller is None else self.visible(caller, source)
        revision = getattr(source, "revision", SQL("1"))
        query = source.select(resource.representation.json(source).cast("text"), revision)
        return compiled(query.where((source.id == parameter(Slot("id"), "uuid")) & condition))


class RecordService(ReadService):
    """Also creates, changes and deletes; subclasses add what is special to their resource."""

    @property
    def write_permission(self) -> str:
        """The permission without which nothing is changed."""
        return f"{self.resource.subject}:write"

    async def create(self, caller: Caller, values: Values) -> Document:
        """Store a new record.

        Raises InvalidError for a reference to nothing and ConflictError for a broken unique
        rule; nothing is written then.
        """
        caller.scope(self.write_permission)
        async with database.whole():
            prepared = await self.prepared(caller, values, None)
            row = self.resource.model(**prepared)
            await self.check_references(values, None)
            await row.aio_save(force_insert=True)
            await self.created(caller, row, values)
            await self.record(caller, "create", row.id, added(row, prepared))
            return await self.document(row.id)

    async def update(
        self, caller: Caller, record_id: uuid.UUID, values: Values, expected: Revisions = None
    ) -> Document:
        """Change what is given and differs; a change of nothing keeps the revision.

        Raises NotFoundError, ForbiddenError, PreconditionFailedError, InvalidError or
        ConflictError; nothing is written then.
        """
        async with database.whole():
            row = await self.locked(caller, record_id, expected)
            prepared = await self.prepared(caller, values, row)
            await self.check_references(prepared, row)
            changes = differing(row, prepared)
            if changes:
                await self.apply(caller, row, changes)
            return await self.document(record_id)

    async def delete(
        self, caller: Caller, record_id: uuid.UUID, expected: Revisions = None
    ) -> None:
        """Delete a record softly: what embeds it keeps showing it.

        Raises NotFoundError, ForbiddenError, PreconditionFailedError or ConflictError.
        """
        async with database.whole():
            row = await self.locked(caller, record_id, expected)
            await self.before_delete(caller, row)
            await self.apply(caller, row, {"deleted_at": now()})

    async def apply(self, caller: Caller, row: Any, changes: Values) -> None:
        """Write changes of a locked row, with what follows from them, and record them."""
        before = {name: getattr(row, name) for name in changes}
        await self.write(row, changes)
        await self.updated(caller, row, changes)
        both = {name: (before[name], value) for name, value in changes.items()}
        await self.record(caller, action_of(changes), row.id, both)

    async def record(
        self, caller: Caller, action: str, record_id: uuid.UUID, changes: Changes
    ) -> None:
        """Write into the audit log what was done to a record, in the same transaction."""
        subject = self.resource.model._meta.table_name
        await recording(caller, action, subject, record_id, {}, changes).aio_execute()

    async def prepared(self, caller: Caller, values: Values, row: Any) -> Values:
        """Turn checked input into column values; ``row`` is None for a new record."""
        del caller, row
        return values

    async def created(self, caller: Caller, row: Any, values: Values) -> None:
        """Do what follows a creation, in its transaction."""

    async def updated(self, caller: Caller, row: Any, changes: Values) -> None:
        """Do what follows a change or a deletion, in its transaction."""

    async def before_delete(self, caller: Caller, row: Any) -> None:
        """Raise ConflictError where a record must not be deleted."""

    def restorable(self, source: Any) -> Any:
        """The condition of the deleted rows that may come back."""
        return ~self.resource.model.living(source)

    async def referred(self, row: Any) -> Values:
        """Give what a row points at, by the names of its references."""
        return {column: getattr(row, column) for column in self.resource.references}

    async def locked(self, caller: Caller, record_id: uuid.UUID, expected: Revisions) -> Any:
        """Read a row that the caller may change, and hold it until the transaction ends.

        Raises NotFoundError when the caller may not see it, ForbiddenError when only see it,
        PreconditionFailedError when it has another revision than expected.
        """
        scope = caller.scope(self.write_permission)
        source = self.resource.model
        writable = within(scope, caller, source).alias("is_writable")
        query = source.select(source, writable).where(
            (source.id == record_id) & self.visible(caller, source)
        )
        rows = await query.for_update().aio_execute()
        if not rows:
            raise NotFoundError
        if not rows[0].is_writable:
            raise ForbiddenError("not_own_organization")
        if expected is not None and rows[0].revision not in expected:
            raise PreconditionFailedError
        return rows[0]

    async def write(self, row: Any, changes: Values) -> None:
        """Write changes to a locked row, here and in the database, and count its revision up."""
        model = self.resource.model
        counted = {**changes, "revision": row.revision + 1, "updated_at": now()}
        await model.update(counted).where(model.id == row.id).aio_execute()
        for name, value in counted.items():
            setattr(row, name, value)

    async def check_references(self, values: Values, row: Any) -> None:
        """Raise InvalidError that names each newly set reference to what is not living."""
        errors = await self.reference_errors(values, row)
        if errors:
            raise InvalidError(errors=errors)

    async def reference_errors(self, values: Values, row: Any) -> dict[str, list[Message]]:
        """Find the newly set references to records that are not living.

        The record that is pointed at stays as it is until the transaction ends. A reference
        that does not change is not looked at: what was deleted since stays embedded.
        """
        errors = {}
        for column, model in self.resource.references.items():
            target = values.get(column)
            if target is None or (row is not None and getattr(row, column) == target):
                continue
            if not await is_living(model, target):
                errors[column] = [Message("unknown_reference")]
        return errors


def differing(row: Any, values: Values) -> Values:
    """Those of the values that a row does not have yet."""
    return {name: value for name, value in values.items() if getattr(row, name) != value}


def added(row: Any, prepared: Values) -> Changes:
    """What a new row holds, as changes from nothing; some of it is in tables of its own."""
    held = {**prepared, **row.__data__}
    return {name: (None, value) for name, value in held.items() if value is not None}


def action_of(changes: Values) -> str:
    """Name a change by what weighs most in it."""
    for column, name in _ACTIONS:
        if column in changes:
            return name(changes[column])
    return "update"


_ACTIONS: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("deleted_at", lambda moment: "delete" if moment else "restore"),
    ("password_hash", lambda _: "set_password"),
    ("role_id", lambda _: "set_role"),
    ("status_validation", lambda _: "set_status"),
    ("is_active", lambda is_active: "activate" if is_active else "deactivate"),
)


async def is_living(model: type[Record], record_id: uuid.UUID) -> bool:
    """Tell whether a record exists and is not deleted, and keep it so until the end."""
    query = model.select(model.id).where((model.id == record_id) & model.living())
    return bool(await query.for_update("FOR SHARE").aio_execute())


async def fetch_row(query: Any) -> tuple[Any, ...] | None:
    """Run a query and give its first row as a tuple, or None."""
    row: tuple[Any, ...] | None = await database.aio_execute(query, fetch_results=fetchone)
    return row


def compiled(query: Any, *, is_planned_anew: bool = False) -> Statement:
    """Write the text of a query once."""
    return Statement.of(*query.bind(database).sql(), is_planned_anew=is_planned_anew)


async def run(statement: Statement, values: Values) -> tuple[Any, ...]:
    """Run a statement and give its first row; raises NotFoundError when there is none."""
    row: tuple[Any, ...] | None = await database.aio_execute_sql(statement, values, fetchone)
    if row is None:
        raise NotFoundError
    return row
