"""The trash: whatever is deleted is seen there by who may delete it, and comes back."""

from typing import Any

import psycopg2
import pytest

from satupeta_server.models.base import Record
from satupeta_server.models.roles import Role
from satupeta_server.representations.trash import TRASH
from satupeta_server.settings import Settings
from tests.conftest import Api
from tests.handlers.test_resources import BODIES, UNIQUE

ADMINISTRATOR = {"user": "administrator"}


async def made(api: Api, subject: str) -> dict[str, Any]:
    """A new record of any subject."""
    if subject == "files":
        answer = await api.upload(b"kode,nama\n", "wilayah.csv", content_type="text/csv")
    else:
        others = {
            "mapsets": api.world.mapset(),
            "users": {
                "name": "Siti Aminah",
                "username": "siti",
                "email": "siti@example.org",
                "role_id": api.world.roles["data_viewer"],
                "organization_id": api.world.organizations["own"],
                "password": "Sandi-Siti-2026!",
            },
        }
        body = {**BODIES, **others}[subject]
        answer = await api.post(f"/{subject}", json_body=body, **ADMINISTRATOR)
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


async def deleted(api: Api, subject: str) -> dict[str, Any]:
    """A record of any subject that was deleted."""
    record = await made(api, subject)
    answer = await api.delete(f"/{subject}/{record['id']}", **ADMINISTRATOR)
    assert answer.status == 204, answer.body
    return record


async def restore(api: Api, subject: str, record: dict[str, Any], **sent: Any) -> Any:
    path = f"/trash/{subject}/{record['id']}/restore"
    return await api.post(path, **{**ADMINISTRATOR, **sent})


def test_every_table_of_records_has_its_trash() -> None:
    known = {deleted.representation.model for deleted in TRASH.values()}
    tables = {kind for kind in Record.__subclasses__() if kind is not Role}
    assert known == tables


@pytest.mark.parametrize("subject", TRASH)
async def test_what_is_deleted_lies_in_the_trash_until_it_is_restored(
    api: Api, subject: str
) -> None:
    living = await made(api, "files") if subject == "files" else None
    record = await deleted(api, subject)
    listed = (await api.get(f"/trash/{subject}", search="", **ADMINISTRATOR)).json
    assert [one["id"] for one in listed["items"]] == [record["id"]]
    assert listed["total"] == 1
    one = (await api.get(f"/trash/{subject}/{record['id']}", **ADMINISTRATOR)).json
    assert one == listed["items"][0]
    assert one["deleted_at"]
    same = record.keys() - {"revision", "updated_at", "modified_at", "is_deleted"}
    assert {name: one[name] for name in same} == {name: record[name] for name in same}
    answer = await restore(api, subject, record)
    assert answer.status == 200, answer.body
    assert {name: answer.json[name] for name in same} == {name: record[name] for name in same}
    assert answer.json["revision"] == record["revision"] + 2
    assert (await api.get(f"/trash/{subject}", **ADMINISTRATOR)).json["total"] == 0
    assert (await restore(api, subject, record)).status == 404
    path = f"/{subject}/{record['id']}" + ("/download" if subject == "files" else "")
    assert (await api.get(path, **ADMINISTRATOR)).status == 200
    if living is not None:
        assert (await api.get(f"/trash/files/{living['id']}", **ADMINISTRATOR)).status == 404


@pytest.mark.parametrize("subject", TRASH)
async def test_a_trash_is_filtered_sorted_and_searched(api: Api, subject: str) -> None:
    record = await deleted(api, subject)
    path = f"/trash/{subject}"
    for query in ({"search": "uji siti batas wilayah"}, {"sort": "name:asc"}, {"limit": "1"}):
        assert (await api.get(path, **query, **ADMINISTRATOR)).status == 200
    for condition, total in (("<2020-01-01", 0), (">2020-01-01", 1)):
        answer = await api.get(path, filter=f"deleted_at{condition}", **ADMINISTRATOR)
        assert answer.json["total"] == total
    found = await api.get(path, filter=f"name={record['name']}", **ADMINISTRATOR)
    assert found.json["total"] == 1
    assert (await api.get(path, filter="colour=red", **ADMINISTRATOR)).status == 422


async def test_a_manager_has_the_trash_of_the_own_organization(api: Api) -> None:
    mapset = await api.make_mapset()
    await api.delete(f"/mapsets/{mapset['id']}", user="pengelola")
    for user, total in (("pengelola", 1), ("pengelola_lain", 0), ("walidata", 1)):
        assert (await api.get("/trash/mapsets", user=user)).json["total"] == total
    assert (await api.get("/trash/mapsets", user="viewer")).status == 403
    assert (await api.get("/trash/mapsets")).status == 401
    path = f"/trash/mapsets/{mapset['id']}"
    assert (await api.get(path, user="pengelola_lain")).status == 404
    assert (await restore(api, "mapsets", mapset, user="pengelola_lain")).status == 404
    assert (await restore(api, "mapsets", mapset, user="viewer")).status == 403
    assert (await restore(api, "mapsets", mapset, user="pengelola")).status == 200


async def test_a_validator_never_restores_an_administrator(api: Api) -> None:
    user_id = str(api.world.users["administrator"])
    second = {"role_id": api.world.roles["administrator"]}
    path = f"/users/{api.world.users['viewer']}"
    assert (await api.patch(path, json_body=second, **ADMINISTRATOR)).status == 200
    viewer = {"id": str(api.world.users["viewer"])}
    assert (await api.delete(path, **ADMINISTRATOR)).status == 204
    assert (await api.get("/trash/users", user="walidata")).json["total"] == 0
    assert (await restore(api, "users", viewer, user="walidata")).status == 404
    assert (await restore(api, "users", viewer)).status == 200
    assert (await api.get(f"/users/{user_id}", **ADMINISTRATOR)).status == 200


async def test_an_upload_is_restored_by_its_uploader(api: Api) -> None:
    record = (await api.upload(b"a,b\n", name="a.csv", content_type="text/csv")).json
    assert (await api.delete(f"/files/{record['id']}", user="walidata")).status == 204
    assert (await restore(api, "files", record, user="pengelola")).status == 404
    assert (await restore(api, "files", record, user="walidata")).status == 200


@pytest.mark.parametrize("subject", [*UNIQUE, "users"])
async def test_a_name_that_was_taken_meanwhile_is_a_conflict(api: Api, subject: str) -> None:
    record = await deleted(api, subject)
    await made(api, subject)
    answer = await restore(api, subject, record)
    assert answer.status == 409
    assert set(answer.json["errors"]) <= {"name", "code", "authority_code", "username", "email"}
    assert answer.json["errors"]
    assert (await api.get(f"/trash/{subject}", **ADMINISTRATOR)).json["total"] == 1


async def test_what_refers_to_deleted_records_waits_for_them(api: Api) -> None:
    category, source = await made(api, "categories"), await made(api, "map_sources")
    mapset = await api.make_mapset(category_id=category["id"], source_id=[source["id"]])
    for subject, record in (("mapsets", mapset), ("categories", category), ("map_sources", source)):
        await api.delete(f"/{subject}/{record['id']}", **ADMINISTRATOR)
    refused = await restore(api, "mapsets", mapset, user="pengelola")
    assert (refused.status, refused.json["code"]) == (409, "references_deleted")
    assert set(refused.json["errors"]) == {"category_id", "source_id"}
    for subject, record in (("categories", category), ("map_sources", source), ("mapsets", mapset)):
        assert (await restore(api, subject, record)).status == 200


async def test_restoring_leaves_a_revision_and_an_audit_record(
    api: Api, settings: Settings
) -> None:
    mapset = await api.make_public_mapset()
    await api.delete(f"/mapsets/{mapset['id']}", user="pengelola")
    restored = await restore(api, "mapsets", mapset, user="pengelola")
    assert restored.json["status_validation"] == "approved"
    path = f"/mapsets/{mapset['id']}/revisions"
    assert (await api.get(path, user="pengelola")).json["total"] == 4
    state = (await api.get(f"{path}/4", user="pengelola")).json["state"]
    assert state["deleted_at"] is None
    assert settings.database_url is not None
    with psycopg2.connect(settings.database_url.get_secret_value()) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT user_id::text FROM audit_log WHERE action = 'restore' AND subject_id = %s",
            [mapset["id"]],
        )
        assert cursor.fetchall() == [(str(api.world.users["pengelola"]),)]


async def test_restoring_compares_the_revision(api: Api) -> None:
    record = await deleted(api, "categories")
    assert (await restore(api, "categories", record, headers={"If-Match": "1"})).status == 412
    assert (await restore(api, "categories", record, headers={"If-Match": "2"})).status == 200


async def test_the_public_sees_a_restored_record_at_once(api: Api) -> None:
    mapset = await api.make_public_mapset()
    path = f"/mapsets/{mapset['id']}"
    assert (await api.get(path)).status == 200
    await api.delete(path, user="pengelola")
    assert (await api.get(path)).status == 404
    await restore(api, "mapsets", mapset, user="pengelola")
    assert (await api.get(path)).status == 200
    assert (await api.get("/mapsets", limit=0)).json["total"] == 1
