"""What figures of the mapsets look like, and the statement that makes them."""

from typing import Any

from satupeta_server.representations.base import Schema

MOST_VALUES = 1000
"""Organizations, categories or regions that are told, those with the most mapsets."""

MOST_SEEN = 20
"""Mapsets that are told by name, the most viewed ones."""

_CHOSEN = """chosen AS NOT MATERIALIZED (SELECT * FROM visible
    WHERE created_at >= coalesce(%s::date::timestamp AT TIME ZONE %s, '-infinity')
    AND created_at < coalesce((%s::date + 1)::timestamp AT TIME ZONE %s, 'infinity'))"""
# On those days, of mapsets of any age.
_HITS = """hit AS (SELECT visible.id, visible.producer_id, views, downloads
    FROM mapset_hits JOIN visible ON visible.id = mapset_hits.mapset_id
    WHERE day >= coalesce(%s::date, '-infinity') AND day <= coalesce(%s::date, 'infinity'))"""
_PARTS = {
    "organization": ("producer_id", "organizations"),
    "category": ("category_id", "categories"),
    "region": ("regional_id", "regionals"),
}
# A decision counts from the last time before it that the mapset was handed in. All steps are read,
# the newest first, as an index alone gives them: to look for those of half a million mapsets takes
# ten times as long.
_FIGURES = """SELECT json_build_object(
    'total', (SELECT count(*) FROM chosen),
    'by_status', (SELECT coalesce(json_agg(json_build_object('value', value, 'count', count)
        ORDER BY count DESC, value), '[]') FROM (
        SELECT status_validation AS value, count(*) FROM chosen GROUP BY 1) AS counted),
    {named}
    'by_month', (SELECT coalesce(json_agg(json_build_object('value', value, 'count', count)
        ORDER BY value), '[]') FROM (
        SELECT to_char(month, 'YYYY-MM') AS value, count FROM (
            SELECT date_trunc('month', created_at AT TIME ZONE %s) AS month, count(*)
            FROM chosen GROUP BY 1) AS months) AS counted),
    'hits', (SELECT json_build_object('views', coalesce(sum(views), 0),
        'downloads', coalesce(sum(downloads), 0)) FROM hit),
    'by_hits', (SELECT coalesce(json_agg(json_build_object('id', id, 'name', name,
        'views', views, 'downloads', downloads) ORDER BY views DESC, downloads DESC, id), '[]')
        FROM (SELECT id, sum(views) AS views, sum(downloads) AS downloads
        FROM hit GROUP BY id ORDER BY 2 DESC, 3 DESC, 1 LIMIT {most_seen}) AS most
        JOIN mapsets USING (id)),
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
                SELECT mapset_id, created_at, validation_type,
                    lead(created_at) OVER steps AS before_at,
                    lead(validation_type) OVER steps AS before_type
                FROM mapset_histories
                WINDOW steps AS (PARTITION BY mapset_id ORDER BY created_at DESC, id DESC)
            ) AS step
            WHERE validation_type IN ('approved', 'rejected') AND before_type = 'on_verification'
                AND mapset_id IN (SELECT id FROM chosen)
        ) AS decision)
)::text"""
_NAMED = """'by_{name}', (SELECT coalesce(json_agg(json_build_object(
        'id', id, 'name', name, 'count', count) ORDER BY count DESC, lower(name), id), '[]') FROM (
        SELECT named.id, named.name, counted.count FROM (
            SELECT {column} AS id, count(*) FROM chosen GROUP BY 1
            ORDER BY 2 DESC, 1 LIMIT {most}
        ) AS counted JOIN {table} AS named ON named.id = counted.id) AS listed),"""

_COUNTED: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["count"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "name": {"type": "string"},
            "value": {"type": "string"},
            "count": {"type": "integer"},
        },
    },
}
_SEEN: Schema = {
    "type": "object",
    "required": ["views", "downloads"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "name": {"type": "string"},
        "views": {"type": "integer"},
        "downloads": {"type": "integer"},
    },
}
_HOURS: Schema = {"type": ["number", "null"]}
STATISTICS: Schema = {
    "type": "object",
    "required": ["total", "verification"],
    "properties": {
        "total": {"type": "integer"},
        **{
            f"by_{name}": _COUNTED
            for name in ("status", "month", "category", "organization", "region")
        },
        "hits": _SEEN,
        "by_hits": {"type": "array", "items": _SEEN},
        "hits_by_organization": {"type": "array", "items": _SEEN},
        "verification": {
            "type": "object",
            "required": ["decisions", "median_hours", "p90_hours"],
            "properties": {
                "decisions": {"type": "integer"},
                "median_hours": _HOURS,
                "p90_hours": _HOURS,
            },
        },
    },
}


def figures_statement(visible: str) -> str:
    """Write the statement of the figures, over the statement of the mapsets that are visible.

    After the parameters of that one it takes those of :func:`figures_parameters`.
    """
    named = "".join(
        _NAMED.format(name=name, column=column, table=table, most=MOST_VALUES)
        for name, (column, table) in _PARTS.items()
    )
    filled = _FIGURES.format(named=named, most_seen=MOST_SEEN, most_values=MOST_VALUES)
    tables = f"WITH visible AS MATERIALIZED ({visible}), {_CHOSEN}, {_HITS}"
    # It begins as a read does, so a standby may answer it.
    return f"SELECT figures FROM ({tables} {filled} AS figures) AS counted"  # noqa: S608


def figures_parameters(first: Any, last: Any, zone: str) -> list[Any]:
    """Give the days, both included or None, and the time zone that they are of."""
    return [first, zone, last, zone, first, last, zone]
