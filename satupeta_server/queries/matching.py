"""The records that have all words of a search, and how well they fit."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_
from typing import Any

import peewee
from peewee import SQL, NodeList, fn

from satupeta_server.queries.listing import any_of
from satupeta_server.queries.vocabulary import Meaning

MOST_RANKED = 1000
"""Matches of a table that are counted, and among which the best are chosen."""
_MANY = 25 * MOST_RANKED
"""So many rows take long to be fetched and sorted."""

Columns = Callable[[Any], list[Any]]
"""Gives expressions over a source."""


def are_common(meanings: Sequence[Meaning]) -> bool:
    """Tell whether each of the words stands in very many mapsets."""
    return min(meaning.mapsets for meaning in meanings) > _MANY


def matching(source: Any, visible: Any, meanings: Sequence[Meaning], columns: Columns) -> Any:
    """The rows that match, by the index of words."""
    # As a subquery, the words do not tempt the planner to look at each row.
    wanted = [NodeList((SQL("(SELECT"), _array(meaning), SQL(")"))) for meaning in meanings]
    words = fn.words_of(_plain(source))
    condition = reduce(and_, [_share(words, one) for one in wanted])
    rows = source.select(*columns(source), _plain(source))
    return rows.where(visible & condition)


def newest_matching(
    source: Any,
    visible: Any,
    meanings: Sequence[Meaning],
    columns: Columns,
    order: Columns,
    window: int,
) -> Any:
    """The rows that match among the first so many, in their order; each of these is looked at."""
    # Splitting a text only at blanks takes a fraction of the time that the index's words take.
    newest = (
        source.select(*columns(source), _plain(source))
        .where(visible)
        .order_by(*order(source))
        .limit(window)
        .alias("newest")
    )
    text = fn.replace(newest.c.search_text, SQL(r"E'\n'"), SQL("' '"))
    words = fn.string_to_array(text, SQL("' '"))
    condition = reduce(and_, [_share(words, _array(meaning)) for meaning in meanings])
    return peewee.Select([newest], [SQL("*")]).where(condition).order_by(*order(newest.c))


def relevance(source: Any, meanings: Sequence[Meaning]) -> Any:
    """How well a row fits: 0 where its name has all the words, 1 some of them, 2 none."""
    words = fn.string_to_array(
        fn.split_part(source.search_text, SQL(r"E'\n'"), SQL("1")), SQL("' '")
    )
    hits = [_share(words, _array(meaning)) for meaning in meanings]
    return peewee.Case(None, ((reduce(and_, hits), SQL("0")), (any_of(hits), SQL("1"))), SQL("2"))


def _plain(source: Any) -> Any:
    return peewee.Column(source, "search_text")


def begins_with(source: Any, text: str) -> Any:
    """The condition that a record's name begins with a text."""
    return peewee.Expression(fn.plain_text(source.name), "^@", fn.plain_text(text))


def _array(meaning: Meaning) -> Any:
    words = peewee.Value(list(meaning.words), unpack=False)
    return NodeList((words, SQL("::text[]")), glue="")


def _share(words: Any, wanted: Any) -> Any:
    return peewee.Expression(words, "&&", wanted)
