"""Applying the migrations, by one process at a time."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg2
from psycopg2.extensions import parse_dsn

from satupeta_server.errors import StartError, UnreachableError

with warnings.catch_warnings():
    # yoyo's own imports warn about themselves on newer Pythons.
    warnings.simplefilter("ignore")
    import yoyo

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
LOCK_KEY = 0x5A7093E7A
"""The key of the advisory lock that a migrating process holds."""
OLDEST_POSTGRESQL = 150000


def migration_names() -> list[str]:
    """The names of all migrations that the program knows, in their order."""
    return [migration.id for migration in yoyo.read_migrations(str(MIGRATIONS))]


def upgrade(database_url: str, say: Callable[[str], None] = lambda _: None) -> list[str]:
    """Apply what is pending and give the names; a second process waits and finds nothing to do.

    Raises StartError when PostgreSQL is too old, cannot be reached or refuses a migration; a
    failed migration is rolled back whole.
    """
    with _alone(database_url) as backend:
        pending = backend.to_apply(yoyo.read_migrations(str(MIGRATIONS)))
        for migration in pending:
            say(f"Applying migration {migration.id}")
        _run(backend.apply_migrations, pending)
        return [migration.id for migration in pending]


def downgrade(database_url: str, to: str | None = None) -> list[str]:
    """Roll back everything after the migration ``to``, or everything; gives the names."""
    with _alone(database_url) as backend:
        applied = backend.to_rollback(yoyo.read_migrations(str(MIGRATIONS)))
        chosen = yoyo.migrations.MigrationList(
            [migration for migration in applied if to is None or migration.id > to]
        )
        _run(backend.rollback_migrations, chosen)
        return [migration.id for migration in chosen]


def _run(work: Callable[[Any], None], migrations: Any) -> None:
    try:
        work(migrations)
    except psycopg2.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise StartError(f"A migration failed and was rolled back: {reason}.") from error


@contextlib.contextmanager
def _alone(database_url: str) -> Iterator[Any]:
    """Give yoyo's backend to one process at a time.

    yoyo's lock is a row that a killed process leaves behind for good. An advisory lock ends with
    its connection, so whoever holds it may break a row that is still there.
    """
    try:
        guard = psycopg2.connect(database_url, connect_timeout=10)
    except psycopg2.OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        # A server that refuses has answered: it is DATABASE_URL that is wrong.
        kind = StartError if "FATAL" in reason else UnreachableError
        raise kind(f"DATABASE_URL cannot be reached: {reason}.") from None
    guard.autocommit = True
    try:
        if guard.server_version < OLDEST_POSTGRESQL:
            raise StartError("DATABASE_URL is a PostgreSQL older than 15, which is the oldest.")
        with guard.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        backend = yoyo.get_backend(_yoyo_address(database_url))
        try:
            backend.break_lock()
            with backend.lock(timeout=10):
                yield backend
        finally:
            backend.connection.close()
    finally:
        guard.close()


def _yoyo_address(database_url: str) -> str:
    """Write the address as yoyo reads it: everything besides the database's name as a parameter."""
    parts = parse_dsn(database_url)
    name = parts.pop("dbname")
    return f"postgresql:///{quote(name)}?{urlencode(parts)}"
