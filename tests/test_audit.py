"""The audit log: what is in it, and that nobody changes it; the API under a role of its own."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest

from satupeta_server.database import Database, database
from satupeta_server.maintenance import checks_database
from satupeta_server.maintenance.audit_retention import ALLOW_UPKEEP
from satupeta_server.maintenance.doctor import Patient
from satupeta_server.maintenance.grants import grant_to_api
from satupeta_server.models.audit import SECRET_FIELDS
from satupeta_server.routes import ROUTES
from satupeta_server.services.records import RecordService
from satupeta_server.settings import Settings
from tests.conftest import Api, as_superuser, execute, with_two_roles
from tests.handlers.test_files import picture
from tests.handlers.test_resources import BODIES
from tests.world import CREDENTIAL_SECRET, PASSWORD

ADMINISTRATOR = {"user": "administrator"}
NEW_PASSWORD = "Lain-Sekali-2027!"
REFUSED = psycopg2.errors.InsufficientPrivilege
UNKNOWN = "kata-sandi-di-kolom-nama"


@pytest.fixture
def settings(settings: Settings, api_role: str) -> Settings:
    """Every test of this file runs the API under the narrow role."""
    return with_two_roles(settings, api_role)


def url(settings: Settings, *, as_owner: bool = False) -> str:
    chosen = settings.owner() if as_owner else settings
    return chosen.database_url.get_secret_value() if chosen.database_url else ""


def role_of(address: str) -> str:
    return urlsplit(address).username or ""


def records(settings: Settings) -> list[dict[str, Any]]:
    """All rows, the oldest first, as the database has them."""
    connection = psycopg2.connect(url(settings))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(log) FROM audit_log AS log ORDER BY occurred_at, id")
        rows = [row for (row,) in cursor.fetchall()]
    connection.close()
    return rows


def body_of(api: Api, subject: str) -> dict[str, Any]:
    if subject == "mapsets":
        return api.world.mapset()
    if subject == "users":
        return {
            "name": "Siti Aminah", "username": "siti", "email": "siti@example.org",
            "role_id": api.world.roles["data_viewer"], "password": PASSWORD,
            "organization_id": api.world.organizations["own"],
        }  # fmt: skip
    return BODIES[subject]


RESOURCES = sorted(
    route.path[1:]
    for route in ROUTES
    if "POST" in route.operations and {"form", "change_form"} <= route.options.keys()
)
OTHERS = {
    ("POST", "/auth/login"), ("POST", "/auth/logout"), ("POST", "/auth/password-reset"),
    ("PATCH", "/me"), ("PATCH", "/mapsets/activation"),
    ("POST", "/files"), ("DELETE", "/files/{id}"), ("POST", "/trash/files/{id}/restore"),
    ("POST", "/mapsets/{id}/revisions/{revision}/restore"), ("POST", "/users/{id}/erase"),
    ("POST", "/tokens"), ("DELETE", "/tokens/{id}"),
    ("DELETE", "/me/sessions"), ("DELETE", "/me/sessions/{id}"),
    ("DELETE", "/users/{id}/sessions"), ("DELETE", "/users/{id}/sessions/{session}"),
}  # fmt: skip
"""Writes that a test of their own looks at."""
UNRECORDED = {("POST", "/auth/refresh")}
"""The session counts its uses itself."""


def test_every_route_that_writes_is_looked_at() -> None:
    known = OTHERS | UNRECORDED
    for subject in RESOURCES:
        known |= {("POST", f"/{subject}"), ("POST", f"/trash/{subject}/{{id}}/restore")}
        known |= {(method, f"/{subject}/{{id}}") for method in ("PATCH", "DELETE")}
    writes = {(method, route.path) for route in ROUTES for method in route.operations}
    writes = {one for one in writes if one[0] != "GET"}
    assert writes == known, "each needs a record in the audit log, and a test of it here"


@pytest.mark.parametrize("subject", RESOURCES)
async def test_each_write_leaves_one_record_with_its_difference(
    api: Api, settings: Settings, subject: str
) -> None:
    body = body_of(api, subject)
    made = await api.post(f"/{subject}", json_body=body, **ADMINISTRATOR)
    assert made.status == 201, made.body
    path = f"/{subject}/{made.json['id']}"
    changed = await api.patch(path, json_body={"name": "Nama Baru"}, **ADMINISTRATOR)
    same = await api.patch(path, json_body={"name": "Nama Baru"}, **ADMINISTRATOR)
    assert (changed.status, same.status) == (200, 200)
    gone = await api.delete(path, **ADMINISTRATOR)
    assert gone.status == 204, gone.body
    back = await api.post(f"/trash{path}/restore", **ADMINISTRATOR)
    assert back.status == 200, back.body
    created, updated, deleted, restored = records(settings)
    for record, action, answer in (
        (created, "create", made), (updated, "update", changed), (deleted, "delete", gone),
        (restored, "restore", back),
    ):  # fmt: skip
        assert (record["action"], record["subject"]) == (action, subject)
        assert record["subject_id"] == made.json["id"]
        assert record["user_id"] == str(api.world.users["administrator"])
        assert record["request_id"] == answer.headers["X-Request-Id"]
        assert record["address"] == "127.0.0.1"
        assert record["session_id"]
        assert record["command"] is None
    assert created["changes"]["name"] == [None, body["name"]]
    assert updated["changes"] == {"name": [body["name"], "Nama Baru"]}
    assert list(deleted["changes"]) == ["deleted_at"]
    assert deleted["changes"]["deleted_at"][0] is None
    assert list(restored["changes"]) == ["deleted_at"]
    assert restored["changes"]["deleted_at"][1] is None


async def test_what_is_granted_verified_and_activated_can_be_told(
    api: Api, settings: Settings
) -> None:
    viewer = f"/users/{api.world.users['viewer']}"
    role = {"role_id": api.world.roles["data_validator"]}
    assert (await api.patch(viewer, json_body=role, **ADMINISTRATOR)).status == 200
    off = {"is_active": False}
    assert (await api.patch(viewer, json_body=off, **ADMINISTRATOR)).status == 200
    word = {"password": NEW_PASSWORD}
    assert (await api.patch(viewer, json_body=word, **ADMINISTRATOR)).status == 200
    mapset = await api.make_public_mapset()
    body = {"ids": [mapset["id"]], "is_active": False}
    switched = await api.patch("/mapsets/activation", json_body=body, **ADMINISTRATOR)
    assert switched.status == 200, switched.body
    granted, ended, changed, _made, approved, hidden = records(settings)
    assert granted["action"] == "set_role"
    assert granted["changes"] == {
        "role_id": [api.world.roles["data_viewer"], api.world.roles["data_validator"]]
    }
    assert (ended["action"], ended["changes"]) == ("deactivate", {"is_active": [True, False]})
    assert changed["action"] == "set_password"
    assert changed["changes"]["password_hash"] == ["***", "***"]
    assert approved["action"] == "set_status"
    assert approved["changes"]["status_validation"] == ["on_verification", "approved"]
    assert approved["user_id"] == str(api.world.users["walidata"])
    assert (hidden["action"], hidden["subject_id"]) == ("deactivate", mapset["id"])


async def test_logins_and_their_failures_are_recorded_without_what_was_typed(
    api: Api, settings: Settings
) -> None:
    async def login(username: str, password: str) -> Any:
        body = {"username": username, "password": password}
        return await api.post("/auth/login", json_body=body)

    failed = await login("viewer", "salah")
    unknown = await login(UNKNOWN, "salah")
    opened = await login("viewer", PASSWORD)
    assert [one.status for one in (failed, unknown, opened)] == [401, 401, 200]
    out = await api.post("/auth/logout", token=opened.json["access_token"])
    await api.post("/auth/logout", token=opened.json["access_token"])
    assert out.status == 200
    known, stranger, entered, left = records(settings)
    viewer = str(api.world.users["viewer"])
    assert (known["action"], known["user_id"], known["subject_id"]) == ("fail_login", None, viewer)
    assert (stranger["action"], stranger["user_id"]) == ("fail_login", None)
    assert stranger["subject_id"] is None
    assert len(stranger["details"]["account"]) == 64
    assert (entered["action"], entered["user_id"]) == ("login", viewer)
    assert (left["action"], left["user_id"], left["subject"]) == ("logout", viewer, "sessions")
    assert left["subject_id"] == left["session_id"]
    for record, answer in zip(
        (known, stranger, entered, left), (failed, unknown, opened, out), strict=True
    ):
        assert record["request_id"] == answer.headers["X-Request-Id"]
        assert record["address"] == "127.0.0.1"
    assert UNKNOWN not in str(records(settings))


async def test_one_changes_oneself_and_sets_a_new_password_by_a_link(
    api: Api, settings: Settings
) -> None:
    token = await api.application.services.logins.make_reset_token("viewer")
    body = {"token": token, "password": NEW_PASSWORD}
    reset = await api.post("/auth/password-reset", json_body=body)
    assert reset.status == 204, reset.body
    mine = {"current_password": NEW_PASSWORD, "password": PASSWORD}
    assert (await api.patch("/me", user="viewer", json_body=mine)).status == 200
    by_link, by_oneself = records(settings)
    viewer = str(api.world.users["viewer"])
    for record, action in ((by_link, "reset_password"), (by_oneself, "set_password")):
        assert (record["action"], record["subject"]) == (action, "users")
        assert record["user_id"] == record["subject_id"] == viewer
        assert record["changes"]["password_hash"] == ["***", "***"]
    assert by_link["request_id"] == reset.headers["X-Request-Id"]


async def test_uploads_and_deletions_of_files_are_recorded(api: Api, settings: Settings) -> None:
    file = (await api.upload(picture(), "a.png")).json
    assert (await api.delete(f"/files/{file['id']}", user="walidata")).status == 204
    back = await api.post(f"/trash/files/{file['id']}/restore", user="walidata")
    assert back.status == 200, back.body
    stored, deleted, restored = records(settings)
    assert (stored["action"], stored["subject_id"]) == ("create", file["id"])
    assert stored["changes"]["checksum"] == [None, file["checksum"]]
    assert (deleted["action"], deleted["subject"]) == ("delete", "files")
    assert (restored["action"], restored["subject_id"]) == ("restore", file["id"])


async def test_restored_revisions_and_erased_persons_are_recorded(
    api: Api, settings: Settings
) -> None:
    path = f"/mapsets/{(await api.make_mapset())['id']}"
    assert (await api.patch(path, json_body={"scale": "1:5"}, **ADMINISTRATOR)).status == 200
    before = len(records(settings))
    restored = await api.post(f"{path}/revisions/1/restore", **ADMINISTRATOR)
    erased = await api.post(f"/users/{api.world.users['viewer']}/erase", **ADMINISTRATOR)
    assert (restored.status, erased.status) == (200, 204), (restored.body, erased.body)
    changed, told, blanked, gone = sorted(records(settings)[before:], key=in_order)
    assert (changed["action"], list(changed["changes"])) == ("update", ["scale"])
    assert told["action"] == "restore_revision"
    assert told["details"] == {"from_revision": 1, "revision": 3}
    assert (gone["action"], gone["subject_id"]) == ("erase", str(api.world.users["viewer"]))
    assert (blanked["action"], blanked["run_by"]) == ("erase_from_log", role_of(url(settings)))


def in_order(record: dict[str, Any]) -> int:
    """Records of one transaction, as they were written."""
    return ["update", "restore_revision", "erase_from_log", "erase"].index(record["action"])


async def test_nothing_of_a_user_who_is_not_erased_can_be_taken_from_the_log(
    api: Api, settings: Settings
) -> None:
    viewer = api.world.users["viewer"]
    assert (await api.patch("/me", user="viewer", json_body={"name": "Baru"})).status == 200
    before = records(settings)
    execute(url(settings), f"SELECT erase_from_audit_log('{viewer}')")
    assert records(settings) == before
    assert (await api.post(f"/users/{viewer}/erase", **ADMINISTRATOR)).status == 204
    changed, _blanked, erased = sorted(records(settings)[-3:], key=in_order)
    assert (changed["action"], changed["address"]) == ("update", None)
    assert changed["changes"] == {"name": ["***", "***"]}
    assert (erased["action"], erased["address"]) == ("erase", "127.0.0.1")
    # Nobody can be erased for a moment, to alter what the log says of him.
    for column in ("erased_at", "deleted_at"):
        with pytest.raises(REFUSED):
            execute(url(settings), f"UPDATE users SET {column} = NULL WHERE id = '{viewer}'")


def test_what_others_own_in_the_schema_does_not_stand_in_the_way_of_grants(
    settings: Settings, servers_folder: Path
) -> None:
    superuser = as_superuser(servers_folder, url(settings, as_owner=True))
    function = "CREATE FUNCTION public.reset_all() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    execute(superuser, function)
    execute(superuser, "REVOKE EXECUTE ON FUNCTION public.reset_all() FROM PUBLIC")
    execute(superuser, "CREATE TABLE public.of_another (id int)")
    assert grant_to_api(settings.owner())
    with pytest.raises(REFUSED):
        execute(url(settings), "SELECT public.reset_all()")


async def test_tokens_and_what_they_do_are_recorded(api: Api, settings: Settings) -> None:
    body = {"name": "Harvester", "permissions": ["mapsets:read", "news:write"]}
    made = await api.post("/tokens", json_body=body, **ADMINISTRATOR)
    assert made.status == 201, made.body
    news = await api.post("/news", token=made.json["token"], json_body=BODIES["news"])
    revoked = await api.delete(f"/tokens/{made.json['id']}", **ADMINISTRATOR)
    assert (news.status, revoked.status) == (201, 204), (news.body, revoked.body)
    created, used, ended = records(settings)
    assert (created["action"], created["subject_id"]) == ("create_token", made.json["id"])
    assert (used["action"], used["token_id"]) == ("create", made.json["id"])
    assert (used["user_id"], used["session_id"]) == (created["user_id"], None)
    assert (ended["action"], ended["subject_id"]) == ("revoke_token", made.json["id"])
    assert made.json["token"] not in str(records(settings))


@pytest.mark.parametrize("of_whom", ["me", "user"])
async def test_ended_sessions_are_recorded(api: Api, settings: Settings, of_whom: str) -> None:
    viewer = str(api.world.users["viewer"])
    path, user = ("/me", "viewer") if of_whom == "me" else (f"/users/{viewer}", "administrator")
    body = {"username": "viewer", "password": PASSWORD}
    for _ in range(3):
        assert (await api.post("/auth/login", json_body=body)).status == 200
    sessions = (await api.get(f"{path}/sessions", user=user)).json["items"]
    session = next(each["id"] for each in sessions if not each.get("is_current"))
    before = len(records(settings))
    one = await api.delete(f"{path}/sessions/{session}", user=user)
    all_others = await api.delete(f"{path}/sessions", user=user)
    assert one.status in (200, 204), one.body
    assert all_others.status in (200, 204), all_others.body
    single, several = records(settings)[before:]
    for record, answer in ((single, one), (several, all_others)):
        assert (record["action"], record["subject"]) == ("revoke_sessions", "users")
        assert record["subject_id"] == viewer
        assert record["request_id"] == answer.headers["X-Request-Id"]
    assert single["details"]["sessions"] == 1
    assert several["details"]["sessions"] > 1


async def test_no_secret_is_in_the_log(api: Api, settings: Settings) -> None:
    body = {**BODIES["credentials"], "sensitive_data": {"a": "sangat-rahasia"}}
    made = await api.post("/credentials", json_body=body, **ADMINISTRATOR)
    path = f"/credentials/{made.json['id']}"
    new = {"sensitive_data": {"a": "lebih-rahasia"}}
    assert (await api.patch(path, json_body=new, **ADMINISTRATOR)).status == 200
    assert (await api.get(f"{path}/decrypted", **ADMINISTRATOR)).status == 200
    await api.post("/users", json_body=body_of(api, "users"), **ADMINISTRATOR)
    log = records(settings)
    assert [one["action"] for one in log] == ["create", "update", "decrypt", "create"]
    assert log[0]["changes"]["sensitive_data"] == [None, "***"]
    assert log[1]["changes"]["sensitive_data"] == ["***", "***"]
    assert log[3]["changes"]["password_hash"] == [None, "***"]
    told = str(log)
    for secret in ("rahasia", PASSWORD, "$2b$", *CREDENTIAL_SECRET.values(), "memory at"):
        assert secret not in told


async def test_every_column_that_holds_a_secret_is_hidden(api: Api) -> None:
    del api

    async def names(_database: object, cursor: Any) -> set[str]:
        return {name for (name,) in await cursor.fetchall()}

    found = await database.aio_execute_sql(
        "SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'public' "
        "AND (data_type = 'bytea' OR data_type = 'text' "
        "AND column_name ~ 'hash|secret|password|token') "
        "AND table_name !~ 'yoyo'",
        fetch_results=names,
    )
    assert found <= SECRET_FIELDS


async def test_what_is_undone_or_refused_leaves_no_record(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/categories/{api.world.category_id}"
    name = (await api.get("/categories", limit=2)).json["items"][1]["name"]
    body = {"name": name}
    assert (await api.post("/categories", json_body=body, **ADMINISTRATOR)).status == 409
    stale = {"If-Match": '"7"'}
    answer = await api.patch(path, json_body={"name": "X"}, headers=stale, **ADMINISTRATOR)
    assert answer.status == 412
    assert (await api.patch(path, json_body={"name": "X"}, user="viewer")).status == 403

    async def fail(*_: object) -> None:
        raise psycopg2.OperationalError

    # The last statement of the transaction: all else is written by then.
    monkeypatch.setattr(RecordService, "document", fail)
    for method in ("POST", "PATCH"):
        at = "/categories" if method == "POST" else path
        answer = await api.request(method, at, json_body={"name": "Hilang"}, **ADMINISTRATOR)
        assert answer.status == 503
    assert records(settings) == []
    assert (await api.get("/categories", search="Hilang")).json["total"] == 0


async def test_a_record_costs_one_statement(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    execute_sql = Database.aio_execute_sql

    async def counted(self: Database, sql: str, *arguments: Any, **named: Any) -> Any:
        seen.append(sql.split(maxsplit=1)[0] + (" audit_log" if "audit_log" in sql else ""))
        return await execute_sql(self, sql, *arguments, **named)

    await api.token("administrator")
    monkeypatch.setattr(Database, "aio_execute_sql", counted)
    made = await api.post("/categories", json_body={"name": "Uji"}, **ADMINISTRATOR)
    # Who calls, the row, its record, the answer.
    assert seen == ["SELECT", "INSERT", "INSERT audit_log", "SELECT"]
    path = f"/categories/{made.json['id']}"
    seen.clear()
    await api.patch(path, json_body={"name": "Baru"}, **ADMINISTRATOR)
    assert seen == ["SELECT", "SELECT", "UPDATE", "INSERT audit_log", "SELECT"]
    seen.clear()
    await api.delete(path, **ADMINISTRATOR)
    assert seen == ["SELECT", "SELECT", "UPDATE", "INSERT audit_log"]


async def test_administrators_read_it_filtered_and_the_newest_first(api: Api) -> None:
    body = {"username": UNKNOWN, "password": "salah"}
    await api.post("/auth/login", json_body=body)
    made = await api.post("/categories", json_body={"name": "Uji"}, **ADMINISTRATOR)
    path = f"/categories/{made.json['id']}"
    await api.patch(path, json_body={"name": "Baru"}, **ADMINISTRATOR)
    listed = (await api.get("/audit", **ADMINISTRATOR)).json
    assert listed["total"] == 3
    newest, created, failed = listed["items"]
    assert [newest["action"], created["action"], failed["action"]] == [
        "update", "create", "fail_login",
    ]  # fmt: skip
    assert (failed["user_id"], failed["user"]) == (None, None)
    assert newest["user"]["username"] == "administrator"
    assert newest["changes"] == {"name": ["Uji", "Baru"]}
    assert (await api.get(f"/audit/{newest['id']}", **ADMINISTRATOR)).json == newest
    moment = created["occurred_at"]
    for atoms, found in {
        f"request_id={made.headers['X-Request-Id']}": [created],
        "action=fail_login": [failed],
        "user_id=": [failed],
        f"user_id={api.world.users['administrator']}": [newest, created],
        f"subject_id={made.json['id']}": [newest, created],
        "subject=users": [failed],
        f'["occurred_at>={moment}", "occurred_at<={moment}"]': [created],
        f"occurred_at>{moment}": [newest],
        "command=": [newest, created, failed],
    }.items():
        answer = await api.get("/audit", filter=atoms, **ADMINISTRATOR)
        assert answer.json["items"] == found, atoms
    assert (await api.get("/audit", search="fail", **ADMINISTRATOR)).json["items"] == [failed]
    assert (await api.get("/audit", filter="address=x", **ADMINISTRATOR)).status == 422
    page = (await api.get("/audit", limit=1, offset=1, **ADMINISTRATOR)).json
    assert (page["items"], page["has_more"]) == ([created], True)
    assert (await api.get(f"/audit/{uuid.uuid4()}", **ADMINISTRATOR)).status == 404


def attempts(settings: Settings) -> Iterator[str]:
    """What the API's role might try; each is a transaction."""
    yield "UPDATE audit_log SET action = 'x'"
    yield "DELETE FROM audit_log"
    yield "TRUNCATE audit_log"
    yield f"{ALLOW_UPKEEP}; DELETE FROM audit_log"
    yield f"{ALLOW_UPKEEP}; UPDATE audit_log SET action = 'x'"
    yield (
        "INSERT INTO audit_log (id, action, subject) SELECT id, action, subject FROM audit_log "
        "ON CONFLICT (id) DO UPDATE SET action = 'x'"
    )
    yield "ALTER TABLE audit_log DISABLE TRIGGER append_only"
    yield "ALTER TABLE audit_log DISABLE TRIGGER ALL"
    yield "DROP TRIGGER append_only ON audit_log"
    yield "DROP TABLE audit_log"
    yield "CREATE OR REPLACE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE sql AS 'SELECT 1'"
    yield "ALTER FUNCTION keep_audit_log() RENAME TO x"
    yield "SET session_replication_role = replica"
    yield "CREATE TRIGGER x BEFORE INSERT ON audit_log EXECUTE FUNCTION keep_audit_log()"
    yield "CREATE RULE x AS ON INSERT TO audit_log DO INSTEAD NOTHING"
    yield "GRANT ALL ON audit_log TO PUBLIC; DELETE FROM audit_log"
    yield f"SET ROLE {role_of(url(settings, as_owner=True))}"
    yield "DELETE FROM _yoyo_migration"


async def test_the_apis_role_adds_and_reads_and_nothing_else(api: Api, settings: Settings) -> None:
    await api.post("/categories", json_body={"name": "Uji"}, **ADMINISTRATOR)
    before = records(settings)
    assert len(before) == 1
    for statement in attempts(settings):
        connection = psycopg2.connect(url(settings))
        try:
            # A GRANT of what one has not is only a warning, so what follows is what is refused.
            with pytest.raises(REFUSED):
                connection.cursor().execute(statement)
        finally:
            connection.close()
        assert records(settings) == before, statement
    # Rights that somebody gave by mistake do not help either: the trigger looks at the owner.
    role = role_of(url(settings))
    execute(url(settings, as_owner=True), f"GRANT UPDATE, DELETE, TRUNCATE ON audit_log TO {role}")
    for statement in [*attempts(settings)][:5]:
        with pytest.raises(REFUSED):
            execute_at_once(url(settings), statement)
    assert records(settings) == before


def execute_at_once(address: str, statement: str) -> None:
    connection = psycopg2.connect(address)
    try:
        connection.cursor().execute(statement)
        connection.commit()
    finally:
        connection.close()


async def test_the_owner_changes_it_only_where_he_says_so(api: Api, settings: Settings) -> None:
    await api.post("/categories", json_body={"name": "Uji"}, **ADMINISTRATOR)
    before = records(settings)
    owner = url(settings, as_owner=True)
    for statement in (
        "UPDATE audit_log SET action = 'x'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        f"{ALLOW_UPKEEP}; TRUNCATE audit_log",
    ):
        with pytest.raises(REFUSED, match="append-only"):
            execute_at_once(owner, statement)
    assert records(settings) == before
    execute_at_once(owner, f"{ALLOW_UPKEEP}; DELETE FROM audit_log")
    assert records(settings) == []


def test_what_is_not_held_is_told(settings: Settings) -> None:
    def finding(chosen: Settings) -> tuple[str, str]:
        found = checks_database.audit(Patient(chosen, settings.data_dir))
        return found.state, found.text

    assert finding(settings)[0] == "ok"
    one = settings.model_copy(
        update={"database_url": settings.migration_database_url, "migration_database_url": None}
    )
    state, text = finding(one)
    assert state == "warning"
    assert "owns audit_log" in text
    owner, role = url(settings, as_owner=True), role_of(url(settings))
    execute(owner, f"GRANT DELETE ON audit_log TO {role}")
    assert finding(settings)[0] == "warning"
    execute(owner, "ALTER TABLE audit_log DISABLE TRIGGER append_only")
    assert finding(settings)[0] == "problem"
