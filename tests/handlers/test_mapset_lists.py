"""What the list of mapsets knows besides what every list does."""

import json
from collections import Counter
from typing import Any

import pytest

from satupeta_server import database
from satupeta_server.database import Database
from satupeta_server.models.mapsets import Mapset
from satupeta_server.queries import tiers
from satupeta_server.queries.listing import ListRequest
from satupeta_server.representations.mapsets import MAPSETS_LISTING
from satupeta_server.security.callers import Caller
from satupeta_server.seed.reference import seed_reference
from satupeta_server.seed.sample import load_sample
from satupeta_server.services.mapsets import MapsetService
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.conftest import Api

SIGNS = "e\u00e9\u0113 & +%"


async def names(api: Api, *, user: str | None = "pengelola", **query: Any) -> list[str]:
    """The names in a list of mapsets."""
    answer = await api.get("/mapsets", user=user, **query)
    assert answer.status == 200, answer.body
    return [item["name"] for item in answer.json["items"]]


async def refused(api: Api, field: str, **query: Any) -> None:
    """Expect an error that names one parameter."""
    answer = await api.get("/mapsets", user="pengelola", **query)
    assert answer.status == 422, answer.body
    assert list(answer.json["errors"]) == [field]


# Space


async def test_a_box_finds_what_it_touches_on_both_sides_of_the_antimeridian(api: Api) -> None:
    await api.make_mapset(name="Jawa Timur", bounding_box=[110.9, -8.8, 114.6, -6.6])
    await api.make_mapset(name="Pasifik", bounding_box=[170, -10, -170, 10])
    await api.make_mapset(name="Tanpa batas")
    assert await names(api, bbox="114,-7,120,0") == ["Jawa Timur"]
    assert await names(api, bbox="-180,-90,180,90") == ["Pasifik", "Jawa Timur"]
    assert await names(api, bbox="-175,0,-171,1") == await names(api, bbox="172,0,175,1")
    assert await names(api, bbox="179,0,-179,1") == ["Pasifik"]
    assert await names(api, bbox="100,-9,-179,1") == ["Pasifik", "Jawa Timur"]
    assert await names(api, bbox="-160,0,-150,1") == []
    assert len(await names(api, bbox="")) == 3


async def test_a_box_narrows_together_with_all_else_and_within_what_one_may_see(api: Api) -> None:
    box = [110.9, -8.8, 114.6, -6.6]
    await api.make_mapset(name="Menunggu", bounding_box=box)
    await api.make_public_mapset(name="Disetujui", bounding_box=box)
    assert await names(api, bbox="111,-8,112,-7", user=None) == ["Disetujui"]
    assert await names(api, bbox="111,-8,112,-7", search="menunggu") == ["Menunggu"]
    answer = await api.get("/mapsets", bbox="111,-8,112,-7", limit=0)
    assert answer.json["total"] == 1


@pytest.mark.parametrize("wrong", ["1,2,3", "nan,0,1,1", "0,0,inf,1", "0,0,1,91", "1,2,3,4,5", "x"])
async def test_a_box_that_is_none_is_refused(api: Api, wrong: str) -> None:
    await refused(api, "bbox", bbox=wrong)
    assert (await api.get("/categories", bbox=wrong)).status == 200


# Time


async def test_a_time_finds_what_covers_it_and_open_ends_are_open(api: Api) -> None:
    year = {"temporal_start": "2020-01-01T00:00:00Z", "temporal_end": "2020-12-31T00:00:00Z"}
    await api.make_mapset(name="Setahun", **year)
    await api.make_mapset(name="Sejak", temporal_start="2021-06-01T00:00:00+07:00")
    await api.make_mapset(name="Sampai", temporal_end="2019-06-01T00:00:00Z")
    await api.make_mapset(name="Tanpa waktu")
    assert await names(api, datetime="2020-05-01T00:00:00Z") == ["Setahun"]
    assert await names(api, datetime="2020-12-31") == ["Setahun"]
    assert await names(api, datetime="2020-12-31T00:00:00Z/..") == ["Sejak", "Setahun"]
    assert await names(api, datetime="/2020-01-01T00:00:00Z") == ["Sampai", "Setahun"]
    assert await names(api, datetime="../..") == ["Sampai", "Sejak", "Setahun"]
    assert await names(api, datetime="2021-05-31T17:00:00Z") == ["Sejak"]
    assert await names(api, datetime="2021-05-31T16:59:59Z") == []
    assert len(await names(api, datetime="")) == 4


@pytest.mark.parametrize("wrong", ["yesterday", "..", "2021-01-02/2021-01-01", "2021-01-01/x"])
async def test_a_time_that_is_none_is_refused(api: Api, wrong: str) -> None:
    await refused(api, "datetime", datetime=wrong)


def plan_of(query: Any, *without: str) -> str:
    """How PostgreSQL would run a query if it had to do without some ways."""
    with database.synchronous() as connection, connection.atomic():
        for way in ("seqscan", *without):
            connection.execute_sql(f"SET LOCAL enable_{way} = off")
        statement, values = query.bind(connection).sql()
        return str(connection.execute_sql(f"EXPLAIN {statement}", values).fetchall())


async def test_space_and_time_have_indexes(settings: Settings, store: ObjectStore) -> None:
    database.connect(settings)
    with database.synchronous() as connection:
        seed_reference()
        load_sample(settings, store, count=200)
        connection.execute_sql("ANALYZE mapsets")
    for parameters, index in (
        ({"bbox": ["1,2,3,4"]}, "mapsets_bounding_box"),
        ({"datetime": ["2040-01-01T00:00:00Z/.."]}, "mapsets_covered_time"),
    ):
        source = Mapset.alias()
        narrowed = MAPSETS_LISTING.condition(source, MAPSETS_LISTING.read(parameters))
        query = source.select(source.id).where(Mapset.living(source) & narrowed)
        assert index in plan_of(query)


async def test_public_lists_are_filtered_in_indexes_alone(settings: Settings) -> None:
    database.connect(settings)
    mapsets = MapsetService(settings)
    for name in {*MAPSETS_LISTING.filters} - {"name", *MAPSETS_LISTING.public}:
        source = Mapset.alias()
        query = source.select(source.id, source.created_at, getattr(source, name))
        plan = plan_of(query.where(mapsets.visible(Caller(), source)), "bitmapscan", "indexscan")
        assert "Index Only Scan using mapsets_public" in plan, name


@pytest.mark.parametrize("user", [None, "viewer", "pengelola", "walidata"])
async def test_what_all_that_is_public_has_in_common_is_filtered_by_all_the_same(
    api: Api, user: str | None
) -> None:
    await api.make_public_mapset(name="Terbit")
    await api.make_mapset(name="Menunggu")
    whole = await names(api, user=user)
    assert ("Menunggu" in whole) is (user in ("pengelola", "walidata"))
    for filters in (
        ["is_active=true"],
        ["is_active=true", "status_validation=approved"],
        [json.dumps([["is_active=false", "is_active=true"], ["name=Terbit", "is_active=true"]])],
        [json.dumps([["status_validation=approved", "name=x"], ["temporal_end=", "is_active="]])],
    ):
        assert "Terbit" in await names(api, user=user, filter=filters)
    for filters in (
        ["is_active=false"],
        ["status_validation=rejected"],
        ["is_active!=true"],
        [json.dumps([["is_active=false", "is_active!=true"]])],
        ["is_active=true", "name=x"],
        [json.dumps(["status_validation=approved", ["status_validation=rejected"]])],
    ):
        assert await names(api, user=user, filter=filters) == []
    for wrong in ("is_active=perhaps", '[["is_active=true", "color=red"]]'):
        await refused(api, "filter", filter=wrong)
    assert "Menunggu" not in await names(api, user=user, filter=["status_validation=approved"])


async def test_each_order_of_the_list_has_an_index(settings: Settings) -> None:
    database.connect(settings)
    for name in MAPSETS_LISTING.sorts:
        for direction in ("asc", "desc"):
            source = Mapset.alias()
            ordering = MAPSETS_LISTING.ordering(ListRequest(sort=f"{name}:{direction}"))
            rows = source.select(source.id).where(Mapset.living(source))
            plan = plan_of(rows.order_by(*ordering.clauses(source)).limit(20), "sort")
            assert "Sort" not in plan, (name, direction)


async def test_pages_begin_in_the_middle_of_an_index_without_sorting(settings: Settings) -> None:
    database.connect(settings)
    place = ("2026-01-01T00:00:00Z", "01968b53-a910-7a67-bd10-975b8923b92e")
    for sort, key in (("created_at:desc", place[0]), ("name:asc", "x"), ("name:desc", "x")):
        source, ordering = Mapset.alias(), MAPSETS_LISTING.ordering(ListRequest(sort=sort))
        rows = source.select(source.id).where(Mapset.living(source))
        rows = rows.where(ordering.after(source, (key, place[1])))
        plan = plan_of(rows.order_by(*ordering.clauses(source)).limit(20), "sort")
        assert "Index Cond: (ROW(" in plan
        assert "Sort" not in plan


# Pages by cursor


async def walk(api: Api, user: str | None, between: Any = None, **query: Any) -> list[str]:
    """The names on all pages, by the address that each page links to."""
    answer = await api.get("/mapsets", user=user, **query)
    met: list[str] = []
    while True:
        assert answer.status == 200, answer.body
        met += [item["name"] for item in answer.json["items"]]
        cursor = answer.json["next_cursor"]
        assert answer.json["has_more"] is (cursor is not None)
        if cursor is None:
            assert "Link" not in answer.headers
            return met
        target, relation = answer.headers["Link"].split("; ")
        assert relation == 'rel="next"'
        assert target.startswith("</api/mapsets?")
        assert target.endswith(f"cursor={cursor}>")
        if between is not None:
            await between()
        answer = await api.get(target[5:-1], user=user)


@pytest.mark.parametrize("sort", [*MAPSETS_LISTING.sorts, None])
async def test_pages_by_cursor_are_whole_while_rows_come_and_go(api: Api, sort: str | None) -> None:
    made = [await api.make_mapset(name=name) for name in ("ccc", "AAA", "ddd", "BBB", SIGNS, "fff")]
    victims = [made[0], made[3]]

    async def between() -> None:
        await api.make_mapset(name="000")
        if victims:
            await api.delete(f"/mapsets/{victims.pop()['id']}", user="pengelola")

    for direction in ("asc", "desc"):
        order = {"sort": f"{sort}:{direction}"} if sort else {}
        whole = await names(api, **order)
        assert await walk(api, "pengelola", limit=1, **order) == whole
        assert await walk(api, "pengelola", limit=4, offset=0, **order) == whole
    met = await walk(api, "pengelola", between, limit=2, **order)
    staying = ["AAA", "ddd", SIGNS, "fff"]
    assert sorted(name for name in met if name in staying) == sorted(staying)


async def test_a_walk_keeps_to_its_parameters_and_to_what_one_may_see(api: Api) -> None:
    for number in range(3):
        await api.make_public_mapset(name=f"Jalan & r\u00e9l {number}")
    await api.make_mapset(name="Jalan & r\u00e9l tertutup")
    await api.make_public_mapset(name="Sungai")
    query = {"filter": ["is_active=true", "data_status in sementara,tetap"], "search": "r\u00e9l &"}
    assert len(await walk(api, None, limit=1, **query)) == 3
    assert len(await walk(api, "pengelola", limit=1, **query)) == 4
    nothing = (await api.get("/mapsets", limit=0)).json
    assert (nothing["next_cursor"], nothing["has_more"], nothing["total"]) == (None, True, 4)
    long = [f"name!={'x' * 100}{number}" for number in range(30)]
    answer = await api.get("/mapsets", limit=1, filter=long)
    assert answer.json["next_cursor"]
    assert "Link" not in answer.headers


async def test_a_cursor_that_is_none_is_refused(api: Api) -> None:
    for name in ("aaa", "bbb"):
        await api.make_mapset(name=name)
    cursor = (await api.get("/mapsets", user="pengelola", limit=1)).json["next_cursor"]
    for wrong in ("x", "=", cursor[:-2], f"{cursor}AA", "A" * 3000, "\u00e9"):
        await refused(api, "cursor", cursor=wrong)
    await refused(api, "cursor", cursor=cursor, sort="name:asc")
    await refused(api, "offset", cursor=cursor, offset=0)
    assert await names(api, cursor=cursor, sort="created_at:desc") == ["aaa"]
    assert (await api.get("/mapsets", cursor=cursor, sort="name:asc")).status == 401
    categories = await api.get("/categories", cursor="x", limit=1)
    assert (categories.status, "next_cursor" in categories.json) == (200, False)


# Relevance


@pytest.mark.parametrize("window", [None, 0, 2, 3000])
async def test_a_search_gives_the_name_before_the_description_and_the_producer(
    api: Api, monkeypatch: pytest.MonkeyPatch, window: int | None
) -> None:
    """The producer is called "Dinas Pekerjaan Umum"; the words may be known as common ones."""
    if window is not None:
        monkeypatch.setattr(tiers, "WINDOW", window)
        vocabulary = api.application.services.mapsets._vocabulary
        vocabulary._frequencies = {
            (index, word): 0.5
            for index in ("mapsets_search_words", "mapsets_name_words")
            for word in ("umum", "jalan")
        }
        monkeypatch.setattr(vocabulary, "_read_at", float("inf"))
    for name, description in (
        ("Jalan umum lama", "Uraian lain"),
        ("Sungai", "Di sepanjang jalan umum"),
        ("Umum dan Jalan", "Uraian lain"),
        ("Jembatan umum", "Di ujung jalan"),
        ("Jalan tol", "Uraian lain"),
    ):
        await api.make_mapset(name=name, description=description)
    by_relevance = [
        "Umum dan Jalan",
        "Jalan umum lama",
        "Jalan tol",
        "Jembatan umum",
        "Sungai",
    ]
    search = "UMUM jalan"
    assert await names(api, search=search) == by_relevance
    assert await names(api, search=search, sort="no_such:asc") == by_relevance
    assert await walk(api, "pengelola", search=search, limit=2) == by_relevance
    assert await names(api, search=search, sort="name:asc") == sorted(by_relevance)
    cursor = (await api.get("/mapsets", user="pengelola", search=search, limit=1)).json[
        "next_cursor"
    ]
    await refused(api, "cursor", search="jalan", cursor=cursor)
    await refused(api, "cursor", cursor=cursor)


# Facets

FIELDS = {
    "category": "category_id",
    "producer": "producer_id",
    "classification": "classification_id",
    "data_status": "data_status",
    "coverage_level": "coverage_level",
    "regional": "regional_id",
    "year": "temporal_start",
}
"""The field that each facet counts."""
ALL_FACETS = ",".join(FIELDS)


def counted(items: list[dict[str, Any]], facet: str) -> list[dict[str, Any]]:
    """A facet as the items of a list give it."""

    def value_of(item: dict[str, Any]) -> tuple[Any, str]:
        value = item[FIELDS[facet]]
        if facet == "year":
            return int(value[:4]), value[:4]
        return value, item[facet]["name"] if FIELDS[facet] == f"{facet}_id" else value

    counts = Counter(value_of(item) for item in items if item[FIELDS[facet]] is not None)
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0][1].lower()))
    return [{"value": value, "name": name, "count": count} for (value, name), count in ordered]


async def make_varied(api: Api) -> None:
    """Mapsets that differ in all that is counted, some of them not for everybody."""
    body = {"name": "Tata Ruang"}
    category = await api.post("/categories", user="administrator", json_body=body)
    regions = (await api.get("/regionals", limit=3)).json["items"]
    for number in range(9):
        changes = {
            "name": f"Peta {number}",
            "category_id": category.json["id"] if number % 3 else api.world.category_id,
            "classification_id": api.world.classifications[("open", "limited")[number % 2]],
            "producer_id": api.world.organizations["other" if number % 4 == 0 else "own"],
            "regional_id": regions[number % len(regions)]["id"],
            "data_status": ("tetap", "sementara")[number % 5 == 0],
            "coverage_level": (None, "desa", "provinsi")[number % 3],
            "temporal_start": f"{2019 + number % 3}-07-01T00:00:00Z" if number % 4 else None,
            "bounding_box": [number, 0, number + 2, 1],
        }
        if number % 4 == 0:
            await api.make_mapset(user="pengelola_lain", **changes)
        elif number == 5:
            await api.make_mapset(**changes)
        else:
            await api.make_public_mapset(**changes)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"search": "peta", "limit": 1, "offset": 2},
        {"bbox": "3,0,4,1"},
        {"datetime": "2020-01-01T00:00:00Z/.."},
        {"filter": ["data_status=tetap"]},
        {"filter": ["data_status=tetap", "coverage_level in desa,provinsi"]},
        {"filter": ["temporal_start>=2020-01-01T00:00:00Z"], "search": "peta"},
        {"filter": [json.dumps([["data_status=tetap", "data_status=x"]])], "limit": 0},
        {"search": "tidak ada"},
    ],
)
async def test_facets_count_by_all_but_the_filters_on_their_own_field(
    api: Api, query: dict[str, Any]
) -> None:
    await make_varied(api)
    for user in (None, "pengelola", "administrator"):
        answer = await api.get("/mapsets", user=user, facets=ALL_FACETS, **query)
        assert answer.status == 200, answer.body
        assert list(answer.json["facets"]) == list(FIELDS)
        for facet, field in FIELDS.items():
            kept = [one for one in query.get("filter", []) if field not in one]
            narrowed = {key: query[key] for key in ("search", "bbox", "datetime") if key in query}
            items = (await api.get("/mapsets", user=user, filter=kept, **narrowed)).json["items"]
            assert answer.json["facets"][facet] == counted(items, facet), facet
        del answer.json["facets"]
        plain = await api.get("/mapsets", user=user, **query)
        assert {**answer.json, "facets": 0} == {**plain.json, "facets": 0}


async def test_the_public_has_no_numbers_of_what_it_may_not_see(api: Api) -> None:
    await make_varied(api)
    totals = []
    for user in (None, "pengelola", "administrator"):
        answer = (await api.get("/mapsets", user=user, facets="producer", limit=0)).json
        assert sum(one["count"] for one in answer["facets"]["producer"]) == answer["total"]
        totals.append(answer["total"])
    assert totals == [5, 6, 9]


async def test_alternatives_of_several_fields_count_for_all_of_them(api: Api) -> None:
    await make_varied(api)
    either = json.dumps([["data_status=sementara", "coverage_level=desa"]])
    answer = await api.get("/mapsets", user="administrator", filter=either, facets="data_status")
    assert answer.json["facets"]["data_status"] == counted(answer.json["items"], "data_status")


@pytest.mark.settings(list_limit=2)
async def test_a_facet_has_no_more_values_than_a_list_has_rows(api: Api) -> None:
    await make_varied(api)
    answer = await api.get("/mapsets", facets="year,category", user="administrator")
    assert [len(values) for values in answer.json["facets"].values()] == [2, 2]


async def test_a_facet_that_is_none_is_refused_with_the_names_of_all(api: Api) -> None:
    answer = await api.get("/mapsets", facets="category,colour")
    assert answer.status == 422
    (message,) = answer.json["errors"]["facets"]
    assert all(name in message for name in ["colour", *FIELDS])
    for blank in ("", " ", ",", ", ,"):
        assert "facets" not in (await api.get("/mapsets", facets=blank)).json
    twice = await api.get("/mapsets", facets=" year ,,year")
    assert twice.json["facets"] == {"year": []}
    assert (await api.get("/categories", facets="colour")).status == 200


async def test_all_that_can_be_asked_for_takes_two_statements(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_varied(api)
    whole = {"facets": ALL_FACETS, "bbox": "0,0,9,9", "datetime": "../..", "search": "peta"}
    cursor = (await api.get("/mapsets", limit=1, search="peta")).json["next_cursor"]
    statements: list[str] = []
    execute = Database.aio_execute_sql

    async def counting(self: Database, sql: str, *arguments: Any, **named: Any) -> Any:
        statements.append(sql)
        return await execute(self, sql, *arguments, **named)

    monkeypatch.setattr(Database, "aio_execute_sql", counting)
    answer = await api.get("/mapsets", limit=1, cursor=cursor, **whole)
    assert len(answer.json["items"]) == 1
    # The words are looked up before.
    assert ["search_words" in one for one in statements] == [True, False]
