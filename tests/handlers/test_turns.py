"""Who asks for much that is slow waits for it, and nobody else does."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from satupeta_server.services.categories import CategoryService
from satupeta_server.turns import Turns
from tests.conftest import Api
from tests.connecting import connected, port_of
from tests.world import PASSWORD

MANY = 40
HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
AT_ONCE_SECONDS = 2


@contextlib.contextmanager
def locked(api: Api, table: str = "categories") -> Iterator[None]:
    """Nobody can read a table meanwhile."""
    url = api.application.services.settings.database_url
    assert url is not None
    with contextlib.closing(psycopg2.connect(url.get_secret_value())) as holder:
        holder.cursor().execute(f"LOCK TABLE {table}")
        yield


async def status_of(api: Api, path: str, address: str = HERE, token: str = "") -> int:
    """The status that somebody at an address gets."""
    _, status = await answer_of(api, path, address, token)
    return status


async def answer_of(api: Api, path: str, address: str = HERE, token: str = "") -> tuple[bytes, int]:
    lines = [f"GET /api{path} HTTP/1.1", "Host: x", "Connection: close"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    async with connected(port_of(api), local_addr=(address, 0)) as (reader, writer):
        writer.write("\r\n".join([*lines, "", ""]).encode())
        answer = await reader.read()
    return answer, int(answer.split(b" ", 2)[1])


def ask_for_much(
    api: Api, number: int = MANY, address: str = HERE, token: str = "", path: str = "/categories?"
) -> list["asyncio.Task[int]"]:
    paths = [f"{path}limit={limit}" for limit in range(number)]
    return [asyncio.ensure_future(status_of(api, path, address, token)) for path in paths]


@pytest.mark.settings(database_timeout_seconds=20)
@pytest.mark.parametrize("path", ["/categories?", "/search?q=jawa&", "/search/suggest?q=jawa&"])
async def test_others_are_answered_while_one_waits_for_much(api: Api, path: str) -> None:
    await api.token("viewer")
    with locked(api):
        stuck = ask_for_much(api, path=path)
        await asyncio.sleep(0.3)
        async with asyncio.timeout(AT_ONCE_SECONDS):
            assert await status_of(api, "/news", ELSEWHERE) == 200
            assert (await api.get("/me", user="viewer")).status == 200
            assert (await api.get("/health/ready")).status == 200
            login = {"username": "walidata", "password": PASSWORD}
            assert (await api.post("/auth/login", json_body=login)).status == 200
        assert not any(one.done() for one in stuck)
    assert [await one for one in stuck] == [200] * MANY


@pytest.mark.settings(database_timeout_seconds=20)
async def test_a_users_requests_wait_for_each_other_wherever_they_come_from(api: Api) -> None:
    token = await api.token("viewer")
    await api.token("walidata")
    with locked(api):
        stuck = ask_for_much(api, address=HERE, token=token)
        stuck += ask_for_much(api, address=ELSEWHERE, token=token)
        await asyncio.sleep(0.3)
        async with asyncio.timeout(AT_ONCE_SECONDS):
            assert (await api.get("/news", user="walidata")).status == 200
            assert (await api.get("/news")).status == 200
    assert [await one for one in stuck] == [200] * 2 * MANY


@pytest.mark.settings(request_timeout_seconds=1)
async def test_who_waits_too_long_is_told_to_come_again(api: Api) -> None:
    with locked(api):
        stuck = ask_for_much(api)
        async with asyncio.timeout(2 * AT_ONCE_SECONDS):
            assert [await one for one in stuck] == [503] * MANY
    assert await status_of(api, "/categories") == 200


async def test_what_goes_beyond_the_queue_is_refused_at_once(api: Api) -> None:
    api.application.settings["turns"] = Turns(at_once=1, longest_queue=5)
    with locked(api):
        waiting = ask_for_much(api, 6)
        await asyncio.sleep(0.2)
        answer, status = await answer_of(api, "/news")
        assert status == 503
        assert b"\r\nRetry-After: " in answer
        assert await status_of(api, "/news", ELSEWHERE) == 200
    assert [await one for one in waiting] == [200] * 6


async def test_all_that_a_page_of_the_portal_asks_at_once_is_answered(api: Api) -> None:
    paths = [f"/mapsets?limit={limit}" for limit in range(200)]
    answers = await asyncio.gather(*[status_of(api, path) for path in paths])
    assert answers == [200] * 200


async def test_nothing_is_done_for_a_client_that_left_the_queue(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.application.settings["turns"] = Turns(at_once=1)
    gate, calls = asyncio.Event(), []
    make = CategoryService.list

    async def slow(*arguments: Any) -> Any:
        calls.append(1)
        await gate.wait()
        return await make(*arguments)

    monkeypatch.setattr(CategoryService, "list", slow)
    first, *others, last = ask_for_much(api, 10)
    await asyncio.sleep(0.1)
    for one in others:
        one.cancel()
    await asyncio.wait(others)
    await asyncio.sleep(0.1)
    gate.set()
    assert [await first, await last] == [200, 200]
    assert len(calls) == 2


async def test_turns_come_in_order_and_none_is_lost() -> None:
    turns, done = Turns(at_once=2), []

    async def work(number: int) -> None:
        async with turns.take("one"):
            await asyncio.sleep(0.001)
            done.append(number)

    tasks = [asyncio.ensure_future(work(number)) for number in range(20)]
    await asyncio.sleep(0)
    for number in (0, 5, 19):
        tasks[number].cancel()
    await asyncio.wait(tasks)
    assert done == [number for number in range(20) if number not in (0, 5, 19)]
    async with asyncio.timeout(1), turns.take("one"), turns.take("one"):
        assert turns.callers == 1
    assert turns.callers == 0
