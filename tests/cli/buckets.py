"""A bucket of a test's own, files in it, and a way to the store that can break."""

import contextlib
import hashlib
import io
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from minio import Minio

from satupeta_server.maintenance.bucket_store import AdministeredStore
from satupeta_server.settings import Settings
from tests.cli.program import Program


def own_bucket(settings: Settings) -> Settings:
    """Settings with a bucket that no other test has; it is not made yet."""
    return settings.model_copy(update={"minio_bucket_name": f"own-{uuid.uuid4().hex[:20]}"})


@dataclass
class Bucket:
    """The bucket of a program, and its files."""

    program: Program
    store: AdministeredStore

    @property
    def client(self) -> Minio:
        return self.store._client

    def put(self, name: str, content: bytes) -> str:
        self.store.put(name, io.BytesIO(content), len(content), "text/plain")
        return name

    def add(self, content: bytes, *, name: str = "", size: int = -1, checksum: str = "") -> str:
        """An object with its row; gives the file's id."""
        file_id = str(uuid.uuid4())
        object_name = self.put(name or f"files/2026/01/{file_id}.txt", content)
        self.row(object_name, file_id, len(content) if size < 0 else size,
                 checksum or hashlib.sha256(content).hexdigest())  # fmt: skip
        return file_id

    def row(self, object_name: str, file_id: str, size: int = 1, checksum: str = "0" * 64) -> None:
        self.program.rows(
            "INSERT INTO files (id, object_name, name, content_type, size, checksum, uploaded_by) "
            "SELECT %s, %s, 'catatan.txt', 'text/plain', %s, %s, id FROM users "
            "WHERE username = 'walidata'",
            (file_id, object_name, size, checksum),
        )

    def names(self) -> list[str]:
        return sorted(entry.name for entry in self.store.entries())


class Proxy:
    """A way to the store that ends after some bytes, or lets only so many through a second."""

    def __init__(self, endpoint: str, *, most: int | None = None, rate: int | None = None) -> None:
        target = urlsplit(endpoint)
        self.target = (target.hostname, target.port)
        self.left = most
        self.rate = rate
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in [self.listener, *self.open]:
            # Another thread may wait in it, which closing alone does not end.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
                self.open += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, goal: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if self.left is not None:
                    self.left -= len(data)
                    if self.left < 0:
                        self.close()
                        return
                if self.rate is not None:
                    time.sleep(len(data) / self.rate)
                goal.sendall(data)
            goal.shutdown(socket.SHUT_WR)


def files_in(folder: Path) -> dict[str, bytes]:
    """What a mirror has left in a folder, its own files left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def made(program: Program) -> Iterator[Bucket]:
    """The bucket of the settings, made, until a fixture ends."""
    store = AdministeredStore(program.settings)
    store.make()
    yield Bucket(program, store)
    store.close()
