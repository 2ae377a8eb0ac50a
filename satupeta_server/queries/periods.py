"""Lists narrowed to a time: ``datetime``, as in OGC API Features."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peewee import SQL, NodeList, fn

from satupeta_server.queries.listing import Narrowing
from satupeta_server.queries.values import ValueProblem, parse_date, parse_datetime

_OPEN = ("", "..")
_DAY = datetime.timedelta(days=1)
# RFC 3339, 5.6; the reader of dates and times takes other forms of ISO 8601, too.
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True)
class Period:
    """A time from its start to its end; None where it is open."""

    start: datetime.datetime | None
    end: datetime.datetime | None
    is_end_part: bool = True
    """Whether the end is part of it: the midnight after a day is not."""


def parse_period(text: str) -> Period:
    """Read a moment, a day (which is all of it, in UTC), or ``start/end`` of these.

    An end that is empty or ``..`` is open. Raises ValueProblem.
    """
    first, slash, last = (part.strip() for part in text.partition("/"))
    if not slash:
        return _span(first)
    start = None if first in _OPEN else _span(first).start
    closing = Period(None, None) if last in _OPEN else _span(last)
    period = Period(start, closing.end, closing.is_end_part)
    if start is not None and period.end is not None:
        is_empty = start == period.end and not period.is_end_part
        if start > period.end or is_empty:
            raise ValueProblem("order_of_dates")
    return period


def _span(text: str) -> Period:
    try:
        if _MOMENT.fullmatch(text.upper()):
            moment = parse_datetime(text.upper())
            return Period(moment, moment)
        day = datetime.datetime.combine(parse_date(text), datetime.time(), datetime.UTC)
        return Period(day, day + _DAY, is_end_part=False)
    except (ValueProblem, OverflowError):
        raise ValueProblem("must_be_period") from None


def bounds_of(text: str) -> tuple[datetime.datetime | str | None, ...]:
    """Read a period as its start, its end and PostgreSQL's name for which of them are part."""
    period = parse_period(text)
    return period.start, period.end, "[]" if period.is_end_part else "[)"


def during(source: Any, bounds: Sequence[Any]) -> Any:
    """The condition that the time of a row has a moment in common with the one asked for."""
    # An index stands on this expression, of rows of which this is known.
    has_time = ~source.temporal_start.is_null() | ~source.temporal_end.is_null()
    covered = fn.tstzrange(source.temporal_start, source.temporal_end, SQL("'[]'"))
    asked = SQL("&& tstzrange(%s::timestamptz, %s::timestamptz, %s)", tuple(bounds))
    return has_time & NodeList((covered, asked))


DATETIME = Narrowing(
    bounds_of,
    during,
    {"type": "string"},
    "2024-01-01T00:00:00Z/..",
    "Only what has a moment in common with this one (RFC 3339), day or period `start/end`; an "
    "end that is `..` or empty is open. A mapset that has only a start or only an end is open on "
    "the other side; one that has neither is not found.",
    # The newest records are of the newest times: those of others would be met late.
    few=200_000,
)
