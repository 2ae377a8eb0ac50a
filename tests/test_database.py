"""What peewee-async and aiopg do unasked, and that ours does not."""

import ast
import asyncio
from pathlib import Path

import peewee
import pytest

from satupeta_server.database import database
from satupeta_server.errors import ConflictError, UnavailableError
from satupeta_server.models.categories import Category
from satupeta_server.models.mapsets import Mapset
from satupeta_server.tasks import spawn
from tests.conftest import Api, execute

ROOT = Path(__file__).resolve().parent.parent


async def names(search: str) -> list[str]:
    rows = await Category.select().where(Category.name.contains(search)).aio_execute()
    return [row.name for row in rows]


async def test_a_task_started_in_a_transaction_does_not_write_into_it(api: Api) -> None:
    async def write() -> None:
        await Category.insert(name="Dari tugas").aio_execute()

    async def fail() -> None:
        async with database.whole():
            await Category.insert(name="Dari transaksi").aio_execute()
            await spawn(write())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await names("dari") == ["Dari tugas"]


def test_nothing_but_spawn_starts_tasks() -> None:
    starters = {"create_task", "ensure_future"}
    for path in (ROOT / "satupeta_server").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in starters:
                assert path.name == "tasks.py", path


async def test_a_statement_that_the_server_ends_is_unavailable(api: Api) -> None:
    async with database.whole():
        await database.aio_execute_sql("SET LOCAL statement_timeout = 50")
        with pytest.raises(UnavailableError):
            await database.aio_execute_sql("SELECT pg_sleep(5)")


@pytest.mark.settings(database_pool_size=1, database_timeout_seconds=0.6)
async def test_an_exhausted_pool_is_unavailable(api: Api) -> None:
    async with database.whole():
        await database.aio_execute_sql("SELECT 1")
        with pytest.raises(UnavailableError):
            await spawn(names("x"))


async def test_a_cancelled_statement_in_a_transaction_is_cancelled(api: Api) -> None:
    async def sleep() -> None:
        async with database.whole():
            await database.aio_execute_sql("SELECT pg_sleep(30)")

    task = spawn(sleep())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await names("peta dasar uji") == ["Peta Dasar Uji"]


async def test_reads_and_transactions_go_on_after_a_restart(api: Api) -> None:
    for _ in range(2):
        await asyncio.gather(*[spawn(names("x")) for _ in range(8)])
        url = api.application.services.settings.database_url
        assert url is not None
        execute(
            url.get_secret_value(),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert (await api.get("/categories")).status == 200
        body = {"name": "Sesudah putus"}
        answer = await api.post("/categories", user="administrator", json_body=body)
        assert answer.status in (201, 409)


async def test_a_broken_rule_inside_a_nested_transaction_poisons_nothing(api: Api) -> None:
    async with database.whole():
        with pytest.raises(ConflictError) as error:
            async with database.whole():
                await Category.insert(name="peta dasar uji").aio_execute()
        assert list(error.value.errors) == ["name"]
        await Category.insert(name="Tetap").aio_execute()
    assert await names("tetap") == ["Tetap"]


async def test_a_row_is_found_by_its_uuid_and_its_keys_query_nothing(api: Api) -> None:
    mapset = await api.make_mapset()
    row = await Mapset.aio_get(Mapset.id == mapset["id"])
    assert str(row.category_id) == mapset["category_id"]


async def test_a_synchronous_query_is_refused_in_the_server(api: Api) -> None:
    with pytest.raises(AssertionError):
        list(Category.select())
    assert isinstance(database, peewee.Database)
