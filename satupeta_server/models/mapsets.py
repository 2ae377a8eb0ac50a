"""Mapsets, their sources, the history of their status and their revisions."""

import math
import uuid
from collections.abc import Sequence
from typing import Any

import peewee
from peewee import SQL, NodeList, Value, fn
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from satupeta_server.models.base import BaseModel, Record, now, reference
from satupeta_server.models.categories import Category
from satupeta_server.models.classifications import Classification
from satupeta_server.models.map_projection_systems import MapProjectionSystem
from satupeta_server.models.map_sources import MapSource
from satupeta_server.models.organizations import Organization
from satupeta_server.models.regionals import Regional
from satupeta_server.models.users import User

STATUSES = ("on_verification", "approved", "rejected")
DATA_STATUSES = ("sementara", "tetap")
COVERAGES = ("desa", "kecamatan", "kabupaten", "provinsi")

BoundingBox = tuple[float, float, float, float]


def is_bounding_box(box: tuple[float, ...]) -> bool:
    """Tell whether numbers are west, south, east and north in degrees.

    An east below the west means that the box crosses the antimeridian.
    """
    if len(box) != 4 or not all(math.isfinite(number) for number in box):
        return False
    west, south, east, north = box
    return abs(west) <= 180 and abs(east) <= 180 and -90 <= south <= north <= 90


class BoundingBoxField(peewee.Field):
    """West, south, east and north in degrees, as PostgreSQL's ``box``.

    A box that crosses the antimeridian has its east below its west; the database keeps that
    edge 360 degrees further east, so that the box stays one.
    """

    field_type = "box"

    def db_value(self, value: BoundingBox | None) -> str | None:
        """Give the text form of a box."""
        if value is None:
            return None
        west, south, east, north = value
        return f"({west!r},{south!r}),({east + 360 if east < west else east!r},{north!r})"

    def python_value(self, value: Any) -> BoundingBox | None:
        """Read the text form of a box, which names the upper right corner first."""
        if value is None or isinstance(value, tuple):
            return value
        east, north, west, south = (
            float(part) for part in value.strip("()").replace("),(", ",").split(",")
        )
        return west, south, east - 360 if east > 180 else east, north


class Mapset(Record):
    """A map layer by its WMS address, with its metadata and the state of its verification."""

    name = peewee.TextField()
    description = peewee.TextField(null=True)
    scale = peewee.TextField(null=True)
    layer_url = peewee.TextField(null=True)
    metadata_url = peewee.TextField(null=True)
    status_validation = peewee.TextField(
        default="on_verification", choices=[(one, one) for one in STATUSES]
    )
    data_status = peewee.TextField(default="sementara")
    data_update_period = peewee.TextField(null=True)
    data_version = peewee.TextField(null=True)
    coverage_level = peewee.TextField(null=True)
    coverage_area = peewee.TextField(null=True)
    classification_id = reference(Classification, "classification_id")
    category_id = reference(Category, "category_id")
    projection_system_id = reference(MapProjectionSystem, "projection_system_id")
    producer_id = reference(Organization, "producer_id")
    regional_id = reference(Regional, "regional_id")
    temporal_start = DateTimeTZField(null=True)
    temporal_end = DateTimeTZField(null=True)
    bounding_box = BoundingBoxField(null=True)
    notes = peewee.TextField(null=True)
    is_popular = peewee.BooleanField(default=False)
    is_active = peewee.BooleanField(default=True)
    created_by = reference(User, "created_by", null=True)
    updated_by = reference(User, "updated_by", null=True)

    class Meta:
        table_name = "mapsets"


class MapsetSource(BaseModel):
    """That a mapset comes from a map source, and at which place it names it."""

    id = None  # type: ignore[assignment]
    mapset_id = reference(Mapset, "mapset_id")
    map_source_id = reference(MapSource, "map_source_id")
    position = peewee.SmallIntegerField()

    class Meta:
        table_name = "mapset_sources"
        primary_key = peewee.CompositeKey("mapset_id", "map_source_id")


class MapsetHistory(BaseModel):
    """A change of a mapset's status: by whom, when, to what, with which note."""

    mapset_id = reference(Mapset, "mapset_id")
    validation_type = peewee.TextField()
    notes = peewee.TextField(null=True)
    user_id = reference(User, "user_id")
    created_at = DateTimeTZField(default=now)

    class Meta:
        table_name = "mapset_histories"


class MapsetRevision(BaseModel):
    """The state that one change of a mapset left."""

    id = None  # type: ignore[assignment]
    mapset_id = reference(Mapset, "mapset_id")
    revision = peewee.IntegerField()
    user_id = reference(User, "user_id")
    created_at = DateTimeTZField(default=now)
    state = BinaryJSONField()

    class Meta:
        table_name = "mapset_revisions"
        primary_key = peewee.CompositeKey("mapset_id", "revision")


def record_revisions(mapset_ids: Sequence[uuid.UUID], user_id: uuid.UUID) -> Any:
    """The statement that keeps the present state of mapsets, as changed by a user.

    The state is the row as it stands, without what the database derives from it, and with
    ``source_id``, the ids of its map sources in order.
    """
    mapset = Mapset.alias("mapset")
    ordered = NodeList((MapsetSource.map_source_id, SQL("ORDER BY"), MapsetSource.position))
    sources = MapsetSource.select(fn.json_agg(ordered)).where(MapsetSource.mapset_id == mapset.id)
    state = SQL("(to_jsonb(mapset) - 'search_text')").concat(
        fn.jsonb_build_object(SQL("'source_id'"), fn.coalesce(sources, SQL("'[]'::json")))
    )
    rows = mapset.select(mapset.id, mapset.revision, Value(user_id), fn.now(), state)
    return MapsetRevision.insert_from(
        rows.where(mapset.id.in_(mapset_ids)),
        [
            MapsetRevision.mapset_id,
            MapsetRevision.revision,
            MapsetRevision.user_id,
            MapsetRevision.created_at,
            MapsetRevision.state,
        ],
    ).as_rowcount()
