"""Facets: how many rows of a list have which value, for the choices beside a search."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import peewee
from peewee import SQL, fn


@dataclass(frozen=True)
class Facet:
    """What is counted; filters on ``field`` do not count, so that other values can be chosen."""

    field: str
    named_by: Any = None
    """The table whose names the values have; without one a value is its own name."""
    value: Callable[[Any], Any] | None = None
    """What is counted where that is not the field itself."""

    def value_of(self, source: Any) -> Any:
        """The expression of what is counted."""
        return self.value(source) if self.value else getattr(source, self.field)

    def name_of(self, value: Any) -> Any:
        """The expression of a value's name."""
        if self.named_by is None:
            return value.cast("text")
        target = self.named_by.alias()
        return target.select(target.name).where(target.id == value)


@dataclass(frozen=True)
class Counting:
    """Several facets of the rows that meet one condition, all counted in one go over them."""

    name: str
    """Of the counts within the statement."""
    facets: Mapping[str, Facet]
    source: Any
    condition: Any

    def groups(self) -> Any:
        """The statement that counts; a row of it belongs to one facet."""
        values = [facet.value_of(self.source) for facet in self.facets.values()]
        columns = [value.alias(name) for name, value in zip(self.facets, values, strict=True)]
        others = [
            fn.grouping(value).alias(f"without_{name}")
            for name, value in zip(self.facets, values, strict=True)
        ]
        sets = ", ".join(f"({number})" for number in range(1, len(values) + 1))
        query = self.source.select(*columns, *others, fn.count(SQL("*")).alias("count"))
        query = query.where(self.condition).group_by(SQL(f"GROUPING SETS ({sets})"))
        return query.cte(self.name, materialized=True)

    def members(self, groups: Any, limit: int) -> Mapping[str, Any]:
        """By the facets' names expressions of JSON arrays of their values.

        The most frequent ones come first, then by name; rows without a value are not counted.
        """
        return {name: _listed(facet, groups, name, limit) for name, facet in self.facets.items()}


def _listed(facet: Facet, groups: Any, name: str, limit: int) -> Any:
    value = getattr(groups.c, name)
    columns = [value.alias("value"), facet.name_of(value).alias("name"), groups.c.count]
    is_counted = (getattr(groups.c, f"without_{name}") == 0) & ~value.is_null()
    named = peewee.Select([groups], columns).where(is_counted).alias("named")
    order = (named.c.count.desc(), fn.lower(named.c.name), named.c.value)
    columns = [named.c.value, named.c.name, named.c.count]
    first = peewee.Select([named], columns).order_by(*order).limit(limit).alias("first")
    # The rows' columns are the members, in their order.
    array = fn.coalesce(fn.json_agg(SQL('"first"')), SQL("'[]'::json"))
    return peewee.Select([first], [array])


def facet_object(countings: list[Counting], limit: int, order: tuple[str, ...]) -> Any:
    """The expression of the JSON object of all facets, in an order; of each ``limit`` values."""
    tables = [counting.groups() for counting in countings]
    members: dict[str, Any] = {}
    for counting, groups in zip(countings, tables, strict=True):
        members |= counting.members(groups, limit)
    arguments = [part for name in order for part in (SQL(f"'{name}'"), members[name])]
    made = fn.json_build_object(*arguments).cast("text")
    return peewee.Select(columns=[made]).with_cte(*tables)
