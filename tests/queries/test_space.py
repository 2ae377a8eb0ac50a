"""``bbox``: what is read, and what a box has in common with another one on a round earth."""

from types import SimpleNamespace

import peewee
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from satupeta_server import database
from satupeta_server.models.mapsets import BoundingBox, BoundingBoxField, is_bounding_box
from satupeta_server.queries.space import corners_of, intersecting, parse_box
from satupeta_server.queries.values import ValueProblem
from satupeta_server.settings import Settings

LONGITUDES = st.integers(-180, 180) | st.sampled_from([-180, -179, 179, 180])
LATITUDES = st.integers(-90, 90)


@st.composite
def boxes(draw: st.DrawFn) -> BoundingBox:
    south, north = sorted((draw(LATITUDES), draw(LATITUDES)))
    return float(draw(LONGITUDES)), float(south), float(draw(LONGITUDES)), float(north)


def text_of(box: BoundingBox) -> str:
    return ",".join(map(str, box))


def meridians(box: BoundingBox) -> set[int]:
    """The whole degrees of longitude that a box covers, 180 being the same as -180."""
    west, _, east, _ = map(int, box)
    return {degree % 360 for degree in range(west, (east + 360 if east < west else east) + 1)}


def touch(one: BoundingBox, other: BoundingBox) -> bool:
    return one[1] <= other[3] and other[1] <= one[3] and bool(meridians(one) & meridians(other))


def test_boxes_intersect_where_they_do_on_the_earth(settings: Settings) -> None:
    database.connect(settings)

    @given(boxes(), boxes())
    @example((170.0, -1.0, -170.0, 1.0), (-175.0, -1.0, -171.0, 1.0))
    @example((-175.0, -1.0, -171.0, 1.0), (170.0, -1.0, -170.0, 1.0))
    @example((170.0, -1.0, -170.0, 1.0), (160.0, -1.0, -179.0, 1.0))
    @example((-180.0, 0.0, -170.0, 1.0), (170.0, 0.0, 180.0, 1.0))
    def check(stored: BoundingBox, asked: BoundingBox) -> None:
        literal = peewee.SQL("%s::box", (BoundingBoxField().db_value(stored),))
        condition = intersecting(SimpleNamespace(bounding_box=literal), corners_of(text_of(asked)))
        statement = peewee.Select(columns=[condition]).bind(database.database)
        assert statement.tuples().execute()[0][0] is touch(stored, asked)

    with database.synchronous():
        check()


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3",
        "1,2,3,4,5",
        "nan,0,1,1",
        "0,0,inf,1",
        "0,0,1e400,1",
        "0,-91,1,1",
        "0,0,1,90.001",
        "-181,0,1,1",
        "0,2,1,1",
        "0,0,1,",
        "a,b,c,d",
        "1_0,0,20,1",
        "٠,٠,١,١",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        parse_box(text)


@given(st.text() | st.text("0123456789,.-+eE naif"))
def test_whatever_arrives_is_a_box_or_a_refusal(text: str) -> None:
    try:
        box = parse_box(text)
    except ValueProblem as problem:
        assert problem.message.text("id") != problem.message.text("en")
    else:
        assert is_bounding_box(box)
