"""Ctrl-C for what waits inside the driver of PostgreSQL, where Python cannot be reached."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psycopg2


def _wait_for_the_driver(_number: int, _frame: object) -> None:
    """Raise nothing: in the middle of the driver's work an exception would be lost."""


class _Listener:
    """Hears of signals the moment they come, and cuts connections at Ctrl-C."""

    def __init__(self, connections: tuple[Any, ...]) -> None:
        self._connections = connections
        self._heard, self._told = socket.socketpair()
        self._told.settimeout(0)
        self.was_interrupted = False

    def start(self) -> None:
        self._handler = signal.getsignal(signal.SIGINT)
        # Whoever has another handler decides what Ctrl-C means.
        self._is_meant = self._handler in (signal.default_int_handler, _wait_for_the_driver)
        if self._is_meant:
            signal.signal(signal.SIGINT, _wait_for_the_driver)
        self._before = signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def end(self) -> None:
        signal.set_wakeup_fd(self._before)
        self._told.close()
        self._thread.join()
        self._heard.close()
        if self._is_meant:
            signal.signal(signal.SIGINT, self._handler)

    def _listen(self) -> None:
        while number := self._heard.recv(1):
            if self._before != -1:
                with contextlib.suppress(OSError):
                    os.write(self._before, number)
            if self._is_meant and number[0] == signal.SIGINT:
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

    The system tells of the signal through a descriptor at once. Then the connections are cut, the
    driver comes back with an error, and KeyboardInterrupt is raised in its place; the server
    undoes what was not committed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listener = _Listener(connections)
    listener.start()
    try:
        try:
            yield
        finally:
            listener.end()
    except psycopg2.Error as error:
        if listener.was_interrupted:
            raise KeyboardInterrupt from error
        raise
    if listener.was_interrupted:
        raise KeyboardInterrupt
