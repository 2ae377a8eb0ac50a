"""Bringing the histories of mapsets' statuses, which are only ever added to."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from satupeta_server.database import database
from satupeta_server.errors import AppError, UnavailableError
from satupeta_server.models.mapsets import STATUSES, Mapset, MapsetHistory
from satupeta_server.models.users import SYSTEM_USER_ID, User
from satupeta_server.queries.values import ValueProblem, is_storable, parse_uuid
from satupeta_server.schemas.fields import LONGEST_TEXT
from satupeta_server.transfer.converting import reasons
from satupeta_server.transfer.portal.drafts import Draft, draft_of, moment
from satupeta_server.transfer.portal.outcomes import Entry, Fate
from satupeta_server.transfer.portal.resources import HISTORIES

_COMPARED = ("mapset_id", "validation_type", "notes")


async def store(documents: Sequence[Any], zone: ZoneInfo) -> list[Entry]:
    """Store entries of histories, inside a transaction of the caller's."""
    drafts = [_shaped(draft_of(HISTORIES, one, zone), zone) for one in documents]
    good = [draft for draft in drafts if not draft.failure]
    here = await _rows(MapsetHistory, [draft.id for draft in good])
    mapsets = await _ids(Mapset, [draft.values["mapset_id"] for draft in good])
    users = await _ids(User, [draft.values["user_id"] for draft in good])
    entries: list[Entry] = []
    new: list[Draft] = []
    for draft in drafts:
        row = here.get(draft.id)
        if draft.failure:
            entries.append(draft.failed())
        elif row is not None:
            entries.append(_met(draft, row))
        elif draft.values["mapset_id"] not in mapsets:
            # The histories of deleted mapsets are told, the mapsets themselves are not.
            entries.append(draft.entry(Fate.SKIPPED, mapset_id=["The mapset is not here."]))
        else:
            if draft.values["user_id"] not in users:
                draft.values["user_id"] = SYSTEM_USER_ID
            new.append(draft)
    return entries + await _insert(new)


def _shaped(draft: Draft, zone: ZoneInfo) -> Draft:
    document = draft.document
    status, notes = document.get("validation_type"), document.get("notes")
    when = moment(document.get("timestamp") or document.get("created_at"), zone)
    mapset_id = _id(document.get("mapset_id") or document.get("mapset"))
    if status not in STATUSES:
        draft.failure["validation_type"] = [f"It must be one of {', '.join(STATUSES)}."]
    if when is None:
        draft.failure["timestamp"] = ["It must be a date and time with its offset."]
    if mapset_id is None:
        draft.failure["mapset_id"] = ["It must be the id of a mapset."]
    text = notes.strip() if isinstance(notes, str) else ""
    if len(text) > LONGEST_TEXT or not is_storable(text):
        draft.leave_out("notes", "The text is too long, or has letters that cannot be stored.")
        text = ""
    draft.values = {
        "mapset_id": mapset_id,
        "validation_type": status,
        "notes": text or None,
        "user_id": _id(document.get("user_id") or document.get("user")) or SYSTEM_USER_ID,
        "created_at": when,
    }
    return draft


def _met(draft: Draft, row: Any) -> Entry:
    if all(getattr(row, name) == draft.values[name] for name in _COMPARED):
        return draft.entry(Fate.UNCHANGED)
    return draft.entry(Fate.SKIPPED, **{"": ["It differs here."]})


async def _insert(drafts: Sequence[Draft]) -> list[Entry]:
    if not drafts:
        return []
    try:
        async with database.whole():
            rows = [{"id": draft.id, **draft.values} for draft in drafts]
            await MapsetHistory.insert_many(rows).as_rowcount().aio_execute()
    except UnavailableError:
        raise
    except AppError as error:
        if len(drafts) == 1:
            drafts[0].failure.update(reasons(error, "en"))
            return [drafts[0].entry(Fate.FAILED)]
        middle = len(drafts) // 2
        return await _insert(drafts[:middle]) + await _insert(drafts[middle:])
    return [draft.entry(Fate.CREATED) for draft in drafts]


async def _rows(model: Any, ids: Sequence[uuid.UUID | None]) -> Mapping[uuid.UUID | None, Any]:
    query = model.select().where(model.id.in_(list(ids)))
    return {row.id: row for row in await query.aio_execute()}


async def _ids(model: Any, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    query = model.select(model.id).where(model.id.in_(list(set(ids)))).tuples()
    return {record_id for (record_id,) in await query.aio_execute()}


def _id(value: Any) -> uuid.UUID | None:
    text = value.get("id") if isinstance(value, dict) else value
    try:
        return parse_uuid(str(text).strip())
    except ValueProblem:
        return None
