"""Backing up: one moment of the database, and the objects of its files, into one file."""

import contextlib
import datetime
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

from psycopg2 import sql

from satupeta_server import __version__
from satupeta_server.errors import StartError
from satupeta_server.maintenance import catalog
from satupeta_server.maintenance.backup_format import (
    MANIFEST,
    OBJECTS,
    SUMMARY,
    TABLES,
    Advance,
    BackupWriter,
    Manifest,
    Summary,
    spool_file,
)
from satupeta_server.maintenance.backup_objects import LIST, fetch, listed
from satupeta_server.maintenance.catalog import Table
from satupeta_server.maintenance.connections import transaction
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore

PIECE_BYTES = 8 << 20
"""A table is cut into pieces of so many compressed bytes, which are made in memory."""
_BUFFER_BYTES = 1 << 16
_COMPRESSION = 3

Progress = Callable[..., AbstractContextManager[Advance]]
"""Called with a description, the total and its unit; gives what is told of each step."""


class Backup:
    """Makes one backup."""

    def __init__(
        self,
        settings: Settings,
        output: BinaryIO,
        *,
        has_objects: bool,
        progress: Progress,
        missing: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._moment = datetime.datetime.now(datetime.UTC)
        self._writer = BackupWriter(output, self._moment.timestamp())
        self._has_objects = has_objects
        self._progress = progress
        self._missing = missing
        self.summary = Summary()
        self.encryption_keys: list[str] = []

    @property
    def size(self) -> int:
        """How many bytes were written."""
        return self._writer.size

    def run(self, folder: Path | None) -> None:
        """Write the backup; ``folder`` holds what large objects need on the way.

        Raises StartError when there is nothing to back up, psycopg2.OperationalError or
        UnavailableError when a server does not answer, OSError when the output takes no more.
        """
        with contextlib.closing(self._writer), spool_file(folder) as objects:
            with transaction(self._settings, is_snapshot=True) as cursor:
                total = self._write_database(cursor, objects)
            # The objects of the snapshot's rows never change, so the transaction may end here.
            objects.seek(0)
            if self._has_objects:
                self._write_objects(objects, total, folder)
            self._writer.add_json(SUMMARY, self.summary)
            self._writer.finish()

    def _write_database(self, cursor: Any, objects: BinaryIO) -> int:
        """Write all tables and list the objects; gives how many bytes these have together."""
        tables = catalog.tables(cursor)
        if not tables:
            raise StartError("DATABASE_URL has no tables, so there is nothing to back up.")
        names = [table.name for table in tables]
        # Nobody drops or empties a table until all are read.
        cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(catalog.listed(names)))
        self._writer.add_json(MANIFEST, self._manifest(cursor, tables))
        cursor.execute(
            "SELECT sum(greatest(reltuples, 0)) FROM pg_class "
            "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        )
        (rows,) = cursor.fetchone()
        with self._progress("Tables", rows, unit="rows") as advance:
            for table in tables:
                self.summary.rows[table.name] = self._write_table(cursor, table, advance)
        if "files" not in names:
            return 0
        cursor.execute("SELECT coalesce(sum(size), 0) FROM public.files")
        (total,) = cursor.fetchone()
        cursor.copy_expert(f"COPY ({LIST}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')", objects)
        return int(total)

    def _manifest(self, cursor: Any, tables: list[Table]) -> Manifest:
        self.encryption_keys = _encryption_keys(cursor, tables)
        return Manifest(
            version=__version__,
            created_at=self._moment.isoformat(timespec="seconds"),
            postgresql=str(cursor.connection.info.parameter_status("server_version")),
            migrations=list(catalog.applied_migrations(cursor)),
            tables={table.name: list(table.columns) for table in tables},
            sequences=catalog.sequences(cursor),
            encryption_keys=self.encryption_keys,
            has_objects=self._has_objects,
        )

    def _write_table(self, cursor: Any, table: Table, advance: Advance) -> int:
        pieces = _Pieces(self._writer, table.name, advance)
        statement = sql.SQL("COPY {} ({}) TO STDOUT (ENCODING 'UTF8')")
        cursor.copy_expert(
            statement.format(catalog.qualified(table.name), catalog.columns_of(table)), pieces
        )
        pieces.finish()
        return int(cursor.rowcount)

    def _write_objects(self, objects: BinaryIO, total: int, folder: Path | None) -> None:
        store = ObjectStore(self._settings)
        try:
            store.check()
            with (
                self._progress("Objects", total, unit="bytes") as advance,
                fetch(store, listed(objects), folder) as fetched,
            ):
                for one in fetched:
                    advance(one.named.size)
                    if one.content is None:
                        self.summary.miss(one.named.name)
                        self._missing(one.named.name)
                        continue
                    with one.content as content:
                        named, name = one.named, OBJECTS + one.named.name
                        said = {"content_type": named.content_type}
                        self._writer.add(name, content, named.size, named.checksum, **said)
                    self.summary.objects += 1
                    self.summary.object_bytes += named.size
        finally:
            store.close()


class _Pieces:
    """Takes the lines of a table and writes them compressed, in pieces."""

    def __init__(self, writer: BackupWriter, name: str, advance: Advance) -> None:
        self._writer = writer
        self._name = name
        self._advance = advance
        self._number = 0
        self._lines: list[bytes] = []
        self._size = 0
        self._start()

    def write(self, line: bytes) -> None:
        """Take one line, as COPY gives it."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _BUFFER_BYTES:
            self._compress()
            if self._length >= PIECE_BYTES:
                self._end()
                self._start()

    def finish(self) -> None:
        """Write what is left; a table without rows has one empty piece."""
        self._compress()
        if self._has_lines or self._number == 0:
            self._end()

    def _start(self) -> None:
        self._compressor = zlib.compressobj(_COMPRESSION, wbits=16 + zlib.MAX_WBITS)
        self._compressed: list[bytes] = []
        self._length = 0
        self._has_lines = False

    def _compress(self) -> None:
        self._has_lines = self._has_lines or bool(self._lines)
        self._advance(len(self._lines))
        self._keep(self._compressor.compress(b"".join(self._lines)))
        self._lines, self._size = [], 0

    def _keep(self, data: bytes) -> None:
        self._compressed.append(data)
        self._length += len(data)

    def _end(self) -> None:
        self._keep(self._compressor.flush())
        self._number += 1
        name = f"{TABLES}{self._name}.{self._number:05}.copy.gz"
        self._writer.add_bytes(name, b"".join(self._compressed))


def _encryption_keys(cursor: Any, tables: list[Table]) -> list[str]:
    """Give the ids of the keys that any table's encrypted values need."""
    found: set[str] = set()
    for table in tables:
        if "encryption_key_id" in table.columns:
            statement = sql.SQL("SELECT DISTINCT encryption_key_id FROM {}")
            cursor.execute(statement.format(catalog.qualified(table.name)))
            found.update(key_id for (key_id,) in cursor.fetchall() if key_id is not None)
    return sorted(found)
