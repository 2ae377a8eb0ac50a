"""What can be imported and exported: the columns of each kind of record, and its natural key."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from satupeta_server.messages import Message
from satupeta_server.models.categories import Category
from satupeta_server.models.classifications import Classification
from satupeta_server.models.credentials import Credential
from satupeta_server.models.files import File
from satupeta_server.models.map_projection_systems import MapProjectionSystem
from satupeta_server.models.map_sources import MapSource
from satupeta_server.models.mapsets import Mapset
from satupeta_server.models.news import News
from satupeta_server.models.organizations import Organization
from satupeta_server.models.regionals import Regional
from satupeta_server.models.roles import Role
from satupeta_server.models.users import User
from satupeta_server.schemas.base import Form
from satupeta_server.schemas.categories import CATEGORY_FORM
from satupeta_server.schemas.classifications import CLASSIFICATION_FORM
from satupeta_server.schemas.files import FILE_IMPORT_FORM
from satupeta_server.schemas.map_projection_systems import MAP_PROJECTION_SYSTEM_FORM
from satupeta_server.schemas.map_sources import MAP_SOURCE_FORM
from satupeta_server.schemas.mapsets import MAPSET_CHANGE_FORM
from satupeta_server.schemas.news import NEWS_FORM
from satupeta_server.schemas.organizations import ORGANIZATION_FORM
from satupeta_server.schemas.regionals import REGIONAL_FORM
from satupeta_server.schemas.users import USER_FORM
from satupeta_server.transfer.reading import Headerless

_REGION_CODE = re.compile(r"\d\d(\.\d\d){0,2}(\.\d{4})?")


def parent_code(code: str) -> str:
    """Give the code of the region in which one lies; empty for a province."""
    return code.rpartition(".")[0]


def _check_parent(cells: Mapping[str, Any], values: Mapping[str, Any]) -> Message | None:
    """A region lies where its code says, so regions cannot go round in a circle."""
    given = str(cells.get("parent") or "").strip()
    expected = parent_code(values.get("code") or "")
    if not given or given == expected:
        return None
    return Message("parent_by_code", {"code": expected or "–"})


@dataclass(frozen=True)
class Reference:
    """A column that names records of another table: by id, or by one of their ``keys``."""

    field: str
    """The field of the form, and the column of the table, that holds the id."""
    model: Any
    keys: tuple[str, ...] = ("name",)
    is_list: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of record."""

    name: str
    """As commands call it."""
    subject: str
    """As services and permissions call it."""
    model: Any
    form: Form
    key: tuple[str, ...]
    """Fields that together name one record; texts without regard to case."""
    references: Mapping[str, Reference] = field(default_factory=dict)
    """By their column in files."""
    only_on_creation: frozenset[str] = frozenset()
    """Fields that an existing record keeps as they are."""
    never_exported: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    """Fields of the form that an import, unlike the API, does not ask for."""
    only_new_need: tuple[str, ...] = ()
    """Fields that the form leaves optional, for the sake of records that are there."""
    is_bulk: bool = False
    """Whether there may be millions, which take a way of their own into the database."""
    headerless: Headerless | None = None
    extra_columns: frozenset[str] = frozenset()
    """Columns that are no fields and are only checked."""
    check_row: Callable[[Mapping[str, Any], Mapping[str, Any]], Message | None] | None = None
    """Looks at a row's cells and values together; gives what is wrong."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its files, in order."""
        of_field = {one.field: column for column, one in self.references.items()}
        names = (of_field.get(name, name) for name in self.form.fields)
        return ("id", *(name for name in names if name not in self.never_exported))

    def required(self) -> tuple[str, ...]:
        """The fields without which no record is made."""
        named = (
            name
            for name, rules in self.form.fields.items()
            if rules["required"] and name not in self.optional
        )
        return (*named, *self.only_new_need)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "regions",
            "regionals",
            Regional,
            REGIONAL_FORM,
            ("code",),
            never_exported=frozenset({"parent_id", "thumbnail"}),
            extra_columns=frozenset({"parent"}),
            check_row=_check_parent,
            is_bulk=True,
            headerless=Headerless(
                ("code", "name"),
                lambda cells: len(cells) == 2 and _REGION_CODE.fullmatch(cells[0]) is not None,
            ),
        ),
        Kind("organizations", "organizations", Organization, ORGANIZATION_FORM, ("name",)),
        Kind("categories", "categories", Category, CATEGORY_FORM, ("name",)),
        Kind("classifications", "classifications", Classification, CLASSIFICATION_FORM, ("name",)),
        Kind(
            "map-projection-systems",
            "map_projection_systems",
            MapProjectionSystem,
            MAP_PROJECTION_SYSTEM_FORM,
            ("name",),
        ),
        Kind(
            "users",
            "users",
            User,
            USER_FORM,
            ("username",),
            {
                "role": Reference("role_id", Role),
                "organization": Reference("organization_id", Organization),
            },
            only_on_creation=frozenset({"password"}),
            never_exported=frozenset({"password"}),
            optional=frozenset({"password", "organization_id"}),
        ),
        Kind(
            "map-sources",
            "map_sources",
            MapSource,
            MAP_SOURCE_FORM,
            ("name", "url"),
            {"credential": Reference("credential_id", Credential)},
        ),
        Kind(
            "mapsets",
            "mapsets",
            Mapset,
            MAPSET_CHANGE_FORM,
            ("producer_id", "name"),
            {
                "projection_system": Reference(
                    "projection_system_id", MapProjectionSystem, ("name", "authority_code")
                ),
                "category": Reference("category_id", Category),
                "classification": Reference("classification_id", Classification),
                "producer": Reference("producer_id", Organization),
                "regional": Reference("regional_id", Regional, ("code", "name")),
                "sources": Reference("source_id", MapSource, is_list=True),
            },
            never_exported=frozenset({"notes"}),
            only_new_need=("layer_url", "metadata_url"),
            is_bulk=True,
        ),
        Kind("news", "news", News, NEWS_FORM, ("name",)),
        Kind("files", "files", File, FILE_IMPORT_FORM, ("path",)),
    )
}
