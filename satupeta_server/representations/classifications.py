"""What a classification looks like."""

from satupeta_server.models.classifications import Classification
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Representation,
    boolean,
    identifier,
    text,
)

CLASSIFICATION = Representation(
    "Classification",
    Classification,
    {
        "id": identifier("id"),
        "name": text("name"),
        "description": text("description", null=True),
        "is_open": boolean("is_open"),
        "is_limited": boolean("is_limited"),
        "is_secret": boolean("is_secret"),
        "is_active": boolean("is_active"),
        **BOOKKEEPING,
    },
)
CLASSIFICATION_EMBEDDED = CLASSIFICATION.subset(
    "ClassificationEmbedded", "id", "name", "is_open", "is_limited", "is_secret"
)

CLASSIFICATIONS_LISTING = Listing(
    Classification,
    filters=("id", "name", "is_open", "is_limited", "is_secret", "is_active"),
    sorts=("name", "is_active", "created_at", "updated_at"),
)
