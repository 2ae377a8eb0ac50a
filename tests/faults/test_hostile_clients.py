"""Clients that dribble, stop, never end, go away or come by the thousand."""

import asyncio
import contextlib
import logging
import socket
import struct
import time
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest

from satupeta_server.handlers import refusing
from satupeta_server.handlers.base import GIVE_UP_SECONDS, RequestsUnderWay
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.conftest import Api, execute
from tests.connecting import connected, eventually, port_of
from tests.faults.figures import Figure, figures
from tests.running import ask
from tests.serving import Start, read_all
from tests.test_ending import store_file

PATIENCE = 1
CUT_SECONDS = 2 * PATIENCE + 3
"""What is measured in times of PATIENCE is cut off in the second one, and looked at each second."""
MANY = 1000
PART = b"1000\r\n" + b" " * 4096 + b"\r\n"

impatient = pytest.mark.settings(client_timeout_seconds=PATIENCE)


async def head(api: Api, method: str, path: str, *lines: str, user: str = "administrator") -> bytes:
    token = await api.token(user)
    return "\r\n".join(
        [
            f"{method} /api{path} HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {token}",
            *lines,
            "",
            "",
        ]
    ).encode()


async def send_slowly(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    pieces: list[bytes],
    pause: float,
) -> bytes:
    """Send piece by piece until an answer comes, and give that."""
    answer = asyncio.ensure_future(reader.read())
    for piece in pieces:
        writer.write(piece)
        await asyncio.wait([answer], timeout=pause)
        if answer.done():
            break
    return await answer


def bytes_of(content: bytes) -> list[bytes]:
    return [bytes([one]) for one in content]


@impatient
@pytest.mark.parametrize("begin", [b"", b"GET /api/categories HTTP/1.1\r\nHost: x\r\nX-A: "])
async def test_headers_that_dribble_are_cut_off(api: Api, begin: bytes) -> None:
    async with connected(port_of(api)) as (reader, writer):
        started = time.monotonic()
        answer = await send_slowly(reader, writer, [begin, *bytes_of(b"a" * 100)], 0.2)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < CUT_SECONDS


@impatient
async def test_a_new_connection_without_a_request_is_closed_and_an_old_one_may_wait(
    api: Api,
) -> None:
    async with connected(port_of(api)) as (silent, _), connected(port_of(api)) as (reader, writer):
        writer.write(b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b'"ok"}')
        async with asyncio.timeout(CUT_SECONDS):
            assert (await silent.read()).startswith(b"HTTP/1.1 408 ")
        await asyncio.sleep(PATIENCE)
        writer.write(b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b'"ok"}')


@impatient
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_body_that_dribbles_is_cut_off(api: Api, method: str) -> None:
    async with connected(port_of(api)) as (reader, writer):
        begin = await head(api, method, "/categories", "Content-Length: 1000")
        started = time.monotonic()
        answer = await send_slowly(reader, writer, [begin, *bytes_of(b'{"name":' * 20)], 0.2)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < CUT_SECONDS
    await eventually(lambda: not under_way(api))


def under_way(api: Api) -> set[Any]:
    requests: RequestsUnderWay = api.application.requests
    return requests._handlers


@impatient
async def test_a_slow_body_that_gets_on_may_take_its_time(api: Api) -> None:
    body = b'{"name":"Pelan"' + b" " * 9000 + b"}"
    pieces = [body[start : start + 500] for start in range(0, len(body), 500)]
    async with connected(port_of(api)) as (reader, writer):
        length = f"Content-Length: {len(body)}"
        begin = await head(api, "POST", "/categories", length, "Connection: close")
        started = time.monotonic()
        answer = await send_slowly(reader, writer, [begin, *pieces], 0.25)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert time.monotonic() - started > 3 * PATIENCE


@pytest.mark.settings(max_body_size=100_000, max_upload_size=200_000)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/categories"),
        ("DELETE", "/categories/01968b53-a910-7a67-bd10-975b8923b92e"),
        ("POST", "/categories"),
        ("POST", "/auth/login"),
        ("POST", "/auth/logout"),
        ("OPTIONS", "/categories"),
        ("PUT", "/nothing"),
    ],
)
async def test_a_body_without_an_end_is_stopped(
    api: Api, method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusing, "LINGER_SECONDS", 0.5)
    lines = ["Transfer-Encoding: chunked", "Content-Type: application/json"]
    async with connected(port_of(api)) as (reader, writer):
        begin = await head(api, method, path, *lines)
        answer = await send_slowly(reader, writer, [begin, *[PART] * 60], 0.001)
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert answer.count(b"HTTP/1.1") == 1
    await eventually(lambda: not under_way(api))


@impatient
async def test_a_download_that_is_not_read_is_cut_off(
    api: Api, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    key = store_file(settings, b"x" * (8 << 20))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", urlsplit(api.base).port or 0))
        client.sendall(await head(api, "GET", f"/files/{key}/download"))
        await eventually(lambda: bool(under_way(api)))
        await eventually(lambda: not under_way(api), CUT_SECONDS)
    assert "Traceback" not in caplog.text


@impatient
async def test_a_download_that_is_read_slowly_comes_whole(api: Api, settings: Settings) -> None:
    content = b"x" * (6 << 20)
    key = store_file(settings, content)
    begin = await head(api, "GET", f"/files/{key}/download", "Connection: close")
    received = b""
    async with connected(port_of(api), limit=65536) as (reader, writer):
        writer.write(begin)
        started = time.monotonic()
        while piece := await reader.read(200_000):
            received += piece
            await asyncio.sleep(0.12)
    assert received.partition(b"\r\n\r\n")[2] == content
    assert time.monotonic() - started > 3 * PATIENCE


@pytest.mark.settings(max_connections=20)
async def test_beyond_the_most_connections_the_one_idle_for_longest_goes(api: Api) -> None:
    token = await api.token("viewer")
    async with contextlib.AsyncExitStack() as stack:
        readers = []
        for _ in range(60):
            reader, writer = await stack.enter_async_context(connected(port_of(api)))
            writer.write(b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b'"ok"}')
            readers.append(reader)
        assert (await api.get("/me", token=token)).status == 200
        await eventually(lambda: sum(one.at_eof() for one in readers) == 41)
        assert all(one.at_eof() for one in readers[:41])


@pytest.mark.settings(max_connections=10)
async def test_what_is_under_way_is_not_closed_for_the_sake_of_others(api: Api) -> None:
    async with contextlib.AsyncExitStack() as stack:
        with locked(api):
            asking = [await stack.enter_async_context(connected(port_of(api))) for _ in range(10)]
            for number, (_, writer) in enumerate(asking):
                writer.write(
                    f"GET /api/categories?limit={number} HTTP/1.1\r\nHost: x\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
            await eventually(lambda: len(under_way(api)) == 10)
            reader, _ = await stack.enter_async_context(connected(port_of(api)))
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        for reader, _ in asking:
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")


async def test_requests_sent_at_once_are_answered_in_order(api: Api) -> None:
    request = "GET /api/categories?limit={} HTTP/1.1\r\nHost: x\r\n\r\n"
    async with connected(port_of(api)) as (reader, writer):
        writer.write("".join(request.format(number) for number in range(9)).encode())
        writer.write(b"GET /api/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
    assert answer.count(b"HTTP/1.1 200 OK") == 9
    limits = [answer.index(b'"limit":%d,' % number) for number in range(9)]
    assert limits == sorted(limits) < [answer.index(b"HTTP/1.1 404 ")]


@contextlib.contextmanager
def locked(api: Api) -> Any:
    """Nobody can read or write categories meanwhile."""
    with contextlib.closing(psycopg2.connect(url_of(api))) as holder:
        holder.cursor().execute("LOCK TABLE categories")
        yield


def url_of(api: Api) -> str:
    url = api.application.services.settings.database_url
    assert url is not None
    return url.get_secret_value()


def waiting(api: Api) -> int:
    """How many statements of the API wait for a lock."""
    with contextlib.closing(psycopg2.connect(url_of(api))) as one, one.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name = 'satupeta' AND wait_event_type = 'Lock'"
        )
        (count,) = cursor.fetchone() or (0,)
        return int(count)


@pytest.mark.settings(database_timeout_seconds=60, request_timeout_seconds=60)
@pytest.mark.parametrize("is_known", [True, False])
async def test_nothing_is_read_for_a_client_that_has_gone(api: Api, is_known: bool) -> None:
    await api.token("administrator")
    with locked(api):
        async with connected(port_of(api)) as (_, writer):
            whole = await head(api, "GET", "/categories")
            anonymous = b"GET /api/categories HTTP/1.1\r\nHost: x\r\n\r\n"
            writer.write(whole if is_known else anonymous)
            await eventually(lambda: waiting(api) == 1)
        await eventually(lambda: waiting(api) == 0, GIVE_UP_SECONDS + 3)
    assert (await api.get("/categories")).status == 200


@pytest.mark.settings(database_pool_size=4)
async def test_who_comes_and_goes_does_not_use_up_the_connections_of_the_database(api: Api) -> None:
    with locked(api):
        most = 0
        for number in range(60):
            async with connected(port_of(api)) as (_, writer):
                writer.write(
                    f"GET /api/categories?limit={number} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                )
                await asyncio.sleep(0.03)
            most = max(most, waiting(api))
    # Those of the pool, and those that were given up and are not noticed yet.
    assert 0 < most <= 8
    assert (await api.get("/categories")).status == 200


@pytest.mark.settings(database_timeout_seconds=60, request_timeout_seconds=60)
async def test_of_two_who_read_the_same_one_may_go(api: Api) -> None:
    with locked(api):
        stays = asyncio.ensure_future(api.get("/categories"))
        await eventually(lambda: waiting(api) == 1)
        async with connected(port_of(api)) as (_, writer):
            writer.write(b"GET /api/categories HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: len(under_way(api)) == 2)
        await eventually(lambda: len(under_way(api)) == 1)
        await asyncio.sleep(GIVE_UP_SECONDS + 1)
        assert waiting(api) == 1
    assert (await stays).status == 200


@pytest.mark.settings(database_timeout_seconds=60, request_timeout_seconds=60)
async def test_what_a_client_wrote_before_it_went_is_written(api: Api) -> None:
    body = b'{"name":"Ditinggal"}'
    with locked(api):
        async with connected(port_of(api)) as (_, writer):
            writer.write(await head(api, "POST", "/categories", f"Content-Length: {len(body)}"))
            writer.write(body)
            await eventually(lambda: waiting(api) == 1)
        await asyncio.sleep(GIVE_UP_SECONDS + 1)
        assert waiting(api) == 1

    async def is_there() -> bool:
        return "Ditinggal" in (await api.get("/categories")).body.decode()

    async with asyncio.timeout(5):
        while not await is_there():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_clients_that_go_in_the_middle_leave_nothing_behind(
    api: Api, settings: Settings, store: ObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    execute(
        url_of(api),
        "INSERT INTO categories (id, name, created_at, updated_at) SELECT "
        "gen_random_uuid(), 'Kategori ' || n, now(), now() FROM generate_series(1, 2000) n",
    )
    key = store_file(settings, b"x" * (4 << 20))
    requests = [
        await head(api, "GET", "/categories?limit=0"),
        await head(api, "GET", "/categories"),
        await head(api, "GET", f"/files/{key}/download"),
        (await head(api, "POST", "/categories", "Content-Length: 50")) + b'{"na',
        b"POST /api/files HTT",
    ]
    for number in range(100):
        async with connected(port_of(api)) as (reader, writer):
            writer.write(requests[number % 5])
            if number % 2:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await reader.read(1000)
            writer.transport.abort()
    await eventually(lambda: not under_way(api))
    assert (await api.get("/categories")).status == 200
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []


@pytest.mark.settings(database_pool_size=2)
async def test_who_asks_for_readiness_all_the_time_does_not_make_it_fail(
    api: Api, store: ObjectStore
) -> None:
    async def status() -> bytes:
        async with connected(port_of(api)) as (reader, writer):
            writer.write(b"GET /api/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return (await reader.read())[:12]

    answers = await asyncio.gather(*[status() for _ in range(1000)])
    assert set(answers) == {b"HTTP/1.1 200"}


async def test_a_process_that_ends_is_not_ready(api: Api, store: ObjectStore) -> None:
    assert (await api.get("/health/ready")).status == 200
    api.application.requests.is_ending = True
    answer = await api.get("/health/ready")
    assert (answer.status, answer.json["status"]) == (503, "down")
    assert answer.json["checks"]["process"] == "down"
    assert (await api.get("/health/live")).status == 200


def test_a_thousand_idle_clients_keep_nobody_out(start: Start, settings: Settings) -> None:
    served = start(settings)
    for _ in range(MANY):
        served.clients.append(socket.create_connection(("127.0.0.1", served.port), timeout=10))
        served.clients[-1].sendall(b"GET /api/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    for client in served.clients:
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    for _ in range(20):
        assert ask(served.port, "/categories")["total"]
    busy = served.send("/categories")
    assert read_all(busy).startswith(b"HTTP/1.1 200 OK")
    assert served.end() < 10


ABRUPT = [
    b"GET /api/categories?limit=0 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /api/mapsets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n",
    b"GET /api/health/ready HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n{",
    b"GET /api/categories HTTP/1.1\r\nHo",
    b"",
]


@pytest.mark.long
def test_thousands_of_clients_that_cut_off_leak_nothing(start: Start, settings: Settings) -> None:
    served = start(settings)
    process = served.all()[0]
    abort = struct.pack("ii", 1, 0)

    def cut_off(count: int) -> int:
        for number in range(count):
            with socket.create_connection(("127.0.0.1", served.port), timeout=10) as client:
                client.sendall(ABRUPT[number % len(ABRUPT)])
                if number % 3 == 0:
                    time.sleep(0.002)
                if number % 2:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abort)
        assert ask(served.port, "/health/ready")["status"] == "ok"
        time.sleep(3)
        return int(process.memory_info().rss)

    begun = time.monotonic()
    cut_off(2000)
    before, files = cut_off(2000), process.num_fds()
    after = cut_off(6000)
    figures.append(Figure("clients that cut off", 10_000, 10_000, 0, 0, None))
    assert process.num_fds() <= files + settings.database_pool_size
    # About what a thousand answers take that are made at once; a leak would be of 6,000.
    assert after - before < 16 << 20, f"{(after - before) >> 10} kB"
    assert time.monotonic() - begun < 120
    assert "Traceback" not in served.said.read_text()
