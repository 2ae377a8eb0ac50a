"""Pages of a list that can be walked by a cursor."""

from typing import Any

import orjson
import peewee
from peewee import SQL, fn

from satupeta_server.queries.cursors import write_cursor
from satupeta_server.queries.listing import ListRequest
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import Page, RecordService, Resource, fetch_one


class CursorService(RecordService):
    """A resource whose listing has a cursor."""

    async def list(self, caller: Caller, request: ListRequest) -> Page:
        """Give a page, the number of all rows and the next page's cursor, from one statement.

        Raises InvalidError for a filter that the resource does not know.
        """
        source = self.resource.model.alias()
        visible = self.visible(caller, source)
        limit = self.resource.listing.limit(request, self.settings.list_limit) or 0
        return await _page(self.resource, source, visible, request, limit)


async def _page(
    resource: Resource, source: Any, visible: Any, request: ListRequest, limit: int
) -> Page:
    listing, ordering = resource.listing, resource.listing.ordering(request)
    condition = visible & listing.condition(source, request)
    # One row more than the page has tells whether there is a next one.
    rows = source.select().where(condition).order_by(*ordering.clauses(source)).limit(limit + 1)
    if request.after is None:
        rows = rows.offset(request.offset)
    else:
        rows = rows.where(ordering.after(source, request.after))
    page = rows.alias("page")
    place = fn.row_number().over().alias("place")
    numbered = peewee.Select([page], [SQL("page.*"), place]).alias("numbered")
    row = numbered.c
    items = fn.json_agg(resource.representation.json(row)).filter(row.place <= limit)
    last = fn.json_agg(ordering.position(row)).filter(row.place == limit)
    columns = [
        fn.coalesce(items, SQL("'[]'::json")).cast("text"),
        last.cast("text"),
        fn.count(SQL("*")) > limit,
        source.select(fn.count(SQL("*"))).where(condition),
    ]
    text, position, is_followed, total = await fetch_one(peewee.Select([numbered], columns))
    cursor = write_cursor(ordering, orjson.loads(position)[0]) if position and is_followed else None
    return Page(
        text,
        total,
        limit,
        request.offset,
        has_more=is_followed if request.after else request.offset + limit < total,
        next_cursor=cursor,
        members={"next_cursor": orjson.dumps(cursor).decode()},
    )
