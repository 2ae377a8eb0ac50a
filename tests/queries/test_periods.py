"""``datetime``: what is read, and what a period has in common with that of a mapset."""

import datetime
from types import SimpleNamespace

import peewee
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from satupeta_server import database
from satupeta_server.queries.periods import Period, bounds_of, during, parse_period
from satupeta_server.queries.values import ValueProblem
from satupeta_server.settings import Settings

MIDNIGHT = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)
HOURS = st.none() | st.integers(0, 72)


def at(hour: int | None) -> datetime.datetime | None:
    return None if hour is None else MIDNIGHT + datetime.timedelta(hours=hour)


def written(hour: int | None, blank: str) -> str:
    moment = at(hour)
    return blank if moment is None else moment.isoformat()


def ordered(one: int | None, other: int | None) -> tuple[int | None, int | None]:
    if one is None or other is None:
        return one, other
    return min(one, other), max(one, other)


def meets(stored: tuple[int | None, int | None], asked: tuple[int | None, int | None]) -> bool:
    """Whether two periods in hours, open at None, have a moment in common."""
    starts = [start for start, _ in (stored, asked) if start is not None]
    ends = [end for _, end in (stored, asked) if end is not None]
    return stored != (None, None) and (not starts or not ends or max(starts) <= min(ends))


def test_a_period_finds_what_has_a_moment_in_it(settings: Settings) -> None:
    database.connect(settings)

    def holds(stored: tuple[int | None, int | None], text: str) -> bool:
        column = [peewee.SQL("%s::timestamptz", (at(hour),)) for hour in stored]
        start, end = (peewee.NodeList((one,)) for one in column)
        source = SimpleNamespace(temporal_start=start, temporal_end=end)
        statement = peewee.Select(columns=[during(source, bounds_of(text))]).bind(database.database)
        return bool(statement.tuples().execute()[0][0])

    @given(HOURS, HOURS, HOURS, HOURS, st.sampled_from(["", ".."]))
    @example(None, None, None, None, "..")
    @example(3, None, None, 3, "")
    def check(
        start: int | None, end: int | None, first: int | None, last: int | None, blank: str
    ) -> None:
        stored, asked = ordered(start, end), ordered(first, last)
        text = "/".join(written(hour, blank) for hour in asked)
        assert holds(stored, text) is meets(stored, asked)
        if first is not None:
            assert holds(stored, written(first, "")) is meets(stored, (first, first))

    with database.synchronous():
        check()
        # A day is all of it, and nothing of the next one.
        assert holds((23, 23), "2024-05-01")
        assert not holds((24, 30), "2024-05-01")
        assert holds((24, 30), "2024-04-30/2024-05-02")
        assert not holds((24, 30), "../2024-05-01")


def test_moments_are_those_of_rfc_3339() -> None:
    assert parse_period("2024-05-01t07:00:00.000+07:00") == Period(MIDNIGHT, MIDNIGHT)
    assert parse_period("2024-05-01T00:00:00Z/..") == Period(MIDNIGHT, None)


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "..",
        "2024",
        "2024-02-30",
        "2024-05-01T00:00:00",
        "2024-05-01T00:00Z",
        "20240501T000000Z",
        "2024-05-01T24:00:00Z",
        "2024-05-01T00:00:00Z/2024-05-02T00:00:00Z/..",
        "2024-05-02T00:00:00Z/2024-05-01T23:59:59Z",
        "2024-05-02/2024-05-01",
        "2024-05-02T00:00:00Z/2024-05-01",
        "9999-12-31",
        "2024-05-01T00:00:00 07:00",
        "٢٠٢٤-05-01",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        parse_period(text)


@given(
    st.text()
    | st.text("0123456789-:TZ/.+")
    | st.tuples(st.datetimes(), st.datetimes()).map(lambda two: f"{two[0]}Z/{two[1]}Z")
    | st.tuples(st.dates(), st.dates()).map(lambda two: f"{two[0]}/{two[1]}")
)
def test_whatever_arrives_is_a_period_or_a_refusal(text: str) -> None:
    try:
        period = parse_period(text)
    except ValueProblem as problem:
        assert problem.message.text("id") != problem.message.text("en")
    else:
        assert period.start is None or period.end is None or period.start <= period.end
