"""What all plain resources share."""

import asyncio
import time
from typing import Any

import pytest

from satupeta_server.services.news import sanitised
from tests.conftest import Api

BODIES: dict[str, dict[str, Any]] = {
    "categories": {"name": "Uji Kategori"},
    "organizations": {"name": "Uji Organisasi", "email": "a@b.example.org"},
    "classifications": {"name": "Uji Klasifikasi", "is_limited": True},
    "map_projection_systems": {"name": "Uji Proyeksi", "authority_code": "EPSG:1", "epoch": 2012},
    "regionals": {"code": "99", "name": "Uji Wilayah", "valid_from": "2026-01-31"},
    "news": {"name": "Uji Berita", "description": "<p>Isi</p>"},
    "map_sources": {"name": "Uji Sumber", "url": "https://peta.example.org/geoserver"},
    "credentials": {"name": "Uji Kredensial", "sensitive_data": {"key_1": "rahasia"}},
}
OPTIONAL = {
    "categories": ("description", "thumbnail"),
    "organizations": ("description", "thumbnail", "address", "phone_number", "email", "website"),
    "regionals": ("description", "thumbnail", "parent_id", "valid_from", "valid_to"),
    "news": ("description", "thumbnail"),
    "map_sources": ("description", "credential_id"),
    "map_projection_systems": ("authority_code", "area", "epoch", "description"),
}
UNIQUE = ("categories", "organizations", "classifications", "map_projection_systems", "regionals")
ADMINISTRATOR = {"user": "administrator"}


async def create(api: Api, subject: str, **changes: Any) -> dict[str, Any]:
    body = {**BODIES[subject], **changes}
    answer = await api.post(f"/{subject}", json_body=body, **ADMINISTRATOR)
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


@pytest.mark.parametrize("subject", BODIES)
async def test_a_record_lives_from_creation_to_deletion(api: Api, subject: str) -> None:
    record = await create(api, subject, unknown_field="ignored")
    path = f"/{subject}/{record['id']}"
    assert (await api.get(path, **ADMINISTRATOR)).json == record
    changed = await api.patch(path, json_body={"name": "Nama Baru"}, **ADMINISTRATOR)
    assert changed.json["name"] == "Nama Baru"
    assert changed.json["revision"] == 2
    again = await api.patch(path, json_body={"name": "Nama Baru"}, **ADMINISTRATOR)
    assert again.json == changed.json
    assert (await api.delete(path, **ADMINISTRATOR)).status == 204
    assert (await api.get(path, **ADMINISTRATOR)).status == 404
    assert (await api.delete(path, **ADMINISTRATOR)).status == 404
    listed = (await api.get(f"/{subject}", limit=1000, **ADMINISTRATOR)).json["items"]
    assert record["id"] not in {item["id"] for item in listed}


@pytest.mark.parametrize("subject", OPTIONAL)
@pytest.mark.parametrize("blank", ["", None])
async def test_a_blank_optional_field_means_no_value(api: Api, subject: str, blank: Any) -> None:
    blanks = dict.fromkeys(OPTIONAL[subject], blank)
    record = await create(api, subject, **blanks)
    path = f"/{subject}/{record['id']}"
    same = await api.patch(path, json_body=blanks, **ADMINISTRATOR)
    assert same.status == 200
    assert same.json["revision"] == 1
    assert all(not record[field] for field in OPTIONAL[subject])


@pytest.mark.parametrize("subject", BODIES)
async def test_a_record_without_a_name_is_refused(api: Api, subject: str) -> None:
    for name in ("", "   ", None):
        body = {**BODIES[subject], "name": name}
        answer = await api.post(f"/{subject}", json_body=body, **ADMINISTRATOR)
        assert answer.status == 422
        assert list(answer.json["errors"]) == ["name"]


@pytest.mark.parametrize("subject", UNIQUE)
async def test_a_unique_value_is_given_once_and_free_after_deletion(api: Api, subject: str) -> None:
    field = "code" if subject == "regionals" else "name"
    body = BODIES[subject]
    await api.token("administrator")
    answers = await asyncio.gather(
        *[api.post(f"/{subject}", json_body=body, **ADMINISTRATOR) for _ in range(4)]
    )
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status == 409)
    assert list(refused.json["errors"]) == [field]
    created = next(answer for answer in answers if answer.status == 201)
    upper = {**body, field: body[field].upper()}
    assert (await api.post(f"/{subject}", json_body=upper, **ADMINISTRATOR)).status == 409
    await api.delete(f"/{subject}/{created.json['id']}", **ADMINISTRATOR)
    await create(api, subject)


async def test_if_match_compares_the_revision(api: Api) -> None:
    record = await create(api, "categories")
    path = f"/categories/{record['id']}"
    tag = (await api.get(path)).headers["Etag"]
    matching = (tag, "2", '"3"', "*", f'"9", {tag}, "5"')
    for name, match in zip("ABCDE", matching, strict=True):
        headers = {"If-Match": match}
        answer = await api.patch(path, json_body={"name": name}, headers=headers, **ADMINISTRATOR)
        assert answer.status == 200, match
    for stale in (tag, "1", '"unreadable"'):
        headers = {"If-Match": stale}
        refused = await api.patch(path, json_body={"name": "F"}, headers=headers, **ADMINISTRATOR)
        assert refused.status == 412
        assert (await api.delete(path, headers=headers, **ADMINISTRATOR)).status == 412
    assert (await api.get(path)).json["name"] == "E"


async def test_inactive_records_are_hidden_from_the_public(api: Api) -> None:
    for subject in ("news", "categories", "organizations"):
        record = await create(api, subject, is_active=False)
        path = f"/{subject}/{record['id']}"
        assert [(await api.get(path, user=user)).status for user in (None, "viewer")] == [404, 404]
        assert (await api.get(path, user="pengelola")).status == 200
        total = (await api.get(f"/{subject}")).json["total"]
        assert (await api.get(f"/{subject}", **ADMINISTRATOR)).json["total"] == total + 1


async def test_a_classification_has_one_level(api: Api) -> None:
    record = await create(api, "classifications")
    answer = await api.patch(
        f"/classifications/{record['id']}", json_body={"is_secret": True}, **ADMINISTRATOR
    )
    assert list(answer.json["errors"]) == ["is_secret"]


async def test_regions_form_no_circle_and_end_after_they_start(api: Api) -> None:
    parent = await create(api, "regionals")
    child = await create(api, "regionals", code="99.01", parent_id=parent["id"])
    path = f"/regionals/{parent['id']}"
    circle = await api.patch(path, json_body={"parent_id": child["id"]}, **ADMINISTRATOR)
    assert list(circle.json["errors"]) == ["parent_id"]
    early = await api.patch(path, json_body={"valid_to": "2025-12-31"}, **ADMINISTRATOR)
    assert list(early.json["errors"]) == ["valid_to"]
    for code in ("9", "99.1", "99.01.01.01", "x"):
        body = {**BODIES["regionals"], "code": code}
        answer = await api.post("/regionals", json_body=body, **ADMINISTRATOR)
        assert list(answer.json["errors"]) == ["code"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://a.example", "//x", "http://", "a b"])
async def test_only_web_addresses_are_stored(api: Api, url: str) -> None:
    body = {**BODIES["map_sources"], "url": url}
    answer = await api.post("/map_sources", json_body=body, **ADMINISTRATOR)
    assert list(answer.json["errors"]) == ["url"]


def test_news_keep_what_an_editor_makes() -> None:
    html = (
        '<h2 style="text-align:center">Judul</h2><ul><li><p>Satu</p></li></ul>'
        "<blockquote><p><strong>Kutip</strong> <em>an</em></p></blockquote>"
        '<img src="https://peta.example.org/a.png" alt="Peta">'
    )
    assert sanitised(html) == html
    link = sanitised('<a href="https://x.example.org" target="_blank">x</a>')
    assert 'href="https://x.example.org"' in link
    assert 'rel="noopener noreferrer nofollow"' in link


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        '<img src="x" onerror="alert(1)">',
        '<a href="javascript:alert(1)">x</a>',
        "<iframe src='https://x.example.org'></iframe>",
        "<svg onload=alert(1)></svg>",
        '<p style="background:url(https://x.example.org)">x</p>',
    ],
)
async def test_news_lose_what_a_browser_would_run(api: Api, html: str) -> None:
    record = await create(api, "news", description=f"<p>Isi</p>{html}")
    for bad in ("script", "onerror", "javascript", "iframe", "svg", "url("):
        assert bad not in record["description"]


@pytest.mark.alone
async def test_html_that_is_nested_without_end_is_refused_at_once(api: Api) -> None:
    for html in ("<div>" * 190_000, "<div></x>" * 100_000, "<svg><g>" * 100_000):
        begin = time.monotonic()
        body = {"name": "Berita", "description": html}
        answer = await api.post("/news", user="walidata", json_body=body)
        assert (answer.status, list(answer.json["errors"])) == (422, ["description"])
        assert time.monotonic() - begin < 3
    flat = {"name": "Berita", "description": "<p>Isi <b>tebal</b><br></p>" * 5000}
    assert (await api.post("/news", user="walidata", json_body=flat)).status == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data"])
async def test_a_body_that_says_to_be_no_json_is_415(api: Api, kind: str) -> None:
    headers = {"Content-Type": kind}
    answer = await api.post("/categories", user="administrator", body=b"{}", headers=headers)
    assert answer.status == 415
    body, headers = b'{"name": "Tanpa jenis"}', {"Content-Type": ""}
    untyped = await api.post("/categories", user="administrator", body=body, headers=headers)
    assert untyped.status == 201


async def test_mapsets_are_found_by_the_longest_name_of_a_producer(api: Api) -> None:
    name = ("Dinas " * 50)[:254] + "x"
    made = await api.post("/organizations", user="administrator", json_body={"name": name})
    assert made.status == 201
    assert (await api.get("/mapsets", search=name)).status == 200
