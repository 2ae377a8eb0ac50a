"""A server that goes away, or falls silent, in the middle of a command."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from psycopg2.extensions import parse_dsn

from satupeta_server.settings import Settings

Direction = Literal["from_server", "to_server"]


@dataclass
class Proxy:
    """Passes bytes on until so many went one way; then it is gone, or only silent."""

    target: tuple[str, int] | str
    limit: int
    direction: Direction
    is_silent: bool = False
    passed: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut all connections, and take no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                family = socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET
                server = socket.socket(family)
                server.connect(self.target)
                self._open += [client, server]
                for source, sink, way in (
                    (client, server, "to_server"), (server, client, "from_server"),
                ):  # fmt: skip
                    threading.Thread(
                        target=self._pump, args=(source, sink, way == self.direction), daemon=True
                    ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if is_counted and self._is_over(len(data)):
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _is_over(self, size: int) -> bool:
        with self._lock:
            self.passed += size
            if self.passed <= self.limit:
                return False
        self.reached.set()
        if not self.is_silent:
            self.close()
        return True


@contextlib.contextmanager
def before_database(
    settings: Settings, limit: int, direction: Direction, *, is_silent: bool = False
) -> Iterator[tuple[Proxy, dict[str, str]]]:
    """A proxy before PostgreSQL, and the setting that leads to it."""
    parts = parse_dsn(settings.database_url.get_secret_value() if settings.database_url else "")
    host, port = parts["host"], int(parts.get("port", 5432))
    path = str(Path(host) / f".s.PGSQL.{port}")
    proxy = Proxy(path if host.startswith("/") else (host, port), limit, direction, is_silent)
    who = f"{quote(parts['user'])}:{quote(parts['password'])}"
    address = f"postgresql://{who}@127.0.0.1:{proxy.port}/{parts['dbname']}"
    with contextlib.closing(proxy):
        yield proxy, {"DATABASE_URL": address}


@contextlib.contextmanager
def before_store(
    settings: Settings, limit: int, direction: Direction, *, is_silent: bool = False
) -> Iterator[tuple[Proxy, dict[str, str]]]:
    """A proxy before the object store, and the setting that leads to it."""
    address = settings.minio_endpoint_url or ""
    parts = urlsplit(address if "://" in address else f"//{address}")
    target = (parts.hostname or "", parts.port or 80)
    proxy = Proxy(target, limit, direction, is_silent)
    with contextlib.closing(proxy):
        yield proxy, {"MINIO_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"}
