"""Pages of a list that can be walked by a cursor."""

from typing import Any

import orjson
import peewee
from peewee import SQL, fn

from satupeta_server.queries.cursors import write_cursor
from satupeta_server.queries.facets import Counting, Facet, facet_object
from satupeta_server.queries.listing import Listing, ListRequest
from satupeta_server.queries.ordering import Ordering
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import Page, RecordService, Resource, fetch_one


class CursorService(RecordService):
    """A resource whose listing has a cursor, and maybe facets."""

    async def list(self, caller: Caller, request: ListRequest) -> Page:
        """Give a page, the number of all rows, the next page's cursor and the facets.

        All is from one statement and one snapshot. Raises InvalidError for a filter that the
        resource does not know.
        """
        listing, source = self.resource.listing, self.resource.model.alias()
        visible = self.visible(caller, source)
        limit = listing.limit(request, self.settings.list_limit) or 0
        columns = [
            source.select(fn.count(SQL("*"))).where(visible & listing.condition(source, request))
        ]
        if request.facets:
            columns.append(self._facets(source, visible, request))
        page = _numbered(listing, source, visible, request, limit)
        columns = [*_page_columns(self.resource, request, page, limit), *columns]
        row = await fetch_one(peewee.Select([page], columns))
        return _as_page(listing.ordering(request), request, limit, row)

    def _facets(self, source: Any, visible: Any, request: ListRequest) -> Any:
        listing = self.resource.listing
        # Facets that leave out no filter count the same rows.
        together: dict[str, dict[str, Facet]] = {}
        for name in request.facets:
            facet = listing.facets[name]
            without = facet.field if facet.field in request.filtered_fields else ""
            together.setdefault(without, {})[name] = facet
        countings = [
            Counting(
                f"counted_{number}",
                facets,
                source,
                visible & listing.condition(source, request, without=without),
            )
            for number, (without, facets) in enumerate(together.items())
        ]
        return facet_object(countings, self.settings.list_limit, request.facets)


def _numbered(listing: Listing, source: Any, visible: Any, request: ListRequest, limit: int) -> Any:
    """The rows of the page by their places, and one more: it tells whether there is a next."""
    ordering = listing.ordering(request)
    rows = source.select().where(visible & listing.condition(source, request))
    if request.after is None:
        rows = rows.offset(request.offset)
    else:
        rows = rows.where(ordering.after(source, request.after))
    page = rows.order_by(*ordering.clauses(source)).limit(limit + 1).alias("page")
    place = fn.row_number().over().alias("place")
    return peewee.Select([page], [SQL("page.*"), place]).alias("numbered")


def _page_columns(resource: Resource, request: ListRequest, page: Any, limit: int) -> list[Any]:
    """The items, the place of the last of them, and whether any row follows it."""
    position = resource.listing.ordering(request).position(page.c)
    items = fn.json_agg(resource.representation.json(page.c)).filter(page.c.place <= limit)
    last = fn.json_agg(position).filter(page.c.place == limit)
    return [
        fn.coalesce(items, SQL("'[]'::json")).cast("text"),
        last.cast("text"),
        fn.count(SQL("*")) > limit,
    ]


def _as_page(ordering: Ordering, request: ListRequest, limit: int, row: tuple[Any, ...]) -> Page:
    items, position, is_followed, total, *facets = row
    cursor = write_cursor(ordering, orjson.loads(position)[0]) if position and is_followed else None
    members = {"next_cursor": orjson.dumps(cursor).decode()}
    if facets:
        members["facets"] = facets[0]
    return Page(
        items,
        total,
        limit,
        request.offset,
        has_more=is_followed if request.after else request.offset + limit < total,
        next_cursor=cursor,
        members=members,
    )
