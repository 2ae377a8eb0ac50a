"""Cutting a page out of rows that are in an order."""

from typing import Any

import peewee
from peewee import SQL

_FEWEST = 64


def most_rows(needed: int) -> int:
    """The number of rows, a power of 4, that a statement reads at most to give those needed.

    It stands in the statement's text, where limit and offset are only slots: PostgreSQL would plan
    for a tenth of all rows if it did not know that a page needs few.
    """
    most = _FEWEST
    while most < needed:
        most *= 4
    return most


def cut(rows: Any, most: int | None, limit: Any, offset: Any) -> Any:
    """The statement of the rows of a page; where ``most`` is None, all may be needed."""
    if most is None:
        return rows.limit(limit).offset(offset)
    first = rows.limit(SQL(str(most))).alias("first_rows")
    return peewee.Select([first], [SQL("first_rows.*")]).limit(limit).offset(offset)
