"""What is asked for: prepared lists of varied paths, made from the rows that are there."""

import contextlib
import itertools
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
FACETS = "category,producer,classification,data_status,coverage_level,regional,year"
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
    projection_systems: list[str]
    regionals: list[str]
    """Those that have mapsets."""

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
                *(
                    [row[0] for row in ask(f"SELECT id::text FROM {table} ORDER BY name")]  # noqa: S608
                    for table in ("organizations", "categories", "map_projection_systems")
                ),
                [
                    row[0]
                    for row in ask("SELECT DISTINCT regional_id::text FROM mapsets ORDER BY 1")
                ],
            )


Paths = Callable[[Rows], list[str]]


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
    """Searches for one or two words of a name that is there, its year left out.

    Where there are few mapsets one word is selective, where there are many it takes two.
    """
    words = [name.partition(" Tahun ")[0].split() for name in rows.names]
    texts = [text for one in words for text in (one[0], one[-1], f"{one[0]} {one[-1]}")]
    return _searches(texts)


def pairs_of_words(rows: Rows) -> list[str]:
    """Searches for a word of the theme and the last one of the place, from names that are there.

    Of ``Jaringan Jalan Kabupaten Gresik Tahun 2022`` it is ``Jaringan Gresik``.
    """
    words = [name.partition(" Tahun ")[0].split() for name in rows.names]
    return _searches(f"{one[0]} {one[-1]}" for one in words)


def _searches(texts: Iterable[str]) -> list[str]:
    return _shuffled(mapsets(search=text, limit=PAGE) for text in dict.fromkeys(texts))


def common_words(rows: Rows) -> list[str]:
    """Searches for words that stand in most mapsets."""
    del rows
    return _shuffled(
        mapsets(search=word, limit=PAGE, offset=offset)
        for word in ("kabupaten", "data", "tahun", "peta", "edisi", "skala")
        for offset in range(0, 200, PAGE)
    )


def suggestions(rows: Rows) -> list[str]:
    """What a search box asks for while a name is typed: its first letters."""
    typed = (name.lower()[: 3 + number % 8] for number, name in enumerate(rows.names))
    return _shuffled(f"/api/search/suggest?{urlencode({'q': text})}" for text in typed)


def mistyped(rows: Rows) -> list[str]:
    """The same with two letters of a word exchanged, as fingers do."""
    words = {word.lower() for name in rows.names for word in name.split() if len(word) > 3}
    typed = (word[:2] + word[3] + word[2] + word[4:] for word in sorted(words) if word.isalpha())
    return _shuffled(f"/api/search/suggest?{urlencode({'q': text})}" for text in typed)


def common_pairs(rows: Rows) -> list[str]:
    """Searches for two of the words that stand in most mapsets."""
    del rows
    words = ("kabupaten", "data", "tahun", "peta")
    return _shuffled(
        mapsets(search=f"{one} {other}", limit=PAGE, offset=offset)
        for one, other in itertools.combinations(words, 2)
        for offset in range(0, 100, PAGE)
    )


def past_years(rows: Rows) -> list[str]:
    """Searches for a year, whose mapsets are all about as old."""
    del rows
    return _shuffled(mapsets(search=str(year), limit=PAGE) for year in range(2019, 2027))


def totals(rows: Rows) -> list[str]:
    """First pages of common filters, with their exact totals."""
    filters = [
        *(f"producer_id={key}" for key in rows.producers),
        *(f"category_id={key}" for key in rows.categories),
        "data_status=tetap",
        "data_status=sementara",
        "coverage_level=kecamatan",
        "coverage_level=desa",
        "is_popular=true",
    ]
    return _shuffled(mapsets(one, limit=PAGE) for one in filters)


def facets(rows: Rows) -> list[str]:
    """All facets without a filter, in pages that differ."""
    offsets = range(0, min(rows.total, 60 * PAGE), PAGE)
    return _shuffled(mapsets(facets=FACETS, limit=PAGE, offset=offset) for offset in offsets)


def filtered_facets(rows: Rows) -> list[str]:
    """All facets beside a common filter."""
    filters = [
        *(f"producer_id={key}" for key in rows.producers),
        *(f"category_id={key}" for key in rows.categories),
    ]
    return _shuffled(mapsets(one, facets=FACETS, limit=PAGE) for one in filters)


def rare_filters(rows: Rows) -> list[str]:
    """Combinations that few mapsets meet, of fields that no index holds together."""
    owned = (f"producer_id={key}" for key in rows.producers)
    sorted_in = (f"category_id={key}" for key in rows.categories)
    return _shuffled(
        _combination(level, year, narrow)
        for narrow in (*owned, *sorted_in)
        for level in ("desa", "kecamatan", "provinsi")
        for year in (2019, 2022, 2025)
    )


def rare_by_size(rows: Rows) -> list[str]:
    """The same without a producer or category, so that the more mapsets there are the more fit."""
    del rows
    levels, years = ("desa", "kecamatan", "kabupaten", "provinsi"), (2019, 2020, 2022, 2025, 2026)
    return _shuffled(_combination(level, year) for level in levels for year in years)


def _combination(level: str, year: int, *narrow: str) -> str:
    return mapsets(
        *narrow,
        f"coverage_level={level}",
        "data_status=sementara",
        "is_popular=true",
        f"temporal_start>={year}-01-01T00:00:00+07:00",
        limit=PAGE,
    )


def any_filters(rows: Rows) -> list[str]:
    """Some combinations of two to five of all filters, drawn by lot, with many values each."""
    moments = [f"{year}-03-01T00:00:00+07:00" for year in range(2019, 2027)]
    values = {
        "producer_id": [f"={key}" for key in rows.producers],
        "category_id": [f"={key}" for key in rows.categories],
        "projection_system_id": [f"={key}" for key in rows.projection_systems],
        "regional_id": [f"={key}" for key in rows.regionals],
        "coverage_level": ["=desa", "=kecamatan", "=kabupaten"],
        "coverage_area": ["=kabupaten", "=provinsi"],
        "data_status": ["=tetap", "=sementara"],
        "is_popular": ["=true", "=false"],
        "temporal_start": [f">={moment}" for moment in moments],
        "created_at": [f"<{moment}" for moment in moments],
        "updated_at": [f">={moment}" for moment in moments],
    }
    random = Random(7)  # noqa: S311 -- the same ones each time
    combinations = [random.sample(sorted(values), random.randint(2, 5)) for _ in range(16)]
    return _shuffled(
        mapsets(*(name + random.choice(values[name]) for name in names), limit=PAGE)
        for names in combinations
        for _ in range(60)
    )


def mixture(rows: Rows) -> list[str]:
    """Lists, filtered lists and details, as many of each."""
    kinds = (pages(rows), filtered_by_producer(rows), filtered_by_json(rows), details(rows))
    fewest = min(len(kind) for kind in kinds)
    return _shuffled(path for kind in kinds for path in kind[:fewest])


def landing(rows: Rows) -> list[str]:
    """What the portal's first page asks for (contract, 6.1), but for its statistic."""
    del rows
    public = ("is_active=true", "status_validation=approved")
    return [
        mapsets(*public, limit=3),
        mapsets(*public, limit=5),
        "/api/organizations?limit=5&filter=is_active%3Dtrue",
        "/api/news?limit=5&filter=is_active%3Dtrue",
    ]


def statistic(rows: Rows) -> list[str]:
    """The unlimited list of which the first page reads only the total."""
    del rows
    return [mapsets("is_active=true", "status_validation=approved")]


def groups(rows: Rows) -> list[str]:
    """The groups of the catalogue, by producer."""
    return [group(f"producer_id={key}") for key in rows.producers]


def _shuffled(paths: Iterable[str]) -> list[str]:
    ordered = list(dict.fromkeys(paths))
    Random(7).shuffle(ordered)  # noqa: S311 -- the same order each time
    return ordered[:MOST]
