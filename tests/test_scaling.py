"""The configurations of docs/scaling.md, tried together on one machine."""

import asyncio
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg2.extensions import parse_dsn
from pydantic import SecretStr

from satupeta_server import database, migrating
from satupeta_server.database import server_parameters
from satupeta_server.embedded import Addresses
from satupeta_server.seed.reference import seed_reference
from satupeta_server.server import parent_environment
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.conftest import execute, make_settings, passable_folder
from tests.docs_tables import DOCS
from tests.poolers import PROGRAM, pooler
from tests.running import SATUPETA, environment, free_port
from tests.standby import Standby, pair
from tests.world import PASSWORD, make_world

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PROCESSES = 4

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not (PROGRAM and NGINX), reason="pgbouncer or nginx is not installed"),
]


@dataclass
class Cluster:
    """All that docs/scaling.md draws, and where it answers."""

    base: str
    processes: list["subprocess.Popen[bytes]"]
    standby: Standby
    settings: Settings


@pytest.fixture(scope="module")
def cluster(addresses: Addresses) -> Iterator[Cluster]:
    """Two PostgreSQL servers, pgbouncer, four API processes, nginx."""
    with ExitStack() as stack:
        folder = stack.enter_context(passable_folder())
        primary, standby = stack.enter_context(pair(folder))
        standby.start()
        direct = primary.database_url or ""
        settings = make_settings(addresses, "", database_url=SecretStr(direct), data_dir=folder)
        prepare(settings, direct)
        settings = settings.model_copy(
            update=stack.enter_context(documented_pooler(folder, direct, standby))
        )
        ports = [free_port() for _ in range(PROCESSES)]
        processes = [stack.enter_context(api(settings, folder, port)) for port in ports]
        base = stack.enter_context(documented_nginx(folder, ports))
        for port in ports:
            wait(f"http://127.0.0.1:{port}/api/health/ready")
        wait(f"{base}/health/ready")
        yield Cluster(base, processes, standby, settings)


def prepare(settings: Settings, address: str) -> None:
    migrating.upgrade(address)
    ObjectStore(settings).ensure_bucket()
    database.connect(settings)
    with database.synchronous():
        seed_reference()
        make_world()
    for name, value in server_parameters(settings).items():
        execute(address, f"ALTER ROLE satupeta IN DATABASE satupeta SET {name} = '{value}'")


def block(language: str) -> str:
    """The one block of that language in the document."""
    text = (DOCS / "scaling.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


@contextmanager
def documented_pooler(
    folder: Path, address: str, standby: Standby
) -> Iterator[dict[str, SecretStr | bool]]:
    """The pooler of the document; gives the settings with which it is used."""
    parts, port = parse_dsn(address), free_port()
    configuration = block("ini")
    for written, real in (
        ("host=10.0.0.21", f"host={parts['host']}"),
        ("host=10.0.0.22", f"host={standby.sockets}"),
        ("10.0.0.31", "127.0.0.1"),
        ("6432", str(port)),
        ("/etc/pgbouncer", str(folder / "pgbouncer")),
    ):
        assert written in configuration
        configuration = configuration.replace(written, real)
    url = f"postgresql://{parts['user']}:{parts['password']}@127.0.0.1:{port}/satupeta"
    with pooler(configuration, url, folder / "pgbouncer"):
        yield {
            "database_url": SecretStr(url),
            "database_replica_url": SecretStr(f"{url}_replica"),
            "database_direct_url": SecretStr(address),
            "database_pooler": True,
        }


@contextmanager
def documented_nginx(folder: Path, ports: list[int]) -> Iterator[str]:
    """The nginx of the document, without TLS; gives the address of its API."""
    own, port = folder / "nginx", free_port()
    own.mkdir()
    configuration = re.sub(r" +ssl_certificate.*\n", "", block("nginx"))
    configuration = configuration.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    configuration = configuration.replace("/var/cache/nginx/satupeta", str(own / "cache"))
    for number, one in enumerate(ports, start=11):
        configuration = configuration.replace(f"10.0.0.{number}:5000", f"127.0.0.1:{one}")
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (own / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {own}/pid; error_log {own}/error.log;\n"
        "events {}\nhttp {\naccess_log off;\n"
        + "".join(f"{place}_temp_path {own}/{place};\n" for place in places)
        + f"{configuration}\n}}\n",
        encoding="utf-8",
    )
    with ended([str(NGINX), "-p", str(own), "-c", str(own / "nginx.conf")], {}):
        yield f"http://127.0.0.1:{port}/api"


@contextmanager
def api(settings: Settings, folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    variables = environment(folder, port, WORKERS="1", LOG_LEVEL="ERROR")
    chosen = parent_environment(settings)
    names = {name.upper() for name in Settings.model_fields} - {"PORT", "WORKERS", "LOG_LEVEL"}
    given = {name: chosen[name] for name in names if name in chosen}
    with ended([*SATUPETA, "serve"], {**variables, **given}) as process:
        yield process


@contextmanager
def ended(command: list[str], variables: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is ended at the end."""
    process = subprocess.Popen(command, env=variables)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def wait(address: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, address
        time.sleep(0.05)


def login(client: httpx.Client, username: str) -> dict[str, str]:
    body = {"username": username, "password": PASSWORD}
    answer = client.post("/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def names(client: httpx.Client, search: str, headers: dict[str, str] | None = None) -> list[str]:
    answer = client.get("/categories", params={"search": search}, headers=headers)
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()["items"]]


def test_the_writer_sees_it_through_every_process(cluster: Cluster) -> None:
    with httpx.Client(base_url=cluster.base, timeout=20) as client:
        headers, other = login(client, "administrator"), login(client, "viewer")
        # Each process has looked at the standby before.
        for _ in range(8 * PROCESSES):
            names(client, "uji", other)
            time.sleep(0.02)
        cluster.standby.command("SELECT pg_wal_replay_pause()")
        name = f"Peta {secrets.token_hex(6)}"
        made = client.post("/categories", json={"name": name}, headers=headers)
        assert made.status_code == 201, made.text
        # Soon nobody reads there any more.
        others = [names(client, name, other) for _ in range(PROCESSES)]
        seen = [names(client, name, headers) for _ in range(4 * PROCESSES)]
        cluster.standby.command("SELECT pg_wal_replay_resume()")
        assert seen == [[name]] * 4 * PROCESSES
        assert others == [[]] * PROCESSES
        # nginx keeps what everybody reads, for two seconds at most.
        time.sleep(2.5)
        assert [names(client, name, one) for one in (other, None)] == [[name]] * 2


def test_a_file_goes_up_and_comes_out_of_the_cache(cluster: Cluster) -> None:
    with httpx.Client(base_url=cluster.base, timeout=20) as client:
        headers = login(client, "walidata")
        content = b"kode,nama\n" + b"1,Batu\n" * 400_000
        sent = {"file": ("peta.csv", content, "text/csv")}
        made = client.post("/files", files=sent, headers=headers)
        assert made.status_code == 201, made.text
        for _ in range(3):
            answer = client.get(f"/files/{made.json()['id']}/download", headers=headers)
            assert answer.content == content
            assert "immutable" in answer.headers["Cache-Control"]


def test_reads_go_on_when_the_standby_and_a_process_die(cluster: Cluster) -> None:
    async def ask(client: httpx.AsyncClient, count: int) -> list[int]:
        # Each asks for something else, which nginx cannot have.
        asked = [{"search": secrets.token_hex(4)} for _ in range(count)]
        answers = [await client.get("/mapsets", params=one) for one in asked]
        return [one.status_code for one in answers]

    async def load() -> list[int]:
        async with httpx.AsyncClient(base_url=cluster.base, timeout=30) as client:
            tasks = [asyncio.create_task(ask(client, 40)) for _ in range(8)]
            await asyncio.sleep(0.3)
            await asyncio.to_thread(cluster.standby.stop)
            cluster.processes[0].kill()
            found: list[Any] = await asyncio.gather(*tasks)
            return [status for one in found for status in one]

    assert set(asyncio.run(load())) == {200}
