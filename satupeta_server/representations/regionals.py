"""What an administrative region looks like."""

from satupeta_server.models.regionals import Regional
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Representation,
    boolean,
    day,
    identifier,
    text,
)

REGIONAL = Representation(
    "Regional",
    Regional,
    {
        "id": identifier("id"),
        "code": text("code"),
        "name": text("name"),
        "parent_id": identifier("parent_id", null=True),
        "description": text("description", null=True),
        "thumbnail": identifier("thumbnail", null=True),
        "valid_from": day("valid_from", null=True),
        "valid_to": day("valid_to", null=True),
        "is_active": boolean("is_active"),
        **BOOKKEEPING,
    },
)
REGIONAL_EMBEDDED = REGIONAL.subset(
    "RegionalEmbedded", "id", "code", "name", "description", "thumbnail", "is_active"
)

REGIONALS_LISTING = Listing(
    Regional,
    filters=("id", "code", "name", "parent_id", "valid_from", "valid_to", "is_active"),
    sorts=("code", "name", "valid_from", "valid_to", "is_active", "created_at", "updated_at"),
    default_sort="code:asc",
    is_capped=True,
)
