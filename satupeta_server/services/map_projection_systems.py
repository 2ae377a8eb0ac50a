"""Coordinate reference systems."""

from satupeta_server.representations.map_projection_systems import (
    MAP_PROJECTION_SYSTEM,
    MAP_PROJECTION_SYSTEMS_LISTING,
)
from satupeta_server.services.records import RecordService, Resource


class MapProjectionSystemService(RecordService):
    """Coordinate reference systems, which only administrators change."""

    resource = Resource(
        "map_projection_systems", MAP_PROJECTION_SYSTEM, MAP_PROJECTION_SYSTEMS_LISTING
    )
