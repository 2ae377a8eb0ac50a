"""What a stored credential looks like; never with what it keeps secret."""

from typing import Any

from peewee import SQL, NodeList, fn

from satupeta_server.models.credentials import Credential
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Member,
    Representation,
    boolean,
    identifier,
    moment,
    text,
)


def _metadata(source: Any) -> Any:
    """The stored object, with the two texts that the portal's form demands."""
    defaults = SQL("""'{"environment": "", "version": ""}'::jsonb""")
    return NodeList((defaults, SQL("||"), source.credential_metadata), parens=True)


def _metadata_key(key: str) -> Any:
    return lambda source: fn.lower(fn.jsonb_extract_path_text(source.credential_metadata, key))


CREDENTIAL = Representation(
    "Credential",
    Credential,
    {
        "id": identifier("id"),
        "name": text("name"),
        "description": text("description", null=True),
        "credential_type": text("credential_type"),
        "credential_metadata": Member(
            _metadata,
            {
                "type": "object",
                "required": ["environment", "version"],
                "additionalProperties": {"type": "string"},
            },
        ),
        "is_default": boolean("is_default"),
        "is_active": boolean("is_active"),
        "created_by": identifier("created_by", null=True),
        "updated_by": identifier("updated_by", null=True),
        "last_used_by": identifier("last_used_by", null=True),
        "last_used_at": moment("last_used_at", null=True),
        **BOOKKEEPING,
    },
)

CREDENTIALS_LISTING = Listing(
    Credential,
    filters=("id", "name", "credential_type", "is_default", "is_active", "created_at"),
    sorts=("name", "credential_type", "is_default", "is_active", "created_at", "updated_at"),
    extra_sorts={"environment": _metadata_key("environment"), "version": _metadata_key("version")},
)
