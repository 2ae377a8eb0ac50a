"""Searching everything at once; here typing errors are forgiven."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any

import orjson
import peewee
from peewee import SQL, fn

from satupeta_server.queries.matching import (
    MOST_RANKED,
    Wanted,
    are_common,
    matching,
    newest_matching,
    relevance,
    wanted_words,
)
from satupeta_server.queries.vocabulary import MOST_ALTERNATIVES, Meaning, Terms
from satupeta_server.representations.base import array_text
from satupeta_server.representations.highlights import (
    fragment,
    highlighted,
    marked_words,
    without_tags,
)
from satupeta_server.representations.search import GROUPS, Group
from satupeta_server.security.callers import Caller
from satupeta_server.services.meanings import ForgivingService, meanings_of
from satupeta_server.services.records import MOST_SHAPES, ReadService, compiled, run
from satupeta_server.statements import Statement, Values

WINDOW = 5_000
"""The newest mapsets, which are looked at one by one for words that very many have."""
ENOUGH = 50
"""Hits among them with which nobody needs to see older ones."""


class Way(StrEnum):
    """Which of the mapsets that match are looked at; there may be very many."""

    EVERY = "every"
    """All, to find the newest of them."""
    NEWEST = "newest"
    """Those among the newest mapsets."""
    ANY = "any"
    """So many as are ranked, whichever."""


class SearchService:
    """Finds what the caller may see, by the words of names and descriptions."""

    def __init__(self, services: Mapping[str, ReadService]) -> None:
        self.services = services
        self._forgiving = ForgivingService(services)

    async def search(self, caller: Caller, terms: Terms, limit: int) -> dict[str, Any]:
        """Give the best hits of each group and how many there are.

        What has all the words in its name comes first, then what has some of them there; each
        in the order of its group. Where nothing is found, typing errors are forgiven.

        Of more than 1,000 matches only so many are ranked, of mapsets the newest; where words
        are so common that finding the newest takes long, those among the newest 5,000 mapsets,
        or any.
        """
        found: Sequence[Meaning] | None = await meanings_of(terms, MOST_ALTERNATIVES)
        if not found:
            return _NOTHING
        answer = await self._found(caller, found, limit)
        if not any(group["total"] for group in answer.values()):
            found = await self._forgiving.meant(caller, found)
            answer = await self._found(caller, found, limit) if found else _NOTHING
        return answer

    async def _found(self, caller: Caller, found: Sequence[Meaning], limit: int) -> dict[str, Any]:
        if not all(meaning.words for meaning in found):
            return _NOTHING
        if not are_common(found):
            return await self._answer(caller, found, limit, Way.EVERY)
        answer = await self._answer(caller, found, limit, Way.NEWEST)
        if answer["mapsets"]["total"] >= ENOUGH:
            return answer
        return await self._answer(caller, found, limit, Way.ANY)

    async def _answer(
        self, caller: Caller, found: Sequence[Meaning], limit: int, way: Way
    ) -> dict[str, Any]:
        given = [list(meaning.words) for meaning in found]
        row = await answer_of(
            given, caller.values(), self._statement, len(found), caller.shape(), limit, way
        )
        words = marked_words(found)
        groups = {}
        for (name, group), items, total in zip(GROUPS.items(), row[::2], row[1::2], strict=True):
            is_exact = all(one.is_whole for one in found) and total <= MOST_RANKED
            is_exact &= not (name == "mapsets" and way is Way.NEWEST)
            hits = [_shown(group, hit, words) for hit in orjson.loads(items)]
            groups[name] = _group(hits, total, is_exact=is_exact)
        return groups

    def _statement(self, count: int, caller: Caller, limit: int, way: Way) -> Any:
        asked, wanted = wanted_words(count)
        tables, columns = [asked], []
        for name, group in GROUPS.items():
            source = group.model.alias()
            visible = self.services[name].visible(caller, source)
            rows = _rows(group, source, visible, wanted, way if name == "mapsets" else Way.EVERY)
            table = rows.limit(MOST_RANKED + 1).cte(f"found_{name}", materialized=True)
            tables.append(table)
            columns += _columns(group, table, wanted, limit)
        return peewee.Select(columns=columns).with_cte(*tables)


async def answer_of(
    given: Sequence[Any], others: Values, build: Callable[..., Any], *arguments: Hashable
) -> tuple[Any, ...]:
    """Give the one row of a statement that a function builds, once, of its arguments.

    Its slots have numbers, for what is ``given``, and the names of the ``others``.
    """
    return await run(written(build, *arguments), {**others, **dict(enumerate(given))})


@lru_cache(maxsize=MOST_SHAPES)
def written(build: Callable[..., Any], *arguments: Hashable) -> Statement:
    """Give the statement that a function builds of its arguments, once."""
    return compiled(build(*arguments))


def _rows(group: Group, source: Any, visible: Any, wanted: Wanted, way: Way) -> Any:
    if way is Way.NEWEST:
        return newest_matching(source, visible, wanted, group.read, group.order, WINDOW)
    rows = matching(source, visible, wanted, group.read, is_indexed=group.is_indexed)
    return rows if way is Way.ANY else rows.order_by(*group.order(source))


def _columns(group: Group, table: Any, wanted: Wanted, limit: int) -> list[Any]:
    """The best hits of a group, and how many there are."""
    rows = peewee.Select([table], [SQL("*")])
    rows = rows.order_by(relevance(table.c, wanted), *group.order(table.c))
    page = rows.limit(limit).alias("page")
    return [
        array_text(group.json(page.c), page),
        peewee.Select([table], [fn.count(SQL("*"))]),
    ]


def _group(items: list[dict[str, Any]], total: int, *, is_exact: bool) -> dict[str, Any]:
    return {"items": items, "total": min(total, MOST_RANKED), "total_is_exact": is_exact}


_NOTHING: dict[str, Any] = {name: _group([], 0, is_exact=True) for name in GROUPS}


def _shown(group: Group, hit: dict[str, Any], words: frozenset[str]) -> dict[str, Any]:
    description = hit.pop("description")
    if description and group.is_html:
        description = without_tags(description)
    return {
        **hit,
        "highlights": {
            "name": highlighted(hit["name"], words),
            "description": highlighted(fragment(description, words), words)
            if description
            else None,
        },
    }
