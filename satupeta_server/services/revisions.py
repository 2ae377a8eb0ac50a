"""The revisions of mapsets: listed, seen, compared, restored."""

import uuid
from typing import Any

import orjson
import peewee
from peewee import SQL, fn

from satupeta_server.database import database
from satupeta_server.errors import NotFoundError
from satupeta_server.models.mapsets import Mapset, MapsetRevision
from satupeta_server.queries.listing import ListRequest
from satupeta_server.queries.scopes import within
from satupeta_server.representations.base import array_text
from satupeta_server.representations.revisions import FULL_REVISION, REVISION
from satupeta_server.security.callers import Caller
from satupeta_server.services.audit import record_action
from satupeta_server.services.mapsets import MapsetService
from satupeta_server.services.records import Document, Page, Revisions, Values, fetch_row
from satupeta_server.settings import Settings

RESTORED = (
    "name",
    "description",
    "scale",
    "layer_url",
    "metadata_url",
    "data_status",
    "data_update_period",
    "data_version",
    "coverage_level",
    "coverage_area",
    "classification_id",
    "category_id",
    "projection_system_id",
    "producer_id",
    "regional_id",
    "temporal_start",
    "temporal_end",
    "bounding_box",
    "is_popular",
    "is_active",
)
"""What comes back besides the sources: never the verification, which was of its own time."""
# PostgreSQL itself turns the JSON, which it once made of a row, into a row again.
_ROW_OF_STATE = (
    "SELECT past.*, state AS kept_state"
    " FROM mapset_revisions, jsonb_populate_record(NULL::mapsets, state) AS past"
    " WHERE mapset_id = %s AND mapset_revisions.revision = %s"
)
_ALWAYS_DIFFERENT = {"revision", "updated_at", "updated_by"}


class RevisionService:
    """Every state that a mapset ever had; a deleted mapset's too."""

    def __init__(self, settings: Settings, mapsets: MapsetService) -> None:
        self.settings = settings
        self.mapsets = mapsets

    async def list(self, caller: Caller, mapset_id: uuid.UUID, request: ListRequest) -> Page:
        """Give a page of a mapset's revisions, the newest first; raises NotFoundError."""
        most = self.settings.list_limit
        limit = most if request.limit is None else min(request.limit, most)
        source = MapsetRevision.alias()
        condition = _visible(caller, mapset_id, source)
        columns = (source.mapset_id, source.revision, source.created_at, source.user_id)
        rows = source.select(*columns).where(condition).order_by(source.revision.desc())
        page = rows.limit(limit).offset(request.offset).alias("page")
        items = array_text(REVISION.json(page.c), page)
        total = source.select(fn.count(SQL("*"))).where(condition)
        text, count = await fetch_row(peewee.Select(columns=[items, total])) or ("[]", 0)
        if not count:
            # Every mapset has its first revision, so there is none that this caller may see.
            raise NotFoundError
        return Page(text, count, limit, request.offset, has_more=request.offset + limit < count)

    async def get(self, caller: Caller, mapset_id: uuid.UUID, revision: int) -> Document:
        """Give one revision with the full state; raises NotFoundError."""
        source = MapsetRevision.alias()
        condition = _visible(caller, mapset_id, source) & (source.revision == revision)
        shape = FULL_REVISION.json(source).cast("text")
        row = await fetch_row(source.select(shape).where(condition))
        if row is None:
            raise NotFoundError
        return Document(row[0], revision)

    async def compare(
        self, caller: Caller, mapset_id: uuid.UUID, first: int, second: int
    ) -> dict[str, object]:
        """Give the fields in which two revisions differ, with both values.

        What differs by itself, such as the number of the revision, is left out. Raises
        NotFoundError when one of the two is not there.
        """
        states = [
            orjson.loads((await self.get(caller, mapset_id, one)).json)["state"]
            for one in (first, second)
        ]
        before, after = states
        differences = [
            {"field": name, "from": before.get(name), "to": after.get(name)}
            for name in sorted({*before, *after} - _ALWAYS_DIFFERENT)
            if before.get(name) != after.get(name)
        ]
        return {"mapset_id": mapset_id, "from": first, "to": second, "differences": differences}

    async def restore(
        self, caller: Caller, mapset_id: uuid.UUID, revision: int, expected: Revisions = None
    ) -> Document:
        """Give a mapset the content of an earlier revision, by a change like any other.

        The state of its verification stays what it is. Raises NotFoundError for a revision that
        is not there, and all that :meth:`MapsetService.update` raises.
        """
        caller.scope("mapsets:write")
        async with database.whole():
            await self.get(caller, mapset_id, revision)
            values = await _content(mapset_id, revision)
            document = await self.mapsets.update(caller, mapset_id, values, expected)
            await record_action(
                caller,
                "restore_revision",
                "mapsets",
                mapset_id,
                from_revision=revision,
                revision=document.revision,
            )
            return document


def _visible(caller: Caller, mapset_id: uuid.UUID, source: Any) -> Any:
    """The condition of a mapset's revisions: who sees its history sees them, too."""
    mapset = Mapset.alias()
    own = within(caller.scope("histories:read"), caller, mapset)
    known = mapset.select(mapset.id).where((mapset.id == mapset_id) & own)
    return (source.mapset_id == mapset_id) & source.mapset_id.in_(known)


async def _content(mapset_id: uuid.UUID, revision: int) -> Values:
    """Read the content of a revision as values of columns; what it lacks stays as it is."""
    rows = await Mapset.raw(_ROW_OF_STATE, str(mapset_id), revision).aio_execute()
    state = rows[0].kept_state
    values = {name: getattr(rows[0], name) for name in RESTORED if name in state}
    if "source_id" in state:
        values["source_id"] = [uuid.UUID(one) for one in state["source_id"]]
    return values
