"""What there is, and how long verification takes: figures of the mapsets that somebody may see."""

import datetime
import time
import uuid
from dataclasses import dataclass
from typing import Any

import orjson
import peewee
from peewee_async.databases import fetchone

from satupeta_server.database import database
from satupeta_server.models.mapsets import Mapset
from satupeta_server.security.callers import Caller
from satupeta_server.services.mapsets import MapsetService
from satupeta_server.settings import Settings

MOST_VALUES = 1000
"""Organizations, categories or regions that are told, those with the most mapsets."""

KEPT_SECONDS = 30.0
_MOST_KEPT = 200
MOST_SEEN = 20
"""Mapsets that are told by name, the most viewed ones."""

_CHOSEN = """chosen AS MATERIALIZED (SELECT * FROM visible
    WHERE created_at >= coalesce(%s::timestamptz, '-infinity')
    AND created_at < coalesce(%s::timestamptz, 'infinity'))"""
# On those days, of mapsets of any age.
_HITS = """hit AS (SELECT visible.id, visible.name, visible.producer_id, views, downloads
    FROM mapset_hits JOIN visible ON visible.id = mapset_hits.mapset_id
    WHERE day >= coalesce(%s::date, '-infinity') AND day <= coalesce(%s::date, 'infinity'))"""
_PARTS = {
    "organization": ("producer_id", "organizations"),
    "category": ("category_id", "categories"),
    "region": ("regional_id", "regionals"),
}
# A decision counts from the last time before it that the mapset was handed in.
_FIGURES = """SELECT json_build_object(
    'total', (SELECT count(*) FROM chosen),
    'by_status', (SELECT coalesce(json_agg(json_build_object('value', value, 'count', count)
        ORDER BY count DESC, value), '[]') FROM (
        SELECT status_validation AS value, count(*) FROM chosen GROUP BY 1) AS counted),
    {named}
    'by_month', (SELECT coalesce(json_agg(json_build_object('value', value, 'count', count)
        ORDER BY value), '[]') FROM (
        SELECT to_char(created_at AT TIME ZONE %s, 'YYYY-MM') AS value, count(*)
        FROM chosen GROUP BY 1) AS counted),
    'hits', (SELECT json_build_object('views', coalesce(sum(views), 0),
        'downloads', coalesce(sum(downloads), 0)) FROM hit),
    'by_hits', (SELECT coalesce(json_agg(json_build_object('id', id, 'name', name,
        'views', views, 'downloads', downloads)), '[]') FROM (
        SELECT id, name, sum(views) AS views, sum(downloads) AS downloads
        FROM hit GROUP BY id, name ORDER BY 3 DESC, 4 DESC, 1 LIMIT {most_seen}) AS listed),
    'hits_by_organization', (SELECT coalesce(json_agg(json_build_object('id', id, 'name', name,
        'views', views, 'downloads', downloads)), '[]') FROM (
        SELECT organizations.id, organizations.name, sum(views) AS views,
            sum(downloads) AS downloads
        FROM hit JOIN organizations ON organizations.id = hit.producer_id
        GROUP BY organizations.id ORDER BY 3 DESC, 4 DESC, 1 LIMIT {most_values}) AS listed),
    'verification', (SELECT json_build_object('decisions', count(*),
        'median_hours', round((percentile_cont(0.5) WITHIN GROUP (ORDER BY hours))::numeric, 2),
        'p90_hours', round((percentile_cont(0.9) WITHIN GROUP (ORDER BY hours))::numeric, 2))
        FROM (
            SELECT extract(epoch FROM created_at - before_at) / 3600 AS hours FROM (
                SELECT history.created_at, history.validation_type,
                    lag(history.created_at) OVER steps AS before_at,
                    lag(history.validation_type) OVER steps AS before_type
                FROM mapset_histories AS history JOIN chosen ON chosen.id = history.mapset_id
                WINDOW steps AS (PARTITION BY mapset_id ORDER BY history.created_at, history.id)
            ) AS step
            WHERE validation_type IN ('approved', 'rejected') AND before_type = 'on_verification'
        ) AS decision)
)::text"""
_NAMED = """'by_{name}', (SELECT coalesce(json_agg(json_build_object(
        'id', id, 'name', name, 'count', count) ORDER BY count DESC, lower(name), id), '[]') FROM (
        SELECT named.id, named.name, counted.count FROM (
            SELECT {column} AS id, count(*) FROM chosen GROUP BY 1
            ORDER BY 2 DESC, 1 LIMIT {most}
        ) AS counted JOIN {table} AS named ON named.id = counted.id) AS listed),"""


@dataclass(frozen=True)
class Chosen:
    """Which mapsets the figures are of; days are those of TIMEZONE, both included."""

    organization_id: uuid.UUID | None = None
    first: datetime.date | None = None
    last: datetime.date | None = None


class StatisticsService:
    """Counts what the caller may see, in one statement."""

    def __init__(self, settings: Settings, mapsets: MapsetService) -> None:
        self._settings = settings
        self._mapsets = mapsets
        self._kept: dict[Chosen, tuple[float, dict[str, Any]]] = {}

    async def figures(self, caller: Caller, chosen: Chosen) -> dict[str, Any]:
        """Give the figures, lists by size; hours of verification are null without a decision.

        Those that everybody may see are given again for KEPT_SECONDS.
        """
        if not caller.is_anonymous:
            return await self._counted(caller, chosen)
        kept_at, figures = self._kept.get(chosen, (float("-inf"), {}))
        if time.monotonic() - kept_at > KEPT_SECONDS:
            figures = await self._counted(caller, chosen)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[chosen] = (time.monotonic(), figures)
        return figures

    async def _counted(self, caller: Caller, chosen: Chosen) -> dict[str, Any]:
        rows, values = self._rows(caller, chosen).sql()
        named = "".join(
            _NAMED.format(name=name, column=column, table=table, most=MOST_VALUES)
            for name, (column, table) in _PARTS.items()
        )
        filled = _FIGURES.format(named=named, most_seen=MOST_SEEN, most_values=MOST_VALUES)
        tables = f"WITH visible AS MATERIALIZED ({rows}), {_CHOSEN}, {_HITS}"
        # It begins as a read does, so a standby may answer it.
        statement = f"SELECT figures FROM ({tables} {filled} AS figures) AS counted"  # noqa: S608
        zone = self._settings.zone
        first = chosen.first and _midnight(chosen.first, zone)
        end = chosen.last and _midnight(chosen.last, zone) + _DAY
        given = [*values, first, end, chosen.first, chosen.last, self._settings.timezone]
        (text,) = await database.aio_execute_sql(statement, given, fetchone)
        figures: dict[str, Any] = orjson.loads(text)
        return figures

    def _rows(self, caller: Caller, chosen: Chosen) -> Any:
        source = Mapset.alias()
        condition = self._mapsets.visible(caller, source)
        if chosen.organization_id is not None:
            condition &= source.producer_id == chosen.organization_id
        columns = (
            source.id,
            source.name,
            source.status_validation,
            source.category_id,
            source.producer_id,
            source.regional_id,
            source.created_at,
        )
        query: peewee.ModelSelect = source.select(*columns).where(condition)
        return query


_DAY = datetime.timedelta(days=1)


def _midnight(day: datetime.date, zone: datetime.tzinfo) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time(), zone)
