"""Counting ahead what visitors ask for, so that none of them waits until it is counted."""

from collections.abc import AsyncIterator

import orjson

from satupeta_server.queries.facets import Facet
from satupeta_server.security.callers import Caller
from satupeta_server.services.cursor_pages import CursorService
from satupeta_server.services.kept_counts import settled, tidy

DEAR = 10_000
"""Rows from which on counting takes longer than looking up what is kept, by much."""

COMMON = 0.05
"""Share of the rows from which on a word is counted ahead; there are a hundred of them or two."""

BEGINNING = 3
"""Letters of a common word after which a visitor stops for a moment, and the portal asks."""

Parameters = dict[str, list[str]]


class CountingAhead:
    """Lets the totals and facets of public lists be kept that are dear and often asked for."""

    def __init__(self, service: CursorService) -> None:
        self._service = service

    async def run(self) -> int:
        """Ask for all of them, one after the other, and give their number.

        What is kept already costs a look.
        """
        number = 0
        async for _ in self._asked():
            await settled()
            number += 1
        # Where there are few mapsets nothing is worth keeping, and changes would only pile up.
        await tidy()
        return number

    async def _asked(self) -> AsyncIterator[None]:
        facets = self._service.resource.listing.facets
        every = ",".join(facets)
        total, values = await self._ask({"facets": [every]})
        yield
        if total < DEAR:
            return
        for name, facet in facets.items():
            for value in _dear_values(facet, values[name]):
                await self._ask({"facets": [every], "filter": [f"{facet.field}={value}"]})
                yield
        words = await self._service.common_words(COMMON)
        for word in dict.fromkeys([*words, *(word[:BEGINNING] for word in words)]):
            await self._ask({"search": [word]})
            yield

    async def _ask(self, parameters: Parameters) -> tuple[int, dict[str, list[dict[str, object]]]]:
        request = self._service.resource.listing.read({**parameters, "limit": ["1"]})
        page = await self._service.list(Caller(), request)
        return page.total, orjson.loads(page.members.get("facets", "{}"))


def _dear_values(facet: Facet, counted: list[dict[str, object]]) -> list[object]:
    """The values of a facet that a filter on its field finds very many rows by."""
    if facet.value is not None:
        return []
    return [one["value"] for one in counted if int(str(one["count"])) >= DEAR]
