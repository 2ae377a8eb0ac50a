"""Writing mapsets with their sources, revisions and, where the other side tells none, histories."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from satupeta_server.database import database
from satupeta_server.errors import AppError, UnavailableError
from satupeta_server.models.base import new_id
from satupeta_server.models.mapsets import Mapset, MapsetHistory, MapsetSource, record_revisions
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.services.layers import bounding_box_of
from satupeta_server.services.mapsets import MapsetService
from satupeta_server.transfer.converting import reasons
from satupeta_server.transfer.portal.drafts import Draft
from satupeta_server.transfer.portal.outcomes import Entry, Fate


class MapsetWriter:
    """Writes mapsets as they stand there, whatever the state of their verification."""

    def __init__(self, service: MapsetService) -> None:
        self._service = service
        self.has_histories = False
        """Whether the other side tells the histories, which then come by themselves."""

    async def create(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Make new mapsets, together where that goes, else each by itself."""
        if not drafts:
            return []
        try:
            async with database.whole():
                await self._insert(drafts)
        except UnavailableError:
            raise
        except AppError as error:
            if len(drafts) == 1:
                drafts[0].failure.update(reasons(error, "en"))
                return [drafts[0].entry(Fate.FAILED)]
            middle = len(drafts) // 2
            return await self.create(drafts[:middle]) + await self.create(drafts[middle:])
        return [draft.entry(Fate.CREATED) for draft in drafts]

    async def update(self, row: Any, changes: Mapping[str, Any], moment: datetime.datetime) -> None:
        """Give a mapset here the values that it has there."""
        await self._service.write(row, dict(changes))
        await record_revisions([row.id], SYSTEM_USER_ID).aio_execute()
        if "status_validation" in changes and not self.has_histories:
            await MapsetHistory.insert(**_history(row, moment)).aio_execute()

    async def _insert(self, drafts: Sequence[Draft]) -> None:
        rows = [_row(draft) for draft in drafts]
        await Mapset.insert_many(rows).as_rowcount().aio_execute()
        links = [
            {"mapset_id": draft.id, "map_source_id": source, "position": position}
            for draft in drafts
            for position, source in enumerate(draft.values.get("source_id") or ())
        ]
        if links:
            await MapsetSource.insert_many(links).as_rowcount().aio_execute()
        await record_revisions([row["id"] for row in rows], SYSTEM_USER_ID).aio_execute()
        if not self.has_histories:
            told = [_history(Mapset(**row), row["updated_at"]) for row in rows]
            await MapsetHistory.insert_many(told).as_rowcount().aio_execute()


def _row(draft: Draft) -> dict[str, Any]:
    """Every column, so that rows which lack different ones go together."""
    given = {name: value for name, value in draft.values.items() if name != "source_id"}
    mapset = Mapset(
        **{
            **given,
            **draft.extra,
            "id": draft.id,
            "created_by": SYSTEM_USER_ID,
            "updated_by": SYSTEM_USER_ID,
        }
    )
    mapset.bounding_box = mapset.bounding_box or bounding_box_of(given.get("layer_url"))
    return {name: mapset.__data__.get(name) for name in Mapset._meta.sorted_field_names}


def _history(row: Any, moment: datetime.datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "mapset_id": row.id,
        "validation_type": row.status_validation,
        "notes": row.notes,
        "user_id": SYSTEM_USER_ID,
        "created_at": moment,
    }
