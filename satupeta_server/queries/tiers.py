"""The rows of a search, the best first, without ordering all that were found.

A word that half of all rows hold finds far more than a page shows. So each tier gives no more than
the page can need, in an order that an index has, and is read only where the better ones gave less.
"""

import enum
import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import peewee
from peewee import SQL, fn

from satupeta_server.queries.ordering import Ordering, Tier
from satupeta_server.statements import Slot

WINDOW = 3000
"""Rows that are looked at in their order before an index of words is asked."""
_NEEDED = SQL("%s::bigint + %s::bigint + 1", (Slot("limit"), Slot("offset")))


class Way(enum.Enum):
    """How the rows of a tier are looked for."""

    WALK = enum.auto()
    """In the order of the list, each row by itself."""
    GATHER = enum.auto()
    """All at once by an index of words, and then ordered: they are not too many."""
    EITHER = enum.auto()
    """Among the first in the order and, where these have too few, all at once."""


@dataclass(frozen=True)
class Route:
    """A way to the rows of the tiers: their order, and the condition of a source and a tier."""

    ordering: Ordering
    condition: Callable[[Any, Tier], Any]

    def rows(self, source: Any, tier: Tier, after: Sequence[Any] | None) -> tuple[Any, Any]:
        """The rows of a tier after a place, and their source."""
        row, inner = source.alias(), self.ordering.within_tier()
        (tier,) = (own for own in self.ordering.tiers if own.value == tier.value)
        columns = [SQL(str(tier.value)).alias("tier"), *inner.columns(row)]
        rows = row.select(*columns).where(self.condition(row, tier))
        if after is not None and after[0] == tier.value:
            rows = rows.where(inner.after(row, after[1:]))
        return rows, row

    def gathered(
        self, source: Any, tier: Tier, after: Sequence[Any] | None, tables: Sequence[Any]
    ) -> Any:
        """The rows, all of which are found before they are ordered, by no index of the order."""
        rows, _ = self.rows(source, tier, after)
        found = rows.offset(SQL("0")).alias("found")
        clauses = self.ordering.within_tier().by_columns().clauses(found.c)
        # Outside: what is not needed is not even begun.
        return _if_needed(peewee.Select([found], [SQL("found.*")]), tables).order_by(*clauses)


def tiered_rows(
    source: Any,
    walked: Route,
    gathered: Route,
    visible: Callable[[Any], Any],
    after: Sequence[Any] | None,
    way: Callable[[Tier], Way],
    most: int,
) -> Any:
    """The statement of the tiers, ids and keys of the rows; it still lacks limit and offset.

    ``walked`` and ``gathered`` are the routes of these ways; the first of the rows that are
    ``visible`` are walked before all are gathered, as a word that many rows hold may stand in old
    ones alone. ``after`` is the place that the page begins after; a page needs no more than
    ``most`` rows.
    """
    ordering, limit = walked.ordering, SQL(str(most))
    tables: list[Any] = []
    helpers: list[Any] = []
    for tier in ordering.tiers:
        if after is not None and _is_over(ordering, tier, after[0]):
            continue
        inner = ordering.within_tier()
        rows, row = walked.rows(source, tier, after)
        rows = _if_needed(rows, tables).order_by(*inner.clauses(row)).limit(limit)
        if way(tier) is Way.GATHER:
            rows = gathered.gathered(source, tier, after, tables).limit(limit)
        elif way(tier) is Way.EITHER:
            edge = _edge(source, ordering, visible, tier, after, tables)
            near = rows.where(_is_within(inner, row, edge))
            near = near.cte(f"near_{tier.value}", materialized=True)
            far = gathered.gathered(source, tier, after, [*tables, near]).limit(limit)
            far = far.cte(f"far_{tier.value}", materialized=True)
            helpers += [edge, near, far]
            rows = _first_or(near, far)
        table = rows.cte(f"tier_{tier.value}", materialized=True)
        tables.append(table)
        helpers.append(table)
    united = _united(tables).alias("tiers")
    query = peewee.Select([united], [SQL("tiers.*")]).with_cte(*helpers)
    return query.order_by(*tier_first(ordering, united.c))


def _if_needed(rows: Any, tables: Sequence[Any]) -> Any:
    """Rows that are read only where tables have too few for the page."""
    return rows.where(_number_of_rows(tables) < _NEEDED) if tables else rows


def _edge(
    source: Any,
    ordering: Ordering,
    visible: Callable[[Any], Any],
    tier: Tier,
    after: Sequence[Any] | None,
    tables: Sequence[Any],
) -> Any:
    """Where the first rows end that are looked at one by one: a table of one row, its keys."""
    inner = ordering.within_tier()

    def rows(one: Ordering) -> Any:
        row = source.alias()
        found = row.select(*inner.columns(row)).where(visible(row)).order_by(*one.clauses(row))
        if after is not None and after[0] == tier.value:
            found = found.where(inner.after(row, after[1:]))
        return _if_needed(found, tables).limit(SQL("1"))

    window = rows(inner).offset(SQL(str(WINDOW))).alias("beyond")
    last = rows(replace(inner, is_descending=not inner.is_descending)).alias("last")
    both = peewee.Select([window], [SQL("*")]) + peewee.Select([last], [SQL("*")])
    either = both.alias("either")
    return (
        peewee.Select([either], [SQL("*")])
        .limit(SQL("1"))
        .cte(f"edge_{tier.value}", materialized=True)
    )


def _is_within(ordering: Ordering, row: Any, edge: Any) -> Any:
    """The condition that a row does not come after the edge."""
    names = [*[f"key_{number}" for number in range(len(ordering.keys))], "id"]
    place = peewee.Tuple(*[peewee.Select([edge], [getattr(edge.c, name)]) for name in names])
    own = peewee.Tuple(*[key.expression(row) for key in ordering.keys], row.id)
    return own >= place if ordering.is_descending else own <= place


def _first_or(near: Any, far: Any) -> Any:
    """The rows that are near or, where far ones were looked for, those: they hold the near ones."""
    is_enough = ~fn.EXISTS(peewee.Select([far], [SQL("1")]))
    first = peewee.Select([near], [SQL("*")]).where(is_enough)
    return first + peewee.Select([far], [SQL("*")])


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
