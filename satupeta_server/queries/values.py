"""Reading the values of query parameters and of imported cells by the type of their column."""

import datetime
import math
import re
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import peewee

from satupeta_server.messages import Message

_LARGEST_INTEGER = 2**31 - 1
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}")
_DECIMAL = re.compile(r"[+-]?[0-9]*\.?[0-9]*([eE][+-]?[0-9]{1,4})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class ValueProblem(Exception):  # noqa: N818  it is caught at once, never seen
    """A value that its column cannot hold; carries the message."""

    def __init__(self, key: str, **parameters: object) -> None:
        self.message = Message(key, parameters)
        super().__init__(key)


def is_storable(text: str) -> bool:
    """Tell whether PostgreSQL can hold a text: no NUL, no lone surrogate."""
    return "\0" not in text and is_text(text)


def is_text(text: str) -> bool:
    """Tell whether there is no lone surrogate in a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_text(text: str) -> str:
    """Read a text that PostgreSQL can hold."""
    if not is_storable(text):
        raise ValueProblem("not_text_safe")
    return text


def parse_uuid(text: str) -> uuid.UUID:
    """Read a UUID in its usual form of 36 characters."""
    try:
        value = uuid.UUID(text)
    except ValueError:
        raise ValueProblem("must_be_uuid") from None
    if str(value) != text.lower():
        raise ValueProblem("must_be_uuid")
    return value


def parse_boolean(text: str) -> bool:
    """Read ``true`` or ``false``."""
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        raise ValueProblem("must_be_boolean") from None


def parse_integer(text: str) -> int:
    """Read a whole number that fits PostgreSQL's ``integer``."""
    if not _INTEGER.fullmatch(text) or abs(int(text)) > _LARGEST_INTEGER:
        raise ValueProblem("must_be_integer")
    return int(text)


def parse_decimal(text: str) -> Decimal:
    """Read a finite number."""
    try:
        value = Decimal(text) if _DECIMAL.fullmatch(text) else None
    except InvalidOperation:
        value = None
    if value is None or not math.isfinite(float(value)):
        raise ValueProblem("must_be_number")
    return value


def parse_date(text: str) -> datetime.date:
    """Read an existing day as YYYY-MM-DD."""
    if not _DATE.fullmatch(text):
        raise ValueProblem("must_be_date")
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ValueProblem("must_be_date") from None


def parse_datetime(text: str) -> datetime.datetime:
    """Read a date and time with its offset (RFC 3339, 5.6); a day alone is its midnight in UTC.

    The result is in UTC: PostgreSQL knows no offset beyond 15:59.
    """
    try:
        value = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueProblem("must_be_datetime") from None
    is_day = _DATE.fullmatch(text) is not None
    if not is_day and (value.tzinfo is None or not 2 <= value.year <= 9998):
        raise ValueProblem("must_be_datetime")
    return value.replace(tzinfo=datetime.UTC) if is_day else value.astimezone(datetime.UTC)


def parser_of(field: Any) -> Callable[[str], Any]:
    """Choose the parser for a column."""
    for kind, parser in _PARSERS:
        if isinstance(field, kind):
            return parser
    return parse_text


_PARSERS: tuple[tuple[type, Callable[[str], Any]], ...] = (
    (peewee.ForeignKeyField, parse_uuid),
    (peewee.UUIDField, parse_uuid),
    (peewee.BooleanField, parse_boolean),
    (peewee.IntegerField, parse_integer),
    (peewee.DecimalField, parse_decimal),
    (peewee.DateTimeField, parse_datetime),
    (peewee.DateField, parse_date),
)
