"""A PostgreSQL and an object store that can be killed, frozen and started again."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg2
import pytest

from satupeta_server.embedded import Addresses, EmbeddedError, EmbeddedServers
from satupeta_server.embedded.cluster import SUPERUSER
from satupeta_server.embedded.credentials import Credentials, load_credentials
from satupeta_server.embedded.object_store import ObjectStore
from satupeta_server.embedded.postgres import Postgres

START_SECONDS = 30


class Breakable:
    """Embedded servers, and what can happen to them."""

    def __init__(self, folder: Path) -> None:
        self.servers = EmbeddedServers(folder)
        self.addresses: Addresses = self.servers.start()
        credentials = load_credentials(folder)
        assert credentials is not None
        self.credentials: Credentials = credentials
        assert self.servers._postgres is not None
        assert self.servers._object_store is not None
        self._postgres: Postgres = self.servers._postgres
        self._store: ObjectStore = self.servers._object_store

    @property
    def socket(self) -> str:
        """The folder of PostgreSQL's socket."""
        return str(self.servers._sockets)

    @contextlib.contextmanager
    def superuser(self, database: str = "postgres") -> Iterator[psycopg2.extensions.connection]:
        """A connection of the superuser, for whom PostgreSQL keeps some free."""
        connection = psycopg2.connect(
            host=self.socket,
            user=SUPERUSER,
            password=self.credentials.database_superuser_password,
            dbname=database,
        )
        connection.autocommit = True
        with contextlib.closing(connection):
            yield connection

    def command(self, statement: str) -> None:
        """Run a statement as the superuser."""
        with self.superuser() as connection:
            connection.cursor().execute(statement)

    def processes(self, name: str) -> list[psutil.Process]:
        """The process of a server and its children."""
        server = psutil.Process(self.servers._children[name].pid)
        return [server, *server.children(recursive=True)]

    def end(self, name: str, number: signal.Signals) -> None:
        """Send a server a signal, and wait until all of it has ended."""
        watched = self.processes(name)
        watched[0].send_signal(number)
        child = self.servers._children[name]
        deadline = time.monotonic() + START_SECONDS
        while child.is_running():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not psutil.wait_procs(watched[1:], timeout=10)[1]

    def kill_database(self) -> None:
        """Kill PostgreSQL; its next start recovers from the log."""
        self.end("PostgreSQL", signal.SIGKILL)

    def kill_store(self) -> None:
        """Kill the object store."""
        self.end("object store", signal.SIGKILL)

    def start_database(self) -> None:
        """Start PostgreSQL again, and wait until it answers."""
        self._start(self._postgres)

    def start_store(self, secret: str | None = None) -> None:
        """Start the object store again where it was, with another key if one is given."""
        credentials, endpoint = self.credentials, self.addresses.object_store_endpoint
        if secret is not None:
            credentials = replace(credentials, object_store_secret_key=secret)
        self._store._credentials = credentials
        self._start(self._store)
        assert self._store.endpoint == endpoint

    def _start(self, server: Postgres | ObjectStore) -> None:
        self.servers._spawn(server)
        deadline = time.monotonic() + START_SECONDS
        while not server.is_ready():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Let a server, with all its processes, do nothing at all for a while."""
        stopped = self.processes(name)
        for one in stopped:
            one.suspend()
        try:
            yield
        finally:
            for one in stopped:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.resume()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Let PostgreSQL take no writes for a while, as a standby takes none."""
        self.command("ALTER SYSTEM SET default_transaction_read_only = on")
        self.command("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            with self.superuser() as connection, connection.cursor() as cursor:
                cursor.execute("SET default_transaction_read_only = off")
                cursor.execute("ALTER SYSTEM RESET default_transaction_read_only")
                cursor.execute("SELECT pg_reload_conf()")

    @contextlib.contextmanager
    def small_disk(self, megabytes: int, folder: Path) -> Iterator[Path]:
        """A small file system, and on it the tablespace ``small``; skips where none may be made."""
        folder.mkdir()
        size = f"size={megabytes}m"
        mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("a small file system cannot be mounted here")
        account = self._postgres._home.account
        try:
            space = folder / "space"
            space.mkdir(mode=0o700)
            if account.changes:
                os.chown(space, account.uid, account.gid)
                folder.chmod(0o755)
            self.command(f"CREATE TABLESPACE small LOCATION '{space}'")
            yield folder
            self.command("DROP TABLESPACE small")
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)

    def cut_connections(self) -> int:
        """Cut all of the API's connections that are in a transaction; gives how many."""
        with self.superuser() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE application_name = 'satupeta' AND xact_start IS NOT NULL"
            )
            (count,) = cursor.fetchone() or (0,)
            return int(count)

    def connections(self, database: str) -> int:
        """How many connections of API processes to a database there are."""
        with self.superuser() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE application_name LIKE 'satupeta%%' AND datname = %s",
                (database,),
            )
            (count,) = cursor.fetchone() or (0,)
            return int(count)

    @contextlib.contextmanager
    def no_free_connection(self) -> Iterator[None]:
        """Use up all connections that ordinary users may have, those of the API too."""
        held: list[psycopg2.extensions.connection] = []
        most = self._most_connections()
        try:
            while len(held) < most:
                try:
                    held.append(psycopg2.connect(self.addresses.database_url or ""))
                except psycopg2.OperationalError as error:
                    assert "connection slots" in str(error) or "too many clients" in str(error)
                    self._cut_others()
            yield
        finally:
            for one in held:
                one.close()

    def _most_connections(self) -> int:
        with self.superuser() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('max_connections')::int "
                "- current_setting('superuser_reserved_connections')::int"
            )
            (most,) = cursor.fetchone() or (0,)
            return int(most)

    def _cut_others(self) -> None:
        """Cut the API's connections, so that others can take their places."""
        self.command(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity "
            "WHERE application_name LIKE 'satupeta%'"
        )

    def stop(self) -> None:
        """End both."""
        with contextlib.suppress(EmbeddedError):
            self.servers.stop()
