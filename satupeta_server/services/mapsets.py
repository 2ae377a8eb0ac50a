"""Mapsets: their sources, their verification, their history and revisions."""

import uuid
from collections.abc import Sequence
from typing import Any

import peewee

from satupeta_server.database import database
from satupeta_server.errors import ConflictError, ForbiddenError, invalid
from satupeta_server.messages import Message
from satupeta_server.models.categories import Category
from satupeta_server.models.classifications import Classification
from satupeta_server.models.kept_counts import MapsetChange
from satupeta_server.models.map_projection_systems import MapProjectionSystem
from satupeta_server.models.map_sources import MapSource
from satupeta_server.models.mapsets import Mapset, MapsetHistory, MapsetSource, record_revisions
from satupeta_server.models.organizations import Organization
from satupeta_server.models.regionals import Regional
from satupeta_server.representations.base import array_text
from satupeta_server.representations.mapsets import MAPSET, MAPSETS_LISTING
from satupeta_server.security.callers import Caller
from satupeta_server.security.permissions import Scope
from satupeta_server.services.cursor_pages import CursorService
from satupeta_server.services.layers import bounding_box_of
from satupeta_server.services.notifications import announce
from satupeta_server.services.records import (
    Resource,
    Revisions,
    Values,
    differing,
    fetch_row,
    is_living,
)
from satupeta_server.services.verification import (
    APPROVED,
    IN_VERIFICATION,
    check_transition,
    refuse_stale_dialog,
)

_SWITCHES = {"is_active", "is_popular"}


class MapsetService(CursorService):
    """Map layers, which agencies publish and validators verify."""

    resource = Resource(
        "mapsets",
        MAPSET,
        MAPSETS_LISTING,
        references={
            "classification_id": Classification,
            "category_id": Category,
            "projection_system_id": MapProjectionSystem,
            "producer_id": Organization,
            "regional_id": Regional,
        },
    )
    changes = MapsetChange

    async def set_active(
        self, caller: Caller, mapset_ids: Sequence[uuid.UUID], *, is_active: bool
    ) -> str:
        """Activate or deactivate several mapsets, all or none; gives them as a JSON array.

        Raises NotFoundError or ForbiddenError when one of them is not the caller's to change.
        """
        caller.scope("mapsets:activate")
        async with database.whole():
            # In one order for everybody, so that two callers never wait for each other.
            for mapset_id in sorted(set(mapset_ids)):
                await self.update(caller, mapset_id, {"is_active": is_active})
            source = Mapset.alias()
            rows = source.select().where(source.id.in_(list(mapset_ids))).order_by(source.id)
            page = rows.alias("page")
            items = array_text(MAPSET.json(page.c), page)
            row = await fetch_row(peewee.Select(columns=[items]))
        return str(row[0]) if row else "[]"

    async def locked(self, caller: Caller, record_id: uuid.UUID, expected: Revisions) -> Any:
        """Read a mapset with its sources, and hold it."""
        row = await super().locked(caller, record_id, expected)
        row.source_id = await _sources_of(row)
        row.is_confirmed = expected is not None
        return row

    async def referred(self, row: Any) -> Values:
        """Give the sources, too."""
        return {**await super().referred(row), "source_id": await _sources_of(row)}

    async def prepared(self, caller: Caller, values: Values, row: Any) -> Values:
        """Apply the rules of ownership, verification, sources, extent and time."""
        self._check_producer(caller, values)
        prepared = dict(values)
        if "source_id" in prepared:
            prepared["source_id"] = list(dict.fromkeys(prepared["source_id"] or []))
        _check_temporal_order(prepared, row)
        if row is None:
            self._begin_verification(caller, prepared)
            extent = prepared.get("bounding_box") or bounding_box_of(prepared.get("layer_url"))
            author = {"created_by": caller.user_id, "updated_by": caller.user_id}
            return {**prepared, **author, "bounding_box": extent}
        is_switched = prepared.get("is_active", row.is_active) != row.is_active
        if is_switched and not caller.may("mapsets:activate"):
            raise ForbiddenError
        await self._lead_verification(caller, prepared, row)
        _follow_layer(prepared, row)
        if differing(row, prepared):
            prepared["updated_by"] = caller.user_id
        return prepared

    async def reference_errors(self, values: Values, row: Any) -> dict[str, list[Message]]:
        """Look at the newly named sources, too."""
        errors = await super().reference_errors(values, row)
        known = getattr(row, "source_id", [])
        for source_id in values.get("source_id") or []:
            if source_id not in known and not await is_living(MapSource, source_id):
                errors["source_id"] = [Message("unknown_reference")]
        return errors

    async def write(self, row: Any, changes: Values) -> None:
        """Write the columns and, where they change, the sources."""
        row.status_before = row.status_validation
        columns = dict(changes)
        sources = columns.pop("source_id", None)
        await super().write(row, columns)
        if sources is not None:
            await MapsetSource.delete().where(MapsetSource.mapset_id == row.id).aio_execute()
            await _link(row.id, sources)

    async def created(self, caller: Caller, row: Any, values: Values) -> None:
        """Link the sources, begin the history and keep the first revision."""
        del values
        await _link(row.id, getattr(row, "source_id", []))
        await self._record_status(caller, row)
        await record_revisions([row.id], caller.identity()).aio_execute()

    async def updated(self, caller: Caller, row: Any, changes: Values) -> None:
        """Record a change of the status in the history and every change as a revision."""
        if "status_validation" in changes:
            await self._record_status(caller, row)
        await record_revisions([row.id], caller.identity()).aio_execute()

    async def _record_status(self, caller: Caller, row: Any) -> None:
        await announce(self.settings, caller, row, getattr(row, "status_before", None))
        await MapsetHistory.insert(
            mapset_id=row.id,
            validation_type=row.status_validation,
            notes=row.notes,
            user_id=caller.identity(),
        ).aio_execute()

    @staticmethod
    def _check_producer(caller: Caller, values: Values) -> None:
        is_narrowed = caller.scope("mapsets:write") is Scope.OWN
        producer = values.get("producer_id", caller.organization_id)
        if is_narrowed and producer != caller.organization_id:
            raise ForbiddenError("not_own_organization")

    @staticmethod
    def _begin_verification(caller: Caller, values: Values) -> None:
        status = values.setdefault("status_validation", IN_VERIFICATION)
        if status == IN_VERIFICATION:
            return
        if not caller.may("mapsets:verify"):
            raise ForbiddenError("verify_needed")
        raise invalid("status_validation", "starts_in_verification")

    async def _lead_verification(self, caller: Caller, values: Values, row: Any) -> None:
        """Leave in ``values`` a status and notes only where the status really changes."""
        refuse_stale_dialog(caller, row, values)
        is_edit = bool(set(values) - {"status_validation", "notes"})
        status, notes = values.pop("status_validation", None), values.pop("notes", None)
        if status is not None and status != row.status_validation:
            # An edit form repeats the status that it was opened with: only by itself, or by
            # who knows the present revision, is it meant as a new one.
            if is_edit and status == IN_VERIFICATION and not row.is_confirmed:
                raise ConflictError("status_outdated")
            await check_transition(caller, row, status, is_confirmed=row.is_confirmed)
            values |= {"status_validation": status, "notes": notes}
        elif self._returns_to_verification(values, row):
            values |= {"status_validation": IN_VERIFICATION, "notes": None}

    def _returns_to_verification(self, values: Values, row: Any) -> bool:
        is_edited = set(differing(row, values)) - _SWITCHES
        return bool(
            self.settings.reverify_on_edit and is_edited and row.status_validation == APPROVED
        )


async def _sources_of(row: Any) -> list[uuid.UUID]:
    links = MapsetSource.select().where(MapsetSource.mapset_id == row.id)
    ordered = await links.order_by(MapsetSource.position).aio_execute()
    return [link.map_source_id for link in ordered]


async def _link(mapset_id: uuid.UUID, sources: Sequence[uuid.UUID]) -> None:
    links = [
        {"mapset_id": mapset_id, "map_source_id": source_id, "position": position}
        for position, source_id in enumerate(sources)
    ]
    if links:
        await MapsetSource.insert_many(links).as_rowcount().aio_execute()


def _check_temporal_order(values: Values, row: Any) -> None:
    start = values.get("temporal_start", getattr(row, "temporal_start", None))
    end = values.get("temporal_end", getattr(row, "temporal_end", None))
    if start and end and end < start:
        raise invalid("temporal_end", "order_of_dates")


def _follow_layer(values: Values, row: Any) -> None:
    """Take the extent from a new layer address, unless it was given by hand."""
    if "bounding_box" in values or values.get("layer_url", row.layer_url) == row.layer_url:
        return
    if row.bounding_box is None or row.bounding_box == bounding_box_of(row.layer_url):
        values["bounding_box"] = bounding_box_of(values["layer_url"])
