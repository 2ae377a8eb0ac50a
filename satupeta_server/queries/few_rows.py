"""Ordering the rows that a condition finds, where nothing tells beforehand how many it finds."""

import operator
from dataclasses import replace
from typing import Any

import peewee
from peewee import SQL

from satupeta_server.queries.ordering import Ordering
from satupeta_server.statements import Slot

TOTAL = SQL("(SELECT total FROM counted)")
"""The number of rows, from the table that a statement has counted them in."""

_NEEDED = SQL("%s::bigint + %s::bigint + 1", (Slot("limit"), Slot("offset")))


def ordered_by_total(rows: Any, ordering: Ordering, source: Any, most: int) -> Any:
    """The statement of rows in an order.

    Few rows, fewer than ``most``, are all found and then ordered. Of many, the order's index soon
    gives a page; of few it would have to be read nearly whole. PostgreSQL takes the one or the
    other by what it guesses of boxes and times, and is far off.
    """
    keys = [key.expression(source).alias(f"key_{n}") for n, key in enumerate(ordering.keys)]
    found = rows.columns(source.id, *keys).where(most > TOTAL).offset(SQL("0")).alias("found")
    ordered = (
        peewee.Select([found], [found.c.id]).order_by(*_clauses(ordering, found)).limit(_NEEDED)
    )
    few = source.select().where(source.id.in_(peewee.Select([ordered.alias("best")], [SQL("id")])))
    many = rows.where(most <= TOTAL).order_by(*ordering.clauses(source)).limit(_NEEDED)
    tables = [few.cte("few_rows"), many.cte("many_rows")]
    both = [peewee.Select([table], [SQL("*")]) for table in tables]
    united = (both[0] + both[1]).alias("either")
    query = peewee.Select([united], [SQL("either.*")]).with_cte(*tables)
    return query.order_by(*ordering.clauses(united.c))


def _clauses(ordering: Ordering, found: Any) -> list[Any]:
    """The order by keys that are columns already."""
    keys = [
        replace(key, expression=operator.attrgetter(f"key_{n}"))
        for n, key in enumerate(ordering.keys)
    ]
    return replace(ordering, keys=tuple(keys)).clauses(found.c)
