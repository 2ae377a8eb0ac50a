"""Everything works behind pgbouncer in transaction mode."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from pydantic import SecretStr

from satupeta_server.database import database, server_parameters
from satupeta_server.maintenance import checks_database, checks_servers
from satupeta_server.maintenance.doctor import Patient
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import Program
from tests.conftest import TEMPLATE as TEMPLATE_DATABASE
from tests.conftest import Addresses, Api, execute, make_settings, own_database
from tests.poolers import needs_pgbouncer, pooled
from tests.world import PASSWORD, World

pytestmark = needs_pgbouncer


@contextmanager
def behind_a_pooler(settings: Settings, folder: Path) -> Iterator[Settings]:
    """The same settings with a pooler before the database."""
    folder.mkdir()
    with pooled(address(settings), folder) as url:
        update = {
            "database_url": SecretStr(url),
            "database_direct_url": settings.database_url,
            "database_pooler": True,
        }
        yield settings.model_copy(update=update)


@pytest.fixture
def bare(addresses: Addresses, template: World, tmp_path: Path) -> Iterator[Settings]:
    """Settings whose role asks for nothing."""
    with (
        own_database(addresses, "pooled", TEMPLATE_DATABASE) as name,
        behind_a_pooler(
            make_settings(addresses, name, data_dir=tmp_path), tmp_path / "bare"
        ) as settings,
    ):
        yield settings


@pytest.fixture
def settings(bare: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings whose role asks for what the doctor advises."""
    advice = checks_servers.pooler(Patient(bare, Path("nowhere.env"))).advice
    for command in re.findall(r"ALTER ROLE [^;]+", advice):
        execute(address(bare.direct()), command)
    # A running pooler goes on with the time zone that it knows.
    with behind_a_pooler(bare.direct(), tmp_path / "well") as settings:
        yield settings


def address(settings: Settings) -> str:
    return settings.database_url.get_secret_value() if settings.database_url else ""


async def value(statement: str) -> Any:
    async def first(_database: object, cursor: Any) -> Any:
        return (await cursor.fetchone())[0]

    return await database.aio_execute_sql(statement, fetch_results=first)


async def test_the_api_works_with_more_requests_than_connections(api: Api) -> None:
    assert not database.has_sessions
    login = {"username": "pengelola", "password": PASSWORD}
    token = (await api.post("/auth/login", json_body=login)).json["access_token"]
    mapset = await api.make_public_mapset()
    path = f"/mapsets/{mapset['id']}"
    assert mapset["created_at"].endswith("+07:00")
    changed = await api.patch(path, token=token, json_body={"name": "Batas Kecamatan"})
    assert changed.json["name"] == "Batas Kecamatan"
    answers = await asyncio.gather(
        *[api.get("/mapsets", search="kecamatan", limit=5) for _ in range(40)],
        *[api.patch(path, token=token, json_body={"scale": f"1:{n}"}) for n in range(1, 9)],
    )
    assert {one.status for one in answers} == {200}
    assert all(one.json["total"] == 1 for one in answers[:40])
    assert (await api.delete(path, user="administrator")).status == 204
    assert (await api.get(path)).status == 404
    assert (await api.get("/health/ready")).status == 200


async def test_the_role_gives_each_connection_its_limits(api: Api, settings: Settings) -> None:
    for name, expected in server_parameters(settings).items():
        statement = f"SELECT setting FROM pg_settings WHERE lower(name) = '{name}'"
        assert await value(statement) == expected


async def test_the_doctor_says_what_the_role_lacks(bare: Settings) -> None:
    patient = Patient(bare, Path("nowhere.env"))
    found = checks_servers.pooler(patient)
    assert (found.state, "statement_timeout = '8000'" in found.text) == ("problem", True)
    assert checks_database.server(patient).state == "ok"
    assert checks_database.migrations(patient).state == "ok"


def test_the_doctor_is_content_with_such_a_role(settings: Settings) -> None:
    assert checks_servers.pooler(Patient(settings, Path("nowhere.env"))).state == "ok"


def test_the_doctor_knows_a_pooler_that_is_not_named_one(settings: Settings) -> None:
    unnamed = settings.model_copy(update={"database_pooler": False})
    found = checks_database.server(Patient(unnamed, Path("nowhere.env")))
    assert "DATABASE_POOLER" in found.advice


def test_commands_go_past_the_pooler(settings: Settings, store: ObjectStore) -> None:
    program = Program(settings, settings.data_dir)
    program.inside("db", "downgrade", "--to", "0008.space-and-time", "--yes")
    program.inside("db", "upgrade")
    rows = settings.data_dir / "categories.csv"
    rows.write_text("name\nPeta Kolam\nPeta Danau\n", encoding="utf-8")
    counts = program.json("import", "categories", str(rows))
    assert {state: count for state, count in counts.items() if count} == {"created": 2}
    assert "Peta Kolam" in program("export", "categories").stdout
    with psycopg2.connect(address(settings.direct())) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM categories WHERE name IN ('Peta Kolam', 'Peta Danau')")
        assert cursor.fetchone() == (2,)
    connection.close()
