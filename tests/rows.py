"""What stands in a test's database, read past the API."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2

from satupeta_server.settings import Settings

# Changed by being asked, or by what asks: none of them is a record of the portal.
PASSING = {"sessions", "login_failures", "kept_counts", "audit_log"}

State = Callable[[], Any]
"""Reads what is another after any row was written, changed or removed."""


def url_of(settings: Settings) -> str:
    """Where the database is."""
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


@contextlib.contextmanager
def reading_state(settings: Settings) -> Iterator[State]:
    """Read of every table how many rows there are and which transaction wrote the last one."""
    connection = psycopg2.connect(url_of(settings))
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:

        def read() -> Any:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            tables = sorted({name for (name,) in cursor.fetchall()} - PASSING)
            one = "SELECT '{0}', count(*), max(xmin::text::bigint) FROM {0}"
            cursor.execute(" UNION ALL ".join(one.format(name) for name in tables))
            return cursor.fetchall()

        yield read


def row_of(settings: Settings, table: str, record_id: str) -> dict[str, Any]:
    """A row, with all of its columns."""
    connection = psycopg2.connect(url_of(settings))
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(f"SELECT to_jsonb(one) FROM {table} one WHERE id = %s", (record_id,))
        found = cursor.fetchone()
    assert found is not None
    row: dict[str, Any] = found[0]
    return row
