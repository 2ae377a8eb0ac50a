"""Ctrl-C for what waits inside the driver of PostgreSQL, where Python cannot be reached."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg2


class _Listener:
    """Hears of signals the moment they come, and cuts connections at Ctrl-C."""

    def __init__(self, connections: tuple[Any, ...]) -> None:
        self._connections = connections
        self._heard, self._told = socket.socketpair()
        self._told.settimeout(0)
        self.was_interrupted = False

    def start(self) -> None:
        self._before = signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def end(self) -> None:
        signal.set_wakeup_fd(self._before)
        self._told.close()
        self._thread.join()
        self._heard.close()

    def _listen(self) -> None:
        while number := self._heard.recv(1):
            if self._before != -1:
                with contextlib.suppress(OSError):
                    os.write(self._before, number)
            is_interrupt = number[0] == signal.SIGINT
            if is_interrupt and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self.was_interrupted = True
                for connection in self._connections:
                    _cut(connection)


def _cut(connection: Any) -> None:
    """End the line, not the object, which the other thread is using."""
    with contextlib.suppress(OSError, psycopg2.Error):
        line = socket.socket(fileno=os.dup(connection.fileno()))
        with line:
            line.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def interruptible(*connections: Any) -> Iterator[None]:
    """Let Ctrl-C end whatever the main thread waits for on these connections.

    The system tells of the signal through a descriptor at once. Then the connections are cut: the
    driver comes back to where KeyboardInterrupt is raised, and the server undoes what was not
    committed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listener = _Listener(connections)
    listener.start()
    try:
        yield
    except psycopg2.Error as error:
        if listener.was_interrupted:
            # It is no fault of the server's that nobody speaks to it any longer.
            raise KeyboardInterrupt from error
        raise
    finally:
        listener.end()
