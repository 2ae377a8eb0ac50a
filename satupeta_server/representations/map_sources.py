"""What a map source looks like, by itself and among a mapset's sources."""

from typing import Any

from peewee import SQL, fn

from satupeta_server.models.map_sources import MapSource
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Member,
    Representation,
    boolean,
    embedded,
    identifier,
    json_object,
    text,
)
from satupeta_server.representations.credentials import CREDENTIAL

_STUB_SCHEMA = {
    "type": "object",
    "required": ["id", "name", "credential_type"],
    "properties": {
        "id": {"type": ["string", "null"], "format": "uuid"},
        "name": {"type": ["string", "null"]},
        "credential_type": {"type": ["string", "null"]},
    },
}
_CREDENTIAL_KIND = CREDENTIAL.subset("CredentialKind", "id", "credential_type")


def _never_null(shape: Representation) -> Member:
    """A source's credential; the portal reads its type even where none is linked."""
    found = embedded(shape, "credential_id")
    stub = json_object({"id": SQL("null"), "name": SQL("null"), "credential_type": SQL("null")})

    def expression(source: Any) -> Any:
        return fn.coalesce(found.expression(source), stub)

    return Member(expression, {"anyOf": [dict(shape.reference()), _STUB_SCHEMA]})


MAP_SOURCE = Representation(
    "MapSource",
    MapSource,
    {
        "id": identifier("id"),
        "name": text("name"),
        "description": text("description", null=True),
        "url": text("url"),
        "credential_id": identifier("credential_id", null=True),
        "credential": _never_null(CREDENTIAL),
        "is_active": boolean("is_active"),
        "is_deleted": Member(lambda source: ~source.deleted_at.is_null(), {"type": "boolean"}),
        **BOOKKEEPING,
    },
)
# Mapsets are public: of a credential they show its kind and nothing else.
MAP_SOURCE_EMBEDDED = MAP_SOURCE.subset(
    "MapSourceEmbedded",
    "id",
    "name",
    "description",
    "url",
    "is_active",
    credential=_never_null(_CREDENTIAL_KIND),
)

MAP_SOURCES_LISTING = Listing(
    MapSource,
    filters=("id", "name", "url", "credential_id", "is_active", "created_at", "updated_at"),
    sorts=("name", "url", "is_active", "created_at", "updated_at"),
)
