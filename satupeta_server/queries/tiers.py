"""The rows of a search, the best first, without ordering all that were found.

A word that half of all rows hold finds far more than a page shows. So each tier gives no more than
the page can need, in an order that an index has, and is read only where the better ones gave less.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import peewee
from peewee import SQL, fn

from satupeta_server.queries.ordering import Ordering, Tier
from satupeta_server.statements import Slot

_NEEDED = SQL("%s::bigint + %s::bigint + 1", (Slot("limit"), Slot("offset")))


def tiered_rows(
    source: Any,
    ordering: Ordering,
    condition: Callable[[Any, Tier], Any],
    after: Sequence[Any] | None,
    is_rare: Callable[[Tier], bool],
    most: int,
) -> Any:
    """The statement of the tiers, ids and keys of the rows; it still lacks limit and offset.

    ``condition`` makes the condition of a source and a tier; ``after`` is the place that the page
    begins after; ``is_rare`` tells of a tier whether few rows are known to be in it; a page needs
    no more than ``most`` rows.
    """
    tables: list[Any] = []
    inner = ordering.within_tier()
    by_columns = inner.by_columns()
    for tier in ordering.tiers:
        if after is not None and _is_over(ordering, tier, after[0]):
            continue
        row = source.alias()
        columns = [SQL(str(tier.value)).alias("tier"), *inner.columns(row)]
        rows = row.select(*columns).where(condition(row, tier))
        if after is not None and after[0] == tier.value:
            rows = rows.where(inner.after(row, after[1:]))
        if tables:
            rows = rows.where(_number_of_rows(tables) < _NEEDED)
        clauses = inner.clauses(row)
        if is_rare(tier):
            # All are found before they are ordered: an index of the order is of no use.
            found = rows.offset(SQL("0")).alias("found")
            rows = peewee.Select([found], [SQL("found.*")])
            clauses = by_columns.clauses(found.c)
        rows = rows.order_by(*clauses).limit(SQL(str(most)))
        tables.append(rows.cte(f"tier_{tier.value}", materialized=True))
    united = _united(tables).alias("tiers")
    query = peewee.Select([united], [SQL("tiers.*")]).with_cte(*tables)
    return query.order_by(*tier_first(ordering, united.c))


def tier_first(ordering: Ordering, columns: Any) -> list[Any]:
    """The whole order, of rows that have their tiers and keys as columns."""
    tier = columns.tier.desc() if ordering.is_descending else columns.tier.asc()
    return [tier, *ordering.within_tier().by_columns().clauses(columns)]


def _is_over(ordering: Ordering, tier: Tier, reached: Any) -> bool:
    """Whether a walk that has reached a tier is beyond this one."""
    return bool(tier.value > reached if ordering.is_descending else tier.value < reached)


def _number_of_rows(tables: Sequence[Any]) -> Any:
    counts: list[Any] = [peewee.Select([table], [fn.count(SQL("*"))]) for table in tables]
    return functools.reduce(lambda left, right: peewee.Expression(left, "+", right), counts)


def _united(tables: Sequence[Any]) -> Any:
    selects = [peewee.Select([table], [SQL("*")]) for table in tables]
    return functools.reduce(operator.add, selects)
