"""Texts that are meant to become something else: SQL, HTML, a line of the log, a formula."""

import csv
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satupeta_server import database
from satupeta_server.logs import configure_logging, printable
from satupeta_server.models.mapsets import Mapset
from satupeta_server.models.news import News
from satupeta_server.routes import ROUTES, Route
from satupeta_server.settings import Settings
from satupeta_server.transfer.exporting import export_rows
from satupeta_server.transfer.kinds import KINDS
from satupeta_server.transfer.writing import make_writer
from tests.conftest import Api, execute, multipart
from tests.connecting import port_of
from tests.handlers.test_resources import BODIES
from tests.rows import State, reading_state, row_of, url_of
from tests.situations import ITEMS, WRITABLE, new_body, path_to, person
from tests.test_noise import answer_to
from tests.world import PASSWORD, World

LISTS = [route for route in ROUTES if any(one.is_list for one in route.operations.values())]
CANARY = "disusupkan"
SQL = [
    f"'; CREATE TABLE {CANARY} (); --",
    f"'); CREATE TABLE {CANARY} (); --",
    f"\\'; CREATE TABLE {CANARY} (); --",
    f"$$; CREATE TABLE {CANARY} (); $$",
    f"1; CREATE TABLE {CANARY} ()",
    "' OR '1'='1",
    "' OR 1=1 --",
    '" OR ""="',
    "') UNION SELECT password_hash FROM users --",
    "%' OR name LIKE '%",
    "\u02bc OR 1=1 --",
    "(SELECT 1/0)",
    "name; DROP TABLE mapsets CASCADE",
    "%s%(name)s%%",
    "{0}{name}${7*7}",
]
HTML = "<script>alert(1)</script><img src=x onerror=alert(1)><svg/onload=alert(1)>"


# SQL


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.path)
async def test_no_parameter_of_a_list_is_read_as_sql(api: Api, state: State, route: Route) -> None:
    await api.make_public_mapset()
    document = (await api.get("/openapi.json")).json
    parameters = document["paths"][route.path]["get"]["parameters"]
    filters = next(one["description"] for one in parameters if one["name"] == "filter")
    fields = re.findall(r"\w+", filters.partition("by ")[2].partition(";")[0])
    assert "id" in fields
    total = (await api.get(route.path, user="administrator", limit=0)).json["total"]
    before = state()
    for text in SQL:
        queries: list[dict[str, Any]] = [
            {one["name"]: text} for one in parameters if one["in"] == "query"
        ]
        queries += [{"filter": json.dumps([f"{field}={text}"])} for field in fields]
        queries += [{"filter": f"{text}=1"}, {text: "1"}, {"sort": f"name:{text}"}]
        for query in queries:
            answer = await api.get(route.path, user="administrator", **{"limit": 0, **query})
            assert answer.status in (200, 422), (query, answer.status, answer.body)
            if answer.status == 422:
                continue
            is_narrowed = "search" in query or "filter" in query
            assert answer.json["total"] == (0 if is_narrowed else total), query
    assert state() == before


@pytest.mark.parametrize("route", ITEMS, ids=lambda route: route.path)
async def test_no_id_is_read_as_sql(api: Api, state: State, route: Route) -> None:
    before = state()
    for text in (*SQL, f"{api.world.category_id}' OR '1'='1", f"{api.world.category_id}--"):
        path = path_to(route.path, quote(text, safe=""))
        for method in route.operations:
            body = {"name": "Diubah"} if method in ("POST", "PATCH") else None
            answer = await api.request(method, path, user="administrator", json_body=body)
            assert answer.status in (404, 422), (method, path, answer.body)
    assert state() == before


@pytest.mark.parametrize("subject", WRITABLE)
async def test_no_text_of_a_body_is_read_as_sql(api: Api, settings: Settings, subject: str) -> None:
    form = next(route for route in ROUTES if route.path == f"/{subject}").options["form"]
    table = WRITABLE[subject]._meta.table_name
    for text in SQL:
        for field, rules in form.fields.items():
            if rules["type"] != "string" or field in ("password", "sensitive_data"):
                continue
            body = {**new_body(api, subject), field: text}
            answer = await api.post(f"/{subject}", user="administrator", json_body=body)
            assert answer.status in (201, 422), (field, text, answer.body)
            if answer.status == 422:
                assert set(answer.json["errors"]) == {field}
                continue
            stored = row_of(settings, table, answer.json["id"])[field]
            if field != "status_validation":
                assert stored == (as_html(text) if (subject, field) == HTML_FIELD else text)
            assert (
                await api.delete(f"/{subject}/{answer.json['id']}", user="administrator")
            ).status == 204
    with reading_state(settings) as read:
        assert CANARY not in {name for name, *_ in read()}


HTML_FIELD = ("news", "description")


def as_html(text: str) -> str:
    return text.replace("&", "&amp;").replace("\u00a0", "&nbsp;")


# HTML


@pytest.mark.parametrize("subject", WRITABLE)
async def test_html_is_text_everywhere_but_in_news(
    api: Api, settings: Settings, subject: str
) -> None:
    form = next(route for route in ROUTES if route.path == f"/{subject}").options["form"]
    for field, rules in form.fields.items():
        if rules["type"] != "string" or field == "password":
            continue
        body = {**new_body(api, subject), field: HTML}
        answer = await api.post(f"/{subject}", user="administrator", json_body=body)
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if answer.status == 422:
            assert set(answer.json["errors"]) == {field}
            continue
        assert answer.status == 201, answer.body
        stored = answer.json[field]
        if (subject, field) == HTML_FIELD:
            assert not re.search(r"script|onerror|onload|svg", stored)
        elif field != "notes":
            assert stored == HTML
        await api.delete(f"/{subject}/{answer.json['id']}", user="administrator")


async def test_what_a_search_marks_is_escaped(api: Api) -> None:
    await api.make_public_mapset(name=f"Zirkon {HTML}", description=f"Zirkon biru {HTML}")
    body = {"name": f"Zirkon {HTML}", "description": f"Zirkon {HTML}"}
    for path in ("/news", "/categories", "/organizations"):
        made = await api.post(path, user="administrator", json_body=body)
        assert made.status == 201, made.body
    found = (await api.get("/search", q="zirkon")).json
    for group in ("mapsets", "news", "categories", "organizations"):
        assert found[group]["items"], group
        for hit in found[group]["items"]:
            for text in hit["highlights"].values():
                assert set(re.findall(r"<[^>]*>", text or "")) <= {"<mark>", "</mark>"}, text


@pytest.mark.settings(project_name=f'Peta "{HTML}')
@pytest.mark.parametrize("path", ["/", "/docs", "/auth/password-reset/page"])
async def test_pages_show_values_as_text(api: Api, path: str) -> None:
    answer = await api.get(path)
    assert answer.status == 200
    assert b"<script>alert" not in answer.body
    assert b"<img src=x" not in answer.body
    assert b"<svg/onload" not in answer.body
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_no_error_gives_back_what_would_run(api: Api) -> None:
    for query in ({"filter": HTML}, {"cursor": HTML}, {"bbox": HTML}, {"facets": HTML}):
        answer = await api.get("/mapsets", **query)
        assert answer.status == 422
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    answer = await api.get(f"/{quote(HTML, safe='')}")
    assert answer.status == 404
    assert HTML.encode() not in answer.body


# The log


@given(st.text())
def test_a_line_is_one_line(text: str) -> None:
    written = printable(text)
    assert written.isprintable()
    assert written == text or not text.isprintable()


async def test_a_request_is_one_line_of_the_log(
    api: Api, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fake = "2026-01-01 00:00:00,000 INFO satupeta_server: GET /api/me 200"
    bad = f"\r\n{fake}\x1b[2J\x1b]0;x\x07\u202e\u2028{fake}\x85\x9b31m\0"

    async def fail(*_arguments: Any) -> None:
        raise RuntimeError(bad)

    root = logging.getLogger()
    before = list(root.handlers), root.level
    configure_logging(api.application.services.settings)
    try:
        for path in (f"/{quote(bad)}", f"/mapsets/{quote(bad)}", f"/mapsets?search={quote(bad)}"):
            await api.get(path)
        raw = b"GET /api/\x9b31m\x85\xe2\x80\xa8x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        await answer_to(port_of(api), raw + b"User-Agent: \xc2\x9b31m\r\n\r\n")
        headers, body = multipart({"username": bad, "password": bad})
        await api.post("/auth/login", headers=headers, body=body)
        await api.post("/auth/login", json_body={"username": bad, "password": bad})
        await api.upload(b"x", "a%0d%0ab\x9b.png")
        with monkeypatch.context() as patch:
            patch.setattr(type(api.application.services.categories), "get", fail)
            answer = await api.get(f"/categories/{api.world.category_id}", user="viewer")
    finally:
        root.handlers, root.level = before[0], before[1]
    assert answer.status == 500
    assert fake not in answer.body.decode()
    said = capfd.readouterr().err
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", said)
    lines = said.splitlines()
    events = [line for line in lines if re.match(r"\d{4}-", line)]
    assert all(line.startswith("    ") for line in lines if line not in events), said
    assert not any(line.startswith(fake) for line in lines)
    requests = [line for line in events if " ms " in line]
    assert len(requests) == 8, said
    assert not any(PASSWORD in line for line in lines)


# Formulas


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\uff1d1+1", '=HYPERLINK("http://x","y")']


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"files"}))
def test_no_export_holds_a_formula(
    settings: Settings, world: World, tmp_path: Path, kind: str
) -> None:
    table, columns = KINDS[kind].model._meta.table_name, KINDS[kind].columns
    text = next(name for name in ("description", "position", "url") if name in columns)
    database.connect(settings)
    with database.synchronous():
        News.create(name="Berita")
        columns_of_wizard = world.mapset(name="Peta").items()
        Mapset.create(**{name: one for name, one in columns_of_wizard if name != "source_id"})
    for formula in FORMULAS:
        written = formula.replace("'", "''").replace("%", "%%")
        execute(
            url_of(settings),
            f"UPDATE {table} SET name = '{written}' || id::text, {text} = '{written}' || id::text",
        )
        with database.synchronous():
            rows = list(export_rows(KINDS[kind]))[:50]
        assert any(row[text].startswith(formula) for row in rows)
        for form in ("csv", "tsv", "xlsx"):
            path = tmp_path / f"data.{form}"
            with path.open("wb") as file, make_writer(form, file, list(columns)) as writer:
                for row in rows:
                    writer.write(row)
            for cell in cells_of(path):
                assert not cell.startswith((*"=+-@\t\r", "\uff1d")), (form, cell)


def cells_of(path: Path) -> Iterator[str]:
    """The cells as a spreadsheet gets them; a formula of a workbook begins with its sign."""
    if path.suffix != ".xlsx":
        delimiter = "," if path.suffix == ".csv" else "\t"
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.reader(file, delimiter=delimiter):
                yield from (cell for cell in line if not re.fullmatch(r"-?[0-9.]+", cell))
        return
    book = openpyxl.load_workbook(io.BytesIO(path.read_bytes()))
    for line in book.worksheets[0].iter_rows():
        for cell in line:
            assert cell.data_type != "f", cell.value
            if cell.data_type != "s" and cell.value is not None:
                yield str(cell.value)


# Unicode


@pytest.mark.parametrize(
    "name",
    [
        "\uff41\uff44\uff4d\uff49\uff4e",
        "ADMIN",
        " admin ",
        "\u1d43\u1d48\u1d50\u2071\u207f",
        "\U0001d41a\U0001d41d\U0001d426\U0001d422\U0001d427",
        "\u24d0\u24d3\u24dc\u24d8\u24dd",
    ],
)
async def test_a_username_is_there_once_however_it_is_written(api: Api, name: str) -> None:
    first = {**person(api), "username": "admin", "role_id": api.world.roles["data_viewer"]}
    assert (await api.post("/users", user="administrator", json_body=first)).status == 201
    second = {**person(api), "username": name}
    answer = await api.post("/users", user="administrator", json_body=second)
    assert answer.status == 409, answer.body
    other = f"/users/{api.world.users['viewer']}"
    change = await api.patch(other, user="administrator", json_body={"username": name})
    assert change.status == 409
    headers, body = multipart({"username": name, "password": PASSWORD})
    login = await api.post("/auth/login", headers=headers, body=body)
    me = await api.get("/me", token=login.json["access_token"])
    assert me.json["username"] == "admin"


@pytest.mark.parametrize(
    "name",
    [
        "adm\u200bin",
        "admin\u200d",
        "\u2060admin",
        "ad\u00admin",
        "\u202eadmin",
        "admin\ufeff",
        "adm\u0456n",
        "\u0430dmin",
        "admi\u03b7",
        "ad\x00min",
        "ad\x1bmin",
        "admin\ue000",
        "ad min",
        "ad\u3164min",
    ],
)
async def test_a_username_that_looks_like_another_is_refused(api: Api, name: str) -> None:
    body = {**person(api), "username": name}
    answer = await api.post("/users", user="administrator", json_body=body)
    assert answer.status == 422, answer.body
    assert list(answer.json["errors"]) == ["username"]


@pytest.mark.parametrize("subject", BODIES)
@pytest.mark.parametrize(
    "raw",
    [
        b'"a\\u0000b"',
        b'"a\\ud800b"',
        b'"a\\udc00\\ud800b"',
        b'"\xc0\xafadmin"',
        b'"\xe0\x80\xaf"',
        b'"\xed\xa0\x80"',
        b'"\xf8\x88\x80\x80\x80"',
        b'"\xff\xfe"',
        b'"\\u00"',
    ],
)
async def test_what_is_no_text_is_stored_nowhere(
    api: Api, state: State, subject: str, raw: bytes
) -> None:
    text = json.dumps({**BODIES[subject], "name": "RAW"}).encode().replace(b'"RAW"', raw)
    before = state()
    answer = await api.post(f"/{subject}", user="administrator", body=text)
    assert answer.status in (400, 422), answer.body
    assert state() == before
