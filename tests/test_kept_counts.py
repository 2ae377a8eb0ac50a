"""Counts that are kept: whatever happens in between, they are what counting anew would give."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import psycopg2
import pytest
from tornado.platform.asyncio import AsyncIOLoop

from satupeta_server import database, tasks
from satupeta_server.security.callers import Caller
from satupeta_server.security.permissions import ADMINISTRATOR
from satupeta_server.seed.reference import seed_reference
from satupeta_server.seed.sample import load_sample
from satupeta_server.services import counting_ahead, cursor_pages, kept_counts
from satupeta_server.services.mapsets import MapsetService
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore

FACETS = "category,producer,classification,data_status,coverage_level,regional,year"
ASKED: Sequence[dict[str, list[str]]] = (
    {},
    {"facets": [FACETS]},
    {"facets": [FACETS], "filter": ["data_status=tetap"]},
    {"search": ["kabupaten"]},
    {"search": ["kabupaten"], "limit": ["1"]},
    {"search": ["dinas tahun"], "facets": ["year"]},
    {"bbox": ["95,-11,141,6"], "filter": ["is_popular!=true"]},
    {"datetime": ["2020-01-01/.."]},
)
CALLERS = (Caller(), Caller(role=ADMINISTRATOR))
Cursor = Any


@pytest.fixture
def mapsets(
    settings: Settings,
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    io_loop: AsyncIOLoop,
) -> Iterator[MapsetService]:
    """The service over a catalogue of 60, which keeps each count, however small."""
    database.connect(settings)
    with database.synchronous():
        seed_reference()
        load_sample(settings, store, count=60)
    monkeypatch.setattr(cursor_pages, "WORTH_KEEPING", 0)
    yield MapsetService(settings)
    io_loop.run_sync(database.database.aio_close)


@contextlib.contextmanager
def connected(settings: Settings) -> Iterator[Cursor]:
    """A connection of its own, which commits each statement unless it is told to BEGIN."""
    assert settings.database_url is not None
    with contextlib.closing(psycopg2.connect(settings.database_url.get_secret_value())) as own:
        own.autocommit = True
        yield own.cursor()


async def answers(mapsets: MapsetService) -> list[Any]:
    """Totals, facets and first rows of all that is asked, once what is to be kept was kept."""
    given = []
    for caller, parameters in itertools.product(CALLERS, ASKED):
        page = await mapsets.list(caller, mapsets.resource.listing.read(parameters))
        first = [item["id"] for item in orjson.loads(page.items)]
        given.append((page.total, orjson.loads(page.members.get("facets", "{}")), first))
    await asyncio.gather(*tasks._running)
    return given


async def counted_anew(mapsets: MapsetService) -> list[Any]:
    """The same, with nothing to be found under any key."""
    fresh = itertools.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cursor_pages, "count_key", lambda *_: f"nothing-{next(fresh)}")
        patch.setattr(cursor_pages, "keep_counts", lambda *_: None)
        return await answers(mapsets)


WRITES = (
    "UPDATE mapsets SET is_active = NOT is_active WHERE id IN ({some})",
    "UPDATE mapsets SET status_validation = 'approved' WHERE id IN ({some})",
    "UPDATE mapsets SET status_validation = 'rejected' WHERE id IN ({some})",
    "UPDATE mapsets SET deleted_at = now() WHERE id IN ({some})",
    "UPDATE mapsets SET deleted_at = NULL WHERE id IN ({some})",
    "UPDATE mapsets SET name = 'Peta Kabupaten ' || id, is_popular = true WHERE id IN ({some})",
    "UPDATE mapsets SET category_id = (SELECT id FROM categories ORDER BY random() LIMIT 1)"
    " WHERE id IN ({some})",
    "UPDATE mapsets SET temporal_start = now(), temporal_end = NULL WHERE id IN ({some})",
    "UPDATE classifications SET is_secret = NOT is_secret, is_open = is_secret, is_limited = false"
    " WHERE id = (SELECT id FROM classifications ORDER BY random() LIMIT 1)",
    "UPDATE organizations SET name = 'Dinas ' || id"
    " WHERE id = (SELECT id FROM organizations ORDER BY random() LIMIT 1)",
)
SOME = "SELECT id FROM mapsets ORDER BY random() LIMIT 5"


async def test_a_kept_count_is_what_counting_anew_gives(
    mapsets: MapsetService, settings: Settings
) -> None:
    chance = random.Random(20_260_724)  # noqa: S311  the same each time
    with connected(settings) as other, connected(settings) as cursor:
        is_open = False
        for _ in range(15):
            # The other one leaves its changes uncommitted while counts are made and kept.
            writer = chance.choice((other, cursor))
            if writer is other and not is_open:
                other.execute("BEGIN")
                is_open = True
            with contextlib.suppress(psycopg2.errors.LockNotAvailable):
                cursor.execute("SET lock_timeout = 50")
                writer.execute(chance.choice(WRITES).format(some=SOME))
            if is_open and chance.random() < 0.3:
                other.execute(chance.choice(("COMMIT", "COMMIT", "ROLLBACK")))
                is_open = False
            given = await answers(mapsets)
            assert given == await counted_anew(mapsets)
            assert given == await answers(mapsets)
        cursor.execute("SELECT count(*) FROM kept_counts")
        assert cursor.fetchone()[0] >= len(ASKED)


async def test_a_change_beside_one_that_is_not_committed_counts_once(
    mapsets: MapsetService, settings: Settings
) -> None:
    first, second = (
        f"SELECT id FROM mapsets ORDER BY id OFFSET {number} LIMIT 1" for number in (0, 1)
    )
    with connected(settings) as other, connected(settings) as cursor:
        other.execute("BEGIN")
        other.execute(f"UPDATE mapsets SET deleted_at = now() WHERE id IN ({first})")
        cursor.execute(f"UPDATE mapsets SET deleted_at = now() WHERE id IN ({second})")
        totals = [(await answers(mapsets))[len(ASKED)][0] for _ in range(2)]
        other.execute("COMMIT")
        totals += [(await answers(mapsets))[len(ASKED)][0] for _ in range(2)]
    assert totals == [59, 59, 58, 58]


async def test_a_search_finds_what_is_newer_than_all_that_was_counted(
    mapsets: MapsetService, settings: Settings
) -> None:
    asked = mapsets.resource.listing.read({"search": ["kabupaten"], "limit": ["1"]})
    oldest = (
        "SELECT id FROM mapsets WHERE search_text LIKE '%kabupaten%' AND NOT is_active"
        " AND classification_id IN (SELECT id FROM classifications WHERE is_open)"
        " ORDER BY created_at LIMIT 1"
    )
    with connected(settings) as cursor:
        cursor.execute("UPDATE mapsets SET is_active = false, status_validation = 'approved'")
        for number in range(1, 6):
            cursor.execute(
                f"UPDATE mapsets SET is_active = true WHERE id IN ({oldest}) RETURNING id::text"
            )
            (newest,) = cursor.fetchone()
            # A page and the row that follows it are there when the first count is kept.
            if number > 2:
                page = await mapsets.list(Caller(), asked)
                assert [item["id"] for item in orjson.loads(page.items)] == [newest]
                assert page.total == number
                await kept_counts.settled()


async def test_what_no_kept_count_needs_is_forgotten_and_nothing_more(
    mapsets: MapsetService, settings: Settings
) -> None:
    with connected(settings) as cursor:
        cursor.execute("SELECT pg_current_snapshot()::text")
        (before,) = cursor.fetchone()
        for _ in range(3):
            cursor.execute("DELETE FROM kept_counts")
            cursor.execute(f"UPDATE mapsets SET is_active = NOT is_active WHERE id IN ({SOME})")
            await answers(mapsets)
        cursor.execute("SELECT count(*) FROM mapset_changes")
        assert cursor.fetchone()[0] == 0
        kept_counts.keep_counts({"late": '{"total":1}'}, before)
        await asyncio.gather(*tasks._running)
        cursor.execute("SELECT count(*) FROM kept_counts WHERE key = 'late'")
        assert cursor.fetchone()[0] == 0
    assert await answers(mapsets) == await counted_anew(mapsets)


async def test_counts_of_years_are_those_of_the_time_zone(
    mapsets: MapsetService, settings: Settings
) -> None:
    with connected(settings) as cursor:
        change = "temporal_end = NULL, temporal_start = '2024-12-31 20:00+00'"
        cursor.execute(f"UPDATE mapsets SET {change}")
    asked = mapsets.resource.listing.read({"facets": ["year"]})
    there = settings.model_copy(update={"timezone": "UTC"})
    for one, year in ((settings, 2025), (there, 2024)):
        await database.database.aio_close()
        database.connect(one)
        for _ in range(2):
            page = await MapsetService(one).list(Caller(), asked)
            (found,) = orjson.loads(page.members["facets"])["year"]
            assert found["value"] == year
            await asyncio.gather(*tasks._running)


async def test_a_count_that_is_used_is_not_the_one_that_goes(
    mapsets: MapsetService, settings: Settings
) -> None:
    asked = mapsets.resource.listing.read({})
    with connected(settings) as cursor:
        await mapsets.list(Caller(), asked)
        await asyncio.gather(*tasks._running)
        cursor.execute("UPDATE kept_counts SET kept_at = now() - interval '1 hour'")
        await mapsets.list(Caller(), asked)
        await asyncio.gather(*tasks._running)
        cursor.execute(
            "SELECT count(*) FROM kept_counts WHERE kept_at < now() - interval '1 minute'"
        )
        assert cursor.fetchone() == (0,)


async def test_changes_of_a_small_catalogue_do_not_pile_up(
    mapsets: MapsetService, settings: Settings
) -> None:
    with connected(settings) as cursor:
        cursor.execute(f"UPDATE mapsets SET is_active = NOT is_active WHERE id IN ({SOME})")
        cursor.execute("DELETE FROM kept_counts")
        await kept_counts.tidy()
        cursor.execute("SELECT count(*) FROM mapset_changes")
        assert cursor.fetchone() == (0,)


async def test_after_much_has_changed_all_is_counted_anew(
    mapsets: MapsetService, settings: Settings
) -> None:
    await answers(mapsets)
    with connected(settings) as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE is_generated"
            " = 'NEVER' AND table_name = 'mapsets' AND column_name <> 'id'"
        )
        columns = ", ".join(name for (name,) in cursor.fetchall())
        cursor.execute(
            f"INSERT INTO mapsets (id, {columns}) SELECT gen_random_uuid(), {columns}"
            " FROM mapsets, generate_series(1, 10)"
        )
        cursor.execute("SELECT sign, count(*) FROM mapset_changes GROUP BY sign")
        assert cursor.fetchall() == [(0, 1)]
    given = await answers(mapsets)
    assert given[len(ASKED)][0] == 660
    assert given == await counted_anew(mapsets)


async def test_what_was_counted_in_another_cluster_is_forgotten(
    mapsets: MapsetService, settings: Settings
) -> None:
    first = await answers(mapsets)
    with connected(settings) as cursor:
        cursor.execute("UPDATE kept_counts SET counts = '{\"total\": 7}'")
        cursor.execute("UPDATE kept_counts SET snapshot = '9000000:9000000:'")
        cursor.execute("UPDATE mapset_changes_pruned SET cluster = 1")
    assert await answers(MapsetService(settings)) == first
    assert await answers(mapsets) == first


async def test_counts_go_on_where_they_cannot_be_kept(
    mapsets: MapsetService, settings: Settings
) -> None:
    with connected(settings) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (kept_counts._LOCK_KEY,))
        given = await answers(mapsets)
        cursor.execute("SELECT count(*) FROM kept_counts")
        assert cursor.fetchone()[0] == 0
    assert given == await answers(mapsets)


def test_the_log_has_the_columns_of_mapsets_in_their_order(settings: Settings) -> None:
    with connected(settings) as cursor:
        columns = {}
        for table in ("mapsets", "mapset_changes"):
            cursor.execute(
                "SELECT attname, atttypid::regtype::text FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
                " ORDER BY attnum",
                (table,),
            )
            columns[table] = cursor.fetchall()
    assert columns["mapset_changes"] == [
        *columns["mapsets"],
        ("sign", "smallint"),
        ("transaction_id", "xid8"),
    ]


async def test_what_was_counted_ahead_is_looked_up(
    mapsets: MapsetService, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting_ahead, "DEAR", 1)
    with connected(settings) as cursor:
        cursor.execute("ANALYZE mapsets")
    kept: list[str] = []

    def keep(counts: Mapping[str, str], snapshot: str) -> None:
        kept.extend(counts)
        kept_counts.keep_counts(counts, snapshot)

    monkeypatch.setattr(cursor_pages, "keep_counts", keep)
    number = await counting_ahead.CountingAhead(mapsets).run()
    assert number > 20
    assert len(kept) > number
    kept.clear()
    for parameters in (
        {"filter": ["data_status=tetap"]},
        {"facets": ["year,category"], "filter": ["data_status=tetap"]},
        {"search": ["tahun"]},
    ):
        await mapsets.list(Caller(), mapsets.resource.listing.read(parameters))
    assert await counting_ahead.CountingAhead(mapsets).run() == number
    assert kept == []
