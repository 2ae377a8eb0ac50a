"""Migrations as administrators see them: which are applied, a new one, a lock that is left."""

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from psycopg2 import sql

from satupeta_server import migrating, migration_files
from satupeta_server.errors import InputError
from satupeta_server.maintenance import catalog
from satupeta_server.maintenance.auditing import record
from satupeta_server.maintenance.connections import transaction
from satupeta_server.maintenance.grants import grant_to_api
from satupeta_server.security.callers import Caller
from satupeta_server.settings import Settings, require_servers

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_NAME = 60
_HOLDER = """
SELECT activity.pid, activity.backend_start, coalesce(host(activity.client_addr), 'this machine')
FROM pg_locks AS lock JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 1
    AND lock.classid = %s AND lock.objid = %s
    AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Migration:
    """A migration, and when (UTC) it was applied; unknown ones are of another version."""

    name: str
    state: Literal["applied", "pending", "unknown"]
    applied_at: datetime.datetime | None = None


@dataclass(frozen=True)
class Server:
    """The database and its server; the size in bytes."""

    version: str
    database: str
    size: int


@dataclass(frozen=True)
class Holder:
    """The process that works on the tables: its number in PostgreSQL, since when, from where."""

    pid: int
    since: datetime.datetime
    host: str


def migrations(settings: Settings) -> list[Migration]:
    """Give all migrations that the program or the database knows, in their order."""
    with transaction(settings, is_snapshot=True) as cursor:
        applied = catalog.applied_migrations(cursor)
    known = set(migration_files.migration_names())
    return [
        Migration(name, _state(name, known, applied), applied.get(name))
        for name in sorted(known.union(applied))
    ]


def _state(
    name: str, known: set[str], applied: dict[str, Any]
) -> Literal["applied", "pending", "unknown"]:
    if name not in known:
        return "unknown"
    return "applied" if name in applied else "pending"


def server(settings: Settings) -> Server:
    """Ask the database what it is."""
    with transaction(settings, is_snapshot=True) as cursor:
        cursor.execute("SELECT current_database(), pg_database_size(current_database())")
        database, size = cursor.fetchone()
        version = cursor.connection.info.parameter_status("server_version")
    return Server(str(version), database, int(size))


def tables(settings: Settings) -> list[dict[str, object]]:
    """Give each table with its size in bytes, indexes included, and about how many rows it has."""
    with transaction(settings, is_snapshot=True) as cursor:
        return [_measured(cursor, table.name) for table in catalog.tables(cursor)]


def _measured(cursor: Any, name: str) -> dict[str, object]:
    cursor.execute(
        "SELECT reltuples::bigint, pg_total_relation_size(oid) FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relname = %s",
        (name,),
    )
    count, size = cursor.fetchone()
    if count < 0:
        # PostgreSQL has not estimated it yet.
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(catalog.qualified(name)))
        (count,) = cursor.fetchone()
    return {"table": name, "rows": count, "bytes": size}


def upgrade(settings: Settings, caller: Caller, say: Say) -> list[str]:
    """Apply what is pending, with an audit record, and give the names.

    Where the API has a role of its own, it is let use the tables. Raises StartError as
    :func:`satupeta_server.migrating.upgrade` does.
    """
    applied = migrating.upgrade(require_servers(settings, object_store=False), say)
    grant_to_api(settings)
    if applied:
        with transaction(settings) as cursor:
            record(cursor, caller, "upgrade", "database", migrations=applied)
    return applied


def to_roll_back(settings: Settings, to: str | None) -> list[str]:
    """Name what :func:`downgrade` would roll back, the last first.

    Raises InputError for a name that is no migration, and where the database has migrations
    that only another version can roll back.
    """
    if to is not None and to not in migration_files.migration_names():
        raise InputError(f"{to!r} is no migration; satupeta db status lists them.")
    found = migrations(settings)
    unknown = [one.name for one in found if one.state == "unknown"]
    if unknown:
        raise InputError(
            f"The database has migrations of another version ({', '.join(unknown)}); that version "
            "must roll them back first."
        )
    applied = [one.name for one in found if one.state == "applied"]
    return [name for name in reversed(applied) if to is None or name > to]


def downgrade(settings: Settings, caller: Caller, to: str | None, say: Say) -> list[str]:
    """Roll back what came after ``to``, or everything; gives the names.

    The audit record is left where there is still a table for it.
    """
    rolled_back = migrating.downgrade(require_servers(settings, object_store=False), to, say)
    if rolled_back:
        with transaction(settings) as cursor:
            record(cursor, caller, "downgrade", "database", migrations=rolled_back)
    return rolled_back


def write_new(name: str, *, is_dry_run: bool = False) -> list[str]:
    """Write the two files of a new migration, which comes after all others; gives their names.

    Raises InputError for a name that cannot be one, and where the program is not a checkout.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InputError(
            f"{name!r} cannot be the name of a migration: use words of a-z and 0-9 with hyphens "
            f"between them, at most {_LONGEST_NAME} characters, such as licences-of-mapsets."
        )
    names = migration_files.migration_names()
    same = [one for one in names if one.partition(".")[2] == name]
    if same:
        raise InputError(f"There is a migration of this name: {same[0]}.")
    number = max((int(one.partition(".")[0]) for one in names), default=0) + 1
    stem = f"{number:04}.{name}"
    depends = f"-- depends: {names[-1]}\n" if names else ""
    files = {f"{stem}.sql": depends, f"{stem}.rollback.sql": ""}
    folder = migration_files.MIGRATIONS
    if not (folder.parent / "pyproject.toml").is_file():
        raise InputError(f"{folder} is not in a checkout of the program; make migrations there.")
    if not is_dry_run:
        try:
            for file_name, content in files.items():
                with (folder / file_name).open("x", encoding="utf-8") as file:
                    file.write(content)
        except OSError as error:
            raise InputError(f"{folder} cannot be written to: {error.strerror}.") from None
    return list(files)


def break_lock(settings: Settings, caller: Caller, *, is_dry_run: bool = False) -> Holder | bool:
    """Remove the lock that a killed migration left; tells whether there was one.

    While a process really works on the tables nothing is removed: it is given instead. Raises
    StartError when the server refuses, UnreachableError when it does not answer.
    """
    with migrating.guard(require_servers(settings, object_store=False)) as connection:
        if not migrating.take_lock(connection):
            return _holder(connection)
        with transaction(settings) as cursor:
            cursor.execute("SELECT to_regclass('public.yoyo_lock') IS NOT NULL")
            if not cursor.fetchone()[0]:
                return False
            if is_dry_run:
                cursor.execute("SELECT EXISTS (SELECT FROM public.yoyo_lock)")
                return bool(cursor.fetchone()[0])
            cursor.execute("DELETE FROM public.yoyo_lock RETURNING pid, ctime")
            left = cursor.fetchall()
            if left:
                pid, since = left[0]
                record(cursor, caller, "break_lock", "database", pid=pid, since=since.isoformat())
            return bool(left)


def _holder(connection: Any) -> Holder:
    with connection.cursor() as cursor:
        key = migrating.LOCK_KEY
        cursor.execute(_HOLDER, (key >> 32, key & 0xFFFFFFFF))
        row = cursor.fetchone()
    # It may have ended between the two questions.
    return Holder(*row) if row else Holder(0, datetime.datetime.now(datetime.UTC), "")
