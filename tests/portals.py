"""Other portals to be moved: a second instance of this system, and an older backend."""

import contextlib
import json
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

from satupeta_server import database
from satupeta_server.embedded import Addresses
from satupeta_server.models.mapsets import MapsetHistory
from satupeta_server.models.news import News
from satupeta_server.models.users import User
from satupeta_server.seed.sample import load_sample
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import SATUPETA, Program
from tests.conftest import TEMPLATE, make_settings, own_database
from tests.running import free_port


@contextlib.contextmanager
def served(settings: Settings, folder: Path) -> Iterator[str]:
    """The address of this system's API, served by a process of its own."""
    port = free_port()
    process = subprocess.Popen(
        [*SATUPETA, "serve"],
        cwd=folder,
        env={**Program(settings, folder).environment, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                urlopen(f"http://127.0.0.1:{port}/api/health/ready", timeout=5).close()
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def second_instance(addresses: Addresses, folder: Path) -> Iterator[tuple[Settings, str]]:
    """Another instance with the sample catalogue: its settings, and the address of its API."""
    with own_database(addresses, "portal", TEMPLATE) as name:
        settings = make_settings(
            addresses, name, data_dir=folder, minio_bucket_name="satupeta-other"
        )
        store = ObjectStore(settings)
        store.ensure_bucket()
        database.connect(settings)
        with database.database.allow_sync():
            load_sample(settings, store, count=40)
            picture = News.get(News.thumbnail.is_null(is_null=False)).thumbnail
            address = f"https://lama.example.org/api/files/{picture}/download"
            News.create(name="Bergambar", description=f'<p><img src="{address}"></p>')
            mapset_id = MapsetHistory.select().first().mapset_id
            MapsetHistory.create(
                mapset_id=mapset_id, validation_type="rejected", notes="Ñ", user_id=_a_user()
            )
            database.database.close()
        store.close()
        with served(settings, folder) as base:
            yield settings, base


def _a_user() -> uuid.UUID:
    user_id: uuid.UUID = User.get(User.username == "walidata").id
    return user_id


Items = dict[str, list[dict[str, Any]]]


@dataclass
class OldPortal:
    """An older backend: it speaks the contract, and no more of it than it must."""

    items: Items
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)
    password: str = "Lama-2019!"
    largest_page: int = 50
    before: Callable[[str], int | None] = lambda _path: None
    """Looks at each path first; may wait, or give another status to answer with."""
    knows_sort: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    sent_tokens_with_files: list[str] = field(default_factory=list)

    def answer(self, path: str, headers: Any, body: bytes) -> tuple[int, str, bytes]:
        """Answer one request: status, type, content."""
        parts = urlsplit(path)
        self.asked.append(parts.path)
        status = self.before(parts.path)
        if status is not None:
            return status, "application/json", b'{"detail": "gangguan"}'
        route = parts.path.removeprefix("/api")
        if route == parts.path:
            return 200, "text/html", b"<html>Portal</html>"
        if route == "/auth/login":
            return self._login(body)
        if route.startswith("/files/"):
            self.sent_tokens_with_files += filter(None, [headers.get("Authorization")])
            kind, content = self.files.get(route.split("/")[2], ("", b""))
            return (200, kind, content) if kind else (404, "application/json", b"{}")
        token = headers.get("Authorization", "").removeprefix("Bearer ")
        return self._resource(route, parse_qs(parts.query), is_known=token in self.tokens)

    def _login(self, body: bytes) -> tuple[int, str, bytes]:
        if b"multipart" in body or self.password.encode() not in body:
            return 401, "application/json", b'{"message": "salah"}'
        token = uuid.uuid4().hex
        self.tokens.add(token)
        content = {"access_token": token, "refresh_token": "r", "expires_at": time.time() + 900}
        return 200, "application/json", json.dumps(content).encode()

    def _resource(
        self, route: str, query: dict[str, list[str]], *, is_known: bool
    ) -> tuple[int, str, bytes]:
        if not is_known:
            return 401, "application/json", b'{"detail": "Not authenticated"}'
        words = route.strip("/").split("/")
        if words == ["me"]:
            return _json({"id": "1", "name": "A", "role": {"name": "administrator"}})
        if "sort" in query and not self.knows_sort:
            return 422, "application/json", b'{"detail": "sort"}'
        if words[0] in self.items:
            return _json(self._found(words, query))
        return (200 if words[0] == "auth" else 404), "application/json", b"{}"

    def _found(self, words: list[str], query: dict[str, list[str]]) -> Any:
        rows = self.items[words[0]]
        if len(words) > 1:
            named = (one for one in rows if isinstance(one, dict) and one["id"] == words[1])
            found = next(named, {})
            secret = {"decrypted_data": self.secrets.get(words[1])}
            return {**found, **secret} if words[2:] else found
        limit = min(int(query.get("limit", ["1000"])[0]), self.largest_page)
        offset = int(query.get("offset", ["0"])[0])
        page = rows[offset : offset + limit]
        return {"items": page, "total": len(rows), "has_more": offset + limit < len(rows)}


def _json(content: Any) -> tuple[int, str, bytes]:
    return 200, "application/json", json.dumps(content).encode()


@contextlib.contextmanager
def serving(portal: OldPortal) -> Iterator[str]:
    """The address at which an older backend answers, without ``/api``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            with contextlib.suppress(OSError):
                status, kind, content = portal.answer(self.path, self.headers, body)
                target = portal.redirects.get(urlsplit(self.path).path)
                self.send_response(302 if target else status)
                if status == 429:
                    self.send_header("Retry-After", "1")
                if target:
                    self.send_header("Location", target)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_POST = do_GET  # noqa: N815  named by the standard library

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
