"""A ``satupeta serve`` on servers that can be broken."""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import SecretStr

from satupeta_server import database, migrating
from satupeta_server.seed.reference import seed_reference
from satupeta_server.settings import Settings
from satupeta_server.storage import THREADS, ObjectStore
from tests.conftest import make_settings
from tests.faults.gate import Gate
from tests.faults.load import Load
from tests.faults.servers import Breakable
from tests.serving import Served, starting
from tests.world import PASSWORD, USERS, World, make_world

POOL_SIZE = 8
DATABASE_SECONDS = 2.0
REQUEST_SECONDS = 5.0
TEMPLATE = "faults_template"


@dataclass
class Portal:
    """A running API, what it runs on, and who is logged in."""

    servers: Breakable
    settings: Settings
    """How to reach the servers directly, whatever stands before them."""
    served: Served
    world: World
    tokens: dict[str, str]
    files: int = 0
    """Open files and connections of the API while nobody asks it."""
    gates: "Gates | None" = None

    def load(self) -> Load:
        """A load on it."""
        return Load(self.served.port, self.world, self.tokens)

    @property
    def database(self) -> str:
        """The name of its database."""
        url = self.settings.database_url
        return urlsplit(url.get_secret_value() if url else "").path.removeprefix("/")

    def open_files(self) -> int:
        """Open files and connections of the API's processes."""
        return sum(int(one.num_fds()) for one in self.served.all())

    def leaks(self) -> str | None:
        """Say what the API holds that it did not hold before, beyond what its pools may keep."""
        connections, files = self.servers.connections(self.database), self.open_files()
        if connections > POOL_SIZE + 1:
            return f"{connections} connections to PostgreSQL"
        if files > self.files + POOL_SIZE + THREADS:
            return f"{files} open files instead of {self.files}"
        return None


@dataclass
class Gates:
    """The proxies before both servers."""

    database: Gate
    store: Gate

    def heal(self) -> None:
        """Let both only pass bytes on."""
        self.database.heal()
        self.store.heal()

    def close(self) -> None:
        """End both."""
        self.database.close()
        self.store.close()


def prepare(servers: Breakable) -> World:
    """Make the database that those of the portals are copied from."""
    settings = fault_settings(servers, TEMPLATE, "unused")
    servers.command(f"CREATE DATABASE {TEMPLATE} OWNER satupeta")
    assert settings.database_url is not None
    migrating.upgrade(settings.database_url.get_secret_value())
    database.connect(settings)
    with database.synchronous():
        seed_reference()
        return make_world()


def fault_settings(servers: Breakable, name: str, bucket: str, **changes: Any) -> Settings:
    """Settings for one database and bucket, with times that a test can wait for."""
    return make_settings(
        servers.addresses,
        name,
        **{
            "database_pool_size": POOL_SIZE,
            "database_timeout_seconds": DATABASE_SECONDS,
            "request_timeout_seconds": REQUEST_SECONDS,
            "minio_bucket_name": bucket,
            **changes,
        },
    )


@contextlib.contextmanager
def serving(
    servers: Breakable,
    world: World,
    folder: Path,
    *,
    is_gated: bool = False,
    tablespace: str = "pg_default",
    **changes: Any,
) -> Iterator[Portal]:
    """A portal on a database and a bucket of its own; ``changes`` are settings."""
    name = f"portal_{secrets.token_hex(4)}"
    servers.command(
        f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER satupeta TABLESPACE {tablespace}"
    )
    settings = fault_settings(servers, name, name.replace("_", "-"), **changes)
    ObjectStore(settings).ensure_bucket()
    gates = _gates(servers) if is_gated else None
    through = settings if gates is None else _through(settings, gates)
    with starting(folder) as start:
        served = start(through)
        tokens = {user: _login(served.port, user) for user in USERS}
        portal = Portal(servers, settings, served, world, tokens, gates=gates)
        portal.files = portal.open_files()
        yield portal
    if gates is not None:
        gates.close()
    servers.command(f"DROP DATABASE {name} WITH (FORCE)")


def _gates(servers: Breakable) -> Gates:
    store = urlsplit(servers.addresses.object_store_endpoint or "")
    database_socket = str(Path(servers.socket) / ".s.PGSQL.5432")
    return Gates(Gate(database_socket), Gate((store.hostname or "", store.port or 80)))


def _through(settings: Settings, gates: Gates) -> Settings:
    url = urlsplit(settings.database_url.get_secret_value() if settings.database_url else "")
    who = f"{quote(url.username or '')}:{quote(url.password or '')}"
    address = f"postgresql://{who}@127.0.0.1:{gates.database.port}{url.path}"
    return settings.model_copy(
        update={
            "database_url": SecretStr(address),
            "minio_endpoint_url": f"http://127.0.0.1:{gates.store.port}",
        }
    )


def _login(port: int, user: str) -> str:
    answer = httpx.post(
        f"http://127.0.0.1:{port}/api/auth/login",
        files={"username": (None, user), "password": (None, PASSWORD)},
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token
