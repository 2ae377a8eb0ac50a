"""What an entry of a mapset's history looks like."""

from satupeta_server.models.mapsets import STATUSES, MapsetHistory
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import (
    Representation,
    choice,
    embedded,
    identifier,
    moment,
    text,
)
from satupeta_server.representations.users import USER

HISTORY_USER = USER.subset("HistoryUser", "id", "name")

HISTORY = Representation(
    "MapsetHistory",
    MapsetHistory,
    {
        "id": identifier("id"),
        "mapset_id": identifier("mapset_id"),
        "validation_type": choice("validation_type", STATUSES),
        "notes": text("notes", null=True),
        "timestamp": moment("created_at"),
        "user": embedded(HISTORY_USER, "user_id"),
    },
)

HISTORIES_LISTING = Listing(
    MapsetHistory,
    filters=("id", "mapset_id", "validation_type", "user_id", "created_at"),
    sorts=("validation_type", "created_at"),
    extra_sorts={"timestamp": lambda source: source.created_at},
    has_names=False,
    default_sort="created_at:desc",
    is_capped=True,
)
