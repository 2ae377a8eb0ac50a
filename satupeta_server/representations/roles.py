"""What a role looks like."""

from satupeta_server.models.roles import Role
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Representation,
    boolean,
    choice,
    identifier,
    text,
)
from satupeta_server.security.permissions import ROLES

ROLE = Representation(
    "Role",
    Role,
    {
        "id": identifier("id"),
        "name": choice("name", ROLES),
        "description": text("description", null=True),
        "is_active": boolean("is_active"),
        **BOOKKEEPING,
    },
)
ROLE_EMBEDDED = ROLE.subset("RoleEmbedded", "id", "name", "description", "is_active")

ROLES_LISTING = Listing(
    Role,
    filters=("id", "name", "is_active"),
    sorts=("name", "description", "is_active", "created_at", "updated_at"),
)
