"""Reads on a standby: whoever wrote sees it at once, and no failure of the standby is seen."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from satupeta_server import database, migrating, replica
from satupeta_server.database import database as connected
from satupeta_server.embedded import Addresses
from satupeta_server.maintenance import checks_servers
from satupeta_server.maintenance.doctor import Patient
from satupeta_server.replica import Reader, reader
from satupeta_server.seed.reference import seed_reference
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from satupeta_server.tasks import spawn
from tests.conftest import Api, address_of, execute, make_settings, passable_folder
from tests.lines import line_to
from tests.standby import Standby, pair
from tests.world import PASSWORD, World, make_world

NAME = "satupeta"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Addresses, Standby]]:
    """A primary and its standby, with the tables in them."""
    with passable_folder() as folder, pair(folder) as (primary, standby):
        standby.start()
        migrating.upgrade(address_of(primary, NAME))
        yield primary, standby


@pytest.fixture(scope="module")
def world(servers: tuple[Addresses, Standby], addresses: Addresses) -> World:
    """What stands in both."""
    settings = make_settings(addresses, NAME, database_url=primary_address(servers))
    ObjectStore(settings).ensure_bucket()
    database.connect(settings)
    with database.synchronous():
        seed_reference()
        return make_world()


def primary_address(servers: tuple[Addresses, Standby]) -> SecretStr:
    return SecretStr(address_of(servers[0], NAME))


@pytest.fixture
def standby(servers: tuple[Addresses, Standby]) -> Iterator[Standby]:
    """The standby, which follows again at the end."""
    _, standby = servers
    yield standby
    standby.stop()
    standby.start()
    standby.command("SELECT pg_wal_replay_resume()")


@pytest.fixture
def settings(
    servers: tuple[Addresses, Standby],
    standby: Standby,
    addresses: Addresses,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Settings with both; a standby is near for as long as a test may take."""
    monkeypatch.setattr(replica, "MOST_LAG_SECONDS", 60)
    monkeypatch.setattr(replica, "REST_SECONDS", 0.5)
    return make_settings(
        addresses,
        NAME,
        data_dir=tmp_path,
        database_url=primary_address(servers),
        database_replica_url=SecretStr(standby.address(NAME)),
    )


async def standby_answers() -> bool:
    """Whether an anonymous read would go to the standby."""

    async def ask() -> bool:
        reader.set(Reader(0))
        return await connected.reads_replica()

    return await spawn(ask())


async def until(expected: bool) -> None:
    deadline = time.monotonic() + 20
    while await standby_answers() is not expected:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def names(api: Api, search: str, **arguments: Any) -> list[str]:
    answer = await api.get("/categories", search=search, **arguments)
    assert answer.status == 200, answer.body
    return [row["name"] for row in answer.json["items"]]


async def write(api: Api) -> str:
    """Make a category with a name of its own."""
    name = f"Peta {secrets.token_hex(6)}"
    answer = await api.post("/categories", user="administrator", json_body={"name": name})
    assert answer.status == 201, answer.body
    return name


async def test_the_writer_sees_it_at_once_and_others_when_the_standby_has_it(
    api: Api, standby: Standby
) -> None:
    await api.token("walidata")
    await until(True)
    standby.command("SELECT pg_wal_replay_pause()")
    name = await write(api)
    # What was written before the standby stood still is read there by those who did not write.
    assert await names(api, name, user="administrator") == [name]
    assert await names(api, name) == []
    assert await names(api, name, user="walidata") == []
    standby.command("SELECT pg_wal_replay_resume()")
    deadline = time.monotonic() + 20
    while await names(api, name) != [name]:
        assert time.monotonic() < deadline
    assert await names(api, name, user="walidata") == [name]


async def test_a_single_statement_counts_as_a_write_and_a_login_sees_what_was_before_it(
    api: Api, standby: Standby, world: World
) -> None:
    await until(True)
    standby.command("SELECT pg_wal_replay_pause()")
    answer = await api.upload(b"kode,nama\n1,Batu\n", "peta.csv", content_type="text/csv")
    assert answer.status == 201, answer.body
    path = f"/files/{answer.json['id']}/download"
    assert (await api.get(path, user="walidata")).status == 200
    assert (await api.get(path)).status == 200
    user = {
        "name": "Baru", "username": f"baru-{secrets.token_hex(4)}", "password": PASSWORD,
        "email": f"{secrets.token_hex(4)}@example.org", "role_id": world.roles["data_viewer"],
        "organization_id": world.organizations["own"],
    }  # fmt: skip
    created = await api.post("/users", user="administrator", json_body=user)
    assert created.status == 201, created.body
    login = {"username": user["username"], "password": PASSWORD}
    token = (await api.post("/auth/login", json_body=login)).json["access_token"]
    assert (await api.get("/me", token=token)).json["username"] == user["username"]


async def test_only_reads_outside_transactions_go_there(api: Api) -> None:
    async def is_standby() -> bool:
        async def first(_database: object, cursor: Any) -> bool:
            return bool((await cursor.fetchone())[0])

        question = "SELECT pg_is_in_recovery()"
        answer: bool = await connected.aio_execute_sql(question, fetch_results=first)
        return answer

    async def ask() -> list[bool]:
        found = [await is_standby()]
        reader.set(Reader(0))
        found.append(await is_standby())
        async with connected.whole():
            found.append(await is_standby())
        reader.set(Reader(1 << 62))
        found.append(await is_standby())
        reader.set(Reader(None))
        return [*found, await is_standby()]

    await until(True)
    assert await spawn(ask()) == [False, True, False, False, False]


async def test_nobody_notices_that_the_standby_dies_and_it_is_read_again_later(
    api: Api, standby: Standby
) -> None:
    name = await write(api)
    await until(True)
    standby.stop()
    everywhere = [names(api, name) for _ in range(40)]
    assert await asyncio.gather(*everywhere) == [[name]] * 40
    assert not await standby_answers()
    standby.start()
    await until(True)
    assert await names(api, name) == [name]


async def test_a_standby_that_is_far_behind_is_not_read(
    api: Api, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "MOST_LAG_SECONDS", 0.5)
    await until(True)
    standby.command("SELECT pg_wal_replay_pause()")
    name = await write(api)
    await until(False)
    assert await names(api, name) == [name]
    standby.command("SELECT pg_wal_replay_resume()")
    await until(True)


async def test_a_standby_that_falls_silent_is_not_waited_for(api: Api, standby: Standby) -> None:
    name = await write(api)
    with line_to(standby.sockets / ".s.PGSQL.5432") as line:
        password = standby.credentials.database_password
        url = SecretStr(f"postgresql://satupeta:{password}@127.0.0.1:{line.port}/{NAME}")
        settings = api.application.services.settings
        await connected.aio_close()
        database.connect(settings.model_copy(update={"database_replica_url": url}))
        await until(True)
        line.silence()
        await asyncio.sleep(2 * replica.LOOK_SECONDS)
        async with asyncio.timeout(settings.database_timeout_seconds / 2):
            assert await names(api, name) == [name]
            assert await names(api, name) == [name]


async def test_a_read_that_the_standby_cancels_is_answered_by_the_primary(
    api: Api, standby: Standby, servers: tuple[Addresses, Standby]
) -> None:
    async def slow_read() -> list[bool]:
        async def rows(_database: object, cursor: Any) -> list[bool]:
            return [row[0] for row in await cursor.fetchall()]

        reader.set(Reader(0))
        statement = "SELECT pg_is_in_recovery() FROM categories, pg_sleep(1) LIMIT 1"
        found: list[bool] = await connected.aio_execute_sql(statement, fetch_results=rows)
        return found

    await until(True)
    standby.command("ALTER SYSTEM SET max_standby_streaming_delay = 0")
    standby.command("SELECT pg_reload_conf()")
    assert await spawn(slow_read()) == [True]
    reading = spawn(slow_read())
    await asyncio.sleep(0.3)
    lock = "DO $$ BEGIN LOCK TABLE categories IN ACCESS EXCLUSIVE MODE; END $$"
    execute(servers[0].database_url or "", lock)
    assert await reading == [False]
    standby.command("ALTER SYSTEM RESET max_standby_streaming_delay")


async def test_a_primary_is_no_standby(api: Api, servers: tuple[Addresses, Standby]) -> None:
    services = api.application.services
    changed = {"database_replica_url": primary_address(servers)}
    await connected.aio_close()
    database.connect(services.settings.model_copy(update=changed))
    for _ in range(3):
        assert not await standby_answers()
        await asyncio.sleep(2 * replica.LOOK_SECONDS)
    assert (await api.get("/categories")).status == 200


async def test_a_write_survives_that_its_note_cannot_be_made(
    api: Api, servers: tuple[Addresses, Standby]
) -> None:
    await api.token("administrator")
    url = servers[0].database_url or ""
    execute(url, "ALTER TABLE sessions ADD CONSTRAINT still CHECK (write_position < 0) NOT VALID")
    try:
        name = await write(api)
    finally:
        execute(url, "ALTER TABLE sessions DROP CONSTRAINT still")
    assert await names(api, name, user="administrator") == [name]


def test_the_doctor_examines_the_standby(settings: Settings, standby: Standby) -> None:
    patient = Patient(settings, Path("nowhere.env"))
    assert checks_servers.replica(patient).state == "ok"
    own = {"database_replica_url": settings.database_url}
    found = checks_servers.replica(Patient(settings.model_copy(update=own), Path("nowhere.env")))
    assert (found.state, "no standby" in found.text) == ("problem", True)
    standby.stop()
    assert checks_servers.replica(patient).state == "warning"
