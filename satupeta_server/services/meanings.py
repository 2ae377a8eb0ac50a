"""By which words of the vocabulary records are found, for the words of a search."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from operator import or_
from typing import Any

import peewee
from peewee import SQL, fn
from peewee_async.databases import fetchall

from satupeta_server.database import database
from satupeta_server.queries.matching import (
    MOST_RANKED,
    are_common,
    matching,
    unnested,
    wanted_words,
)
from satupeta_server.queries.vocabulary import (
    ALIKE,
    MEANINGS,
    Alike,
    Meaning,
    Terms,
    alike,
    has_digit,
    meanings,
    nearest,
)
from satupeta_server.representations.search import GROUPS
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import MOST_SHAPES, ReadService, compiled, run
from satupeta_server.statements import Statement

NO_WORD = "-"
"""What is no word."""


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

    def prepare(self, caller: Caller) -> None:
        """Write the statement that all misspelled words need."""
        _statement(self, _seen, caller.shape(), 1)

    async def rehearse(self, caller: Caller) -> None:
        """Run the statements that a misspelled word needs, of one that nobody has."""
        await database.aio_execute_sql(ALIKE, {"words": [NO_WORD]}, fetchall)
        await self._run(caller, _seen, 1, [[NO_WORD]])

    async def meant(self, caller: Caller, found: Sequence[Meaning]) -> tuple[Meaning, ...] | None:
        """Give meanings where words that no record of the caller's has are those spelled alike.

        Words of what the caller may not see count as if they did not exist: nobody learns of
        them, and their errors take away nothing; only of very many alike words not all are looked
        at, whoever may see them. Words of very many mapsets are taken for those of some that the
        caller sees. What is most like a stop word says nothing and has no meaning. None where
        there is nothing else.
        """
        doubtful = [one for one in found if one.words and not are_common([one])]
        words = [one.words for one in doubtful]
        stand = await self._run(caller, _standing, len(words), words) if words else ()
        lost = {one.plain for one in found if not one.words}
        lost |= {one.plain for one, stands in zip(doubtful, stand, strict=True) if not stands}
        if not lost or any(map(has_digit, lost)):
            return None
        similar = await self._similar(caller, lost)
        if not all(similar.values()):
            return None
        meant = (
            alike(one.plain, similar[one.plain]) if one.plain in lost else one for one in found
        )
        return tuple(one for one in meant if one.words) or None

    async def _similar(self, caller: Caller, lost: Collection[str]) -> Mapping[str, list[Alike]]:
        """For each word those spelled most like it of which the caller has a record."""
        rows = await database.aio_execute_sql(ALIKE, {"words": sorted(lost)}, fetchall)
        similar = {plain: [row[1:] for row in rows if row[0] == plain] for plain in lost}
        # To look for common ones would take long.
        seen, hidden = {row[1] for row in rows if row[3] > MOST_RANKED}, set[str]()
        while True:
            chosen = {plain: nearest(words, hidden) for plain, words in similar.items()}
            unknown = {word for words in chosen.values() for word, *_ in words} - seen
            if not unknown:
                return chosen
            # Each turn makes unknown words seen or hidden, so it ends.
            (found,) = await self._run(caller, _seen, 1, [sorted(unknown)])
            seen.update(found)
            hidden |= unknown.difference(found)

    async def _run(
        self, caller: Caller, columns: "Columns", count: int, given: Sequence[Sequence[str]]
    ) -> tuple[Any, ...]:
        values = {number: list(words) for number, words in enumerate(given)}
        statement = _statement(self, columns, caller.shape(), count)
        return await run(statement, {**caller.values(), **values})

    def sources(self, caller: Caller) -> Iterator[tuple[Any, Any, bool]]:
        """Each group's table, what the caller may see of it, and whether its words are indexed."""
        for name, group in GROUPS.items():
            source = group.model.alias()
            yield source, self.services[name].visible(caller, source), group.is_indexed


Columns = Callable[[ForgivingService, Caller, Sequence[Any]], list[Any]]
"""Makes the columns of a statement, of expressions of arrays of words."""


def _standing(service: ForgivingService, caller: Caller, wanted: Sequence[Any]) -> list[Any]:
    """For each array whether one of its words stands in a record."""
    return [
        _stands(
            matching(source, visible, [words], lambda _: [], is_indexed=is_indexed)
            for source, visible, is_indexed in service.sources(caller)
        )
        for words in wanted
    ]


def _seen(service: ForgivingService, caller: Caller, wanted: Sequence[Any]) -> list[Any]:
    """Those words of an array that stand in a record."""
    given = peewee.Select([], [unnested(wanted[0]).alias("word")]).alias("given")
    one = peewee.NodeList((SQL("ARRAY["), given.c.word, SQL("]")))
    stands = _stands(
        matching(source, visible, [one], lambda _: [], is_indexed=True)
        for source, visible, _ in service.sources(caller)
    )
    return [fn.array(peewee.Select([given], [given.c.word]).where(stands))]


def _stands(matches: Iterable[Any]) -> Any:
    """Whether one of some queries finds a row.

    For an EXISTS, or a limit that it knows, the planner would read a table from its beginning.
    """
    first = [rows.limit(SQL("(SELECT 1)")).alias("first") for rows in matches]
    return reduce(or_, [peewee.Select([one], [fn.count(SQL("*"))]) > SQL("0") for one in first])


@lru_cache(maxsize=MOST_SHAPES)
def _statement(
    service: ForgivingService, columns: Columns, caller: Caller, count: int
) -> Statement:
    asked, wanted = wanted_words(count)
    return compiled(peewee.Select(columns=columns(service, caller, wanted)).with_cte(asked))
