"""What an organization looks like, by itself and as the producer of a mapset."""

from satupeta_server.models.mapsets import Mapset
from satupeta_server.models.organizations import Organization
from satupeta_server.queries.listing import Listing
from satupeta_server.queries.scopes import public_mapset
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Representation,
    boolean,
    counted,
    identifier,
    text,
    text_or_empty,
)

ORGANIZATION = Representation(
    "Organization",
    Organization,
    {
        "id": identifier("id"),
        "name": text("name"),
        "description": text("description", null=True),
        "thumbnail": identifier("thumbnail", null=True),
        "address": text("address", null=True),
        "phone_number": text("phone_number", null=True),
        "email": text("email", null=True),
        "website": text("website", null=True),
        "is_active": boolean("is_active"),
        "count_mapset": counted(
            Mapset,
            lambda mapset, source: (mapset.producer_id == source.id) & public_mapset(mapset),
        ),
        **BOOKKEEPING,
    },
)
PRODUCER = ORGANIZATION.subset(
    "Producer",
    "id",
    "name",
    "thumbnail",
    "is_active",
    description=text_or_empty("description"),
    address=text_or_empty("address"),
    phone_number=text_or_empty("phone_number"),
    email=text_or_empty("email"),
    website=text_or_empty("website"),
)
ORGANIZATION_EMBEDDED = ORGANIZATION.subset("OrganizationEmbedded", "id", "name", "is_active")

ORGANIZATIONS_LISTING = Listing(
    Organization,
    filters=("id", "name", "email", "is_active", "created_at", "updated_at"),
    sorts=("name", "email", "phone_number", "is_active", "created_at", "updated_at"),
)
