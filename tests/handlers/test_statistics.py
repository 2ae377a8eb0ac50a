"""``/statistics``: the figures are right, and of what one may see."""

import asyncio
import csv
import io
import re
import uuid
from typing import Any

import pytest

from satupeta_server import database
from satupeta_server.errors import UnavailableError
from satupeta_server.handlers import statistics
from satupeta_server.observing import Finished
from satupeta_server.services.hits import ROUTE, Hits
from tests.conftest import Api, execute
from tests.test_jobs import rows

PARTS = ("status", "month", "category", "organization", "region")


def url(api: Api) -> str:
    address = api.application.services.settings.database_url
    assert address is not None
    return address.get_secret_value()


def counts(answer: Any, part: str) -> dict[str, int]:
    return {one.get("name", one.get("value")): one["count"] for one in answer.json[f"by_{part}"]}


async def made(api: Api, name: str, user: str = "administrator", **changes: Any) -> str:
    body = api.world.mapset(name=name, **changes)
    answer = await api.post("/mapsets", user=user, json_body=body)
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


async def with_history(api: Api, mapset: str, *steps: tuple[str, str]) -> None:
    """Give a mapset a history of its own: statuses and the times at which it got them."""
    execute(url(api), f"DELETE FROM mapset_histories WHERE mapset_id = '{mapset}'")
    user = api.world.users["walidata"]
    for status, moment in steps:
        execute(
            url(api),
            "INSERT INTO mapset_histories (id, mapset_id, validation_type, user_id, created_at) "
            f"VALUES (gen_random_uuid(), '{mapset}', '{status}', '{user}', '{moment}')",
        )
    execute(
        url(api),
        f"UPDATE mapsets SET status_validation = '{steps[-1][0]}' WHERE id = '{mapset}'",
    )


async def test_figures_are_counted_and_timed_by_hand(api: Api) -> None:
    first = await made(api, "Satu")
    second = await made(api, "Dua", producer_id=api.world.organizations["other"])
    third = await made(api, "Tiga")
    # 2 hours, then 10 hours after it was handed in again; 30 hours; one still waits.
    await with_history(
        api,
        first,
        ("on_verification", "2026-01-01 00:00Z"),
        ("rejected", "2026-01-01 02:00Z"),
        ("on_verification", "2026-01-03 00:00Z"),
        ("approved", "2026-01-03 10:00Z"),
    )
    await with_history(
        api, second, ("on_verification", "2026-02-01 00:00Z"), ("approved", "2026-02-02 06:00Z")
    )
    await with_history(api, third, ("on_verification", "2026-03-01 00:00Z"))
    # Midnight of Jakarta is 17:00 in UTC: the one is of January, the other of February.
    for mapset, moment in ((first, "2026-01-31 16:59Z"), (second, "2026-01-31 17:01Z")):
        execute(url(api), f"UPDATE mapsets SET created_at = '{moment}' WHERE id = '{mapset}'")
    execute(url(api), f"UPDATE mapsets SET created_at = '2026-03-05 12:00Z' WHERE id = '{third}'")
    answer = await api.get("/statistics", user="administrator")
    assert answer.status == 200, answer.body
    assert answer.json["total"] == 3
    assert counts(answer, "status") == {"approved": 2, "on_verification": 1}
    assert counts(answer, "month") == {"2026-01": 1, "2026-02": 1, "2026-03": 1}
    assert counts(answer, "organization") == {"Dinas Pekerjaan Umum": 2, "Dinas Kehutanan": 1}
    assert sum(counts(answer, "category").values()) == 3
    assert sum(counts(answer, "region").values()) == 3
    # Of 2, 10 and 30 hours: the middle, and 10 + 0.8 * 20 (percentile_cont).
    expected = {"decisions": 3, "median_hours": 10.0, "p90_hours": 26.0}
    assert answer.json["verification"] == expected


async def test_everybody_gets_figures_of_what_they_may_see(api: Api) -> None:
    await made(api, "Menunggu")
    public = await made(api, "Umum")
    change = {"status_validation": "approved", "notes": "Sesuai"}
    await api.patch(f"/mapsets/{public}", user="walidata", json_body=change)
    await made(api, "Lain", producer_id=api.world.organizations["other"])
    totals = {}
    for user in (None, "viewer", "pengelola", "pengelola_lain", "walidata", "administrator"):
        listed = await api.get("/mapsets", user=user)
        answer = await api.get("/statistics", user=user)
        totals[user] = answer.json["total"]
        assert answer.json["total"] == listed.json["total"], user
    assert totals[None] == 1
    assert totals["administrator"] == 3


async def test_figures_are_narrowed_by_producer_and_day(api: Api) -> None:
    mapset = await made(api, "Lama")
    await made(api, "Baru", producer_id=api.world.organizations["other"])
    execute(url(api), f"UPDATE mapsets SET created_at = '2025-05-01 18:00Z' WHERE id = '{mapset}'")

    async def total(**query: str) -> int:
        answer = await api.get("/statistics", user="administrator", **query)
        return int(answer.json["total"])

    assert await total(organization_id=api.world.organizations["own"]) == 1
    # In Jakarta it is the second of May already.
    assert await total(**{"from": "2025-05-02", "to": "2025-05-02"}) == 1
    assert await total(to="2025-05-01") == 0
    assert await total(**{"from": "0001-01-01", "to": "9999-12-31"}) == 2
    assert await total(**{"from": "9999-12-31"}) == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "soon"}, "from"),
        ({"to": "2026-13-01"}, "to"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "to"),
        ({"organization_id": "x"}, "organization_id"),
        ({"format": "xml"}, "format"),
    ],
)
async def test_wrong_parameters_are_refused_by_name(
    api: Api, query: dict[str, str], field: str
) -> None:
    for path in ("/statistics", "/statistics/page")[: 1 if field == "format" else 2]:
        answer = await api.get(path, **query)
        assert answer.status == 422
        assert list(answer.json["errors"]) == [field]


async def test_csv_holds_the_same_and_no_formula(api: Api) -> None:
    name = '=HYPERLINK("http://example.org")'
    body = {"name": name, "email": "x@example.org"}
    organization = await api.post("/organizations", user="administrator", json_body=body)
    await made(api, "Satu", producer_id=organization.json["id"])
    answer = await api.get("/statistics", user="administrator", format="csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert {"part": "total", "id": "", "name": "", "count": "1"} in rows
    (row,) = (one for one in rows if one["part"] == "organization")
    assert (row["name"], row["count"]) == (f"'{name}", "1")


async def test_the_page_is_in_the_readers_language_and_escapes_names(api: Api) -> None:
    name = "<script>alert(1)</script>"
    body = {"name": name, "email": "x@example.org"}
    organization = await api.post("/organizations", user="administrator", json_body=body)
    await made(api, "Satu", producer_id=organization.json["id"])
    page = await api.get("/statistics/page", user="administrator")
    text = page.body.decode()
    assert "Menurut organisasi" in text
    assert name not in text
    assert "&lt;script&gt;" in text
    assert re.search(r'<meter min="0" max="1" value="1">1</meter>', text)
    assert statistics._written(12345, "id") == "12.345"
    assert statistics._written(1234.56, "id") == "1.234,6"
    assert statistics._written(1234.56, "en") == "1,234.6"
    english = await api.get(
        "/statistics/page", user="administrator", headers={"Accept-Language": "en"}
    )
    assert '<html lang="en">' in english.body.decode()
    assert "By organization" in english.body.decode()
    assert "Accept-Language" in english.headers["Vary"]


async def test_an_empty_portal_has_figures_too(api: Api) -> None:
    answer = await api.get("/statistics")
    assert answer.json["total"] == 0
    assert {part: answer.json[f"by_{part}"] for part in PARTS} == {part: [] for part in PARTS}
    expected = {"decisions": 0, "median_hours": None, "p90_hours": None}
    assert answer.json["verification"] == expected
    assert "Belum ada." in (await api.get("/statistics/page")).body.decode()


BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
OTHER = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Safari/604.1"}
PORTAL = {"User-Agent": "axios/1.9.0"}
PROGRAMS = ("Googlebot/2.1", "curl/8.5.0", "python-requests/2.32", "Mozilla/5.0 (bingbot/2.0)", "")


async def hits(api: Api) -> dict[str, int]:
    await api.application.hits.flush()
    answer = await api.get("/statistics", user="administrator")
    found: dict[str, int] = answer.json["hits"]
    return found


async def test_views_and_downloads_are_counted_once_and_programs_not_at_all(api: Api) -> None:
    mapset = (await api.make_public_mapset())["id"]
    for headers in (BROWSER, BROWSER, OTHER, PORTAL, PORTAL):
        await api.get(f"/mapsets/{mapset}", headers=headers)
    for agent in PROGRAMS:
        await api.get(f"/mapsets/{mapset}", headers={"User-Agent": agent})
    await api.request("HEAD", f"/mapsets/{mapset}", headers={"User-Agent": "Mozilla/5.0 (other)"})
    await api.get(f"/mapsets/{api.world.category_id}", headers=BROWSER)
    await api.get("/mapsets", headers=BROWSER)
    assert await hits(api) == {"views": 2, "downloads": 2}
    answer = await api.get("/statistics", user="administrator")
    (seen,) = answer.json["by_hits"]
    assert (seen["id"], seen["views"], seen["downloads"]) == (mapset, 2, 2)
    (organization,) = answer.json["hits_by_organization"]
    assert (organization["name"], organization["views"]) == ("Dinas Pekerjaan Umum", 2)


@pytest.mark.usefixtures("listening")
async def test_what_is_answered_from_what_is_kept_counts_too(api: Api) -> None:
    mapset = (await api.make_public_mapset())["id"]
    for number in range(4):
        await api.get(f"/mapsets/{mapset}", headers={"User-Agent": f"Mozilla/5.0 (no {number})"})
    assert (await hits(api))["views"] == 4


@pytest.mark.usefixtures("listening")
async def test_what_was_written_is_counted_at_once_also_for_everybody(api: Api) -> None:
    for number in range(1, 4):
        await api.make_public_mapset()
        for _ in range(2):
            assert (await api.get("/statistics")).json["total"] == number


@pytest.mark.usefixtures("listening")
async def test_who_asks_at_the_same_moment_waits_for_one_count(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.make_public_mapset()
    service, begun = api.application.services.statistics, []
    counted = service._counted

    async def slow(*arguments: Any) -> Any:
        begun.append(arguments)
        await asyncio.sleep(0.2)
        return await counted(*arguments)

    monkeypatch.setattr(service, "_counted", slow)
    answers = await asyncio.gather(*[api.get("/statistics") for _ in range(5)])
    assert [answer.json["total"] for answer in answers] == [1] * 5
    assert len(begun) == 1


@pytest.mark.usefixtures("listening")
async def test_a_count_that_failed_is_not_given_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = api.application.services.statistics

    async def fail(*_: Any) -> Any:
        raise UnavailableError

    with monkeypatch.context() as broken:
        broken.setattr(service, "_counted", fail)
        assert (await api.get("/statistics")).status == 503
    assert (await api.get("/statistics")).status == 200


async def test_nothing_of_who_has_looked_is_kept(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    mapset = (await api.make_public_mapset())["id"]
    await api.get(f"/mapsets/{mapset}", headers=BROWSER)
    assert "127.0.0.1" not in str(vars(api.application.hits))
    assert "Firefox" not in str(vars(api.application.hits))
    await hits(api)
    (columns,) = rows(
        url(api),
        "SELECT array_agg(column_name::text ORDER BY column_name::text) "
        "FROM information_schema.columns WHERE table_name = 'mapset_hits'",
    )
    assert columns == (["day", "downloads", "mapset_id", "views"],)
    assert "Firefox" not in caplog.text


async def test_processes_add_up_and_a_database_that_is_away_loses_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapset = (await api.make_public_mapset())["id"]
    other = Hits(api.application.services.settings)
    told = Finished("GET", ROUTE, f"/api/mapsets/{mapset}", 200, 0.1, "x", agent="Mozilla/5.0 (a)")

    async def fail(*_: object) -> None:
        raise UnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(database.database, "aio_execute_sql", fail)
        other.note(told)
        await other.flush()
    execute(url(api), "ALTER TABLE mapset_hits RENAME TO away")
    await other.flush()
    execute(url(api), "ALTER TABLE away RENAME TO mapset_hits")
    api.application.hits.note(told._replace(address="10.0.0.1"))
    other.note(told._replace(path=f"/api/mapsets/{uuid.uuid4()}"))
    await asyncio.gather(other.flush(), api.application.hits.flush())
    assert (await hits(api))["views"] == 2


async def test_a_removed_mapset_takes_its_hits_along(api: Api) -> None:
    mapset = (await api.make_public_mapset())["id"]
    await api.get(f"/mapsets/{mapset}", headers=BROWSER)
    await hits(api)
    for table in ("mapset_sources", "mapset_histories", "mapset_revisions", "mapsets"):
        column = "id" if table == "mapsets" else "mapset_id"
        execute(url(api), f"DELETE FROM {table} WHERE {column} = '{mapset}'")
    assert rows(url(api), "SELECT count(*) FROM mapset_hits") == [(0,)]
