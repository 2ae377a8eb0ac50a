"""The list and the single record of plain resources."""

import functools
from typing import Any
from urllib.parse import parse_qsl, urlencode

from satupeta_server.errors import NotAuthenticatedError
from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.repeating import created_once
from satupeta_server.handlers.waiting import in_turn
from satupeta_server.schemas.base import Form
from satupeta_server.services.records import Page

LONGEST_LINK = 2048
"""Characters; proxies refuse an answer whose headers are longer than a few thousand."""


class RecordHandler(BaseHandler):
    """Knows its service by the route's subject."""

    @property
    def service(self) -> Any:
        """The service of the route's subject."""
        return getattr(self.services, self.options_of_route["subject"])

    def form(self, kind: str) -> Form:
        """The form of the route, by "form" or "change_form"."""
        form: Form = self.options_of_route[kind]
        return form


class CollectionHandler(RecordHandler):
    """``/things``: the list, and making a new one."""

    @in_turn
    async def get(self) -> None:
        """Answer a page of the list.

        Only the portal's administration sends ``sort``, and its first request after a reload
        has no token; a 401 makes it ask again with one (contract, 2.8).
        """
        if self.caller.is_anonymous and "sort" in self.request.query_arguments:
            raise NotAuthenticatedError
        request = self.service.resource.listing.read(self.parameters())
        page: Page = await self.shared(lambda: self.service.list(self.caller, request))
        if page.next_cursor is not None:
            self._link_next(page.next_cursor)
        self.write_text(envelope(page))

    def _link_next(self, cursor: str) -> None:
        """Name the next page in a header (RFC 8288), unless the address is a very long one."""
        # Latin-1 gives back the very bytes that came, as Tornado reads a request's line in it.
        sent = parse_qsl(self.request.query, keep_blank_values=True, encoding="latin-1")
        kept = [(name, value) for name, value in sent if name not in ("cursor", "offset")]
        query = urlencode([*kept, ("cursor", cursor)], encoding="latin-1", errors="replace")
        target = f"{self.request.path}?{query}"
        if len(target) <= LONGEST_LINK:
            self.set_header("Link", f'<{target}>; rel="next"')

    @in_turn
    async def post(self) -> None:
        """Create a record."""
        values = self.form("form").for_create(self.json_body())
        create = functools.partial(self.service.create, self.caller, values)
        self.write_document(await created_once(self, create), 201)


class ItemHandler(RecordHandler):
    """``/things/{id}``: one record."""

    @in_turn
    async def get(self, record_id: str) -> None:
        """Answer the record."""
        key = self.record_id(record_id)
        self.write_document(await self.shared(lambda: self.service.get(self.caller, key)))

    @in_turn
    async def patch(self, record_id: str) -> None:
        """Change what the body names."""
        values = self.form("change_form").for_update(self.json_body())
        key, expected = self.record_id(record_id), self.expected_revisions()
        self.write_document(await self.service.update(self.caller, key, values, expected))

    @in_turn
    async def delete(self, record_id: str) -> None:
        """Delete the record."""
        key = self.record_id(record_id)
        await self.service.delete(self.caller, key, self.expected_revisions())
        self.set_status(204)


def envelope(page: Page) -> str:
    """The one shape of all lists (contract, 2.2), and what a list answers besides."""
    more = "".join(f',"{name}":{value}' for name, value in page.members.items())
    return (
        f'{{"items":{page.items},"total":{page.total},"limit":{page.limit},'
        f'"offset":{page.offset},"has_more":{"true" if page.has_more else "false"}{more}}}'
    )
