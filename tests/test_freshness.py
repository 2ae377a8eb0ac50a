"""What one process writes, another one does not go on answering as it was, whatever breaks."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psycopg2
import pytest

from satupeta_server import migrating
from satupeta_server.embedded import EmbeddedServers
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import Program
from tests.conftest import execute, make_settings
from tests.lines import lines_of
from tests.running import ask
from tests.serving import Served, Start, wait_until
from tests.world import PASSWORD, World

STALE_SECONDS = 1
LISTENERS = (
    "FROM pg_stat_activity WHERE application_name = 'satupeta changes' "
    "AND datname = current_database()"
)


def url_of(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


def listeners(settings: Settings) -> list[int]:
    with contextlib.closing(psycopg2.connect(url_of(settings))) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT pid {LISTENERS}")
        return [pid for (pid,) in cursor.fetchall()]


def names(served: Served) -> list[str]:
    items = ask(served.port, "/categories?limit=100")["items"]
    assert isinstance(items, list)
    return [one["name"] for one in items]


def rename(settings: Settings, name: str) -> None:
    """Another program's write."""
    execute(
        url_of(settings),
        f"UPDATE categories SET name = '{name}' WHERE id = (SELECT min(id::text)::uuid "
        "FROM categories)",
    )


def seen_after(served: Served, name: str) -> float:
    """The seconds until every process of a server has shown a name, and none the old one."""
    begun, last_missing = time.monotonic(), 0.0
    while time.monotonic() - begun < 1.5 * STALE_SECONDS:
        if name not in names(served):
            last_missing = time.monotonic() - begun
    return last_missing


def assert_kept(served: Served, settings: Settings) -> None:
    """A repeated read needs no table: it is answered while nobody can read it."""
    wait_until(lambda: len(listeners(settings)) == 1)
    names(served)
    with contextlib.closing(psycopg2.connect(url_of(settings))) as holder:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE categories")
        assert names(served)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_one_server_writes_another_shows(
    start: Start, settings: Settings, world: World, workers: str
) -> None:
    writer, reader = start(settings), start(settings, WORKERS=workers)
    wait_until(lambda: len(listeners(settings)) == 1 + int(workers))
    login = {"username": "administrator", "password": PASSWORD}
    token = send(writer, "POST", "/auth/login", login)["access_token"]
    path = f"/categories/{world.category_id}"
    for number in range(2):
        names(reader), names(writer)
        send(writer, "PATCH", path, {"name": f"Nama {number}"}, f"Bearer {token}")
        assert f"Nama {number}" in names(writer)
        assert seen_after(reader, f"Nama {number}") < STALE_SECONDS
    assert reader.end() < 10


def send(
    served: Served, method: str, path: str, body: dict[str, str], authorization: str = ""
) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    address = f"http://127.0.0.1:{served.port}/api{path}"
    request = Request(address, json.dumps(body).encode(), headers, method=method)
    with urlopen(request, timeout=10) as answer:  # noqa: S310  our own server
        result: dict[str, str] = json.load(answer)
        return result


def test_what_the_command_line_writes_is_shown(
    start: Start, settings: Settings, tmp_path: Path
) -> None:
    served, program = start(settings), Program(settings, tmp_path)
    wait_until(lambda: len(listeners(settings)) == 1)
    ask(served.port, "/organizations")
    program("organization", "create", "Dinas Baru")
    begun = time.monotonic()
    while "Dinas Baru" not in json.dumps(ask(served.port, "/organizations")):
        assert time.monotonic() - begun < STALE_SECONDS
    program("db", "backup", "whole.satupeta.tar", "--no-objects")
    rename(settings, "Sesudah cadangan")
    wait_until(lambda: "Sesudah cadangan" in names(served), STALE_SECONDS)
    program("db", "restore", "whole.satupeta.tar", "--no-objects", "--yes")
    wait_until(lambda: "Sesudah cadangan" not in names(served), STALE_SECONDS)


@pytest.mark.parametrize("fault", ["ended", "cancelled", "frozen"])
def test_a_broken_listener_shows_nothing_old_and_mends(
    start: Start, settings: Settings, fault: str
) -> None:
    served = start(settings)
    assert_kept(served, settings)
    (listener,) = listeners(settings)
    with broken(settings, listener, fault):
        rename(settings, f"Sesudah {fault}")
        assert seen_after(served, f"Sesudah {fault}") < STALE_SECONDS
        wait_until(lambda: set(listeners(settings)) - {listener} != set() or fault == "cancelled")
    names(served)
    rename(settings, "Sesudahnya lagi")
    assert seen_after(served, "Sesudahnya lagi") < STALE_SECONDS
    assert served.end() < 10


@contextlib.contextmanager
def broken(settings: Settings, listener: int, fault: str) -> Iterator[None]:
    if fault != "frozen":
        function = {"ended": "pg_terminate_backend", "cancelled": "pg_cancel_backend"}[fault]
        execute(url_of(settings), f"SELECT {function}({listener})")
        yield
        return
    os.kill(listener, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(listener, signal.SIGCONT)


def test_while_the_database_is_silent_nothing_old_is_shown(
    start: Start, settings: Settings
) -> None:
    with lines_of(settings) as (reached, lines):
        served = start(reached, DATABASE_TIMEOUT_SECONDS="1")
        assert_kept(served, settings)
        lines["database"].silence()
        rename(settings, "Sesudah sunyi")
        time.sleep(STALE_SECONDS)
        with pytest.raises(HTTPError) as refused:
            names(served)
        assert refused.value.code == 503
        refused.value.close()
        lines["database"].speak()
        wait_until(lambda: is_shown(served, "Sesudah sunyi"))


def is_shown(served: Served, name: str) -> bool:
    try:
        return name in names(served)
    except HTTPError as error:
        error.close()
        return False


@pytest.mark.long
def test_a_restart_of_postgresql_shows_nothing_old(start: Start, tmp_path: Path) -> None:
    servers = EmbeddedServers(tmp_path / "servers")
    try:
        addresses = servers.start()
        settings = make_settings(addresses, urlsplit(addresses.database_url or "").path[1:])
        migrating.upgrade(url_of(settings))
        store = ObjectStore(settings)
        store.ensure_bucket()
        store.close()
        execute(
            url_of(settings), "INSERT INTO categories (id, name) VALUES (gen_random_uuid(), 'Satu')"
        )
        served = start(settings)
        assert_kept(served, settings)
        servers.stop()
        time.sleep(STALE_SECONDS)
        assert not is_shown(served, "Satu")
        servers.start()
        rename(settings, "Dua")
        wait_until(lambda: is_shown(served, "Dua"))
        assert_kept(served, settings)
    finally:
        servers.stop()
