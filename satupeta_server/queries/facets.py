"""Facets: how many rows of a list have which value, for the choices beside a search."""

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import peewee
from peewee import SQL, NodeList, fn

from satupeta_server.queries.kept import is_missing, since

Condition = Callable[[Any], Any]


@dataclass(frozen=True)
class Facet:
    """What is counted; filters on ``field`` do not count, so that other values can be chosen."""

    field: str
    named_by: Any = None
    """The table whose names the values have; without one a value is its own name."""
    value: Callable[[Any], Any] | None = None
    """What is counted where that is not the field itself."""
    kind: str = "text"
    """PostgreSQL's type of the value."""

    def value_of(self, source: Any) -> Any:
        """The expression of what is counted."""
        return self.value(source) if self.value else getattr(source, self.field)

    def name_of(self, value: Any) -> Any:
        """The expression of a value's name."""
        if self.named_by is None:
            return value
        target = self.named_by.alias()
        return target.select(target.name).where(target.id == value.cast("uuid"))


@dataclass(frozen=True)
class Counting:
    """Several facets of the rows that meet one condition, all counted in one go over them."""

    facets: Mapping[str, Facet]
    condition: Condition

    def groups(self, source: Any, condition: Any, count: Any) -> Any:
        """The statement that counts rows of a source: facet, value as text, count."""
        columns = [facet.value_of(source).alias(name) for name, facet in self.facets.items()]
        counted = source.select(*columns, count.alias("counted")).where(
            condition & self.condition(source)
        )
        rows = counted.alias("facts")
        # As text only once they are grouped: there are far fewer groups than rows.
        values = ", ".join(f'"{name}"::text' for name in self.facets)
        sets = ", ".join(f'("{name}")' for name in self.facets)
        facet = " ".join(f"WHEN grouping(\"{name}\") = 0 THEN '{name}'" for name in self.facets)
        selected = (SQL(f"CASE {facet} END"), SQL(f"coalesce({values})"), fn.sum(rows.c.counted))
        return peewee.Select([rows], list(selected)).group_by(SQL(f"GROUPING SETS ({sets})"))


def counted_facets(
    countings: Sequence[Counting], kept: Sequence[Any], source: Any, changes: Any
) -> Any:
    """The table ``facet_counts``: of each facet and value how many rows there are, if any.

    They come from what is kept of each counting and the changes since, or from the source itself.
    """
    known = SQL("facet, value, count")
    listed = SQL("jsonb_to_recordset(counts) AS listed (facet text, value text, count bigint)")
    parts = []
    for counting, table in zip(countings, kept, strict=True):
        change, row = changes.alias(), source.alias()
        snapshot = NodeList((SQL("("), peewee.Select([table], [table.c.snapshot]), SQL(")")))
        parts += [
            peewee.Select([table, listed], [known]),
            counting.groups(change, since(change, snapshot), change.sign),
            counting.groups(row, is_missing(table), SQL("1")),
        ]
    united = functools.reduce(operator.add, parts).alias("counts")
    columns = SQL("counts.facet, counts.value, sum(counts.count)::bigint")
    query = peewee.Select([united], [columns]).where(SQL("counts.value IS NOT NULL"))
    grouped = query.group_by(SQL("1, 2")).having(SQL("sum(counts.count) > 0"))
    return grouped.cte("facet_counts", materialized=True, columns=("facet", "value", "count"))


def facet_object(facets: Mapping[str, Facet], counts: Any, limit: Any) -> Any:
    """The expression of the JSON object of facets, of each ``limit`` values.

    The most frequent ones come first, then by name.
    """
    members = [
        part
        for name, facet in facets.items()
        for part in (SQL(f"'{name}'"), _listed(name, facet, counts, limit))
    ]
    return fn.json_build_object(*members).cast("text")


def _listed(name: str, facet: Facet, counts: Any, limit: Any) -> Any:
    value = counts.c.value.cast(facet.kind)
    columns = [value.alias("value"), facet.name_of(counts.c.value).alias("name"), counts.c.count]
    of_facet = counts.c.facet == SQL(f"'{name}'")
    named = peewee.Select([counts], columns).where(of_facet).alias("named")
    order = (named.c.count.desc(), fn.lower(named.c.name), named.c.value)
    columns = [named.c.value, named.c.name, named.c.count]
    first = peewee.Select([named], columns).order_by(*order).limit(limit).alias("first")
    # The rows' columns are the members, in their order.
    array = fn.coalesce(fn.json_agg(SQL('"first"')), SQL("'[]'::json"))
    return peewee.Select([first], [array])


def counts_to_keep(counting: Counting, counts: Any) -> Any:
    """The expression of the JSON array of all counts of a counting."""
    array = fn.coalesce(fn.json_agg(SQL("facet_counts")), SQL("'[]'::json"))
    return peewee.Select([counts], [array.cast("text")]).where(
        counts.c.facet.in_([SQL(f"'{name}'") for name in counting.facets])
    )
