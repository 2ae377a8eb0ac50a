"""How ``satupeta serve`` ends: what was accepted is answered, and the port is free again."""

import contextlib
import hashlib
import io
import os
import signal
import socket
import subprocess
import threading
import time

import psutil
import psycopg2
import pytest

from satupeta_server.models.base import new_id
from satupeta_server.server import bind, parent_environment
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.conftest import execute
from tests.lines import lines_of
from tests.running import SATUPETA, ask
from tests.serving import END_SECONDS, Start, is_taken, read_all, wait_until

UNDER_WAY = 12
BURST = 64


@pytest.mark.settings(database_pool_size=2 * UNDER_WAY)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_requests_under_way_are_answered_and_no_process_stays(
    start: Start, settings: Settings, workers: str
) -> None:
    served = start(settings, WORKERS=workers)
    assert settings.database_url is not None
    holder = psycopg2.connect(settings.database_url.get_secret_value())
    watcher = psycopg2.connect(settings.database_url.get_secret_value())
    watcher.autocommit = True
    with contextlib.closing(holder), contextlib.closing(watcher), holder.cursor() as lock:
        lock.execute("LOCK TABLE categories")
        clients = [served.send(f"/categories?limit={n}") for n in range(UNDER_WAY)]

        def all_wait() -> bool:
            with watcher.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                return cursor.fetchall() == [(UNDER_WAY,)]

        wait_until(all_wait)
        ended: list[float] = []
        ending = threading.Thread(target=lambda: ended.append(served.end()))
        ending.start()
        wait_until(lambda: not is_taken(served.port))
        assert not ended
        holder.rollback()
        answers = [read_all(client) for client in clients]
        ending.join()
    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * UNDER_WAY
    assert ended[0] < END_SECONDS


@pytest.mark.parametrize("part", ["database", "storage"])
def test_a_silent_server_does_not_hold_up_the_end(
    start: Start, settings: Settings, part: str
) -> None:
    with lines_of(settings) as (reached, lines):
        served = start(reached, DATABASE_TIMEOUT_SECONDS="30")
        lines[part].silence()
        for path in ("/health/ready", "/categories") * UNDER_WAY:
            served.send(path)
        time.sleep(0.5)
        assert served.end() < END_SECONDS


def test_a_download_under_way_arrives_whole_at_a_slow_reader(
    start: Start, settings: Settings
) -> None:
    # More than the system keeps for a client, so that the rest is still the server's to send.
    content = os.urandom(8 << 20)
    key = store_file(settings, content)
    served = start(settings)
    client = served.send(f"/files/{key}/download")
    received = client.recv(4096)
    ended: list[float] = []
    ending = threading.Thread(target=lambda: ended.append(served.end()))
    ending.start()
    wait_until(lambda: not is_taken(served.port))
    time.sleep(0.5)
    received += read_all(client)
    ending.join()
    assert received.partition(b"\r\n\r\n")[2] == content
    assert 0.5 < ended[0] < END_SECONDS


def store_file(settings: Settings, content: bytes) -> str:
    """Keep a file as an upload does, and give its id."""
    key, store = str(new_id()), ObjectStore(settings)
    store.ensure_bucket()
    store.put(f"tests/{key}", io.BytesIO(content), len(content), "text/plain")
    store.close()
    assert settings.database_url is not None
    execute(
        settings.database_url.get_secret_value(),
        "INSERT INTO files (id, object_name, name, content_type, size, checksum, created_at, "
        "updated_at, uploaded_by) "
        f"SELECT '{key}', 'tests/{key}', 'a.txt', 'text/plain', {len(content)}, "
        f"'{hashlib.sha256(content).hexdigest()}', now(), now(), min(id::text)::uuid "
        "FROM users",
    )
    return key


def test_a_second_server_on_the_port_is_refused_and_the_first_one_serves_on(
    start: Start, settings: Settings
) -> None:
    served = start(settings, WORKERS="2")
    assert str(served.port) in refused_serve(settings, served.port)
    for _ in range(20):
        assert ask(served.port, "/health/live") == {"status": "ok"}


def test_connections_that_come_at_once_spread_over_the_processes(
    start: Start, settings: Settings
) -> None:
    served = start(settings, WORKERS="2")
    clients = [
        socket.create_connection(("127.0.0.1", served.port), timeout=10) for _ in range(BURST)
    ]
    served.clients += clients
    for client in clients:
        client.sendall(b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    for client in clients:
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    held = [
        sum(one.laddr.port == served.port for one in worker.net_connections("tcp4"))
        for worker in served.all()[1:]
    ]
    # Each has one more, on which it listens.
    assert sum(held) == BURST + 2
    assert min(held) > BURST // 8


def test_a_port_is_refused_even_if_its_holder_would_share_it(settings: Settings) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert str(port) in refused_serve(settings, port)


def refused_serve(settings: Settings, port: int) -> str:
    """What a start on a taken port says: one sentence and exit code 3."""
    ended = subprocess.run(
        [*SATUPETA, "serve"],
        env={**parent_environment(settings), "PORT": str(port)},
        cwd=settings.data_dir,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 3, ended
    assert ended.stderr.startswith("satupeta: ")
    assert len(ended.stderr.splitlines()) == 1
    return ended.stderr


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_holds_the_port_after_its_parent(
    start: Start, settings: Settings, ended_by: signal.Signals
) -> None:
    served = start(settings, WORKERS="2")
    watched = served.all()
    assert len(watched) == 3
    served.process.send_signal(ended_by)
    served.process.wait(END_SECONDS)
    assert not psutil.wait_procs(watched, timeout=END_SECONDS)[1]
    for one in bind(settings.model_copy(update={"port": served.port})):
        one.close()


def test_a_worker_that_dies_is_replaced_on_the_same_port(start: Start, settings: Settings) -> None:
    served = start(settings, WORKERS="2")
    dead = served.all()[1]
    dead.kill()
    wait_until(lambda: len(served.all()) == 3 and dead not in served.all())
    for _ in range(20):
        assert ask(served.port, "/health/live") == {"status": "ok"}
    assert served.end() < END_SECONDS
