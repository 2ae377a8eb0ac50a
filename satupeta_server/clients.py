"""Clients that keep the server waiting, or are too many.

Whoever sends or reads a byte now and then could hold a connection for ever, and who opens
thousands could use up all that the process may open. So headers have a deadline, bodies and
answers must get on, and beyond a number of connections the one that is idle for longest goes.
"""

import asyncio
import enum
import fcntl
import logging
import socket
import struct
import termios
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream

logger = logging.getLogger(__name__)

LEAST_BYTES_PER_SECOND = 500
"""As Apache's mod_reqtimeout asks of bodies: 4 kbit/s, less than the slowest mobile line."""
_LOOK_SECONDS = 1
_ABORT = struct.pack("ii", 1, 0)

CutOff = Callable[["Client"], None]


class Phase(enum.Enum):
    """What a connection is about."""

    IDLE = "idle"
    HEADERS = "headers"
    BODY = "body"
    ANSWER = "answer"


class Client(HTTPMessageDelegate):
    """One connection: it stands before what takes its requests, and notes how they get on."""

    def __init__(self, stream: IOStream) -> None:
        self.stream = stream
        self.phase = Phase.HEADERS
        self.since = time.monotonic()
        """When the phase, or the part of it that is measured, began."""
        self._is_new = True
        self._behind = HTTPMessageDelegate()
        self._received = self._sent = self._moved_before = 0
        self._read, self._write = stream.read_from_fd, stream.write_to_fd
        stream.read_from_fd = self._count_read  # type: ignore[method-assign, assignment]
        stream.write_to_fd = self._count_written  # type: ignore[method-assign]

    @property
    def is_waited_for(self) -> bool:
        """Whether no request of the client has arrived that is not answered yet."""
        return self.phase in (Phase.IDLE, Phase.HEADERS)

    def taking(self, behind: HTTPMessageDelegate) -> "Client":
        """Begin to wait for the next request, which ``behind`` takes."""
        self._behind = behind
        # A new connection is there for a request; an old one may stay for a later one.
        self._enter(Phase.HEADERS if self._is_new else Phase.IDLE)
        self._is_new = False
        return self

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Pass the headers on, unless nobody could be answered any more."""
        if self.stream.closed():
            # Tornado goes on with what had arrived before.
            raise HTTPInputError
        self._enter(Phase.BODY)
        return self._behind.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Pass a piece of the body on."""
        return self._behind.data_received(chunk)

    def finish(self) -> None:
        """Pass on that the request is whole."""
        self._enter(Phase.ANSWER)
        self._behind.finish()

    def on_connection_close(self) -> None:
        """Pass on that the client has gone, to whom a request was passed on."""
        if not self.is_waited_for:
            self._behind.on_connection_close()

    def is_too_slow(self, moment: float, patience: float) -> bool:
        """Tell whether it kept the server waiting for longer than ``patience`` in seconds."""
        if self.phase is Phase.IDLE or self.stream.closed():
            return False
        is_waiting = self.stream.writing() if self.phase is Phase.ANSWER else self.stream.reading()
        if not is_waiting:
            # The server works, so nobody waits for the client.
            self._measure_from(moment)
        if moment - self.since <= patience:
            return False
        if self.phase is Phase.HEADERS:
            return True
        is_slow = self._moved() - self._moved_before < patience * LEAST_BYTES_PER_SECOND
        self._measure_from(moment)
        return is_slow

    def let_go(self) -> None:
        """Watch no longer: what refers to each other would stay in memory for a while."""
        del self.stream.read_from_fd, self.stream.write_to_fd

    def abort(self) -> None:
        """Close, and let the system forget what the client has not read."""
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.stream.close()

    def _enter(self, phase: Phase) -> None:
        self.phase, self.since = phase, time.monotonic()
        self._moved_before = self._sent if phase is Phase.ANSWER else self._received

    def _measure_from(self, moment: float) -> None:
        self.since, self._moved_before = moment, self._moved()

    def _moved(self) -> int:
        """The bytes that the client has sent, or taken of the answer."""
        if self.phase is not Phase.ANSWER:
            return self._received
        return self._sent - _unread(self.stream.socket)

    def _count_read(self, buffer: Any) -> int | None:
        count = self._read(buffer)
        if count:
            self._received += count
            if self.phase is Phase.IDLE:
                self._enter(Phase.HEADERS)
        return count

    def _count_written(self, data: memoryview) -> int:
        count = self._write(data)
        self._sent += count
        return count


def _unread(connection: socket.socket) -> int:
    """The bytes of an answer that the system still keeps for its client."""
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(count)


class Clients:
    """All connections of a process."""

    def __init__(self, patience: float, most: int, cut_off: CutOff) -> None:
        self.patience = patience
        self._most = most
        self._cut_off = cut_off
        self._clients: dict[IOStream, Client] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._are_gone = asyncio.Event()

    def get(self, stream: IOStream) -> Client | None:
        """Give the client of a connection, while it is known."""
        return self._clients.get(stream)

    def add(self, stream: IOStream) -> bool:
        """Take a new connection; tells whether there is room for it."""
        if len(self._clients) >= self._most and not self._make_room():
            return False
        self._clients[stream] = Client(stream)
        if self._timer is None:
            self._look_later()
        return True

    def remove(self, stream: IOStream) -> None:
        """Forget a connection that has ended."""
        client = self._clients.pop(stream, None)
        if client is not None:
            client.let_go()
        if not self._clients:
            self._are_gone.set()

    def close(self, *phases: Phase) -> None:
        """Close all connections that are in one of some phases."""
        for client in [*self._clients.values()]:
            if client.phase in phases:
                client.stream.close()

    async def gone(self) -> None:
        """Wait until no connection is left."""
        self._are_gone = asyncio.Event()
        if self._clients:
            await self._are_gone.wait()

    def _make_room(self) -> bool:
        waited_for = [one for one in self._clients.values() if one.is_waited_for]
        if not waited_for:
            return False
        client = min(waited_for, key=lambda one: one.since)
        self.remove(client.stream)
        client.stream.close()
        return True

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._timer, moment = None, time.monotonic()
        slow = [one for one in self._clients.values() if one.is_too_slow(moment, self.patience)]
        for client in slow:
            self._cut_off(client)
        if slow:
            logger.info("closed %d connections of clients that were too slow", len(slow))
        if self._clients:
            self._look_later()
