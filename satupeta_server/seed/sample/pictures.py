"""The pictures of the sample catalogue: small maps of places that do not exist, drawn here."""

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageColor, ImageDraw

WIDTH, HEIGHT = 640, 400
COUNT = 20

Colour = tuple[int, int, int]
Point = tuple[float, float]

_BANDS = 6
_LEVELS = range(96, 97 + 24 * (_BANDS - 1), 24)
_INK, _ROAD, _EDGE, _MARK = 40, 41, 42, 43


@dataclass(frozen=True, slots=True)
class _Style:
    """The colours of one kind of map: water, land from low to high, contours, roads."""

    water: Colour
    lowest: Colour
    highest: Colour
    contour: Colour
    road: Colour
    mark: Colour


def _colour(name: str) -> Colour:
    red, green, blue = ImageColor.getrgb(name)[:3]
    return red, green, blue


_STYLES = tuple(
    _Style(*map(_colour, names.split()))
    for names in (
        "#a6cee3 #ddebc8 #78965a #587846 #faf5e6 #d64541",
        "#9ec5db #faf0cd #b07848 #8c5c34 #fffcf5 #24548c",
        "#bed7e6 #f0f0ec #96a0aa #78828c #ffd65c #c83c3c",
        "#163e66 #c6dbc4 #346e5c #225042 #f0e2b4 #f09632",
        "#cde4ec #fee0b6 #b35806 #8c4204 #fffffa #3c3278",
    )
)


def draw_picture(number: int) -> bytes:
    """Draw the picture of a number as PNG; the same number gives the same picture."""
    random = Random(number)  # noqa: S311  the same picture each time is the point
    style = _STYLES[number % len(_STYLES)]
    picture = Image.frombytes("L", (13, 9), _terrain(random))
    picture = picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    picture = picture.point(_bands())
    picture.putpalette(_palette(style))
    draw = ImageDraw.Draw(picture)
    for _ in range(3):
        line = list(_wander(random))
        draw.line(line, fill=_EDGE, width=6, joint="curve")
        draw.line(line, fill=_ROAD, width=4, joint="curve")
    for _ in range(random.randint(4, 9)):
        _mark(draw, random.uniform(30, WIDTH - 30), random.uniform(30, HEIGHT - 30))
    draw.rectangle((0, 0, WIDTH - 1, HEIGHT - 1), outline=_INK, width=2)
    target = io.BytesIO()
    picture.save(target, "PNG", bits=8)
    return target.getvalue()


def _terrain(random: Random) -> bytes:
    """Heights on a coarse grid: an island that falls off towards two sides of the picture."""
    slope, tilt = random.uniform(-9, 9), random.uniform(-11, 11)
    heights = (
        150 + slope * (column - 6) + tilt * (row - 4) + random.gauss(0, 34)
        for row in range(9)
        for column in range(13)
    )
    return bytes(min(255, max(0, round(height))) for height in heights)


def _bands() -> list[int]:
    """Which colour each height takes: water below the first level, an own one at each contour."""
    colours = []
    for height in range(256):
        band = sum(height >= level for level in _LEVELS)
        on_contour = any(0 <= height - level < 2 for level in _LEVELS[1:])
        colours.append(_BANDS + 1 if on_contour else band)
    return colours


def _palette(style: _Style) -> list[int]:
    land = [_between(style.lowest, style.highest, step / (_BANDS - 1)) for step in range(_BANDS)]
    colours: list[Colour] = [(0, 0, 0)] * 44
    colours[: _BANDS + 2] = [style.water, *land, style.contour]
    colours[_INK], colours[_ROAD], colours[_EDGE] = (70, 78, 86), style.road, style.contour
    colours[_MARK] = style.mark
    return [part for colour in colours for part in colour]


def _between(first: Colour, last: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, last, strict=True))
    return red, green, blue


def _wander(random: Random) -> Iterator[Point]:
    """A line across the picture, smoothed by cutting its corners (Chaikin)."""
    level = random.uniform(40, HEIGHT - 40)
    points: Sequence[Point] = [
        (column * WIDTH / 6, level + random.uniform(-80, 80)) for column in range(-1, 8)
    ]
    for _ in range(3):
        points = list(_cut_corners(points))
    return iter(points)


def _cut_corners(points: Sequence[Point]) -> Iterator[Point]:
    for (left, above), (right, below) in itertools.pairwise(points):
        yield left * 0.75 + right * 0.25, above * 0.75 + below * 0.25
        yield left * 0.25 + right * 0.75, above * 0.25 + below * 0.75


def _mark(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    draw.ellipse((x - 8, y - 22, x + 8, y - 6), fill=_MARK, outline=_INK)
    draw.polygon(((x - 6, y - 10), (x + 6, y - 10), (x, y)), fill=_MARK)
    draw.ellipse((x - 3, y - 17, x + 3, y - 11), fill=_ROAD)
