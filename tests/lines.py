"""A line to a server that can fall silent, as one does behind a firewall or on a frozen disk."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

from psycopg2.extensions import parse_dsn
from pydantic import SecretStr

from satupeta_server.settings import Settings


class Line:
    """Passes bytes on between its own port and a server, until it is told to be silent.

    A silent line takes connections and bytes and closes nothing: nobody hears of a failure.
    """

    def __init__(self, target: tuple[str, int] | Path) -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def silence(self) -> None:
        """Let nothing through any more."""
        self._flows.clear()

    def speak(self) -> None:
        """Let all that was held through."""
        self._flows.set()

    def close(self) -> None:
        """Cut every connection."""
        self._is_closed = True
        self._flows.set()
        self._cut(self._listener)
        for thread in self._threads:
            while thread.is_alive():
                for one in list(self._ends):
                    self._cut(one)
                thread.join(0.02)
        for one in [self._listener, *self._ends]:
            one.close()

    @staticmethod
    def _cut(one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._ends.append(near)
                self._start(self._join, near)

    def _join(self, near: socket.socket) -> None:
        self._flows.wait()
        if self._is_closed:
            return
        is_local = isinstance(self._target, Path)
        far = socket.socket(socket.AF_UNIX if is_local else socket.AF_INET)
        self._ends.append(far)
        with contextlib.suppress(OSError):
            far.connect(str(self._target) if is_local else self._target)
            self._start(self._pass_on, near, far)
            self._pass_on(far, near)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                self._flows.wait()
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()


@contextlib.contextmanager
def line_to(target: tuple[str, int] | Path) -> Iterator[Line]:
    """A line that is cut at the end."""
    line = Line(target)
    try:
        yield line
    finally:
        line.close()


@contextlib.contextmanager
def lines_of(settings: Settings) -> Iterator[tuple[Settings, dict[str, Line]]]:
    """Settings that reach the database and the storage over lines, and these."""
    assert settings.database_url is not None
    parts = parse_dsn(settings.database_url.get_secret_value())
    sockets, name = Path(parts["host"]), parts["dbname"]
    owner = f"{parts['user']}:{quote(parts['password'], safe='')}"
    store = urlsplit(settings.minio_endpoint_url or "")
    with (
        line_to(sockets / ".s.PGSQL.5432") as database,
        line_to((store.hostname or "", store.port or 0)) as storage,
    ):
        address = f"postgresql://{owner}@127.0.0.1:{database.port}/{name}"
        update = {
            "database_url": SecretStr(address),
            "minio_endpoint_url": f"http://127.0.0.1:{storage.port}",
        }
        lines = {"database": database, "storage": storage}
        yield settings.model_copy(update=update), lines
