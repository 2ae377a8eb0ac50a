"""Statements that are built once: building a large one takes as long as answering it."""

import functools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import peewee
from peewee import SQL

from satupeta_server.database import database


@dataclass(frozen=True)
class Given:
    """Stands in a statement for the value that is given in one place when it is run."""

    place: int


def compiled(
    given: Sequence[Any], build: Callable[..., Any], *arguments: Hashable
) -> tuple[str, list[Any]]:
    """Give the SQL of a statement that a function builds of its arguments, and its parameters."""
    sql, parameters = _compiled(build, *arguments)
    return sql, [given[one.place] if isinstance(one, Given) else one for one in parameters]


@functools.lru_cache(maxsize=256)
def _compiled(build: Callable[..., Any], *arguments: Hashable) -> tuple[str, tuple[Any, ...]]:
    # What begins with SELECT is tried again when its connection was stale.
    query = peewee.Select([build(*arguments).alias("answer")], [SQL("*")])
    sql, parameters = database.get_sql_context().sql(query).query()
    return sql, tuple(parameters)
