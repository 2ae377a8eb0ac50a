"""Ordering the rows that a condition finds, where nothing tells beforehand how many it finds."""

from typing import Any

import peewee
from peewee import SQL

from satupeta_server.queries.kept import TOTAL
from satupeta_server.queries.ordering import Ordering
from satupeta_server.statements import Slot

_NEEDED = SQL("%s::bigint + %s::bigint + 1", (Slot("limit"), Slot("offset")))


def ordered_by_total(rows: Any, ordering: Ordering, source: Any, most: int) -> Any:
    """The statement of the ids and keys of rows in an order.

    Few rows, fewer than ``most``, are all found and then ordered. Of many, the order's index soon
    gives a page; of few it would have to be read nearly whole. PostgreSQL takes the one or the
    other by what it guesses of boxes and times, and is far off.
    """
    rows, by_columns = rows.columns(*ordering.columns(source)), ordering.by_columns()
    found = rows.where(most > TOTAL).offset(SQL("0")).alias("found")
    few = peewee.Select([found], [SQL("found.*")]).order_by(*by_columns.clauses(found.c))
    many = rows.where(most <= TOTAL).order_by(*ordering.clauses(source))
    tables = [few.limit(_NEEDED).cte("few_rows"), many.limit(_NEEDED).cte("many_rows")]
    both = [peewee.Select([table], [SQL("*")]) for table in tables]
    united = (both[0] + both[1]).alias("either")
    query = peewee.Select([united], [SQL("either.*")]).with_cte(*tables)
    return query.order_by(*by_columns.clauses(united.c))
