"""What a coordinate reference system looks like."""

from satupeta_server.models.map_projection_systems import MapProjectionSystem
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Representation,
    boolean,
    identifier,
    number,
    text,
)

MAP_PROJECTION_SYSTEM = Representation(
    "MapProjectionSystem",
    MapProjectionSystem,
    {
        "id": identifier("id"),
        "name": text("name"),
        "authority_code": text("authority_code", null=True),
        "area": text("area", null=True),
        "epoch": number("epoch", null=True),
        "description": text("description", null=True),
        "is_active": boolean("is_active"),
        **BOOKKEEPING,
    },
)
MAP_PROJECTION_SYSTEM_EMBEDDED = MAP_PROJECTION_SYSTEM.subset(
    "MapProjectionSystemEmbedded", "id", "name", "authority_code"
)

MAP_PROJECTION_SYSTEMS_LISTING = Listing(
    MapProjectionSystem,
    filters=("id", "name", "authority_code", "epoch", "is_active"),
    sorts=("name", "authority_code", "epoch", "is_active", "created_at", "updated_at"),
)
