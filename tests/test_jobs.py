"""Jobs are in the queue exactly if what asked for them is committed."""

import datetime
import secrets
from typing import Any

import psycopg2
import pytest
from procrastinate.schema import SchemaManager

from satupeta_server import jobs
from satupeta_server.database import database
from satupeta_server.embedded import Addresses
from satupeta_server.models.categories import Category
from satupeta_server.settings import Settings
from tests.conftest import Api, address_of, execute

_OBJECTS = """
SELECT pg_get_functiondef(oid) FROM pg_proc
WHERE proname LIKE '%procrastinate%' AND pronamespace = 'public'::regnamespace
UNION ALL
SELECT indexdef FROM pg_indexes WHERE tablename LIKE '%procrastinate%'
UNION ALL
SELECT pg_get_triggerdef(oid) FROM pg_trigger
WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'procrastinate%'
UNION ALL
SELECT conrelid::regclass::text || pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid::regclass::text LIKE 'procrastinate%'
UNION ALL
SELECT concat_ws(' ', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
    attidentity, pg_get_expr(adbin, adrelid))
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid::regclass::text LIKE 'procrastinate%' AND attnum > 0
UNION ALL
SELECT enumtypid::regtype::text || enumlabel FROM pg_enum
WHERE enumtypid::regtype::text LIKE 'procrastinate%'
ORDER BY 1
"""


def rows(address: str, query: str) -> list[Any]:
    connection = psycopg2.connect(address)
    with connection, connection.cursor() as cursor:
        cursor.execute(query)
        found = cursor.fetchall()
    connection.close()
    return found


def waiting(settings: Settings) -> list[tuple[Any, ...]]:
    assert settings.database_url
    return rows(
        settings.database_url.get_secret_value(),
        "SELECT task_name, args, lock FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id",
    )


def test_the_tables_of_the_queue_are_those_of_the_installed_procrastinate(
    addresses: Addresses, settings: Settings
) -> None:
    name = f"queue_{secrets.token_hex(6)}"
    execute(addresses.database_url or "", f"CREATE DATABASE {name}")
    theirs = address_of(addresses, name)
    execute(theirs, SchemaManager.get_schema())
    assert settings.database_url
    ours = rows(settings.database_url.get_secret_value(), _OBJECTS)
    assert len(ours) > 70
    assert ours == rows(theirs, _OBJECTS), "a new version of procrastinate needs a migration"


async def test_a_job_exists_once_its_transaction_is_committed(api: Api, settings: Settings) -> None:
    async with database.whole():
        await Category.insert(name="Dengan tugas").aio_execute()
        number = await jobs.defer("try", lock="one", subject="ä", count=1)
        assert waiting(settings) == []
    assert isinstance(number, int)
    assert waiting(settings) == [("try", {"subject": "ä", "count": 1}, "one")]


async def test_a_job_of_a_rolled_back_transaction_does_not_exist(
    api: Api, settings: Settings
) -> None:
    async def fail() -> None:
        async with database.whole():
            await jobs.defer("try")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert waiting(settings) == []


async def test_of_those_with_one_queueing_lock_one_waits(api: Api, settings: Settings) -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    async with database.whole():
        assert await jobs.defer("try", queueing_lock="a", schedule_at=later) is not None
        assert await jobs.defer("try", queueing_lock="a") is None
        await Category.insert(name="Tetap ada").aio_execute()
    assert len(waiting(settings)) == 1
    assert await Category.select().where(Category.name == "Tetap ada").aio_count() == 1
