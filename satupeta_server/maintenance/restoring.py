"""Restoring a backup: verified whole, then the objects, then the database in one transaction."""

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from psycopg2 import sql

from satupeta_server import migrating, migration_files
from satupeta_server.errors import InputError, StartError
from satupeta_server.interrupting import interruptible
from satupeta_server.maintenance import catalog
from satupeta_server.maintenance.auditing import record
from satupeta_server.maintenance.backing_up import Progress
from satupeta_server.maintenance.backup_format import (
    SUMMARY,
    TABLES,
    BackupFile,
    FailedError,
    Slice,
    Summary,
)
from satupeta_server.maintenance.backup_objects import store_again
from satupeta_server.maintenance.catalog import Table
from satupeta_server.maintenance.connections import transaction
from satupeta_server.maintenance.grants import grant_to_api
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.security.callers import Caller
from satupeta_server.settings import Settings, require_servers
from satupeta_server.storage import ObjectStore

_HELD = ("credentials", "files", "map_sources", "mapsets", "news", "organizations", "users")
"""Tables whose rows people made; a seed fills the others."""
_UNCHANGED = "No row was changed; satupeta db check tells whether migrations were."
_PATIENCE = "2s"
_READ_BYTES = 1 << 16

Say = Callable[[str], None]


@dataclass
class Restoration:
    """What a restore did, or would do."""

    summary: Summary
    put: int = 0
    """Objects that were not in the bucket yet."""
    strange: list[str] = field(default_factory=list)
    """Tables of the backup that no migration makes; they are left out."""


def holdings(settings: Settings) -> dict[str, int]:
    """Count what people put into the database, by table; nothing where all is empty."""
    with transaction(settings, is_snapshot=True) as cursor:
        there = {table.name for table in catalog.tables(cursor)}
        counts = {}
        for name in sorted(there.intersection(_HELD)):
            statement = sql.SQL("SELECT count(*) FROM {}").format(catalog.qualified(name))
            # The system user comes with the seed.
            others = sql.SQL(" WHERE id <> %s") if name == "users" else sql.SQL("")
            cursor.execute(statement + others, (str(SYSTEM_USER_ID),) if name == "users" else None)
            counts[name] = int(cursor.fetchone()[0])
    return {name: count for name, count in counts.items() if count}


def check_version(backup: BackupFile) -> None:
    """Raise InputError for a backup of tables that only a newer version knows."""
    unknown = sorted(set(backup.manifest.migrations).difference(migration_files.migration_names()))
    if unknown:
        raise InputError(
            f"{backup.name} was made by Satu Peta {backup.manifest.version}, with migrations that "
            f"this version does not know ({', '.join(unknown)}); install that version."
        )


def missing_keys(settings: Settings, backup: BackupFile) -> list[str]:
    """Give the ids of the encryption keys that the backup needs and that are not set."""
    try:
        ring = settings.encryption_key_ring()
    except StartError:
        ring = {}
    return [key_id for key_id in backup.manifest.encryption_keys if key_id not in ring]


class Restore:
    """Restores one backup."""

    def __init__(
        self,
        settings: Settings,
        backup: BackupFile,
        caller: Caller,
        *,
        progress: Progress,
        say: Say,
    ) -> None:
        self._settings = settings
        self._backup = backup
        self._caller = caller
        self._progress = progress
        self._say = say
        self._pieces: dict[str, list[Slice]] = {}

    def verify(self) -> Restoration:
        """Read all of the backup and compare it with its checksum; raises FailedError."""
        with self._progress("Verifying", self._backup.size, unit="bytes") as advance:
            self._backup.verify(advance)
        summary = None
        for info in self._backup.members():
            if info.name.startswith(TABLES):
                name = info.name.removeprefix(TABLES).rsplit(".", 3)[0]
                self._pieces.setdefault(name, []).append(self._backup.open(info))
            elif info.name == SUMMARY:
                summary = Summary(**json.loads(self._backup.open(info).read()))
        if summary is None:
            raise FailedError(f"{self._backup.name} has no summary; use another backup.")
        return Restoration(summary)

    def run(self, restoration: Restoration, *, with_objects: bool) -> None:
        """Restore what was verified; an interrupted restore is run again from its begin.

        Raises FailedError when PostgreSQL refuses the rows, StartError, UnavailableError or
        psycopg2.OperationalError when a server does not answer.
        """
        if with_objects:
            self._store_objects(restoration)
        url = require_servers(self._settings, object_store=False)
        with migrating.alone(url, self._say) as backend:
            migrating.move_to(backend, self._backup.manifest.migrations)
            # Only while no migration is applied: one that is must be marked as such.
            with interruptible(backend.connection):
                is_recorded = self._load(restoration)
            migrating.apply_pending(backend, self._say)
        # Tables that were made anew have the rights of new ones.
        grant_to_api(self._settings)
        if not is_recorded:
            with transaction(self._settings) as cursor:
                self._record(cursor, restoration)

    def _store_objects(self, restoration: Restoration) -> None:
        store = ObjectStore(self._settings)
        try:
            store.ensure_bucket()
            total = restoration.summary.object_bytes
            with (
                self._progress("Objects", total, unit="bytes") as advance,
                store_again(store, self._backup) as stored,
            ):
                for size, was_put in stored:
                    restoration.put += was_put
                    advance(size)
        finally:
            store.close()

    def _load(self, restoration: Restoration) -> bool:
        """Replace all rows; tells whether the audit record could be written with them."""
        try:
            with transaction(self._settings) as cursor:
                self._replace(cursor, restoration)
                return self._record(cursor, restoration)
        except psycopg2.OperationalError:
            raise
        except psycopg2.Error as error:
            reason = str(error).strip().splitlines()[0]
            raise FailedError(f"PostgreSQL refuses the backup: {reason}. {_UNCHANGED}") from error

    def _replace(self, cursor: Any, restoration: Restoration) -> None:
        tables = self._tables(cursor, restoration)
        self._hold(cursor, tables)
        rules = [*catalog.foreign_keys(cursor), *catalog.triggers(cursor)]
        for rule in rules:
            cursor.execute(rule.away)
        names = [table.name for table in tables]
        cursor.execute(sql.SQL("TRUNCATE {}").format(catalog.listed(names)))
        total = sum(restoration.summary.rows.values())
        with self._progress("Tables", total, unit="rows") as advance:
            for table in tables:
                self._copy(cursor, table, restoration.summary.rows[table.name])
                advance(restoration.summary.rows[table.name])
        for rule in reversed(rules):
            cursor.execute(rule.back)
        catalog.notify(cursor)
        for name, value in self._backup.manifest.sequences.items():
            cursor.execute(
                "SELECT setval(to_regclass(%s), %s) WHERE to_regclass(%s) IS NOT NULL",
                (f'public."{name}"', value, f'public."{name}"'),
            )
        cursor.execute(sql.SQL("ANALYZE {}").format(catalog.listed(names)))

    def _tables(self, cursor: Any, restoration: Restoration) -> list[Table]:
        """Give the tables of the backup that are there; the migrations are the same by now."""
        there = {table.name: set(table.columns) for table in catalog.tables(cursor)}
        kept = []
        for name, columns in self._backup.manifest.tables.items():
            if name not in there:
                restoration.strange.append(name)
                continue
            missing = sorted(set(columns).difference(there[name]))
            if missing:
                raise FailedError(
                    f"The table {name} lacks the columns {', '.join(missing)} of the backup. "
                    f"{_UNCHANGED}"
                )
            kept.append(Table(name, tuple(columns)))
        return kept

    def _hold(self, cursor: Any, tables: list[Table]) -> None:
        """Lock all tables; asking again leaves the others through, and feels Ctrl-C."""
        names = catalog.listed(table.name for table in tables)
        was_told = False
        while True:
            cursor.execute(f"SAVEPOINT holding; SET LOCAL lock_timeout = '{_PATIENCE}'")
            try:
                cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names))
            except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
                cursor.execute("ROLLBACK TO SAVEPOINT holding")
                if not was_told:
                    self._say("Others work in the database; the restore waits for them")
                was_told = True
            else:
                cursor.execute("SET LOCAL lock_timeout = 0")
                return

    def _copy(self, cursor: Any, table: Table, rows: int) -> None:
        lines = _Lines(self._pieces.get(table.name, []))
        statement = sql.SQL("COPY {} ({}) FROM STDIN (ENCODING 'UTF8')").format(
            catalog.qualified(table.name), catalog.columns_of(table)
        )
        try:
            cursor.copy_expert(statement, lines, _READ_BYTES)
        except psycopg2.Error:
            if lines.failure is not None:
                raise lines.failure from None
            raise
        if cursor.rowcount != rows:
            raise FailedError(
                f"The table {table.name} took {cursor.rowcount} rows instead of {rows}. "
                f"{_UNCHANGED}"
            )

    def _record(self, cursor: Any, restoration: Restoration) -> bool:
        manifest, summary = self._backup.manifest, restoration.summary
        details = {
            "made_at": manifest.created_at,
            "version": manifest.version,
            "rows": sum(summary.rows.values()),
            "objects": summary.objects,
        }
        return record(cursor, self._caller, "restore", "database", **details)


class _Lines:
    """Gives the lines of a table to COPY, out of its compressed pieces."""

    def __init__(self, pieces: list[Slice]) -> None:
        self._data = self._decompressed(pieces)
        self._rest = b""
        self.failure: BaseException | None = None
        """What was raised here: the driver reports it as a cancelled statement."""

    def read(self, size: int = _READ_BYTES) -> bytes:
        """Give no more than so many bytes, at the end none."""
        try:
            while len(self._rest) < size and (more := next(self._data, b"")):
                self._rest += more
        except BaseException as error:
            self.failure = error
            raise
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    @staticmethod
    def _decompressed(pieces: list[Slice]) -> Iterator[bytes]:
        for piece in pieces:
            expander = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            while chunk := piece.read(_READ_BYTES):
                while chunk:
                    data = expander.decompress(chunk, _READ_BYTES)
                    chunk = expander.unconsumed_tail
                    if data:
                        yield data
            if not expander.eof:
                raise FailedError("A table in the backup ends too early; use another backup.")
