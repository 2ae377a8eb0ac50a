"""Values of parameters: what is read is what was meant, and PostgreSQL can hold it."""

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg2
import psycopg2.extras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satupeta_server.embedded import Addresses
from satupeta_server.models.mapsets import Mapset
from satupeta_server.models.regionals import Regional
from satupeta_server.queries.values import (
    ValueProblem,
    is_storable,
    parse_boolean,
    parse_date,
    parse_datetime,
    parse_decimal,
    parse_integer,
    parse_text,
    parse_uuid,
    parser_of,
)

PARSERS: dict[str, Callable[[str], Any]] = {
    "uuid": parse_uuid,
    "boolean": parse_boolean,
    "integer": parse_integer,
    "numeric": parse_decimal,
    "date": parse_date,
    "timestamptz": parse_datetime,
    "text": parse_text,
}
"""By the type of PostgreSQL that must take the result."""

MOMENT = r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ]?[0-2][0-9]:[0-5][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?"
NEARLY = {
    "uuid": r"[0-9a-fA-F]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}",
    "boolean": r"(true|false|TRUE|yes|1|0)",
    "integer": r"[ +-]?[0-9_]{1,12}",
    "numeric": r"[ +-]?([0-9_]{0,400}\.?[0-9]{0,9}([eE][+-]?[0-9]{1,6})?|NaN|Infinity)",
    "date": r"[0-9]{4}-?(W[0-5][0-9]-?[1-7]|[01][0-9]-?[0-3][0-9])",
    "timestamptz": MOMENT + r"(Z|[+-][0-2][0-9]:?[0-5][0-9](:[0-5][0-9])?)?",
    "text": r".*",
}


@pytest.mark.parametrize("kind", PARSERS)
def test_whatever_is_accepted_postgresql_takes(kind: str, addresses: Addresses) -> None:
    connection = psycopg2.connect(addresses.database_url or "")
    connection.autocommit = True
    psycopg2.extras.register_uuid()

    @given(st.text() | st.from_regex(NEARLY[kind], fullmatch=True))
    def check(text: str) -> None:
        try:
            value = PARSERS[kind](text)
        except ValueProblem as problem:
            assert problem.message.text("en")
            assert problem.message.text("id")
            return
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT %s::{kind} IS NOT NULL", (value,))
            assert cursor.fetchone() == (True,)

    check()
    connection.close()


@given(st.uuids())
def test_a_uuid_is_read_in_its_usual_form_only(value: uuid.UUID) -> None:
    assert parse_uuid(str(value)) == value
    assert parse_uuid(str(value).upper()) == value
    for other in (value.hex, value.urn, f"{{{value}}}", f" {value}"):
        with pytest.raises(ValueProblem):
            parse_uuid(other)


@given(st.integers())
def test_an_integer_is_read_when_a_column_can_hold_it(value: int) -> None:
    if abs(value) < 2**31:
        assert parse_integer(str(value)) == value
    else:
        with pytest.raises(ValueProblem):
            parse_integer(str(value))


@pytest.mark.parametrize("text", ["", "1_0", "1.0", "1e3", " 1", "٣", "--1", "0x1", str(2**31)])
def test_what_is_no_integer_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        parse_integer(text)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_a_number_is_read_exactly(value: Decimal) -> None:
    assert parse_decimal(f"{value:f}") == value


@pytest.mark.parametrize("text", ["", ".", "NaN", "Infinity", "1_0", "1e999", "٣", " 1", "1,5"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        parse_decimal(text)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("false", False), ("True", True), ("FALSE", False)]
)
def test_true_and_false_in_any_case(text: str, value: Any) -> None:
    assert parse_boolean(text) is value


@pytest.mark.parametrize("text", ["", "1", "0", "yes", "t", "on", "ya", " true"])
def test_what_is_neither_true_nor_false_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        parse_boolean(text)


@given(st.dates())
def test_a_day_is_read_as_written(value: datetime.date) -> None:
    assert parse_date(value.isoformat()) == value
    midnight = datetime.datetime.combine(value, datetime.time(), datetime.UTC)
    assert parse_datetime(value.isoformat()) == midnight


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-13-01", "20260101", "2026-W01-1", "2026-1-1", "1 Mei 2026", ""]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        parse_date(text)
    if text != "20260101":
        with pytest.raises(ValueProblem):
            parse_datetime(text)


OFFSETS = st.integers(-1439, 1439).map(lambda n: datetime.timezone(datetime.timedelta(minutes=n)))


@given(
    st.datetimes(
        datetime.datetime(2, 1, 1),  # noqa: DTZ001  the offset is drawn apart
        datetime.datetime(9998, 12, 31),  # noqa: DTZ001
        timezones=OFFSETS,
    )
)
def test_a_moment_is_the_same_with_any_offset(value: datetime.datetime) -> None:
    read = parse_datetime(value.isoformat())
    assert read == value
    assert read.tzinfo is datetime.UTC


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T00:00:00",
        "2026-01-01T25:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "2026-01-01T00:00:00+24:00",
        "1767225600",
        "now",
    ],
)
def test_a_moment_without_offset_or_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        parse_datetime(text)


def test_z_is_an_offset() -> None:
    moment = datetime.datetime(2026, 1, 31, 1, 0, tzinfo=datetime.UTC)
    assert parse_datetime("2026-01-31T01:00:00Z") == moment
    assert parse_datetime("2026-01-31T08:00:00+07:00") == moment


@given(st.text(st.characters(categories=None) | st.just("\0")))
def test_a_text_is_taken_unless_it_cannot_be_stored(text: str) -> None:
    try:
        is_text = "\0" not in text and bool(text.encode() or True)
    except UnicodeEncodeError:
        is_text = False
    assert is_storable(text) == is_text
    if is_text:
        assert parse_text(text) == text
    else:
        with pytest.raises(ValueProblem):
            parse_text(text)


@pytest.mark.parametrize(
    ("column", "parser"),
    [
        (Mapset.id, parse_uuid),
        (Mapset.producer_id, parse_uuid),
        (Mapset.is_active, parse_boolean),
        (Mapset.created_at, parse_datetime),
        (Mapset.revision, parse_integer),
        (Mapset.name, parse_text),
        (Mapset.status_validation, parse_text),
        (Regional.valid_from, parse_date),
        (Regional.parent_id, parse_uuid),
    ],
    ids=lambda value: getattr(value, "name", getattr(value, "__name__", "")),
)
def test_a_column_chooses_its_parser(column: Any, parser: Any) -> None:
    assert parser_of(column) is parser
