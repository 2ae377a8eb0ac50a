"""Facets: how many rows of a list have which value, for the choices beside a search."""

from collections.abc import Callable
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

    def counts(self, source: Any, condition: Any, limit: int) -> Any:
        """The values of the rows that meet a condition, as an expression of a JSON array.

        The most frequent ones come first, then by name; rows without a value are not counted.
        """
        value = self.value(source) if self.value else getattr(source, self.field)
        groups = source.select(value.alias("value"), fn.count(SQL("*")).alias("count"))
        groups = groups.where(condition & ~value.is_null()).group_by(SQL("1")).alias("groups")
        name = self._name(groups.c.value).alias("name")
        named = peewee.Select([groups], [groups.c.value, name, groups.c.count]).alias("named")
        order = (named.c.count.desc(), fn.lower(named.c.name), named.c.value)
        columns = [named.c.value, named.c.name, named.c.count]
        first = peewee.Select([named], columns).order_by(*order).limit(limit).alias("first")
        # The rows' columns are the members, in their order.
        array = fn.coalesce(fn.json_agg(SQL('"first"')), SQL("'[]'::json"))
        return peewee.Select([first], [array])

    def _name(self, value: Any) -> Any:
        if self.named_by is None:
            return value.cast("text")
        target = self.named_by.alias()
        return target.select(target.name).where(target.id == value)
