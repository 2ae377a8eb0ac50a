"""Embedded PostgreSQL: its server as a child of ours, reached by a socket, never by TCP."""

import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, connection, encrypt_password

from satupeta_server.embedded.account import minimal_environment
from satupeta_server.embedded.binaries import PostgresBinaries
from satupeta_server.embedded.cluster import SUPERUSER, Cluster
from satupeta_server.embedded.credentials import Credentials
from satupeta_server.embedded.errors import EmbeddedError
from satupeta_server.embedded.processes import Child, Program, Steps, spawn

_LONGEST_REASON = 300

ROLE = "satupeta"
DATABASE = "satupeta"

# SIGINT closes the connections and makes a checkpoint; SIGQUIT skips that, and the next start
# recovers from the log.
_STOP: Steps = ((0, signal.SIGINT), (5, signal.SIGQUIT), (6.5, signal.SIGKILL))

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "random_page_cost": "1.1",
    "jit": "off",
    # What is read lies mostly in the system's own cache, from where another process would bring it
    # more slowly.
    "io_method": "sync",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    # A log must not tell what is stored: neither statements (drivers put values into them), nor
    # their parameters, nor the details of an error, which quote the row.
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}


class Postgres:
    """One PostgreSQL server and its database `satupeta`."""

    name = "PostgreSQL"
    log_name = "postgres"

    def __init__(
        self, binaries: PostgresBinaries, cluster: Cluster, credentials: Credentials, sockets: Path
    ) -> None:
        self._binaries = binaries
        self._cluster = cluster
        self._home = cluster.home
        self._credentials = credentials
        self._sockets = sockets
        self._child: Child | None = None

    def prepare(self, register: Callable[[str, int], None]) -> None:
        """Make the cluster when there is none; `register` is told of the child that does it.

        Raises EmbeddedError with the reason when that fails, or when the cluster is of another
        version.
        """
        if self._cluster.exists():
            self._cluster.require_version(self._binaries.major)
        else:
            password = self._credentials.database_superuser_password
            self._cluster.make(self._binaries.initdb, password, register)

    def spawn(self, log: Path) -> Child:
        """Start the server on the cluster; raises EmbeddedError when the system cannot."""
        self._cluster.forget_dead_server()
        command = [str(self._binaries.postgres), "-D", str(self._cluster.folder)]
        # Quoted, for the setting is a list.
        settings = {**_SETTINGS, "unix_socket_directories": f'"{self._sockets}"'}
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        program = Program(
            name=self.name,
            command=command,
            folder=self._home.database,
            environment=minimal_environment(self._home.database),
            steps=_STOP,
            parent_death_signal=signal.SIGINT,
        )
        self._child = spawn(program, self._home.account, log)
        return self._child

    def is_ready(self) -> bool:
        """Whether the database can be used, which is made when it is not there yet.

        Raises EmbeddedError when the server has ended, or does not know our password.
        """
        if self._child is None or not self._child.is_running():
            raise EmbeddedError(self._why_it_ended())
        if not self._cluster.serves(self._child.pid):
            return False
        try:
            self._make_database()
        except psycopg2.OperationalError as error:
            if "password authentication failed" not in str(error):
                return False
            raise EmbeddedError(
                f"The embedded PostgreSQL in {self._home.folder} does not accept the passwords in"
                " secrets/embedded.json: restore that file from a backup."
            ) from None
        return True

    def _make_database(self) -> None:
        with _Session(self._credentials.database_superuser_password, self._sockets) as session:
            password = encrypt_password(
                self._credentials.database_password, ROLE, session, "scram-sha-256"
            )
            with session.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,))
                if cursor.fetchone() is None:
                    create = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
                    cursor.execute(create.format(sql.Identifier(ROLE), sql.Literal(password)))
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
                if cursor.fetchone() is None:
                    create = sql.SQL("CREATE DATABASE {} OWNER {}")
                    cursor.execute(create.format(sql.Identifier(DATABASE), sql.Identifier(ROLE)))
        psycopg2.connect(database_url(self._credentials, self._sockets)).close()

    def _why_it_ended(self) -> str:
        if self._child is None:
            return "The embedded PostgreSQL has not been started."
        reason = _reason(self._child.new_log_text())
        return f"The embedded PostgreSQL could not start ({reason}): see {self._child.log}."


def _reason(log: str) -> str:
    """What the server gave as the cause of its end: its first fatal message, or all it said."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    fatal = [line.split("FATAL:", 1)[1].strip() for line in lines if "FATAL:" in line]
    said = fatal[0] if fatal else " ".join(lines)[:_LONGEST_REASON]
    return said.rstrip(".:") or "it gave no reason"


class _Session:
    """A connection of the superuser, outside transactions, closed at the end."""

    def __init__(self, password: str, sockets: Path) -> None:
        self._connection: connection = psycopg2.connect(
            host=str(sockets), user=SUPERUSER, password=password, dbname="postgres"
        )
        self._connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)

    def __enter__(self) -> connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def database_url(credentials: Credentials, sockets: Path) -> str:
    """The address of the database behind the socket in `sockets`."""
    host = quote(str(sockets), safe="")
    return f"postgresql://{ROLE}:{credentials.database_password}@/{DATABASE}?host={host}"
