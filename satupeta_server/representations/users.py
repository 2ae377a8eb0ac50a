"""What a user looks like, to administrators and to oneself."""

from satupeta_server.models.users import User
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import (
    BOOKKEEPING,
    Member,
    Representation,
    boolean,
    embedded,
    identifier,
    text,
)
from satupeta_server.representations.organizations import ORGANIZATION_EMBEDDED
from satupeta_server.representations.roles import ROLE_EMBEDDED

_PERSON: dict[str, Member] = {
    "id": identifier("id"),
    "name": text("name"),
    "username": text("username"),
    "email": text("email"),
    "employee_id": text("employee_id", null=True),
    "position": text("position", null=True),
    "profile_picture": identifier("profile_picture", null=True),
    "role_id": identifier("role_id"),
    "role": embedded(ROLE_EMBEDDED, "role_id"),
    "organization_id": identifier("organization_id", null=True),
    "organization": embedded(ORGANIZATION_EMBEDDED, "organization_id", null=True),
    "is_active": boolean("is_active"),
    **BOOKKEEPING,
}

USER = Representation("User", User, _PERSON)
# The portal reads the picture as "image" after a refresh (contract, 3.3).
ME = Representation("Me", User, {**_PERSON, "image": identifier("profile_picture", null=True)})

USERS_LISTING = Listing(
    User,
    filters=(
        "id",
        "name",
        "username",
        "email",
        "role_id",
        "organization_id",
        "is_active",
        "created_at",
        "updated_at",
    ),
    sorts=("name", "username", "email", "position", "is_active", "created_at", "updated_at"),
)
