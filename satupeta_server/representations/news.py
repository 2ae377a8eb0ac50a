"""What an article looks like."""

from satupeta_server.models.news import News
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Representation,
    boolean,
    identifier,
    text,
    text_or_empty,
)

NEWS = Representation(
    "News",
    News,
    {
        "id": identifier("id"),
        "name": text("name"),
        "description": text_or_empty("description"),
        "thumbnail": identifier("thumbnail", null=True),
        "is_active": boolean("is_active"),
        **BOOKKEEPING,
    },
)

NEWS_LISTING = Listing(
    News,
    filters=("id", "name", "is_active", "created_at", "updated_at"),
    sorts=("name", "is_active", "created_at", "updated_at"),
    default_sort="created_at:desc",
    is_capped=True,
)
