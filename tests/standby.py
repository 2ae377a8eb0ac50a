"""Two PostgreSQL servers in streaming replication, of the embedded kind."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2

from satupeta_server.embedded import Addresses, EmbeddedServers
from satupeta_server.embedded.account import Account, choose_account, minimal_environment
from satupeta_server.embedded.binaries import postgres_binaries
from satupeta_server.embedded.cluster import SUPERUSER
from satupeta_server.embedded.credentials import Credentials, load_credentials
from satupeta_server.embedded.processes import Child, Program, end_all, spawn

_DEADLINE_SECONDS = 30


@dataclass
class Standby:
    """A server that repeats what another one writes."""

    folder: Path
    sockets: Path
    account: Account
    credentials: Credentials
    _child: Child | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = Program(
            name="standby",
            command=[
                str(postgres_binaries(self.account).postgres),
                *("-D", str(self.folder), "-c", "listen_addresses="),
                *("-c", f"unix_socket_directories={self.sockets}", "-c", "max_connections=100"),
            ],
            folder=self.folder,
            environment=minimal_environment(self.folder),
            steps=((0, signal.SIGQUIT), (5, signal.SIGKILL)),
            parent_death_signal=signal.SIGQUIT,
        )
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        self._child = spawn(program, self.account, self.folder.parent / "standby.log")
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while True:
            try:
                return self.command("SELECT 1")
            except psycopg2.OperationalError:
                assert time.monotonic() < deadline
                assert self._child.is_running(), self._child.new_log_text()
                time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, as a power cut does."""
        if self._child is not None:
            end_all([self._child.target()])

    def address(self, database: str) -> str:
        """The address of a database on it."""
        password = self.credentials.database_password
        host = quote(str(self.sockets), safe="")
        return f"postgresql://satupeta:{password}@/{database}?host={host}"

    def command(self, statement: str) -> None:
        """Run a statement as the superuser."""
        connection = psycopg2.connect(
            host=str(self.sockets),
            user=SUPERUSER,
            password=self.credentials.database_superuser_password,
            dbname="postgres",
        )
        connection.autocommit = True
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()


@contextmanager
def pair(folder: Path) -> Iterator[tuple[Addresses, Standby]]:
    """A running primary in ``folder``, and a copy of it that will follow it once started."""
    primary = EmbeddedServers(folder / "primary", object_store=False)
    (folder / "primary").mkdir(mode=0o755)
    standby = None
    try:
        primary.start()
        primary.stop()
        standby = _copy(folder)
        yield primary.start(), standby
    finally:
        if standby is not None:
            standby.stop()
        primary.stop()


def _copy(folder: Path) -> Standby:
    """Copy the cluster that stands still, and tell the copy whom to follow."""
    home = folder / "primary" / "embedded"
    credentials = load_credentials(folder / "primary")
    assert credentials is not None
    account = choose_account(home / "database")
    standby = Standby(folder / "standby", folder / "run", account, credentials)
    shutil.copytree(home / "database" / "cluster", standby.folder)
    standby.sockets.mkdir(mode=0o700)
    password = credentials.database_superuser_password
    line = f"host={home / 'run'} user={SUPERUSER} password={password}"
    with (standby.folder / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.write(f"primary_conninfo = '{line}'\n")
    (standby.folder / "standby.signal").touch()
    if account.changes:
        for path in (standby.sockets, standby.folder, *standby.folder.rglob("*")):
            os.chown(path, account.uid, account.gid)
    standby.folder.chmod(0o700)
    return standby
