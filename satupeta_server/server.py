"""Serving: sockets, processes and an orderly end."""

import asyncio
import contextlib
import logging
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import tornado.httpserver
import tornado.netutil
from prometheus_client.multiprocess import mark_process_dead
from tornado import httputil
from tornado.iostream import IOStream, UnsatisfiableReadError

from satupeta_server.app import Application, make_app
from satupeta_server.clients import Client, Clients, Phase
from satupeta_server.errors import StartError
from satupeta_server.handlers.base import RequestsUnderWay
from satupeta_server.handlers.refusing import LINGER_SECONDS
from satupeta_server.metrics import FOLDER_VARIABLE, note_refusal
from satupeta_server.settings import Settings
from satupeta_server.tasks import spawn

logger = logging.getLogger(__name__)

GRACE_SECONDS = 3
"""How long requests may still take once the end was asked for."""
CLOSE_SECONDS = 0.5
"""How long each part may take to close after that."""
WAITING_CONNECTIONS = 1024
"""Beyond these the system lets new ones wait a second; a portal's page makes hundreds at once."""
MOST_HEADER_BYTES = 64 * 1024
_CLOSE = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _CLOSE
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\n" + _CLOSE
_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n" + _CLOSE
_UNLIMITED = 1 << 62
_MOST_FILES = 1 << 18
_RESTART_PAUSE_SECONDS = 0.5
_WATCH_SECONDS = 0.5


def bind(settings: Settings) -> list[socket.socket]:
    """Take the port, with as many sockets for each of WORKERS as HOST has addresses.

    Raises StartError in one sentence when it cannot be had. The first ones are taken without
    SO_REUSEPORT: with it, a second server on the same port would start in silence and get half
    of the requests. Then they are shared: of one socket, the process that wakes up first would
    take nearly all connections that come at once.
    """
    try:
        sockets = _listen(settings.host, settings.port)
        if settings.workers > 1:
            port = sockets[0].getsockname()[1]
            for one in sockets:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            for _ in range(settings.workers - 1):
                sockets += _listen(settings.host, port, is_shared=True)
    except OSError as error:
        raise StartError(
            f"HOST {settings.host} with PORT {settings.port} cannot be used "
            f"({error.strerror or error}); end what uses it or set another PORT."
        ) from None
    return sockets


def _listen(host: str, port: int, *, is_shared: bool = False) -> list[socket.socket]:
    return tornado.netutil.bind_sockets(
        port, host, backlog=WAITING_CONNECTIONS, reuse_port=is_shared
    )


def serve(
    settings: Settings, sockets: Sequence[socket.socket], ready: Callable[[], None] = lambda: None
) -> None:
    """Serve in this process until SIGTERM or SIGINT; requests under way are answered first."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, sockets, ready))


class HttpServer(tornado.httpserver.HTTPServer):
    """Refuses too large an address and headers (RFC 6585, 5); Tornado would only hang up.

    It also watches how its clients get on.
    """

    clients: Clients

    def handle_stream(self, stream: IOStream, address: tuple[object, ...]) -> None:
        """Serve one connection."""
        hang_up = stream.close

        def close(exc_info: Any = False) -> None:  # noqa: FBT002  Tornado's own
            if isinstance(exc_info, UnsatisfiableReadError) and not stream.closed():
                note_refusal("large")
                spawn(_refuse(stream.socket.dup(), _TOO_LARGE))
            hang_up(exc_info)

        stream.close = close  # type: ignore[method-assign]
        if self.clients.add(stream):
            super().handle_stream(stream, address)
        else:
            # Whoever opens thousands does not get the time to read it.
            with contextlib.suppress(OSError):
                note_refusal("connections")
                stream.socket.send(_TOO_MANY)
            stream.close()

    def start_request(
        self, server_conn: object, request_conn: httputil.HTTPConnection
    ) -> httputil.HTTPMessageDelegate:
        """Take a request: Tornado calls this before each arrives."""
        behind = super().start_request(server_conn, request_conn)
        client = self.clients.get(server_conn.stream)  # type: ignore[attr-defined]
        if client is None:
            return behind
        if self.conn_params.no_keep_alive and client.phase is Phase.ANSWER:
            server_conn.stream.close()  # type: ignore[attr-defined]
        return client.taking(behind)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection: Tornado calls this at its end."""
        super().on_close(server_conn)
        self.clients.remove(server_conn.stream)  # type: ignore[attr-defined]

    async def finish(self, requests: RequestsUnderWay) -> None:
        """Take no more connections, and close each once its request is answered to the end."""
        self.stop()
        self.conn_params.no_keep_alive = True
        requests.is_ending = True
        self.clients.close(Phase.IDLE)
        await requests.finished()
        # What was accepted just before had until now to send its request.
        self.clients.close(Phase.IDLE, Phase.HEADERS)
        await self.clients.gone()


def _cut_off(client: Client) -> None:
    """Hang up on a client that is too slow."""
    if client.phase is Phase.ANSWER:
        client.abort()
    else:
        note_refusal("slow")
        _hang_up(client.stream, _TOO_SLOW)


def _hang_up(stream: IOStream, answer: bytes) -> None:
    if not stream.closed():
        spawn(_refuse(stream.socket.dup(), answer))
        stream.close()


async def _refuse(connection: socket.socket, answer: bytes) -> None:
    """Answer, and let the client read it: what still arrives would reset the connection."""
    loop = asyncio.get_running_loop()
    with connection, contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            await loop.sock_sendall(connection, answer)
            connection.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(connection, MOST_HEADER_BYTES):
                pass


def make_http_server(app: Application) -> HttpServer:
    """Make the server of an application; it listens on nothing yet."""
    server = HttpServer(
        app,
        max_header_size=MOST_HEADER_BYTES,
        # Each body has its own limit, which its handler knows (handlers/bodies.py).
        max_body_size=_UNLIMITED,
        idle_connection_timeout=75,
    )
    settings = app.services.settings
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # An upload needs a second one, for its spool file.
    most = min(settings.max_connections, files // 2)
    server.clients = Clients(settings.client_timeout_seconds, most, _cut_off)
    return server


def _allow_files() -> None:
    """Let the process open as many files as its user may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))


async def _serve(
    settings: Settings, sockets: Sequence[socket.socket], ready: Callable[[], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _allow_files()
    app = make_app(settings)
    server = make_http_server(app)
    server.add_sockets(sockets)
    app.start()
    spawn(app.services.suggestions.rehearse())
    ready()
    await stop.wait()
    await _within(GRACE_SECONDS, server.finish(app.requests))
    await _within(CLOSE_SECONDS, server.close_all_connections())
    await _give_up_the_rest()
    await _within(CLOSE_SECONDS, app.close())


async def _within(seconds: float, work: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work


async def _give_up_the_rest() -> None:
    """Cancel what still waits, for a server that does not answer: the end does not."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest, timeout=CLOSE_SECONDS)


class Workers:
    """Several API processes on one port, each started anew when it dies."""

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[socket.socket],
        environment: dict[str, str],
        started: Callable[[str, int], None] = lambda _name, _pid: None,
    ) -> None:
        self._command = [sys.executable, "-m", "satupeta_server"]
        self._sockets = sockets
        descriptors = [one.fileno() for one in sockets]
        each = len(descriptors) // settings.workers
        self._descriptors = [
            descriptors[start : start + each] for start in range(0, len(descriptors), each)
        ]
        # The processes add up their figures there.
        self._figures = tempfile.mkdtemp(prefix="satupeta-figures-")
        self._environment = environment | {FOLDER_VARIABLE: self._figures}
        self._started = started
        self._processes: list[subprocess.Popen[bytes]] = []
        self._number = settings.workers

    def start(self) -> None:
        """Start all of them."""
        self._processes = [self._start_one(number) for number in range(self._number)]

    def mend(self) -> None:
        """Start anew what has died."""
        for number, process in enumerate(self._processes):
            if process.poll() is not None:
                logger.error("API process %d ended with %s", process.pid, process.returncode)
                mark_process_dead(process.pid, self._figures)  # type: ignore[no-untyped-call]
                time.sleep(_RESTART_PAUSE_SECONDS)
                self._processes[number] = self._start_one(number)

    def stop(self) -> None:
        """End all of them; whoever does not within the time of grace is killed."""
        # While the parent listens, new clients would wait for an answer that nobody gives.
        for one in self._sockets:
            one.close()
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS + 4 * CLOSE_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._figures, ignore_errors=True)

    def keep(
        self, ready: Callable[[], None] = lambda: None, watch: Callable[[], None] = lambda: None
    ) -> None:
        """Start all of them and keep them running until a signal, or ``watch``, raises."""
        self.start()
        try:
            ready()
            while True:
                time.sleep(_WATCH_SECONDS)
                self.mend()
                watch()
        finally:
            ignore_signals()
            self.stop()

    def _start_one(self, number: int) -> subprocess.Popen[bytes]:
        descriptors = self._descriptors[number]
        process = subprocess.Popen(  # noqa: S603  our own program
            [*self._command, ",".join(map(str, descriptors)), str(os.getpid())],
            env=self._environment,
            pass_fds=descriptors,
            start_new_session=True,
        )
        self._started(f"worker-{number}", process.pid)
        return process


def ignore_signals() -> None:
    """Whoever asks twice must not interrupt the orderly end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def inherited_sockets(descriptors: str) -> list[socket.socket]:
    """Take over the sockets that the parent bound, by their comma-separated descriptors."""
    sockets = [socket.socket(fileno=int(number)) for number in descriptors.split(",")]
    for one in sockets:
        one.setblocking(False)  # noqa: FBT003
    return sockets


def parent_environment(settings: Settings) -> dict[str, str]:
    """The settings as the environment of a worker: secrets are never arguments."""
    environment = dict(os.environ)
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None:
            continue
        if hasattr(value, "get_secret_value"):
            value = value.get_secret_value()
        if isinstance(value, list):
            import orjson  # noqa: PLC0415

            value = orjson.dumps(value).decode()
        environment[name.upper()] = str(value)
    return environment
