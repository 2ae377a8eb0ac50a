"""Connections for long work: without the limits that are meant for the statements of requests."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
from psycopg2.extensions import parse_dsn

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
    DATABASE_URL is not set, psycopg2.OperationalError when the server is or goes away.
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
        with _interruptible(connection), connection.cursor() as cursor:
            for name, value in _LOCAL_SETTINGS.items():
                cursor.execute(f"SET LOCAL {name} = '{value}'")
            yield cursor
        connection.commit()
    finally:
        # What was not committed is rolled back.
        connection.close()


@contextlib.contextmanager
def _interruptible(connection: Any) -> Iterator[None]:
    """Let Ctrl-C end what the driver waits for inside of it, where Python cannot be reached.

    The system tells of the signal through a descriptor at once; then the connection is cut, and
    the driver comes back to where KeyboardInterrupt is raised.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = socket.socketpair()
    told.settimeout(0)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=_cut_when_told, args=(heard, connection), daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        told.close()
        listener.join()
        heard.close()


def _cut_when_told(heard: socket.socket, connection: Any) -> None:
    while number := heard.recv(1):
        is_interrupt = number[0] == signal.SIGINT
        if is_interrupt and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            # The server undoes what was not committed once its client is gone.
            with contextlib.suppress(OSError, psycopg2.Error):
                line = socket.socket(fileno=os.dup(connection.fileno()))
                with line:
                    line.shutdown(socket.SHUT_RDWR)


def place(settings: Settings) -> str:
    """Name the database and its server, without anything secret."""
    parts = parse_dsn(require_servers(settings, object_store=False))
    host, port = parts.get("host", "localhost"), parts.get("port")
    return f"{parts.get('dbname', '')} at {host}" + (f":{port}" if port else "")
