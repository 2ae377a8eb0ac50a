"""One Database object a process: a second one would run inside the transactions of the first."""

import asyncio
import contextlib
import gc
import importlib
import pkgutil

import peewee
import peewee_async
import pytest

import satupeta_cli
import satupeta_server
from satupeta_server import database as database_module
from satupeta_server.database import Database, database
from satupeta_server.models.categories import Category
from satupeta_server.tasks import spawn
from tests.conftest import Api


def load_everything() -> None:
    for package in (satupeta_server, satupeta_cli):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def models(base: type[peewee.Model] = peewee.Model) -> list[type[peewee.Model]]:
    found = [base] if base.__module__.startswith("satupeta_server.") else []
    for one in base.__subclasses__():
        found += models(one)
    return found


def test_all_models_share_the_one_database_object() -> None:
    load_everything()
    assert len(models()) > 10
    assert {id(one._meta.database) for one in models()} == {id(database)}
    assert [one for one in gc.get_objects() if isinstance(one, peewee.Database)] == [database]


async def test_it_stays_the_one_however_often_an_application_is_made(api: Api) -> None:
    settings = api.application.services.settings
    assert database_module.connect(settings) is database
    assert database_module.connect(settings) is database
    assert Category._meta.database is database
    assert [one for one in gc.get_objects() if isinstance(one, Database)] == [database]


async def test_the_driver_still_has_the_fault_that_makes_it_needed(api: Api) -> None:
    """Should this fail after an update, the rule of the one object may be given up."""
    second = peewee_async.PostgresqlDatabase("there is no such database", host="127.0.0.1", port=9)
    statement = "SELECT current_database()"

    async def names(_database: object, cursor: object) -> list[tuple[str]]:
        rows: list[tuple[str]] = await cursor.fetchall()  # type: ignore[attr-defined]
        return rows

    async with database.whole():
        inside = await second.aio_execute_sql(statement, fetch_results=names)
        assert inside == await database.aio_execute_sql(statement, fetch_results=names)
    with pytest.raises(peewee.OperationalError):
        await second.aio_execute_sql(statement, fetch_results=names)
    del second
    gc.collect()


async def test_two_transactions_at_once_are_two(api: Api) -> None:
    """What the one object must still give: each task a transaction of its own."""
    first_wrote, second_ended = asyncio.Event(), asyncio.Event()

    async def keep() -> None:
        async with database.whole():
            await Category.insert(name="Bertahan").aio_execute()
            first_wrote.set()
            await second_ended.wait()

    async def give_up() -> None:
        await first_wrote.wait()
        with contextlib.suppress(ZeroDivisionError):
            async with database.whole():
                await Category.insert(name="Batal").aio_execute()
                raise ZeroDivisionError
        second_ended.set()

    await asyncio.gather(spawn(keep()), spawn(give_up()))
    rows = await Category.select(Category.name).aio_execute()
    assert {"Bertahan", "Batal"} & {row.name for row in rows} == {"Bertahan"}
