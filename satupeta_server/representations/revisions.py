"""What a revision of a mapset looks like, and the difference of two."""

from typing import Any

from peewee import SQL, fn

from satupeta_server.models.mapsets import MapsetRevision
from satupeta_server.representations.base import (
    Member,
    Representation,
    Schema,
    embedded,
    identifier,
    integer,
    moment,
)
from satupeta_server.representations.histories import HISTORY_USER
from satupeta_server.representations.mapsets import box_array


def _state(source: Any) -> Any:
    """The state as it was kept, with the bounding box as the API writes it."""
    box = fn.jsonb_extract_path_text(source.state, SQL("'bounding_box'")).cast("box")
    shown = fn.jsonb_build_object(SQL("'bounding_box'"), box_array(box))
    return fn.jsonb_concat(source.state, shown)


REVISION = Representation(
    "MapsetRevision",
    MapsetRevision,
    {
        "mapset_id": identifier("mapset_id"),
        "revision": integer("revision"),
        "timestamp": moment("created_at"),
        "user": embedded(HISTORY_USER, "user_id"),
    },
)
FULL_REVISION = REVISION.subset(
    "FullMapsetRevision",
    *REVISION.members,
    state=Member(
        _state,
        {
            "type": "object",
            "description": "The columns of the mapset, and `source_id`, as the change left them.",
        },
    ),
)
COMPARISON: Schema = {
    "type": "object",
    "required": ["mapset_id", "from", "to", "differences"],
    "properties": {
        "mapset_id": {"type": "string", "format": "uuid"},
        "from": {"type": "integer"},
        "to": {"type": "integer"},
        "differences": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "from", "to"],
                "properties": {"field": {"type": "string"}, "from": {}, "to": {}},
            },
        },
    },
}
