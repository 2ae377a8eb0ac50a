"""The order of a list, and the condition of what comes after one of its rows."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import peewee
from peewee import fn

from satupeta_server.queries.values import ValueProblem, parse_uuid
from satupeta_server.statements import Slot, parameter


@dataclass(frozen=True)
class Key:
    """One of the values by which rows are ordered."""

    expression: Callable[[Any], Any]
    read: Callable[[str], Any]
    """Makes the value from its text; raises ValueProblem."""
    is_nullable: bool = False


@dataclass(frozen=True)
class Tier:
    """The rows of which the first key is one value."""

    value: int
    condition: Callable[[Any], Any]
    implies_search: bool = False
    """Whether these rows meet the search by what they are."""


@dataclass(frozen=True)
class Ordering:
    """An order by keys and, last, by the id, all in one direction; what has no value is last."""

    name: str
    """Says which order it is; two orders with the same name are the same."""
    keys: tuple[Key, ...]
    is_descending: bool
    tiers: tuple[Tier, ...] = ()
    """What the first key tells apart, the best first."""

    def clauses(self, source: Any) -> list[Any]:
        """The order as a statement takes it."""
        ordered = [self._clause(key, key.expression(source)) for key in self.keys]
        return [*ordered, source.id.desc() if self.is_descending else source.id.asc()]

    def within_tier(self) -> "Ordering":
        """The order of the rows of one tier."""
        return Ordering(self.name, self.keys[1:], self.is_descending)

    def columns(self, source: Any) -> list[Any]:
        """The id and the keys of a row, as columns that ``by_columns`` orders by."""
        keys = [key.expression(source).alias(f"key_{n}") for n, key in enumerate(self.keys)]
        return [source.id, *keys]

    def by_columns(self) -> "Ordering":
        """The same order, of rows that have their keys as columns."""
        keys = [
            replace(key, expression=operator.attrgetter(f"key_{n}"))
            for n, key in enumerate(self.keys)
        ]
        return replace(self, keys=tuple(keys))

    def _clause(self, key: Key, expression: Any) -> Any:
        # PostgreSQL takes no index for an order that says where values would stand that are
        # never there.
        nulls = "LAST" if key.is_nullable else None
        return expression.desc(nulls=nulls) if self.is_descending else expression.asc(nulls=nulls)

    def position(self, source: Any) -> Any:
        """The place of a row, as a JSON array of its keys and its id."""
        return fn.json_build_array(*[key.expression(source) for key in self.keys], source.id)

    def read_position(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Read back such an array; raises ValueProblem for what cannot be one."""
        if len(values) != len(self.keys) + 1:
            raise ValueProblem("must_be_cursor")
        keys = [_read(key, value) for key, value in zip(self.keys, values, strict=False)]
        return (*keys, str(parse_uuid(str(values[-1]))))

    def after(self, source: Any, position: Sequence[Any]) -> Any:
        """The condition of the rows that come after a place, each part of which may be a slot."""
        position = [parameter(one) if isinstance(one, Slot) else one for one in position]
        expressions = [*[key.expression(source) for key in self.keys], source.id]
        if not any(key.is_nullable for key in self.keys):
            # The comparison of whole rows can begin in the middle of an index.
            return self._is_beyond(peewee.Tuple(*expressions), peewee.Tuple(*position))
        nullable = [*[key.is_nullable for key in self.keys], False]
        condition, equal = peewee.SQL("false"), peewee.SQL("true")
        for expression, value, may_be_null in zip(expressions, position, nullable, strict=True):
            if value is not None:
                beyond = self._is_beyond(expression, value)
                condition |= equal & (beyond | expression.is_null() if may_be_null else beyond)
            equal &= expression.is_null() if value is None else expression == value
        return condition

    def _is_beyond(self, left: Any, right: Any) -> Any:
        return left < right if self.is_descending else left > right


def _read(key: Key, value: Any) -> Any:
    if value is None:
        if not key.is_nullable:
            raise ValueProblem("must_be_cursor")
        return None
    return key.read(value if isinstance(value, str) else orjson.dumps(value).decode())
