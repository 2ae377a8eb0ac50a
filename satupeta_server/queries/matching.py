"""The records that have all words of a search, and how well they fit."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add, and_
from typing import Any

import peewee
from peewee import SQL, fn

from satupeta_server.queries.vocabulary import Meaning
from satupeta_server.statements import Slot, parameter

MOST_RANKED = 1000
"""Matches of a table that are counted, and among which the best are chosen."""
_MANY = 25 * MOST_RANKED
"""So many rows take long to be fetched and sorted."""

Columns = Callable[[Any], list[Any]]
"""Gives expressions over a source."""
Wanted = Sequence[Any]
"""Expressions of the arrays of words, of each of which a record must have one."""


def are_common(meanings: Sequence[Meaning]) -> bool:
    """Tell whether each of the words stands in very many mapsets."""
    return min(meaning.mapsets for meaning in meanings) > _MANY


def wanted_words(count: int) -> tuple[Any, Wanted]:
    """The table of the arrays of words that are given, and the expressions that read them.

    Read from a table, they do not tempt the planner to look at each row instead of the index.
    """
    columns = [parameter(Slot(place), "text[]").alias(f"words_{place}") for place in range(count)]
    table = peewee.Select(columns=columns).cte("wanted", materialized=True)
    names = [getattr(table.c, f"words_{place}") for place in range(count)]
    return table, [peewee.Select([table], [name]) for name in names]


def matching(
    source: Any, visible: Any, wanted: Wanted, columns: Columns, *, is_indexed: bool
) -> Any:
    """The rows that match, by the index of words where there is one."""
    words = fn.words_of(_plain(source))
    overlaps = [peewee.Expression(words, "&&", one) for one in wanted]
    hits = overlaps if is_indexed else _hits(words, wanted)
    rows = source.select(*columns(source), _plain(source))
    return rows.where(visible & reduce(and_, hits))


def newest_matching(
    source: Any, visible: Any, wanted: Wanted, columns: Columns, order: Columns, window: int
) -> Any:
    """The rows that match among the first so many, in their order; each of these is looked at."""
    words = split(_plain(source)).alias("words")
    newest = source.select(*columns(source), _plain(source), words).where(visible)
    newest = newest.order_by(*order(source)).limit(window).alias("newest")
    rows = peewee.Select([newest], [*columns(newest.c), newest.c.search_text])
    rows = rows.where(reduce(and_, _hits(newest.c.words, wanted)))
    return rows.order_by(*order(newest.c))


def split(text: Any) -> Any:
    """The words of a searched text, nearly as in the index, in a fraction of the time."""
    return fn.string_to_array(text, SQL("' '"))


def relevance(source: Any, wanted: Wanted) -> Any:
    """How well a row fits: 0 where its name has all the words, 1 some of them, 2 none."""
    hits = _hits(split(fn.plain_text(source.name)), wanted)
    number = reduce(add, [hit.cast("integer") for hit in hits])
    return peewee.Case(number, ((SQL(str(len(hits))), SQL("0")), (SQL("0"), SQL("2"))), SQL("1"))


def begins_with(source: Any, text: Slot) -> Any:
    """The condition that a record's name begins with a text.

    These comparisons have an index also where the plan is made before the text is known.
    """
    name, beginning = fn.plain_text(source.name), fn.plain_text(parameter(text, "text"))
    beyond = beginning.concat(SQL("chr(1114111)"))
    return peewee.Expression(name, "~>=~", beginning) & peewee.Expression(name, "~<~", beyond)


def _plain(source: Any) -> Any:
    return peewee.Column(source, "search_text")


def _hits(words: Any, wanted: Wanted) -> list[Any]:
    return [_has_one(words, one) for one in wanted]


def _has_one(words: Any, wanted: Any) -> Any:
    """Overlapping arrays are compared word by word; in this form what is wanted is hashed once."""
    standing = peewee.Select([], [fn.unnest(words).alias("word")]).alias("standing")
    has_one = peewee.Select([standing], [fn.bool_or(is_among(standing.c.word, wanted))])
    return fn.coalesce(has_one, SQL("false"))


def is_among(word: Any, wanted: Any) -> Any:
    """The condition that a word is one of an array."""
    return word == fn.ANY(peewee.Select([], [unnested(wanted)]))


def unnested(wanted: Any) -> Any:
    """The words of an array, a row each."""
    # Peewee gives a query that is a function's only argument no parentheses of its own.
    return fn.unnest(peewee.EnclosedNodeList((wanted,)))
