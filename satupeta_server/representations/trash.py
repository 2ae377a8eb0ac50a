"""What deleted records look like: as they were, with the moment of their deletion."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from satupeta_server.models.files import File
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import Representation, moment
from satupeta_server.representations.categories import CATEGORIES_LISTING, CATEGORY
from satupeta_server.representations.classifications import CLASSIFICATION, CLASSIFICATIONS_LISTING
from satupeta_server.representations.credentials import CREDENTIAL, CREDENTIALS_LISTING
from satupeta_server.representations.files import FILE
from satupeta_server.representations.map_projection_systems import (
    MAP_PROJECTION_SYSTEM,
    MAP_PROJECTION_SYSTEMS_LISTING,
)
from satupeta_server.representations.map_sources import MAP_SOURCE, MAP_SOURCES_LISTING
from satupeta_server.representations.mapsets import MAPSET, MAPSETS_LISTING
from satupeta_server.representations.news import NEWS, NEWS_LISTING
from satupeta_server.representations.organizations import ORGANIZATION, ORGANIZATIONS_LISTING
from satupeta_server.representations.regionals import REGIONAL, REGIONALS_LISTING
from satupeta_server.representations.users import USER, USERS_LISTING

_FILES_LISTING = Listing(
    File,
    filters=("id", "name", "content_type", "uploaded_by", "created_at", "updated_at"),
    sorts=("name", "size", "created_at", "updated_at"),
    is_searchable=False,
)


@dataclass(frozen=True)
class Deleted:
    """The shape of one subject's deleted records, and how their list can be asked for."""

    representation: Representation
    listing: Listing


def _deleted(shape: Representation, listing: Listing) -> Deleted:
    members = {**shape.members, "deleted_at": moment("deleted_at")}
    return Deleted(
        Representation(f"Deleted{shape.name}", shape.model, members),
        replace(
            listing,
            filters=(*listing.filters, "deleted_at"),
            sorts=(*listing.sorts, "deleted_at"),
            default_sort="deleted_at:desc",
            has_names=False,
            is_capped=True,
            has_cursor=False,
            facets={},
            narrowings={},
        ),
    )


TRASH: Mapping[str, Deleted] = {
    "mapsets": _deleted(MAPSET, MAPSETS_LISTING),
    "news": _deleted(NEWS, NEWS_LISTING),
    "organizations": _deleted(ORGANIZATION, ORGANIZATIONS_LISTING),
    "categories": _deleted(CATEGORY, CATEGORIES_LISTING),
    "classifications": _deleted(CLASSIFICATION, CLASSIFICATIONS_LISTING),
    "map_projection_systems": _deleted(MAP_PROJECTION_SYSTEM, MAP_PROJECTION_SYSTEMS_LISTING),
    "regionals": _deleted(REGIONAL, REGIONALS_LISTING),
    "map_sources": _deleted(MAP_SOURCE, MAP_SOURCES_LISTING),
    "credentials": _deleted(CREDENTIAL, CREDENTIALS_LISTING),
    "users": _deleted(USER, USERS_LISTING),
    "files": _deleted(FILE, _FILES_LISTING),
}
"""By subject, all whose records are deleted softly."""
