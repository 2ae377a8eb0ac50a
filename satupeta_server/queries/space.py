"""Lists narrowed to a part of the earth: ``bbox``."""

from collections.abc import Sequence
from typing import Any

from peewee import SQL, NodeList

from satupeta_server.models.mapsets import BoundingBox, is_bounding_box
from satupeta_server.queries.listing import Narrowing, any_of
from satupeta_server.queries.values import ValueProblem, parse_decimal

# The same place once more: a stored box, or the one that is asked for, may lie beyond 180.
_TURNS = (0.0, 360.0, -360.0)


def parse_box(text: str) -> BoundingBox:
    """Read west, south, east and north in degrees, with commas between them.

    An east below the west means that the box crosses the antimeridian. Raises ValueProblem.
    """
    try:
        box = tuple(float(parse_decimal(part.strip())) for part in text.split(","))
    except ValueProblem:
        raise ValueProblem("must_be_bounding_box") from None
    if not is_bounding_box(box):
        raise ValueProblem("must_be_bounding_box")
    west, south, east, north = box
    return west, south, east, north


def corners_of(text: str) -> tuple[str, ...]:
    """Read a box as PostgreSQL has it, once for each turn of the earth that it may be met in."""
    west, south, east, north = parse_box(text)
    east = east + 360 if east < west else east
    return tuple(
        f"({west + turn!r},{south!r}),({east + turn!r},{north!r})"
        for turn in _TURNS
        # Nothing that is stored lies west of -180.
        if east + turn >= -180
    )


def intersecting(source: Any, corners: Sequence[Any]) -> Any:
    """The condition that the box of a row has a point in common with one of those given."""
    return any_of([NodeList((source.bounding_box, SQL("&& %s::box", (box,)))) for box in corners])


BBOX = Narrowing(
    corners_of,
    intersecting,
    {"type": "string"},
    "110.9,-8.8,114.6,-6.6",
    "Only what intersects this box: west, south, east, north in degrees. A box whose west is "
    "greater than its east crosses the antimeridian. What has no box is not found.",
    few=30_000,
)
