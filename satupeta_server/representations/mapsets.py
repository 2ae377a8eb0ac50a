"""What a mapset looks like: the same in a list and by itself, with all that it embeds."""

from typing import Any

from peewee import SQL, Case, NodeList, fn

from satupeta_server.models.categories import Category
from satupeta_server.models.classifications import Classification
from satupeta_server.models.map_sources import MapSource
from satupeta_server.models.mapsets import (
    COVERAGES,
    DATA_STATUSES,
    STATUSES,
    Mapset,
    MapsetSource,
)
from satupeta_server.models.organizations import Organization
from satupeta_server.models.regionals import Regional
from satupeta_server.queries.facets import Facet
from satupeta_server.queries.listing import Listing
from satupeta_server.queries.periods import DATETIME
from satupeta_server.queries.space import BBOX
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Member,
    Representation,
    boolean,
    choice,
    embedded,
    identifier,
    old_moment,
    text,
    text_or_empty,
)
from satupeta_server.representations.categories import CATEGORY_EMBEDDED
from satupeta_server.representations.classifications import CLASSIFICATION_EMBEDDED
from satupeta_server.representations.map_projection_systems import MAP_PROJECTION_SYSTEM_EMBEDDED
from satupeta_server.representations.map_sources import MAP_SOURCE_EMBEDDED
from satupeta_server.representations.organizations import PRODUCER
from satupeta_server.representations.regionals import REGIONAL_EMBEDDED


def _sources(source: Any) -> Any:
    """The map sources in their order, deleted ones too."""
    link, map_source = MapsetSource.alias(), MapSource.alias()
    element = MAP_SOURCE_EMBEDDED.json(map_source)
    ordered = fn.json_agg(NodeList((element, SQL("ORDER BY"), link.position)))
    return (
        link.select(fn.coalesce(ordered, SQL("'[]'::json")))
        .join(map_source, on=(map_source.id == link.map_source_id))
        .where(link.mapset_id == source.id)
    )


def box_array(box: Any) -> Any:
    """West, south, east, north; an eastern edge beyond the antimeridian is turned back."""

    def coordinate(corner: int, axis: int) -> Any:
        return NodeList((SQL("(("), box, SQL(f")[{corner}])[{axis}]")))

    east = coordinate(0, 0)
    turned = NodeList((east, SQL("- 360")))
    array = fn.json_build_array(
        coordinate(1, 0),
        coordinate(1, 1),
        Case(None, ((east > 180, turned),), east),
        coordinate(0, 1),
    )
    return Case(None, ((~box.is_null(), array),))


def _year(source: Any) -> Any:
    return fn.date_part(SQL("'year'"), source.temporal_start).cast("integer")


MAPSET = Representation(
    "Mapset",
    Mapset,
    {
        "id": identifier("id"),
        "name": text("name"),
        "description": text_or_empty("description"),
        "scale": text_or_empty("scale"),
        "layer_url": text("layer_url", null=True),
        "metadata_url": text("metadata_url", null=True),
        "status_validation": choice("status_validation", STATUSES),
        "classification_id": identifier("classification_id"),
        "classification": embedded(CLASSIFICATION_EMBEDDED, "classification_id"),
        "data_status": choice("data_status", DATA_STATUSES),
        "data_update_period": text_or_empty("data_update_period"),
        "data_version": text_or_empty("data_version"),
        "coverage_level": choice("coverage_level", COVERAGES, null=True),
        "coverage_area": choice("coverage_area", COVERAGES, null=True),
        "category_id": identifier("category_id"),
        "category": embedded(CATEGORY_EMBEDDED, "category_id"),
        "projection_system_id": identifier("projection_system_id"),
        "projection_system": embedded(MAP_PROJECTION_SYSTEM_EMBEDDED, "projection_system_id"),
        "producer_id": identifier("producer_id"),
        "producer": embedded(PRODUCER, "producer_id"),
        "regional_id": identifier("regional_id"),
        "regional": embedded(REGIONAL_EMBEDDED, "regional_id"),
        "sources": Member(
            _sources, {"type": "array", "items": dict(MAP_SOURCE_EMBEDDED.reference())}
        ),
        "temporal_start": old_moment("temporal_start"),
        "temporal_end": old_moment("temporal_end"),
        "bounding_box": Member(
            lambda source: box_array(source.bounding_box),
            {
                "type": ["array", "null"],
                "items": {"type": "number"},
                "minItems": 4,
                "maxItems": 4,
                "description": "West, south, east, north in degrees.",
            },
        ),
        "notes": text_or_empty("notes"),
        "is_popular": boolean("is_popular"),
        "is_active": boolean("is_active"),
        **BOOKKEEPING,
    },
)

MAPSETS_LISTING = Listing(
    Mapset,
    filters=(
        "id",
        "name",
        "status_validation",
        "is_active",
        "is_popular",
        "producer_id",
        "category_id",
        "classification_id",
        "projection_system_id",
        "regional_id",
        "data_status",
        "coverage_level",
        "coverage_area",
        "temporal_start",
        "temporal_end",
        "created_at",
        "updated_at",
    ),
    sorts=("name", "status_validation", "is_active", "is_popular", "created_at", "updated_at"),
    default_sort="created_at:desc",
    is_capped=True,
    has_cursor=True,
    public={"is_active": True, "status_validation": "approved"},
    facets={
        "category": Facet("category_id", Category),
        "producer": Facet("producer_id", Organization),
        "classification": Facet("classification_id", Classification),
        "data_status": Facet("data_status"),
        "coverage_level": Facet("coverage_level"),
        "regional": Facet("regional_id", Regional),
        "year": Facet("temporal_start", value=_year, kind="integer"),
    },
    narrowings={"bbox": BBOX, "datetime": DATETIME},
)
