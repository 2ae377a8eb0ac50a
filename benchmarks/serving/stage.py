"""Where it is measured: PostgreSQL with its databases, and the servers, each in its own process."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import orjson
import psutil

from benchmarks.databases import Databases, url_of
from benchmarks.serving.load import processors
from satupeta_server import database
from satupeta_server.embedded import EmbeddedServers
from satupeta_server.seed.accounts import FILE_NAME, make_accounts
from satupeta_server.server import parent_environment
from satupeta_server.services.counting_ahead import CountingAhead
from satupeta_server.services.mapsets import MapsetService
from satupeta_server.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLE = 500
"""Mapsets of the sample catalogue, as the portal is tried with."""
NO_CACHE = {"RESPONSE_CACHE_MEGABYTES": "0"}
REFERENCE_SUFFIX = "_reference"
_START_SECONDS = 30
# What a search by ILIKE needs to be fast, on the columns as they are.
_REFERENCE_INDEXES = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX reference_name ON mapsets USING gin (name gin_trgm_ops)",
    "CREATE INDEX reference_description ON mapsets USING gin (description gin_trgm_ops)",
)


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process and of all that it started, ended ones included."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        ended = top.cpu_times()
        total += ended.children_user + ended.children_system
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
    return total


class Server:
    """A running server, which answers on a port of 127.0.0.1."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self.port = port

    def cpu_seconds(self) -> float:
        """The CPU time that it has used."""
        return cpu_seconds(self.process.pid)

    def megabytes(self) -> tuple[float, float]:
        """Resident and proportional memory (RSS, PSS) of its largest process."""
        top = psutil.Process(self.process.pid)
        found = [one.memory_full_info() for one in [top, *top.children(recursive=True)]]
        largest = max(found, key=lambda memory: memory.rss)
        return largest.rss / 1e6, largest.pss / 1e6

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None, body: object = None
    ) -> tuple[bytes, Mapping[str, str]]:
        """The body and the headers of an answer; raises OSError for an error."""
        content = None if body is None else orjson.dumps(body)
        address = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(address, content, dict(headers or {}))
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 -- our own address
            return answer.read(), answer.headers

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Stage:
    """A folder with a PostgreSQL, on which databases of several sizes stand."""

    def __init__(self, folder: Path, databases: Databases | None = None) -> None:
        self.folder = folder
        if databases is not None:
            self.databases = databases
        self._servers: EmbeddedServers | None = None

    def prepare(self, sizes: Iterable[int]) -> None:
        """Make the databases, each named after its size; afterwards only PostgreSQL runs."""
        servers = self._servers = EmbeddedServers(self.folder)
        addresses = servers.start()
        self.databases = Databases(addresses, self.folder)
        for size in sizes:
            print(f"  database of {size:,} mapsets", file=sys.stderr, flush=True)
            self.databases.fill(name_of(size), size)
            self._make_accounts(size)
            self.databases.execute("VACUUM ANALYZE", name_of(size))
            asyncio.run(self._count_ahead(size))
        self.stop()
        self.start()

    def _make_accounts(self, size: int) -> None:
        settings = self.settings(size)
        database.connect(settings)
        with database.synchronous():
            make_accounts(settings)
        database.database.close()

    async def _count_ahead(self, size: int) -> None:
        """Do what the worker does some minutes after an import."""
        settings = self.settings(size)
        connected = database.connect(settings)
        await CountingAhead(MapsetService(settings)).run()
        await connected.aio_close()

    def make_reference(self, size: int) -> None:
        """Copy a database, and give the copy the indexes that the reference's search needs."""
        copy = name_of(size) + REFERENCE_SUFFIX
        self.databases.execute(f"DROP DATABASE IF EXISTS {copy} WITH (FORCE)")
        self.databases.execute(f"CREATE DATABASE {copy} TEMPLATE {name_of(size)}")
        for statement in (*_REFERENCE_INDEXES, "VACUUM ANALYZE"):
            self.databases.execute(statement, copy)

    def start(self) -> None:
        """Start PostgreSQL; the object store is named in the settings and not asked."""
        self._servers = EmbeddedServers(self.folder, object_store=False)
        addresses = replace(
            self._servers.start(),
            object_store_endpoint="http://127.0.0.1:9",
            object_store_access_key="nobody",
            object_store_secret_key="nothing-is-asked",  # noqa: S106
        )
        self.databases = Databases(addresses, self.folder)

    def stop(self) -> None:
        """Stop PostgreSQL, and the object store where it runs."""
        if self._servers is not None:
            self._servers.stop()
        self._servers = None

    def restart(self) -> None:
        """Start PostgreSQL anew: its own buffers are empty then."""
        self.stop()
        self.start()

    def postgres_cpu_seconds(self) -> float:
        """The CPU time of all processes of PostgreSQL."""
        if self._servers is None:
            return 0.0
        return cpu_seconds(self._servers._children["PostgreSQL"].pid)

    def token(self, server: Server) -> str:
        """An access token of an administrator, by logging in."""
        accounts = orjson.loads((self.folder / FILE_NAME).read_bytes())
        account = next(one for one in accounts if one["username"] == "administrator")
        body = {"username": account["username"], "password": account["password"]}
        answer = server.ask("/api/auth/login", {"Content-Type": "application/json"}, body)[0]
        token: str = orjson.loads(answer)["access_token"]
        return token

    def settings(self, size: int, **changes: object) -> Settings:
        """The settings of the server on the database of a size."""
        return self.databases.settings(
            name_of(size), log_level="WARNING", port=_free_port(), bcrypt_rounds=4, **changes
        )

    @contextlib.contextmanager
    def ours(
        self, size: int, *, cache: bool = False, workers: int = 1, apart: bool = True
    ) -> Iterator[Server]:
        """Our server; ``apart`` keeps it off the processor of the load."""
        settings = self.settings(size, workers=workers)
        environment = parent_environment(settings) | ({} if cache else NO_CACHE)
        command = ["-m", "satupeta_cli", "serve"]
        with running(command, environment, settings.port, "/api/health/live", apart=apart) as one:
            yield one

    @contextlib.contextmanager
    def bare(self, pages: Mapping[str, tuple[bytes, str]]) -> Iterator[Server]:
        """A bare Tornado handler that returns pages, with their types, by their addresses."""
        port, file = _free_port(), self.folder / "pages.json"
        texts = {path: (body.decode(), kind) for path, (body, kind) in pages.items()}
        file.write_bytes(orjson.dumps(texts))
        command = ["-m", "benchmarks.serving.bare", str(file), str(port)]
        with running(command, os.environ, port, next(iter(pages))) as one:
            yield one

    @contextlib.contextmanager
    def reference(self, size: int) -> Iterator[Server]:
        """The reference."""
        settings = self.databases.settings(name_of(size) + REFERENCE_SUFFIX)
        port = _free_port()
        environment = {**os.environ, "DATABASE_URL": url_of(settings), "PORT": str(port)}
        with running(["-m", "benchmarks.reference"], environment, port, "/openapi.json") as one:
            yield one


def name_of(size: int) -> str:
    """The name of the database of a size."""
    return f"mapsets_{size}"


@contextlib.contextmanager
def running(
    command: list[str], environment: Mapping[str, str], port: int, path: str, *, apart: bool = True
) -> Iterator[Server]:
    """A Python program that serves on a port, once a path is answered."""
    with_path = {**environment, "PYTHONPATH": str(ROOT)}
    # From a folder without a .env, which would change the settings.
    process = subprocess.Popen([sys.executable, *command], env=with_path, cwd=ROOT / "benchmarks")
    if apart:
        os.sched_setaffinity(process.pid, processors()[0])
    server = Server(process, port)
    try:
        _wait_for(server, path)
        yield server
    finally:
        server.stop()


def _wait_for(server: Server, path: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            server.ask(path)
        except OSError as error:
            is_answered = isinstance(error, urllib.error.HTTPError)
            is_over = server.process.poll() is not None or time.monotonic() > deadline
            if is_answered or is_over:
                raise
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
