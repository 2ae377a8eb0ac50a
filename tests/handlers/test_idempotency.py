"""A creation that is sent again creates once, and answers the same."""

import asyncio
import contextlib
import io
import json
import secrets
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from PIL import Image
from pydantic import SecretStr

from satupeta_server.errors import UnavailableError
from satupeta_server.services.categories import CategoryService
from satupeta_server.services.files import FileService
from satupeta_server.services.repeats import RepeatService
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.conftest import Answer, Api, execute

BODIES = {
    "/categories": {"name": "Sekali Saja"},
    "/organizations": {"name": "Dinas Sekali"},
    "/classifications": {"name": "Sekali", "is_open": True},
    "/credentials": {
        "name": "Sekali",
        "credential_type": "geoserver",
        "sensitive_data": {"username": "a", "password": "b"},
    },
    "/news": {"name": "Sekali", "description": "<p>Sekali</p>"},
    "/users": {
        "name": "Sekali",
        "username": "sekali",
        "email": "sekali@example.org",
        "password": "Sawah-Hijau-2026!",
    },
}
CATEGORY = BODIES["/categories"]


async def create(
    api: Api, body: Any, key: str = "kunci-1", path: str = "/categories", **others: Any
) -> Answer:
    return await api.post(
        path,
        json_body=body,
        headers={"Idempotency-Key": key},
        **{"user": "administrator", **others},
    )


def url_of(api: Api) -> str:
    url = api.application.services.settings.database_url
    assert url is not None
    return url.get_secret_value()


def rows(api: Api, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(psycopg2.connect(url_of(api))) as one, one.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def is_repeated(first: Answer, second: Answer) -> bool:
    names = ("ETag", "Content-Type")
    return (first.status, first.body, [first.headers[name] for name in names]) == (
        second.status,
        second.body,
        [second.headers[name] for name in names],
    )


@pytest.mark.parametrize("path", BODIES)
async def test_the_same_again_gets_the_same_answer(api: Api, path: str) -> None:
    body = dict(BODIES[path])
    if path == "/users":
        body |= {"role_id": api.world.roles["data_viewer"]}
        body |= {"organization_id": api.world.organizations["own"]}
    table = path.strip("/")
    before = rows(api, f"SELECT count(*) FROM {table}")[0][0]
    first = await create(api, body, path=path)
    assert first.status == 201, first.body
    assert is_repeated(first, await create(api, body, path=path))
    assert rows(api, f"SELECT count(*) FROM {table}") == [(before + 1,)]


async def test_the_same_mapset_again_is_one_with_one_history(api: Api) -> None:
    first = await create(api, api.world.mapset(), path="/mapsets", user="pengelola")
    assert first.status == 201, first.body
    again = await create(api, api.world.mapset(), path="/mapsets", user="pengelola")
    assert is_repeated(first, again)
    assert rows(api, "SELECT count(*) FROM mapsets") == [(1,)]
    assert rows(api, "SELECT count(*) FROM mapset_histories") == [(1,)]


async def test_without_a_key_or_with_another_one_it_is_another_creation(api: Api) -> None:
    body = {"name": "Berita", "description": "<p>Sama</p>"}
    answers = [await create(api, body, f"kunci-{n}", "/news") for n in range(2)]
    answers += [await api.post("/news", user="administrator", json_body=body) for _ in range(2)]
    assert {one.status for one in answers} == {201}
    assert len({one.json["id"] for one in answers}) == 4


async def test_the_answer_stays_when_the_record_has_changed(api: Api) -> None:
    first = await create(api, CATEGORY)
    path = f"/categories/{first.json['id']}"
    changed = await api.patch(path, user="administrator", json_body={"name": "Berubah"})
    assert changed.status == 200
    assert is_repeated(first, await create(api, CATEGORY))
    assert (await api.delete(path, user="administrator")).status == 204
    assert is_repeated(first, await create(api, CATEGORY))


async def test_a_key_that_was_used_for_something_else_is_refused(api: Api) -> None:
    await create(api, CATEGORY)
    for body, path in (({"name": "Lain"}, "/categories"), (CATEGORY, "/organizations")):
        answer = await create(api, body, path=path)
        assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
    assert rows(api, "SELECT count(*) FROM categories WHERE name = 'Lain'") == [(0,)]


async def test_keys_of_two_users_never_meet(api: Api) -> None:
    body = {"name": "Berita", "description": "<p>Sama</p>"}
    answers = [
        await create(api, body, path="/news", user=user) for user in ("administrator", "walidata")
    ]
    assert [one.status for one in answers] == [201, 201]
    assert answers[0].json["id"] != answers[1].json["id"]


async def test_who_may_no_longer_create_gets_no_answer_again(api: Api) -> None:
    body = BODIES["/news"]
    assert (await create(api, body, path="/news", user="walidata")).status == 201
    execute(
        url_of(api),
        "UPDATE users SET role_id = (SELECT id FROM roles WHERE name = 'data_viewer') "
        "WHERE username = 'walidata'",
    )
    assert (await create(api, body, path="/news", user="walidata")).status == 403


async def test_what_was_refused_may_be_tried_again_with_the_same_key(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await create(api, {})).status == 422
    await api.post("/categories", user="administrator", json_body={"name": "Ada"})
    assert (await create(api, {"name": "Ada"})).status == 409

    async def fail(*_arguments: Any) -> None:
        raise UnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(CategoryService, "created", fail)
        assert (await create(api, CATEGORY)).status == 503
    assert rows(api, "SELECT key FROM idempotency_keys") == []
    assert (await create(api, CATEGORY)).status == 201


@pytest.mark.parametrize("key", ["", "a b", "kunci-\xe9", "x" * 256])
async def test_what_is_no_key_is_refused(api: Api, key: str) -> None:
    answer = await create(api, CATEGORY, key)
    assert (answer.status, answer.json["code"]) == (400, "idempotency_key_malformed")
    assert (await create(api, CATEGORY, '"!~' + "x" * 252)).status == 201


async def test_of_many_at_once_one_creates_and_all_get_its_answer(api: Api) -> None:
    await api.token("administrator")
    answers = await asyncio.gather(*[create(api, CATEGORY) for _ in range(20)])
    assert {one.status for one in answers} == {201}
    assert len({one.body for one in answers}) == 1
    assert rows(api, "SELECT count(*) FROM categories WHERE name = 'Sekali Saja'") == [(1,)]


@contextlib.contextmanager
def under_way(api: Api) -> Iterator[None]:
    """Somebody else has the key and does not get done."""
    with contextlib.closing(psycopg2.connect(url_of(api))) as other, other.cursor() as cursor:
        cursor.execute(
            "INSERT INTO idempotency_keys (user_id, key, fingerprint, expires_at) "
            "SELECT id, 'kunci-1', 'x', now() + interval '1 day' FROM users "
            "WHERE username = 'administrator'"
        )
        yield


@pytest.mark.settings(database_timeout_seconds=1)
async def test_who_waits_too_long_for_the_first_is_told_of_it(api: Api) -> None:
    with under_way(api):
        answer = await create(api, CATEGORY)
    assert (answer.status, answer.json["code"]) == (409, "request_under_way")
    assert (await create(api, CATEGORY)).status == 201


@pytest.mark.settings(idempotency_hours=1)
async def test_a_key_is_forgotten_after_its_time(api: Api) -> None:
    first = await create(api, {"name": "Satu"})
    for number in range(30):
        assert (await create(api, {"name": f"Lain {number}"}, f"lain-{number}")).status == 201
    execute(
        url_of(api),
        "UPDATE idempotency_keys SET created_at = now() - interval '3 hours', "
        "expires_at = expires_at - interval '1 hour'",
    )
    second = await create(api, {"name": "Dua"})
    assert (second.status, second.json["name"]) == (201, "Dua")
    assert second.json["id"] != first.json["id"]
    assert rows(api, "SELECT count(*) FROM idempotency_keys") == [(11,)]
    assert (await create(api, {"name": "Tiga"}, "tiga")).status == 201
    assert rows(api, "SELECT count(*) FROM idempotency_keys") == [(2,)]


async def test_no_password_can_be_told_from_what_is_kept(api: Api) -> None:
    body = {
        **BODIES["/users"],
        "role_id": api.world.roles["data_viewer"],
        "organization_id": api.world.organizations["own"],
    }
    assert (await create(api, body, path="/users")).status == 201
    kept = rows(api, "SELECT idempotency_keys::text FROM idempotency_keys")
    assert "Sawah-Hijau-2026!" not in str(kept)


def picture() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (4, 4)).save(content, "PNG")
    return content.getvalue()


async def upload(api: Api, name: str = "a.png", key: str = "berkas-1") -> Answer:
    return await api.upload(picture(), name, headers={"Idempotency-Key": key})


async def test_an_upload_again_is_one_file_and_one_object(api: Api, store: ObjectStore) -> None:
    answers = [await upload(api)]
    answers += await asyncio.gather(*[upload(api) for _ in range(3)])
    assert [one.status for one in answers] == [201] * 4
    assert len({one.body for one in answers}) == 1
    assert rows(api, "SELECT count(*) FROM files") == [(1,)]
    other = await upload(api, "b.png")
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")
    assert (await upload(api, "b.png", "berkas-2")).status == 201


async def test_uploads_at_once_leave_one_object(
    api: Api, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = FileService.stored

    async def stored(self: FileService, *arguments: Any) -> Any:
        row = await make(self, *arguments)
        made.append(str(row.object_name))
        return row

    monkeypatch.setattr(FileService, "stored", stored)
    await api.token("walidata")
    answers = await asyncio.gather(*[upload(api) for _ in range(4)])
    assert [one.status for one in answers] == [201] * 4
    (kept,) = {one.json["id"] for one in answers}
    left = []
    for name in made:
        with contextlib.suppress(Exception):
            store.describe(name)
            left.append(name)
    assert [kept in name for name in left] == [True]


async def test_a_page_of_the_portal_may_send_the_header(api: Api) -> None:
    headers = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    answer = await api.request("OPTIONS", "/categories", headers=headers)
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]


def test_a_retry_is_known_after_the_key_of_the_server_was_changed(settings: Settings) -> None:
    assert settings.secret_key is not None
    before = RepeatService(settings).attempt("a", b"body")
    old = SecretStr(json.dumps([settings.secret_key.get_secret_value()]))
    new = {"secret_key": SecretStr(secrets.token_urlsafe(48)), "secret_keys_old": old}
    after = RepeatService(settings.model_copy(update=new)).attempt("a", b"body")
    assert before.fingerprints[0] in after.fingerprints
    assert before.fingerprints[0] != after.fingerprints[0]
