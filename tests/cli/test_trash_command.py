"""``satupeta trash``: what is deleted is seen, comes back, or goes for good."""

import json
import uuid
from typing import Any

import pytest
from tornado.platform.asyncio import AsyncIOLoop

from satupeta_cli.commands.trash import SUBJECTS
from satupeta_server import database
from satupeta_server.errors import NotFoundError
from satupeta_server.maintenance import purging
from satupeta_server.models.mapsets import Mapset
from satupeta_server.queries.listing import ListRequest
from satupeta_server.representations.trash import TRASH
from satupeta_server.security.callers import Caller
from satupeta_server.security.permissions import ADMINISTRATOR
from satupeta_server.services import cursor_pages
from satupeta_server.services.mapsets import MapsetService
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import WRONG_USE, Program
from tests.conftest import Api
from tests.handlers.test_trash import deleted, made

ADMIN = {"user": "administrator"}
LONG_AGO = "UPDATE {} SET deleted_at = now() - interval '100 days' WHERE deleted_at IS NOT NULL"


@pytest.fixture
def program(settings: Settings, tmp_path: Any, store: ObjectStore) -> Program:
    del store
    return Program(settings, tmp_path)


def age(program: Program) -> None:
    """Let all that is deleted have been so for 100 days."""
    for subject in SUBJECTS:
        program.rows(LONG_AGO.format(subject))


def counts(program: Program, *tables: str) -> list[int]:
    return [program.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def purged(program: Program, *options: str) -> dict[str, Any]:
    ended = program("trash", "purge", "--yes", "--json", *options)
    return {row["subject"]: row for row in json.loads(ended.stdout)}


def test_the_subjects_are_those_of_the_api() -> None:
    assert set(SUBJECTS) == set(TRASH) == set(purging.ORDER)


async def test_the_trash_is_listed_and_shown(api: Api, program: Program) -> None:
    record, mapset = await deleted(api, "categories"), await deleted(api, "mapsets")
    rows = json.loads(program("trash", "list", "--json").stdout)
    assert {(row["subject"], row["id"]) for row in rows} == {
        ("categories", record["id"]),
        ("mapsets", mapset["id"]),
    }
    listed = program("trash", "list", "categories").stdout
    assert record["name"] in listed
    assert mapset["name"] not in listed
    shown = json.loads(program("trash", "show", "mapsets", mapset["id"], "--json").stdout)
    assert shown["name"] == mapset["name"]
    program("trash", "show", "mapsets", record["id"], code=WRONG_USE)


async def test_a_record_is_restored(api: Api, program: Program) -> None:
    record = await deleted(api, "categories")
    words = ("trash", "restore", "categories", record["id"])
    assert program(*words, "--dry-run").stdout == f"{record['id']}: would be restored\n"
    assert (await api.get(f"/categories/{record['id']}", **ADMIN)).status == 404
    assert program(*words).stdout == f"{record['id']}: restored\n"
    assert (await api.get(f"/categories/{record['id']}", **ADMIN)).status == 200
    program(*words, code=WRONG_USE)
    assert program.audit()[-1] == ("restore", "categories", "satupeta trash restore")


async def test_what_was_deleted_long_ago_goes_for_good(api: Api, program: Program) -> None:
    living = await api.make_mapset()
    for subject in SUBJECTS:
        await deleted(api, subject)
    age(program)
    young = await deleted(api, "news")
    before = counts(program, *SUBJECTS)
    tried = purged(program, "--dry-run")
    assert counts(program, *SUBJECTS) == before
    ((object_name,),) = program.rows("SELECT object_name FROM files")
    store = ObjectStore(program.settings)
    assert store.describe(object_name).size > 0
    outcome = purged(program)
    assert outcome == tried
    assert {subject: outcome[subject]["removed"] for subject in SUBJECTS} == dict.fromkeys(
        SUBJECTS, 1
    )
    assert counts(program, *SUBJECTS) == [number - 1 for number in before]
    with pytest.raises(NotFoundError):
        store.describe(object_name)
    store.close()
    for table in ("mapset_sources", "mapset_histories", "mapset_revisions"):
        found = program.rows(f"SELECT DISTINCT mapset_id::text FROM {table}")
        assert found == [(living["id"],)]
    rows = json.loads(program("trash", "list", "--json").stdout)
    assert [row["id"] for row in rows] == [young["id"]]
    purges = [row for row in program.audit() if row[0] == "purge"]
    assert {subject for _, subject, _ in purges} == set(SUBJECTS)


async def test_what_something_still_refers_to_is_kept_and_named(api: Api, program: Program) -> None:
    category, source = await made(api, "categories"), await made(api, "map_sources")
    await api.make_mapset(category_id=category["id"])
    kept = await api.make_mapset(source_id=[source["id"]])
    picture = await made(api, "files")
    text = f'<p><img src="/api/files/{picture["id"]}/download"></p>'
    body = {"name": "Berita", "description": text}
    article = (await api.post("/news", json_body=body, **ADMIN)).json
    await api.make_mapset()
    for path in (
        f"categories/{category['id']}",
        f"map_sources/{source['id']}",
        f"users/{api.world.users['pengelola']}",
        f"mapsets/{kept['id']}",
    ):
        assert (await api.delete(f"/{path}", **ADMIN)).status == 204
    program.rows("UPDATE files SET deleted_at = now()")
    age(program)
    # Deleted just now, so it stays, and what it refers to stays with it.
    program.rows("UPDATE mapsets SET deleted_at = now() WHERE deleted_at IS NOT NULL")
    before = counts(program, *SUBJECTS)
    outcome = purged(program)
    assert counts(program, *SUBJECTS) == before
    assert outcome["categories"]["kept_by"] == {"mapsets.category_id": 1}
    assert outcome["map_sources"]["kept_by"] == {"mapset_sources.map_source_id": 1}
    assert outcome["files"]["kept_by"] == {"news.description": 1}
    assert set(outcome["users"]["kept_by"]) >= {"mapsets.created_by", "mapset_histories.user_id"}
    assert (await api.delete(f"/news/{article['id']}", **ADMIN)).status == 204
    age(program)
    outcome = purged(program)
    removed = {name: row["removed"] for name, row in outcome.items() if row["removed"]}
    assert removed == {"mapsets": 1, "news": 1, "map_sources": 1, "files": 1}


async def test_regions_go_with_those_in_them(api: Api, program: Program) -> None:
    body = {"code": "99", "name": "Provinsi Uji"}
    parent = (await api.post("/regionals", json_body=body, **ADMIN)).json
    body = {"code": "99.01", "name": "Kota Uji", "parent_id": parent["id"]}
    child = (await api.post("/regionals", json_body=body, **ADMIN)).json
    for record in (parent, child):
        await api.delete(f"/regionals/{record['id']}", **ADMIN)
    age(program)
    assert purged(program)["regionals"]["removed"] == 2


@pytest.mark.settings(trash_retention_days=0)
async def test_a_retention_of_0_keeps_all(api: Api, program: Program) -> None:
    await deleted(api, "categories")
    age(program)
    ended = program("trash", "purge", "--yes")
    assert "TRASH_RETENTION_DAYS is 0" in ended.stderr
    assert purged(program, "--older-than", "101d")["categories"]["removed"] == 0
    assert purged(program, "--older-than", "99d")["categories"]["removed"] == 1


async def test_purging_asks(api: Api, program: Program) -> None:
    await deleted(api, "categories")
    age(program)
    refused = program("trash", "purge", code=WRONG_USE)
    assert "Remove up to 1 records" in refused.stderr
    assert "say --yes" in refused.stderr
    assert "30x" in program("trash", "purge", "--older-than", "30x", code=WRONG_USE).stderr


async def test_an_object_that_the_store_keeps_is_named(api: Api, program: Program) -> None:
    await deleted(api, "files")
    age(program)
    nowhere = {"MINIO_ENDPOINT_URL": "http://127.0.0.1:9"}
    ended = program("trash", "purge", "--yes", code=1, **nowhere)
    assert "the store did not remove it" in ended.stderr
    assert counts(program, "files") == [0]
    ended = program("bucket", "orphans", "--older-than", "0m")
    assert "object without a row" in ended.stdout


def test_kept_counts_stay_right(
    settings: Settings,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    io_loop: AsyncIOLoop,
    world: Any,
) -> None:
    database.connect(settings)
    monkeypatch.setattr(cursor_pages, "WORTH_KEEPING", 0)
    caller = Caller(user_id=world.users["administrator"], role=ADMINISTRATOR)
    mapsets = MapsetService(settings)
    fixed = {
        name: uuid.UUID(value) if name.endswith("_id") else value
        for name, value in world.mapset(source_id=[]).items()
        if name not in ("source_id", "status_validation")
    }

    async def total() -> int:
        return (await mapsets.list(caller, ListRequest(limit=0))).total

    async def work() -> None:
        for _ in range(5):
            await mapsets.create(caller, fixed)
        assert await total() == 5
        ids = [row.id for row in await Mapset.select(Mapset.id).limit(3).aio_execute()]
        for one in ids:
            await mapsets.delete(caller, one)
        assert await total() == 2

    io_loop.run_sync(work)
    age(program)
    assert purged(program)["mapsets"]["removed"] == 3
    assert io_loop.run_sync(total) == 2
    assert counts(program, "mapsets") == [2]
    assert counts(program, "kept_counts") != [0]
    io_loop.run_sync(database.database.aio_close)
