"""What there is, and how long verification takes: figures of the mapsets that somebody may see."""

import asyncio
import datetime
import time
import uuid
from dataclasses import dataclass
from typing import Any

import orjson
import peewee
from peewee_async.databases import fetchone

from satupeta_server.database import database
from satupeta_server.errors import AppError
from satupeta_server.models.mapsets import Mapset
from satupeta_server.representations.statistics import figures_parameters, figures_statement
from satupeta_server.security.callers import Caller
from satupeta_server.services.mapsets import MapsetService
from satupeta_server.settings import Settings
from satupeta_server.tasks import spawn

KEPT_SECONDS = 30.0
"""How long figures that everybody may see are given again while no record changes."""
_MOST_KEPT = 200


@dataclass(frozen=True)
class Chosen:
    """Which mapsets the figures are of; days are those of TIMEZONE, both included."""

    organization_id: uuid.UUID | None = None
    first: datetime.date | None = None
    last: datetime.date | None = None


@dataclass(frozen=True)
class _Kept:
    version: int
    begun: float
    figures: "asyncio.Task[dict[str, Any]]"


class StatisticsService:
    """Counts what the caller may see, in one statement."""

    def __init__(self, settings: Settings, mapsets: MapsetService) -> None:
        self._settings = settings
        self._mapsets = mapsets
        self._kept: dict[Chosen, _Kept] = {}

    async def figures(
        self, caller: Caller, chosen: Chosen, version: int | None = None
    ) -> dict[str, Any]:
        """Give the figures, lists by size; hours of verification are null without a decision.

        Those that everybody may see are given again for KEPT_SECONDS to who comes with the same
        ``version`` of the records; None is one that nobody knows.
        """
        if version is None or not caller.is_anonymous:
            return await self._counted(caller, chosen)
        kept, begin = self._kept.get(chosen), time.monotonic()
        if kept is None or kept.version != version or begin - kept.begun > KEPT_SECONDS:
            # Who comes meanwhile waits for the same count: over a million mapsets it is dear.
            kept = _Kept(version, begin, spawn(self._counted(caller, chosen)))
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[chosen] = kept
        try:
            return await asyncio.shield(kept.figures)
        except AppError:
            if self._kept.get(chosen) is kept:
                del self._kept[chosen]
            raise

    async def _counted(self, caller: Caller, chosen: Chosen) -> dict[str, Any]:
        visible, values = self._visible(caller, chosen).sql()
        zone = self._settings.timezone
        given = [*values, *figures_parameters(chosen.first, chosen.last, zone)]
        statement = figures_statement(visible)
        (text,) = await database.aio_execute_sql(statement, given, fetchone)
        figures: dict[str, Any] = orjson.loads(text)
        return figures

    def _visible(self, caller: Caller, chosen: Chosen) -> Any:
        source = Mapset.alias()
        condition = self._mapsets.visible(caller, source)
        if chosen.organization_id is not None:
            condition &= source.producer_id == chosen.organization_id
        columns = (
            source.id,
            source.status_validation,
            source.category_id,
            source.producer_id,
            source.regional_id,
            source.created_at,
        )
        query: peewee.ModelSelect = source.select(*columns).where(condition)
        return query
