"""What a portal consists of, in the order in which it is moved: each needs those before it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from satupeta_server.models.credentials import Credential
from satupeta_server.models.roles import Role
from satupeta_server.schemas.base import Form
from satupeta_server.schemas.credentials import CREDENTIAL_FORM
from satupeta_server.schemas.fields import name
from satupeta_server.transfer.kinds import KINDS, Kind


@dataclass(frozen=True)
class Link:
    """A field that names a record of another resource, by id or as an embedded object."""

    field: str
    embedded: str | None
    target: str
    is_list: bool = False


@dataclass(frozen=True)
class Resource:
    """One resource of the contract."""

    name: str
    """As paths, services and reports call it."""
    noun: str
    kind: Kind
    keys: tuple[tuple[str, ...], ...]
    """What may belong to one living record only; the last field of each is looked up."""
    is_mapped: bool = False
    """Whether a record here with the same key stands for the one there."""
    must_agree: tuple[str, ...] = ()
    """Fields in which the two must not differ for that."""
    may_repeat: bool = False
    """Whether several records may have one key, as the API allows."""
    is_optional: bool = False
    """Whether the contract lets a backend be without it."""
    links: tuple[Link, ...] = ()
    pictures: tuple[str, ...] = ()
    sort: str = "created_at:asc"

    @property
    def model(self) -> Any:
        """The table."""
        return self.kind.model


def _kind(kind_name: str) -> Kind:
    # References come as ids, which are resolved before the form sees them.
    return replace(KINDS[kind_name], references={})


_ROLES = Kind("roles", "roles", Role, Form({"name": name()}), ("name",))
_CREDENTIALS = Kind("credentials", "credentials", Credential, CREDENTIAL_FORM, ("name",))
_NAME = (("name",),)

RESOURCES: Mapping[str, Resource] = {
    one.name: one
    for one in (
        Resource("roles", "role", _ROLES, _NAME, is_mapped=True),
        Resource(
            "organizations", "organization", _kind("organizations"), _NAME, pictures=("thumbnail",)
        ),
        Resource(
            "users",
            "user",
            _kind("users"),
            (("username",), ("email",), ("employee_id",)),
            links=(
                Link("role_id", "role", "roles"),
                Link("organization_id", "organization", "organizations"),
            ),
            pictures=("profile_picture",),
        ),
        Resource(
            "categories",
            "category",
            _kind("categories"),
            _NAME,
            is_mapped=True,
            pictures=("thumbnail",),
        ),
        Resource(
            "classifications",
            "classification",
            _kind("classifications"),
            _NAME,
            is_mapped=True,
            # What is secret there must not become public here.
            must_agree=("is_secret",),
        ),
        Resource(
            "map_projection_systems",
            "projection system",
            _kind("map-projection-systems"),
            (("authority_code",), ("name",)),
            is_mapped=True,
        ),
        Resource(
            "regionals",
            "region",
            _kind("regions"),
            (("code",),),
            is_mapped=True,
            is_optional=True,
            links=(Link("parent_id", None, "regionals"),),
            pictures=("thumbnail",),
            sort="code:asc",
        ),
        Resource("credentials", "credential", _CREDENTIALS, _NAME, may_repeat=True),
        Resource(
            "map_sources",
            "map source",
            _kind("map-sources"),
            (("url", "name"),),
            may_repeat=True,
            links=(Link("credential_id", "credential", "credentials"),),
        ),
        Resource(
            "mapsets",
            "mapset",
            _kind("mapsets"),
            (("producer_id", "name"),),
            may_repeat=True,
            links=(
                Link("classification_id", "classification", "classifications"),
                Link("category_id", "category", "categories"),
                Link("projection_system_id", "projection_system", "map_projection_systems"),
                Link("producer_id", "producer", "organizations"),
                Link("regional_id", "regional", "regionals"),
                Link("source_id", "sources", "map_sources", is_list=True),
            ),
        ),
        Resource("news", "article", _kind("news"), _NAME, may_repeat=True, pictures=("thumbnail",)),
    )
}

HISTORIES = "histories"
FILES = "files"
PORTAL = "portal"

ORDER = (*(one for one in RESOURCES if one != "news"), HISTORIES, "news")
"""What can be moved by name; files come with the records that show them."""
