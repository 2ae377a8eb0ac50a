"""By which words of the vocabulary records are found, for the words of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Any

import peewee
from peewee import SQL, fn
from peewee_async.databases import fetchall

from satupeta_server.database import database
from satupeta_server.queries.matching import is_among, matching, overlap, unnested, wanted_words
from satupeta_server.queries.vocabulary import (
    ALIKE,
    MEANINGS,
    MOST_ALIKE,
    Meaning,
    Terms,
    alike,
    meanings,
)
from satupeta_server.representations.search import GROUPS
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import MOST_SHAPES, ReadService, compiled, run
from satupeta_server.statements import Statement

_ENOUGH = 1000
"""Rows with a word after which it is known to stand somewhere; a limit lets the index be taken."""


async def meanings_of(terms: Terms, most: int) -> tuple[Meaning, ...]:
    """Look up by which words, at most so many for each, records are found.

    There are none where no word says anything.
    """
    if not terms.words:
        return ()
    rows = await database.aio_execute_sql(MEANINGS, terms.parameters(most), fetchall)
    return meanings(rows, most)


class ForgivingService:
    """Finds what was meant by words that lead to nothing, as typing errors do."""

    def __init__(self, services: Mapping[str, ReadService]) -> None:
        self.services = services

    async def meant(self, caller: Caller, found: Sequence[Meaning]) -> tuple[Meaning, ...] | None:
        """Give meanings where words that no record of the caller's has are those spelled alike.

        Words of what the caller may not see count as little as if they did not exist: nobody
        learns of them, and their errors take away nothing. None where there is nothing else.
        """
        plain = [meaning.plain for meaning in found]
        rows = await database.aio_execute_sql(ALIKE, [plain, MOST_ALIKE], fetchall)
        known = {*chain.from_iterable(one.words for one in found), *(row[1] for row in rows)}
        standing = await self._standing(caller, sorted(known))
        meant = []
        for meaning in found:
            if not standing.isdisjoint(meaning.words):
                meant.append(meaning)
                continue
            similar = [row[1:] for row in rows if row[0] == meaning.plain and row[1] in standing]
            meant.append(alike(meaning.plain, similar) if similar else replace(meaning, words=()))
        is_other = meant != list(found) and all(one.words for one in meant)
        return tuple(meant) if is_other else None

    async def _standing(self, caller: Caller, words: Sequence[str]) -> set[str]:
        """Those of some words that stand in a record which the caller may see."""
        statement = _statement(self, caller.shape())
        return set(chain.from_iterable(await run(statement, {**caller.values(), 0: list(words)})))

    def statement(self, caller: Caller) -> Any:
        """The statement that gives, of the words in slot 0, those that stand in each group."""
        asked, (wanted,) = wanted_words(1)
        columns = []
        for name, group in GROUPS.items():
            source = group.model.alias()
            visible = self.services[name].visible(caller, source)
            if group.is_indexed:
                given = peewee.Select([], [unnested(wanted).alias("word")]).alias("given")
                # For an EXISTS the planner would read the table from its beginning.
                one = peewee.NodeList((SQL("ARRAY["), given.c.word, SQL("]")))
                hit = overlap(fn.words_of(peewee.Column(source, "search_text")), one)
                rows = source.select(SQL("1")).where(visible & hit).limit(_ENOUGH).alias("rows")
                number = peewee.Select([rows], [fn.count(SQL("*"))])
                standing = peewee.Select([given], [given.c.word]).where(number > SQL("0"))
            else:
                rows = matching(source, visible, [wanted], lambda _: [], is_indexed=False)
                rows = rows.alias("rows")
                word = fn.unnest(fn.words_of(rows.c.search_text)).alias("word")
                said = peewee.Select([rows], [word]).alias("said")
                standing = peewee.Select([said], [said.c.word]).distinct()
                standing = standing.where(is_among(said.c.word, wanted))
            columns.append(fn.array(standing))
        return peewee.Select(columns=columns).with_cte(asked)


@lru_cache(maxsize=MOST_SHAPES)
def _statement(service: ForgivingService, caller: Caller) -> Statement:
    return compiled(service.statement(caller))
