"""What holds for every request: errors, CORS, caching, languages, pages, the document."""

import json
import re
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from satupeta_server.database import Database
from satupeta_server.routes import ROUTES
from tests.conftest import Api

ORIGIN = "http://localhost:4000"
SHAPE = {"code", "message", "detail", "errors", "request_id"}
LISTS = [route.path for route in ROUTES if any(one.is_list for one in route.operations.values())]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("GET", "/mapsets/x", None, 404),
        ("PUT", "/mapsets", b"{}", 405),
        ("POST", "/categories", b"{", 400),
        ("POST", "/categories", b"", 400),
        ("POST", "/categories", b"[]", 422),
        ("POST", "/categories", b"[" * 100_000, 400),
        ("POST", "/categories", b'{"name": "\\u0000"}', 422),
        ("POST", "/categories", b'{"name": "\\ud800"}', 400),
        ("POST", "/categories", b'{"name": 1e999}', 400),
        ("POST", "/categories", b'{"name": %s}' % (b"9" * 400), 400),
        ("POST", "/categories", b'{"name": "%s"}' % (b"x" * 300), 422),
        ("POST", "/categories", b"x" * 3_000_000, 413),
    ],
)
async def test_every_error_has_one_shape_and_is_readable_by_a_browser(
    api: Api, method: str, path: str, body: bytes | None, status: int
) -> None:
    headers = {"Origin": ORIGIN}
    answer = await api.request(method, path, user="administrator", body=body, headers=headers)
    assert answer.status == status, answer.body
    assert set(answer.json) == SHAPE
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


async def test_a_preflight_allows_the_portal_and_nobody_else(api: Api) -> None:
    for path in ("/mapsets", "/files", "/nothing"):
        answer = await api.request("OPTIONS", path, headers={"Origin": ORIGIN})
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        foreign = await api.request("OPTIONS", path, headers={"Origin": "http://evil.example.org"})
        assert "Access-Control-Allow-Origin" not in foreign.headers


@pytest.mark.parametrize("path", [*LISTS, "/me", "/openapi.json", "/", "/docs", "/docs/style.css"])
async def test_every_get_has_a_tag_and_answers_304_to_it(api: Api, path: str) -> None:
    first = await api.get(path, user="administrator")
    assert first.status == 200
    assert first.headers["Etag"].startswith('W/"')
    assert first.headers["Cache-Control"] == "no-store"
    assert "Server" not in first.headers
    headers = {"If-None-Match": first.headers["Etag"]}
    again = await api.get(path, user="administrator", headers=headers)
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path", [*LISTS, "/me", "/openapi.json", "/", "/docs", "/nothing", "/mapsets/x"]
)
async def test_head_is_answered_as_get_is_without_the_content(api: Api, path: str) -> None:
    for user in (None, "viewer", "administrator"):
        got = await api.get(path, user=user)
        answer = await api.request("HEAD", path, user=user)
        assert (answer.status, answer.body) == (got.status, b"")
        for header in ("Content-Type", "Content-Length", "Etag", "Cache-Control", "Vary"):
            same = answer.headers.get(header) == got.headers.get(header)
            # An error names its request, so its length may differ, but not its kind.
            assert same or (header == "Etag" and got.status >= 400), (user, header)
    known = await api.request("HEAD", path, user=user, headers={"If-None-Match": "*"})
    assert known.status == (304 if got.status == 200 else got.status)


async def test_only_what_is_the_same_for_everybody_may_be_stored(api: Api) -> None:
    public = await api.get("/mapsets")
    assert public.headers["Cache-Control"] == "public, no-cache"
    assert {"Origin", "Authorization"} <= set(re.split(r",\s*", public.headers["Vary"]))
    assert (await api.get("/mapsets", token="stale")).headers["Cache-Control"] == "no-store"


async def test_a_request_id_goes_in_and_out_unless_it_is_malformed(api: Api) -> None:
    kept = await api.get("/nothing", headers={"X-Request-Id": "abc-1"})
    assert kept.json["request_id"] == "abc-1"
    replaced = await api.get("/nothing", headers={"X-Request-Id": "a b"})
    assert replaced.json["request_id"] not in ("a b", "")


async def test_errors_are_indonesian_and_english_where_that_is_preferred(api: Api) -> None:
    assert (await api.get("/nothing")).json["message"] == "Alamat ini tidak ada."
    for accepted in ("en", "en-US,en;q=0.9,id;q=0.5"):
        answer = await api.get("/nothing", headers={"Accept-Language": accepted})
        assert answer.json["message"] == "There is nothing at this address."
        assert "Accept-Language" in answer.headers["Vary"]


async def test_answers_are_compressed_where_that_is_accepted(api: Api) -> None:
    plain = await api.get("/map_projection_systems")
    packed = await api.get("/map_projection_systems", headers={"Accept-Encoding": "gzip"})
    assert packed.json == plain.json
    assert int(packed.headers.get("X-Consumed-Content-Encoding") == "gzip")


async def test_a_get_with_a_content_type_and_no_body_is_answered(api: Api) -> None:
    answer = await api.get("/news", headers={"Content-Type": "application/json"})
    assert answer.status == 200


async def test_the_pages_bring_all_that_they_need(api: Api) -> None:
    for path in ("/", "/docs", "/auth/password-reset/page"):
        page = await api.get(path)
        assert page.headers["Content-Type"].startswith("text/html")
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        text = page.body.decode()
        assert "//" not in re.sub(r"https?://www\.w3\.org\S*", "", text)
        for asset in re.findall(r'(?:src|href)="/api(/docs/[^"]+)"', text):
            assert (await api.get(asset)).status == 200
    home = (await api.get("/")).body.decode()
    assert "Sehat" in home
    await api.make_public_mapset()
    assert ">1</dd>" in (await api.get("/")).body.decode()


async def test_the_document_is_valid_and_tells_the_truth(api: Api) -> None:
    document = (await api.get("/openapi.json")).json
    validate(document)
    await api.make_public_mapset()
    await api.post("/news", user="walidata", json_body={"name": "Berita"})
    for path in [*LISTS, "/me", "/health/ready"]:
        answer = await api.get(path, user="administrator")
        schema = document["paths"][path]["get"]["responses"]["200"]["content"]
        check(answer.json, schema["application/json"]["schema"], document)
        for item in answer.json.get("items", [])[:3]:
            one = await api.get(f"{path}/{item['id']}", user="administrator")
            described = document["paths"][f"{path}/{{id}}"]["get"]["responses"]["200"]
            check(one.json, described["content"]["application/json"]["schema"], document)
    check((await api.get("/nothing")).json, {"$ref": "#/components/schemas/Error"}, document)


def check(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    """Validate a value by a schema of the document."""
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(json.loads(json.dumps(value)))


@pytest.mark.parametrize("path", [*LISTS, "/me"])
async def test_a_list_takes_one_statement_besides_authentication(
    api: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await api.make_mapset(name=f"Mapset {number}")
    # What a process asks but once is asked by the first request.
    assert (await api.get(path, user="administrator")).status == 200
    statements: list[str] = []
    execute = Database.aio_execute_sql

    async def counted(self: Database, sql: str, *arguments: Any, **named: Any) -> Any:
        statements.append(sql)
        return await execute(self, sql, *arguments, **named)

    monkeypatch.setattr(Database, "aio_execute_sql", counted)
    assert (await api.get(path, user="administrator")).status == 200
    assert len(statements) == 2
