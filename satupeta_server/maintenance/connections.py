"""Connections for long work: without the limits that are meant for the statements of requests."""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2.extensions import parse_dsn

from satupeta_server.errors import UnavailableError
from satupeta_server.interrupting import interruptible
from satupeta_server.settings import Settings, require_servers

_CONNECT_SECONDS = 10
# The forms in which values are written must not follow from the settings of a server.
_LOCAL_SETTINGS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # A statement ends soon after its client is gone.
    "client_connection_check_interval": "500",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}


@contextlib.contextmanager
def transaction(settings: Settings, *, is_snapshot: bool = False) -> Iterator[Any]:
    """Give the cursor of one transaction, which is committed unless something is raised.

    A snapshot reads one moment of all tables, and can write nothing. Raises StartError when
    DATABASE_URL is not set, psycopg2.OperationalError or UnavailableError when the server is or
    goes away.
    """
    connection = psycopg2.connect(
        require_servers(settings, object_store=False),
        connect_timeout=_CONNECT_SECONDS,
        application_name="satupeta db",
        keepalives_idle=30,
    )
    try:
        if is_snapshot:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with interruptible(connection), connection.cursor() as cursor:
            for name, value in _LOCAL_SETTINGS.items():
                cursor.execute(f"SET LOCAL {name} = '{value}'")
            yield cursor
        connection.commit()
    except psycopg2.DatabaseError as error:
        if type(error) is psycopg2.DatabaseError and error.pgcode is None:
            # In the middle of a COPY the driver has no better word for a server that is gone.
            raise UnavailableError from error
        raise
    finally:
        # What was not committed is rolled back.
        connection.close()


def place(settings: Settings) -> str:
    """Name the database and its server, without anything secret."""
    parts = parse_dsn(require_servers(settings, object_store=False))
    host, port = parts.get("host", "localhost"), parts.get("port")
    return f"{parts.get('dbname', '')} at {host}" + (f":{port}" if port else "")
