"""Where the mapsets of the sample catalogue lie."""

import hashlib
import re
from dataclasses import dataclass

from satupeta_server.models.mapsets import BoundingBox
from satupeta_server.seed.reference import EAST_JAVA
from satupeta_server.seed.regions import Region, read_regions
from satupeta_server.seed.tables import read_table

_SHARE = 0.35
"""How much of its province's width and height the box of a regency takes that has none."""


@dataclass(frozen=True, slots=True)
class Place:
    """A region in force, with its approximate box in degrees."""

    code: str
    name: str
    slug: str
    box: BoundingBox
    is_province: bool
    is_coastal: bool

    @property
    def is_in_east_java(self) -> bool:
        """Tell whether it is East Java or a part of it."""
        return self.code.startswith(EAST_JAVA)

    @property
    def utm_zone(self) -> tuple[int, bool]:
        """The zone of its middle in Universal Transverse Mercator, and whether that is north."""
        west, south, east, north = self.box
        return int((west + east) / 2 + 180) // 6 + 1, north + south > 0


def read_places() -> list[Place]:
    """Read the provinces, regencies and cities that are in force."""
    rows = {row["code"]: row for row in read_table("sample/places.csv")}
    return [_place(region, rows) for region in read_regions() if region.valid_to is None]


def _place(region: Region, rows: dict[str, dict[str, str]]) -> Place:
    name = region.full_name
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower())
    own = rows.get(region.code)
    box = _box(own) if own else _part(_box(rows[region.code[:2]]), region.code)
    coastal = own is not None and own["coastal"] == "1"
    return Place(region.code, name, slug, box, region.is_province, coastal)


def _box(row: dict[str, str]) -> BoundingBox:
    return float(row["west"]), float(row["south"]), float(row["east"]), float(row["north"])


def _part(box: BoundingBox, code: str) -> BoundingBox:
    west, south, east, north = box
    digest = hashlib.blake2b(code.encode(), digest_size=2).digest()
    width, height = (east - west) * _SHARE, (north - south) * _SHARE
    left = west + (east - west - width) * digest[0] / 255
    bottom = south + (north - south - height) * digest[1] / 255
    return round(left, 3), round(bottom, 3), round(left + width, 3), round(bottom + height, 3)
