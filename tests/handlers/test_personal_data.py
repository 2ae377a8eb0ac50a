"""What is kept of one person: given out whole, and erased without a trace."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from satupeta_server.errors import NotFoundError
from satupeta_server.models.base import new_id
from satupeta_server.services.personal_data import ERASED_NAME
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.conftest import Api
from tests.handlers.test_files import picture

MARKS = {
    "name": "Ratna Kusumawardhani",
    "username": "ratnakusuma",
    "email": "ratna.k@dinas.example.org",
    "employee_id": "198503152010012099",
    "position": "Kepala Seksi Pemetaan Dasar",
}
ADDRESS, BROWSER = "203.0.113.77", "Peramban-Ratna/9.1"
PASSWORD = "Sandi-Ratna-2026!"
ADMINISTRATOR = {"user": "administrator"}

Cursor = Any


@pytest.fixture
def cursor(settings: Settings) -> Iterator[Cursor]:
    """The database, past the API."""
    assert settings.database_url is not None
    connection = psycopg2.connect(settings.database_url.get_secret_value())
    connection.autocommit = True
    with connection.cursor() as cursor:
        yield cursor
    connection.close()


async def ratna(api: Api, store: ObjectStore, cursor: Cursor) -> str:
    """The id of a data manager who has left traces wherever a person can."""
    del store
    body = {
        **MARKS,
        "role_id": api.world.roles["data_manager"],
        "organization_id": api.world.organizations["own"],
        "password": PASSWORD,
    }
    key = {"Idempotency-Key": f"ratna-{new_id()}"}
    made = await api.post("/users", json_body=body, headers=key, **ADMINISTRATOR)
    assert made.status == 201, made.body
    user_id: str = made.json["id"]
    login = {"username": MARKS["username"], "password": PASSWORD}
    headers = {"User-Agent": BROWSER}
    token = (await api.post("/auth/login", json_body=login, headers=headers)).json["access_token"]
    await api.post("/auth/login", json_body={**login, "password": "salah"}, headers=headers)
    api._tokens["ratna"] = token
    photo = await api.upload(picture(), "foto.png", user="ratna")
    own = {"profile_picture": photo.json["id"]}
    assert (await api.patch("/me", token=token, json_body=own)).status == 200
    path = f"/mapsets/{(await api.make_mapset('ratna'))['id']}"
    assert (await api.patch(path, token=token, json_body={"scale": "1:1"})).status == 200
    cursor.execute(
        "UPDATE sessions SET address = %s, last_address = %s WHERE user_id = %s",
        [ADDRESS, ADDRESS, user_id],
    )
    cursor.execute(
        "INSERT INTO password_resets (id, user_id, token_hash, expires_at)"
        " VALUES (%s, %s, %s, now())",
        [str(new_id()), user_id, f"digest of {MARKS['name']}"],
    )
    cursor.execute(
        "INSERT INTO audit_log (id, user_id, action, subject, address, details)"
        " VALUES (%s, %s, 'update', 'mapsets', %s, %s)",
        [str(new_id()), user_id, ADDRESS, json.dumps({"rows": 1})],
    )
    cursor.execute(
        "INSERT INTO audit_log (id, action, subject, subject_id, address, details)"
        " VALUES (%s, 'fail_login', 'users', %s, %s, %s)",
        [str(new_id()), user_id, ADDRESS, json.dumps({"username": MARKS["username"]})],
    )
    return user_id


def traces(cursor: Cursor) -> dict[str, set[str]]:
    """In which columns of which tables, of whatever type, a mark of the person stands."""
    cursor.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " JOIN information_schema.tables USING (table_schema, table_name)"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    found: dict[str, set[str]] = {}
    for table, column in cursor.fetchall():
        for mark in (*MARKS.values(), ADDRESS, BROWSER):
            cursor.execute(
                f'SELECT EXISTS (SELECT FROM "{table}" WHERE "{column}"::text ILIKE %s)',
                [f"%{mark}%"],
            )
            if cursor.fetchone()[0]:
                found.setdefault(table, set()).add(column)
    return found


async def test_an_export_holds_all_that_is_kept(
    api: Api, store: ObjectStore, cursor: Cursor
) -> None:
    user_id = await ratna(api, store, cursor)
    data = (await api.get(f"/users/{user_id}/data", **ADMINISTRATOR)).json
    assert {name: data["account"][name] for name in MARKS} == MARKS
    assert data["account"]["role"] == "data_manager"
    assert data["account"]["organization"] == "Dinas Pekerjaan Umum"
    assert {one["address"] for one in data["sessions"]} == {ADDRESS}
    assert {one["user_agent"] for one in data["sessions"]} == {BROWSER}
    assert [one["failures"] for one in data["login_failures"]] == [1]
    assert ADDRESS in {one["address"] for one in data["actions"]}
    counts = {name: len(data[name]) for name in ("histories", "revisions", "mapsets", "uploads")}
    assert counts == {"histories": 1, "revisions": 2, "mapsets": 1, "uploads": 1}
    text = json.dumps(data)
    assert not [word for word in ("token_hash", "$2b$", "digest of") if word in text]
    cursor.execute("SELECT subject_id::text FROM audit_log WHERE action = 'export_data'")
    assert cursor.fetchall() == [(user_id,)]


async def test_everybody_gets_the_own_data_and_nobody_elses(api: Api) -> None:
    for user in ("viewer", "pengelola", "walidata", "administrator"):
        data = (await api.get("/me/data", user=user)).json
        assert data["account"]["username"] == user
        assert {one["user_id"] for one in data["sessions"]} == {str(api.world.users[user])}
    path = f"/users/{api.world.users['viewer']}"
    for user, status in ((None, 401), ("viewer", 403), ("pengelola", 403), ("walidata", 403)):
        assert (await api.get(f"{path}/data", user=user)).status == status
        assert (await api.post(f"{path}/erase", user=user)).status == status
    assert (await api.get(path, **ADMINISTRATOR)).status == 200


@pytest.mark.parametrize("is_deleted_before", [False, True])
async def test_an_erased_person_leaves_no_trace(
    api: Api, store: ObjectStore, cursor: Cursor, *, is_deleted_before: bool
) -> None:
    user_id = await ratna(api, store, cursor)
    before = traces(cursor)
    assert {"users", "sessions", "password_resets", "audit_log"} <= before.keys()
    cursor.execute("SELECT object_name FROM files")
    ((photo,),) = cursor.fetchall()
    if is_deleted_before:
        assert (await api.delete(f"/users/{user_id}", **ADMINISTRATOR)).status == 204
    assert (await api.post(f"/users/{user_id}/erase", **ADMINISTRATOR)).status == 204
    assert traces(cursor) == {}
    cursor.execute(
        "SELECT changes->'name', changes->'role_id' FROM audit_log"
        " WHERE action = 'create' AND subject = 'users'"
    )
    assert cursor.fetchall() == [(["***", "***"], [None, api.world.roles["data_manager"]])]
    cursor.execute("SELECT count(*) FROM login_failures")
    assert cursor.fetchone() == (0,)
    cursor.execute("SELECT count(*) FROM files")
    assert cursor.fetchone() == (0,)
    with pytest.raises(NotFoundError):
        store.describe(photo)


async def test_the_record_goes_on_pointing_at_an_erased_person(
    api: Api, store: ObjectStore, cursor: Cursor
) -> None:
    user_id = await ratna(api, store, cursor)
    references = (
        "SELECT (SELECT count(*) FROM mapset_histories WHERE user_id = %(id)s),"
        " (SELECT count(*) FROM mapset_revisions WHERE user_id = %(id)s),"
        " (SELECT count(*) FROM mapsets WHERE created_by = %(id)s),"
        " (SELECT count(*) FROM audit_log WHERE user_id = %(id)s)"
    )
    cursor.execute(references, {"id": user_id})
    before = cursor.fetchone()
    assert min(before) > 0
    await api.post(f"/users/{user_id}/erase", **ADMINISTRATOR)
    cursor.execute(references, {"id": user_id})
    assert cursor.fetchone() == before
    (entry,) = (await api.get("/histories", **ADMINISTRATOR)).json["items"]
    assert entry["user"] == {"id": user_id, "name": ERASED_NAME}
    cursor.execute("SELECT user_id::text FROM audit_log WHERE action = 'erase'")
    assert cursor.fetchall() == [(str(api.world.users["administrator"]),)]


async def test_an_erased_person_is_out_and_never_comes_back(
    api: Api, store: ObjectStore, cursor: Cursor
) -> None:
    user_id = await ratna(api, store, cursor)
    login = {"username": MARKS["username"], "password": PASSWORD}
    token = (await api.post("/auth/login", json_body=login)).json["access_token"]
    assert (await api.get("/me", token=token)).status == 200
    await api.post(f"/users/{user_id}/erase", **ADMINISTRATOR)
    assert (await api.get("/me", token=token)).status == 401
    assert (await api.post("/auth/login", json_body=login)).status == 401
    path = f"/users/{user_id}"
    assert (await api.get(path, **ADMINISTRATOR)).status == 404
    assert (await api.get("/trash/users", **ADMINISTRATOR)).json["total"] == 0
    assert (await api.post(f"/trash{path}/restore", **ADMINISTRATOR)).status == 404
    assert (await api.post(f"{path}/erase", **ADMINISTRATOR)).status == 404
    assert (await api.get(f"{path}/data", **ADMINISTRATOR)).json["account"]["name"] == ERASED_NAME
    again = await ratna(api, store, cursor)
    assert again != user_id


async def test_a_picture_that_something_else_shows_stays(
    api: Api, store: ObjectStore, cursor: Cursor
) -> None:
    user_id = await ratna(api, store, cursor)
    cursor.execute("SELECT id::text FROM files")
    body = {"name": "Berita", "thumbnail": cursor.fetchone()[0]}
    assert (await api.post("/news", json_body=body, **ADMINISTRATOR)).status == 201
    assert (await api.post(f"/users/{user_id}/erase", **ADMINISTRATOR)).status == 204
    cursor.execute("SELECT count(*) FROM files")
    assert cursor.fetchone() == (1,)


async def test_the_last_administrator_and_the_system_user_stay(api: Api) -> None:
    path = f"/users/{api.world.users['administrator']}/erase"
    refused = await api.post(path, **ADMINISTRATOR)
    assert (refused.status, refused.json["code"]) == (409, "last_administrator")
    assert (await api.get("/me", **ADMINISTRATOR)).json["username"] == "administrator"
    system = "/users/01968b53-a910-7000-8000-000000000001"
    for answer in (
        await api.post(f"{system}/erase", **ADMINISTRATOR),
        await api.get(f"{system}/data", **ADMINISTRATOR),
    ):
        assert answer.status == 404
