"""What all tests share: real servers for the run, and for each test a database of its own."""

import asyncio
import base64
import contextlib
import fcntl
import json
import secrets
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import hypothesis
import psycopg2
import pytest
from pydantic import SecretStr
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.platform.asyncio import AsyncIOLoop
from tornado.testing import bind_unused_port

from satupeta_server import database, migrating
from satupeta_server.app import Application, make_app
from satupeta_server.embedded import Addresses, EmbeddedServers
from satupeta_server.embedded.cluster import SUPERUSER
from satupeta_server.embedded.credentials import load_credentials
from satupeta_server.embedded.postgres import ROLE
from satupeta_server.maintenance.grants import grant_to_api
from satupeta_server.seed.reference import seed_reference
from satupeta_server.server import make_http_server
from satupeta_server.settings import Settings, load_settings
from satupeta_server.storage import ObjectStore
from tests import leaks
from tests.leaks import pytest_runtest_makereport  # noqa: F401  a hook of all tests
from tests.rows import State, reading_state
from tests.serving import Start, starting
from tests.world import World, make_world

API_ROLE = "satupeta_api_of_tests"
SECRET_KEY = "a-secret-key-of-the-tests-0123456789-abcdefghij"
TEMPLATE = "satupeta_template"

# Copies of databases are thousands of small files, which memory makes and unmakes far sooner.
MEMORY = Path("/dev/shm")  # noqa: S108 -- only where the folder is, and is large
ROOM = 4 << 30
"""Bytes of free memory from which on the servers of a run stand there."""

# How long an example takes says more about the machine's other work than about the code.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

leaks.watch()

# A run that a shell started in the background ignores Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let coroutine tests run on the loop of pytest-tornado without a mark on each."""
    for item in items:
        if asyncio.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.gen_test)


@contextlib.contextmanager
def locked(path: Path, mode: int) -> Iterator[Callable[[], None]]:
    """Hold a lock among the processes of the run; what it gives lets go of it sooner."""
    with path.open("w") as file:
        fcntl.flock(file, mode)

        def let_go() -> None:
            fcntl.flock(file, fcntl.LOCK_UN)

        try:
            yield let_go
        finally:
            let_go()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let no other process of the run work while a test that is marked ``alone`` runs."""
    cache = item.config.cache
    if cache is None or not hasattr(item.config, "workerinput"):
        return (yield)
    folder = cache.mkdir("turns")
    mode = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    # Who waits holds the gate, so that those who may share do not keep out the one who may not.
    with locked(folder / "gate", fcntl.LOCK_EX) as open_gate, locked(folder / "room", mode):
        open_gate()
        return (yield)


@pytest.fixture
def io_loop() -> Iterator[AsyncIOLoop]:
    """A new asyncio loop for each test; that of pytest-tornado reuses the closed one."""
    loop = AsyncIOLoop(make_current=False)
    asyncio.set_event_loop(loop.asyncio_loop)
    yield loop
    loop.close(all_fds=True)
    asyncio.set_event_loop(None)


@contextlib.contextmanager
def passable_folder(within: Path | None = None) -> Iterator[Path]:
    """A new folder that every account may pass through, gone at the end.

    Embedded servers that root starts run under another account, which cannot get into the
    folders that pytest makes.
    """
    folder = Path(tempfile.mkdtemp(prefix="satupeta-", dir=within)).resolve()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder for one test."""
    with passable_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    """The data folder of the run's servers."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    with passable_folder(MEMORY if has_room else None) as folder:
        yield folder


@pytest.fixture(scope="session")
def addresses(servers_folder: Path) -> Iterator[Addresses]:
    """A real PostgreSQL and a real object store, for this process of the run alone."""
    servers = EmbeddedServers(servers_folder)
    try:
        yield servers.start()
    finally:
        servers.stop()
        for log in servers_folder.rglob("*.log"):
            leaks.look(log.read_text(errors="replace"), log.name)


def as_superuser(servers_folder: Path, address: str) -> str:
    """The address of a database, for the one who may do all."""
    credentials = load_credentials(servers_folder)
    assert credentials is not None
    return address.replace(
        f"//{ROLE}:{credentials.database_password}@",
        f"//{SUPERUSER}:{credentials.database_superuser_password}@",
    )


@pytest.fixture(scope="session")
def api_role(servers_folder: Path, addresses: Addresses) -> str:
    """The name, and password, of a role that owns nothing."""
    superuser = as_superuser(servers_folder, address_of(addresses, "postgres"))
    execute(superuser, f"CREATE ROLE {API_ROLE} LOGIN PASSWORD '{API_ROLE}'")
    # Who drops a database ends the connections that the API has left there.
    execute(superuser, f"GRANT {API_ROLE} TO {ROLE}")
    return API_ROLE


def with_two_roles(settings: Settings, api_role: str) -> Settings:
    """Settings whose API has a role of its own, which was granted what it needs."""
    owner = settings.database_url
    assert owner is not None
    parts = urlsplit(owner.get_secret_value())
    host = parts.netloc.rpartition("@")[2]
    address = parts._replace(netloc=f"{api_role}:{api_role}@{host}")
    two = settings.model_copy(
        update={
            "database_url": SecretStr(urlunsplit(address)),
            "migration_database_url": owner,
        }
    )
    assert grant_to_api(two.owner())
    return two


def address_of(addresses: Addresses, name: str) -> str:
    """The address of another database of the run's PostgreSQL."""
    return urlunsplit(urlsplit(addresses.database_url or "")._replace(path=f"/{name}"))


def execute(database_url: str, statement: str) -> None:
    """Run one statement outside any transaction."""
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


@contextlib.contextmanager
def own_database(addresses: Addresses, kind: str, template: str = "template1") -> Iterator[str]:
    """The name of a new database, gone at the end."""
    server = addresses.database_url or ""
    name = f"{kind}_{secrets.token_hex(6)}"
    execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield name
    deadline = time.monotonic() + 30
    while True:
        try:
            return execute(server, f"DROP DATABASE {name} WITH (FORCE)")
        except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ObjectInUse):
            # A worker of the autovacuum is the superuser's, so it is waited for.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def make_settings(addresses: Addresses, database_name: str, **overrides: Any) -> Settings:
    """Settings for one database of the run's servers."""
    settings = load_settings(
        None,
        **{
            "database_url": SecretStr(address_of(addresses, database_name)),
            "database_pool_size": 8,
            "minio_endpoint_url": addresses.object_store_endpoint,
            "minio_root_user": addresses.object_store_access_key,
            "minio_root_password": SecretStr(addresses.object_store_secret_key or ""),
            "minio_bucket_name": "satupeta-tests",
            "secret_key": SecretStr(SECRET_KEY),
            "encryption_keys": SecretStr(json.dumps({"1": base64.b64encode(bytes(32)).decode()})),
            "bcrypt_rounds": 4,
            "login_delay_ceiling_seconds": 1,
            **overrides,
        },
    )
    leaks.learn(settings)
    return settings


@pytest.fixture(scope="session")
def template(addresses: Addresses) -> World:
    """A migrated and seeded database that each test gets a copy of, and what stands in it."""
    execute(addresses.database_url or "", f"CREATE DATABASE {TEMPLATE}")
    settings = make_settings(addresses, TEMPLATE)
    migrating.upgrade(address_of(addresses, TEMPLATE))
    ObjectStore(settings).ensure_bucket()
    database.connect(settings)
    with database.synchronous():
        seed_reference()
        return make_world()


@pytest.fixture
def world(template: World) -> World:
    """What stands in the test's database."""
    return template


@pytest.fixture
def settings(
    request: pytest.FixtureRequest, addresses: Addresses, template: World, tmp_path: Path
) -> Iterator[Settings]:
    """Settings with a new copy of the database; ``@pytest.mark.settings(...)`` changes some."""
    mark = request.node.get_closest_marker("settings")
    changes = mark.kwargs if mark else {}
    with own_database(addresses, "test", TEMPLATE) as name:
        yield make_settings(addresses, name, data_dir=tmp_path, **changes)


@pytest.fixture
def store(settings: Settings) -> Iterator[ObjectStore]:
    """The object store, with the bucket made."""
    store = ObjectStore(settings)
    store.ensure_bucket()
    yield store
    store.close()


@pytest.fixture
def app(settings: Settings, io_loop: AsyncIOLoop) -> Iterator[Application]:
    """The application, as the servers run it."""
    application = make_app(settings)
    yield application
    io_loop.run_sync(application.close)


@pytest.fixture
def state(settings: Settings) -> Iterator[State]:
    """Gives what tells of every row of the database that was written, changed or removed."""
    with reading_state(settings) as read:
        yield read


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts ``satupeta serve`` on settings; at the end none of it stays."""
    with starting(tmp_path) as begin:
        yield begin


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass
class Api:
    """Calls the API as a browser or the portal's server would."""

    base: str
    application: Application
    world: World
    client: AsyncHTTPClient = field(default_factory=AsyncHTTPClient)
    _tokens: dict[str, str] = field(default_factory=dict)

    async def token(self, username: str) -> str:
        """An access token of one of the world's users, by a session opened for the test."""
        if username not in self._tokens:
            user_id = self.world.users[username]
            pair = await self.application.services.sessions.open(user_id, "127.0.0.1", "tests")
            self._tokens[username] = pair.access_token
        return self._tokens[username]

    async def request(
        self,
        method: str,
        path: str,
        *,
        user: str | None = None,
        token: str | None = None,
        json_body: Any = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> Answer:
        """Send one request; ``query`` values that are lists become repeated parameters."""
        sent = dict(headers or {})
        if user is not None:
            token = await self.token(user)
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if json_body is not None:
            body = json.dumps(json_body).encode()
        if body is not None:
            # Tornado's client would say that it is a form.
            sent.setdefault("Content-Type", "application/json")
        if body is None and method in ("POST", "PATCH", "PUT"):
            body = b""
        address = f"{self.base}{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        request = HTTPRequest(
            address,
            method=method,
            headers=sent,
            body=body,
            allow_nonstandard_methods=True,
            follow_redirects=False,
            decompress_response=sent.get("Accept-Encoding") is not None,
            request_timeout=30,
        )
        response = await self.client.fetch(request, raise_error=False)
        if response.code == 599:
            raise AssertionError(f"no answer: {response.error}")
        return Answer(response.code, response.headers, response.body or b"")

    async def get(self, path: str, **arguments: Any) -> Answer:
        """GET."""
        return await self.request("GET", path, **arguments)

    async def post(self, path: str, **arguments: Any) -> Answer:
        """POST."""
        return await self.request("POST", path, **arguments)

    async def patch(self, path: str, **arguments: Any) -> Answer:
        """PATCH."""
        return await self.request("PATCH", path, **arguments)

    async def delete(self, path: str, **arguments: Any) -> Answer:
        """DELETE."""
        return await self.request("DELETE", path, **arguments)

    async def upload(
        self,
        content: bytes,
        name: str,
        *,
        user: str | None = "walidata",
        content_type: str = "image/png",
        fields: dict[str, str] | None = None,
        part: str = "file",
        path: str = "/files",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a file as the portal's upload widget does."""
        files = {part: (name, content, content_type)}
        kind, body = multipart(fields or {}, files)
        return await self.post(path, user=user, headers={**kind, **(headers or {})}, body=body)

    async def make_mapset(self, user: str = "pengelola", **changes: Any) -> dict[str, Any]:
        """Create a mapset as the portal's wizard does, and give it."""
        answer = await self.post("/mapsets", user=user, json_body=self.world.mapset(**changes))
        assert answer.status == 201, answer.body
        mapset: dict[str, Any] = answer.json
        return mapset

    async def make_public_mapset(self, **changes: Any) -> dict[str, Any]:
        """Create a mapset and have it approved."""
        mapset = await self.make_mapset(**changes)
        verdict = {"status_validation": "approved", "notes": "", "layer_url": mapset["layer_url"]}
        answer = await self.patch(f"/mapsets/{mapset['id']}", user="walidata", json_body=verdict)
        assert answer.status == 200, answer.body
        approved: dict[str, Any] = answer.json
        return approved


async def comes_true(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.01)


async def begin_to_listen(application: Application) -> None:
    """Let an application hear of changes, as one that serves does."""
    application.start()
    if application.answers.room:
        await comes_true(lambda: application.changes.is_known)


def multipart(
    fields: dict[str, str], files: dict[str, tuple[str, bytes, str]] | None = None
) -> tuple[dict[str, str], bytes]:
    """The header and the body of multipart/form-data."""
    boundary = f"----tests{uuid.uuid4().hex}"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for name, (file_name, content, content_type) in (files or {}).items():
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
            f'filename="{file_name}"\r\nContent-Type: {content_type}\r\n\r\n'.encode()
            + content
            + b"\r\n"
        )
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body


@pytest.fixture
def api(app: Application, io_loop: AsyncIOLoop, world: World) -> Iterator[Api]:
    """The API, served on a port of its own by the server that serves it in production."""
    listener, port = bind_unused_port()
    server = make_http_server(app)
    server.add_socket(listener)
    api = Api(f"http://127.0.0.1:{port}/api", app, world)
    yield api
    api.client.close()
    server.stop()
    with contextlib.suppress(TimeoutError):
        io_loop.run_sync(server.close_all_connections, timeout=5)


@pytest.fixture
def listening(api: Api, io_loop: AsyncIOLoop) -> None:
    """The application hears of changes, as one that serves does, and so keeps answers."""
    io_loop.run_sync(lambda: begin_to_listen(api.application), timeout=10)
