"""What is asked for: prepared lists of varied paths, made from the rows that are there."""

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import psycopg2

from benchmarks.databases import url_of
from satupeta_server.settings import Settings

PAGE = 20
MOST = 500
"""Paths of one list."""
_DEEPEST = 2_000
_PUBLIC = """
    deleted_at IS NULL AND is_active AND status_validation = 'approved'
    AND classification_id NOT IN (SELECT id FROM classifications WHERE is_secret)
"""


@dataclass(frozen=True)
class Rows:
    """What stands in a database, as far as paths are made of it."""

    total: int
    """Public mapsets."""
    ids: list[str]
    names: list[str]
    producers: list[str]
    categories: list[str]

    @classmethod
    def read(cls, settings: Settings) -> "Rows":
        """Read them, the same ones each time."""
        with contextlib.closing(psycopg2.connect(url_of(settings))) as connection:

            def ask(statement: str) -> list[tuple[Any, ...]]:
                cursor = connection.cursor()
                cursor.execute(statement)
                return cursor.fetchall()

            mapsets = ask(
                f"SELECT id::text, name FROM mapsets WHERE {_PUBLIC} "  # noqa: S608 -- our own
                f"ORDER BY md5(id::text) LIMIT {MOST}"
            )
            return cls(
                ask(f"SELECT count(*) FROM mapsets WHERE {_PUBLIC}")[0][0],  # noqa: S608
                [row[0] for row in mapsets],
                [row[1] for row in mapsets],
                [row[0] for row in ask("SELECT id::text FROM organizations ORDER BY name")],
                [row[0] for row in ask("SELECT id::text FROM categories ORDER BY name")],
            )


def mapsets(*filters: str, **parameters: object) -> str:
    """The path of a list of mapsets; filters as repeated parameters."""
    pairs = [*(("filter", one) for one in filters), *parameters.items()]
    return f"/api/mapsets?{urlencode(pairs)}"


def group(filtered: str, search: str = "") -> str:
    """The request of one group of the portal's catalogue, as the portal writes it."""
    atoms = [filtered, "is_active=true", "status_validation=approved"]
    return f"/api/mapsets?filter={quote(json.dumps(atoms), safe='[],:')}&search={quote(search)}"


def pages(rows: Rows) -> list[str]:
    """Pages of the list, at offsets of up to 2,000."""
    last = min(_DEEPEST, max(rows.total - PAGE, 0))
    offsets = range(0, last + 1, max(1, last // MOST))
    return _shuffled(mapsets(limit=PAGE, offset=offset) for offset in offsets)


def details(rows: Rows) -> list[str]:
    """Single mapsets."""
    return [f"/api/mapsets/{mapset_id}" for mapset_id in rows.ids]


def filtered_by_producer(rows: Rows) -> list[str]:
    """Pages of the mapsets of one producer."""
    return _shuffled(
        mapsets(f"producer_id={key}", "is_active=true", limit=PAGE, offset=offset)
        for key in rows.producers
        for offset in range(0, 10, 2)
    )


def filtered_by_category(rows: Rows) -> list[str]:
    """Pages of the mapsets of one category with one state of their data."""
    return _shuffled(
        mapsets(f"category_id={key}", f"data_status={status}", limit=PAGE, offset=offset)
        for key in rows.categories
        for status in ("tetap", "sementara")
        for offset in range(0, 200, 10)
    )


def filtered_by_json(rows: Rows) -> list[str]:
    """Pages of groups of the catalogue: a JSON list of filters."""
    return _shuffled(
        f"{group(f'{field}={key}')}&limit={PAGE}&offset={offset}"
        for field, keys in (("producer_id", rows.producers), ("category_id", rows.categories))
        for key in keys
        for offset in range(0, 20, 5)
    )


def selective_searches(rows: Rows) -> list[str]:
    """Searches for two words of a name, of which the longest ones say most."""
    words = [sorted(set(name.split()), key=lambda word: (-len(word), word)) for name in rows.names]
    pairs = dict.fromkeys(" ".join(found[:2]) for found in words)
    return [mapsets(search=pair, limit=PAGE) for pair in pairs]


def _shuffled(paths: Iterable[str]) -> list[str]:
    ordered = list(dict.fromkeys(paths))
    Random(7).shuffle(ordered)  # noqa: S311 -- the same order each time
    return ordered[:MOST]


Paths = Callable[[Rows], list[str]]
