"""What a category looks like."""

from satupeta_server.models.categories import Category
from satupeta_server.models.mapsets import Mapset
from satupeta_server.queries.listing import Listing
from satupeta_server.queries.scopes import public_mapset
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Representation,
    boolean,
    counted,
    identifier,
    text,
)

CATEGORY = Representation(
    "Category",
    Category,
    {
        "id": identifier("id"),
        "name": text("name"),
        "description": text("description", null=True),
        "thumbnail": identifier("thumbnail", null=True),
        "is_active": boolean("is_active"),
        "count_mapset": counted(
            Mapset,
            lambda mapset, source: (mapset.category_id == source.id) & public_mapset(mapset),
        ),
        **BOOKKEEPING,
    },
)
CATEGORY_EMBEDDED = CATEGORY.subset(
    "CategoryEmbedded", "id", "name", "description", "thumbnail", "is_active"
)

CATEGORIES_LISTING = Listing(
    Category,
    filters=("id", "name", "is_active", "created_at", "updated_at"),
    sorts=("name", "description", "is_active", "created_at", "updated_at"),
)
