"""Administrative regions."""

import uuid
from typing import Any

from satupeta_server.errors import invalid
from satupeta_server.models.files import File
from satupeta_server.models.regionals import Regional
from satupeta_server.representations.regionals import REGIONAL, REGIONALS_LISTING
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import RecordService, Resource, Values

_DEEPEST = 16


class RegionalService(RecordService):
    """Regions form a tree, and have a time in which their code is in force."""

    resource = Resource(
        "regionals",
        REGIONAL,
        REGIONALS_LISTING,
        references={"thumbnail": File, "parent_id": Regional},
    )

    async def prepared(self, caller: Caller, values: Values, row: Any) -> Values:
        """Refuse a circle of parents and an end before the start; raises InvalidError."""
        del caller
        start = values.get("valid_from", getattr(row, "valid_from", None))
        end = values.get("valid_to", getattr(row, "valid_to", None))
        if start and end and end < start:
            raise invalid("valid_to", "order_of_dates")
        if row is not None and values.get("parent_id"):
            await _refuse_circle(row.id, values["parent_id"])
        return values


async def _refuse_circle(region_id: uuid.UUID, parent_id: uuid.UUID | None) -> None:
    for _ in range(_DEEPEST):
        if parent_id is None:
            return
        if parent_id == region_id:
            break
        # Locked in turn, so that two changes at once cannot close a circle together.
        query = Regional.select().where(Regional.id == parent_id).for_update()
        rows = await query.aio_execute()
        parent_id = rows[0].parent_id if rows else None
    raise invalid("parent_id", "parent_cycle")
