"""What everybody reads is kept: the same answer, never another's, an old one, or too much."""

import asyncio
import contextlib
import itertools
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from peewee import SQL

from satupeta_server import changes
from satupeta_server.database import Database
from satupeta_server.errors import UnavailableError
from satupeta_server.routes import ROUTES
from satupeta_server.security.permissions import ANONYMOUS, GRANTS
from satupeta_server.services.categories import CategoryService
from satupeta_server.services.records import fetch_row
from tests.conftest import Answer, Api, comes_true, execute

ORIGIN = "http://localhost:4000"
PUBLIC_LISTS = [
    route.path
    for route in ROUTES
    if "GET" in route.operations
    and route.operations["GET"].is_list
    and ANONYMOUS in GRANTS[route.operations["GET"].permission]
]
HEADERS = (
    {},
    {"Accept-Encoding": "gzip"},
    {"Origin": ORIGIN},
    {"Origin": "http://evil.example.org"},
    {"If-None-Match": "*"},
    {"If-None-Match": '"x", "y"'},
    {"X-Request-Id": "abc-1"},
)
OF_A_REQUEST = ("X-Request-Id", "Date")


pytestmark = pytest.mark.usefixtures("listening")


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a machine that is busy hear late of changes, where that is not what a test is about."""
    monkeypatch.setattr(changes, "KNOWN_SECONDS", 30)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the requests from now on need."""
    seen: list[str] = []
    execute_sql = Database.aio_execute_sql

    async def counted(self: Database, sql: str, *arguments: Any, **named: Any) -> Any:
        # Which cluster it is, is asked once.
        if "pg_control_system" not in sql:
            seen.append(sql)
        return await execute_sql(self, sql, *arguments, **named)

    monkeypatch.setattr(Database, "aio_execute_sql", counted)
    return seen


def name_of_category(api: Api) -> str:
    return f"/categories/{api.world.category_id}"


def change_by_sql(api: Api, statement: str) -> None:
    url = api.application.services.settings.database_url
    assert url is not None
    execute(url.get_secret_value(), statement)


def comparable(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    headers = {name: value for name, value in answer.headers.items() if name not in OF_A_REQUEST}
    return answer.status, answer.body, headers


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("path", PUBLIC_LISTS)
async def test_a_kept_answer_is_the_same_as_a_made_one(
    api: Api, statements: list[str], path: str
) -> None:
    await api.make_public_mapset()
    for method, headers in itertools.product(("GET", "HEAD"), HEADERS):
        api.application.changes.note()
        made = await api.request(method, path, headers=headers)
        await api.get(path)
        statements.clear()
        kept = await api.request(method, path, headers=headers)
        assert statements == []
        assert comparable(kept) == comparable(made)
        assert kept.headers["Date"]
        is_given = kept.headers["X-Request-Id"] == made.headers["X-Request-Id"] == "abc-1"
        assert is_given is ("X-Request-Id" in headers)
        assert is_given or kept.headers["X-Request-Id"] != made.headers["X-Request-Id"]


@pytest.mark.usefixtures("unhurried")
async def test_a_page_that_names_its_next_one_and_a_detail_are_kept_whole(
    api: Api, statements: list[str]
) -> None:
    mapset = await api.make_public_mapset()
    await api.make_public_mapset(name="Lain")
    for path in ("/mapsets?limit=1", f"/mapsets/{mapset['id']}"):
        made = await api.get(path)
        statements.clear()
        kept = await api.get(path)
        assert (statements, comparable(kept)) == ([], comparable(made))
        known = await api.get(path, headers={"If-None-Match": f'"x", {made.headers["Etag"]}'})
        assert (statements, known.status, known.body) == ([], 304, b"")
    assert 'rel="next"' in (await api.get("/mapsets?limit=1")).headers["Link"]


@pytest.mark.parametrize("authorization", ["Bearer {token}", "Bearer stale", "Basic eDp5"])
async def test_who_says_who_they_are_is_never_answered_from_what_is_kept(
    api: Api, statements: list[str], authorization: str
) -> None:
    hidden = await api.make_mapset(name="Rahasia")
    token = await api.token("administrator")
    headers = {"Authorization": authorization.format(token=token)}
    for _ in range(2):
        statements.clear()
        answer = await api.get("/mapsets", headers=headers)
        assert statements != []
        assert (hidden["id"] in answer.body.decode()) is ("token" in authorization)
        assert answer.headers["Cache-Control"] == "no-store"
    statements.clear()
    public = await api.get("/mapsets")
    assert len(statements) == 1
    assert public.json["total"] == 0
    await api.get("/mapsets", headers=headers)
    assert len(statements) > 1


async def test_sorting_stays_for_who_is_logged_in(api: Api) -> None:
    for _ in range(2):
        assert (await api.get("/mapsets?sort=name:asc")).status == 401
        assert (await api.get("/mapsets?sort=name:asc", user="viewer")).status == 200


@pytest.mark.parametrize("path", ["/categories/x", "/categories?filter=colour=red", "/users"])
async def test_errors_are_not_kept(api: Api, path: str) -> None:
    for _ in range(2):
        answer = await api.get(path)
        assert answer.status >= 400
        assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert api.application.answers.size == 0


async def test_who_has_written_sees_it_at_once(api: Api) -> None:
    for number in range(10):
        await api.get("/categories")
        await api.get(name_of_category(api))
        body = {"name": f"Nama {number}"}
        answer = await api.patch(name_of_category(api), user="administrator", json_body=body)
        assert answer.status == 200
        assert (await api.get(name_of_category(api))).json["name"] == f"Nama {number}"
        assert f"Nama {number}" in (await api.get("/categories")).body.decode()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE categories SET name = name || ' lain'",
        "INSERT INTO categories (id, name) VALUES (gen_random_uuid(), 'Nama lain')",
        "DELETE FROM categories WHERE id NOT IN (SELECT category_id FROM mapsets)",
        "TRUNCATE categories CASCADE",
    ],
)
async def test_what_others_write_is_seen_soon(api: Api, statement: str) -> None:
    before = (await api.get("/categories")).body
    change_by_sql(api, statement)

    async with asyncio.timeout(1):
        while (await api.get("/categories")).body == before:
            pass


async def test_every_table_of_public_answers_tells_of_its_changes(
    api: Api, statements: list[str]
) -> None:
    mapset = await api.make_public_mapset()
    statements.clear()
    for path in PUBLIC_LISTS:
        assert (await api.get(path)).status == 200
    assert (await api.get(f"/mapsets/{mapset['id']}")).status == 200
    await api.get("/mapsets?search=a&facets=category,producer,regional&bbox=1,1,2,2")
    read = set(re.findall(r'(?:FROM|JOIN) "(\w+)"', " ".join(statements)))
    assert {"mapsets", "credentials", "mapset_sources"} <= read
    silent = (
        "SELECT array_agg(relname::text) FROM pg_class WHERE relkind = 'r' AND NOT EXISTS "
        "(SELECT FROM pg_trigger WHERE tgrelid = pg_class.oid AND tgname = 'change_notice')"
    )
    row = await fetch_row(SQL(silent))
    assert row is not None
    # These two change only what is written down of the mapsets' own changes.
    assert not (read - {"kept_counts", "mapset_changes"}).intersection(row[0])


async def test_requests_at_the_same_moment_share_one_statement(
    api: Api, statements: list[str]
) -> None:
    await api.make_public_mapset()
    await api.make_public_mapset(name="Lain")
    statements.clear()
    # More than the one caller may do at once.
    answers = await asyncio.gather(*[api.get("/mapsets?limit=1") for _ in range(10)])
    assert {comparable(answer)[2]["Link"] for answer in answers} == {answers[0].headers["Link"]}
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert len(statements) == 1


async def test_an_error_is_shared_and_not_kept(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, calls = asyncio.Event(), []

    async def fails(*_arguments: object) -> None:
        calls.append(1)
        await gate.wait()
        raise UnavailableError

    with monkeypatch.context() as patched:
        patched.setattr(CategoryService, "list", fails)
        asked = [asyncio.ensure_future(api.get("/categories")) for _ in range(4)]
        await asyncio.sleep(0.2)
        gate.set()
        assert [(await one).status for one in asked] == [503] * 4
        assert len(calls) == 1
    assert (await api.get("/categories")).status == 200


async def test_a_client_that_goes_away_fails_nobody_else(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, calls = asyncio.Event(), []
    make = CategoryService.list

    async def slow(*arguments: Any) -> Any:
        calls.append(1)
        await gate.wait()
        return await make(*arguments)

    monkeypatch.setattr(CategoryService, "list", slow)
    with first_asker(api, "/api/categories") as client:
        await comes_true(lambda: bool(calls))
        asked = asyncio.ensure_future(api.get("/categories"))
        await asyncio.sleep(0.05)
        client.close()
        await asyncio.sleep(0.05)
        gate.set()
        assert (await asked).status == 200
    assert len(calls) == 1


@contextlib.contextmanager
def first_asker(api: Api, path: str) -> Iterator[socket.socket]:
    port = urlsplit(api.base).port
    with socket.create_connection(("127.0.0.1", port or 0)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield client


async def test_what_was_read_before_a_change_is_not_kept_after_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, gate, calls = asyncio.Event(), asyncio.Event(), []
    make = CategoryService.list

    async def slow(*arguments: Any) -> Any:
        page = await make(*arguments)
        calls.append(1)
        if len(calls) == 1:
            read.set()
            await gate.wait()
        return page

    monkeypatch.setattr(CategoryService, "list", slow)
    late = asyncio.ensure_future(api.get("/categories"))
    await read.wait()
    body = {"name": "Nama baru"}
    await api.patch(name_of_category(api), user="administrator", json_body=body)
    # Who asks after the change does not get what was read before it.
    assert "Nama baru" in (await api.get("/categories")).body.decode()
    change_by_sql(api, "UPDATE categories SET name = name")
    gate.set()
    assert "Nama baru" not in (await late).body.decode()
    assert "Nama baru" in (await api.get("/categories")).body.decode()


@pytest.mark.usefixtures("unhurried")
@pytest.mark.settings(response_cache_megabytes=1)
async def test_memory_is_bounded_and_the_oldest_go_first(api: Api, statements: list[str]) -> None:
    cache = api.application.answers
    await api.get("/categories")
    for number in range(60):
        page = await api.get(f"/regionals?limit=100&offset={number}")
        assert page.status == 200
        await api.get("/regionals?limit=1")
        assert cache.size <= 1 << 20
    assert cache.size > 1 << 19
    statements.clear()
    await api.get("/regionals?limit=1")
    assert len(statements) == 0
    await api.get("/categories")
    assert len(statements) == 1
    await api.get("/regionals?limit=100&offset=59", headers={"Accept-Encoding": "gzip"})
    assert cache.size <= 1 << 20
    await api.get("/regionals?limit=900")
    statements.clear()
    await api.get("/regionals?limit=900")
    assert len(statements) == 1, "one that takes too much of the room is not kept"


async def test_listening_ends_though_a_cancel_is_lost(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def lose_one(*_: object) -> None:
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    monkeypatch.setattr(changes.Changes, "_ask", lose_one)
    async with asyncio.timeout(5):
        await asked.wait()
        await api.application.changes.close()


async def test_nothing_is_kept_or_shared_while_changes_are_not_heard_of(
    api: Api, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.get("/categories")
    await api.application.changes.close()
    for count in (1, 2):
        await api.get("/categories")
        assert len(statements) == count + 1
    await asyncio.gather(*[api.get("/categories") for _ in range(5)])
    assert len(statements) == 8


async def test_without_the_migration_nothing_is_kept(api: Api, statements: list[str]) -> None:
    await api.get("/categories")
    change_by_sql(api, "DROP FUNCTION notice_change() CASCADE")
    await asyncio.sleep(changes.KNOWN_SECONDS)
    for count in (1, 2):
        statements.clear()
        assert (await api.get("/categories")).status == 200
        assert len(statements) == 1, count


async def test_behind_a_pooler_nothing_is_kept(
    api: Api, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A pooler makes up the process ids that it tells its clients, and may lose notifications.
    monkeypatch.setattr(changes, "_QUESTION", "SELECT 1, true")
    await api.get("/categories")
    await asyncio.sleep(changes.KNOWN_SECONDS)
    for _ in range(2):
        statements.clear()
        assert (await api.get("/categories")).status == 200
        assert len(statements) == 1


@pytest.mark.settings(response_cache_megabytes=0)
async def test_the_setting_turns_it_off(api: Api, statements: list[str]) -> None:
    await asyncio.gather(*[api.get("/categories") for _ in range(5)])
    await api.get("/categories")
    assert len(statements) == 6
