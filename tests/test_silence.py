"""A database or a store that falls silent: it takes every connection and answers nothing."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from tornado.platform.asyncio import AsyncIOLoop

from satupeta_server.app import Application, make_app
from satupeta_server.settings import Settings
from satupeta_server.tasks import spawn
from tests.conftest import Answer, Api
from tests.lines import Line, lines_of

READY_SECONDS = 2.5
AT_ONCE_SECONDS = 0.25
DOWN = {
    "database": {"database": "down", "storage": "ok", "migrations": "down"},
    "storage": {"database": "ok", "storage": "down", "migrations": "ok"},
}


@pytest.fixture
def lines(settings: Settings) -> Iterator[tuple[Settings, dict[str, Line]]]:
    with lines_of(settings) as found:
        yield found


@pytest.fixture
def app(lines: tuple[Settings, dict[str, Line]], io_loop: AsyncIOLoop) -> Iterator[Application]:
    """The application, whose servers are reached over lines."""
    application = make_app(lines[0])
    yield application
    for line in lines[1].values():
        line.speak()
    io_loop.run_sync(application.close)


async def timed(api: Api, path: str) -> tuple[Answer, float]:
    begin = time.monotonic()
    return await api.get(path), time.monotonic() - begin


@pytest.mark.alone
@pytest.mark.parametrize("part", ["database", "storage"])
@pytest.mark.parametrize("since", ["the start", "the first answer"])
async def test_the_silent_part_is_named_in_time_while_the_process_lives(
    api: Api, lines: tuple[Settings, dict[str, Line]], part: str, since: str
) -> None:
    if since == "the first answer":
        assert (await api.get("/health/ready")).status == 200
    lines[1][part].silence()
    # As many at once as a health check, a page and a monitor may ask; each is answered in time.
    asked = [spawn(timed(api, "/health/ready")) for _ in range(8)]
    while not all(one.done() for one in asked):
        answer, seconds = await timed(api, "/health/live")
        assert (answer.status, answer.json) == (200, {"status": "ok"})
        assert seconds < AT_ONCE_SECONDS
        await asyncio.sleep(0.1)
    for answer, seconds in [one.result() for one in asked]:
        assert seconds < READY_SECONDS
        assert answer.status == 503
        assert answer.headers["Retry-After"]
        assert answer.json == {"status": "down", "checks": DOWN[part]}


@pytest.mark.alone
@pytest.mark.parametrize("part", ["database", "storage"])
async def test_a_part_that_speaks_again_is_ready_again(
    api: Api, lines: tuple[Settings, dict[str, Line]], part: str
) -> None:
    lines[1][part].silence()
    assert (await api.get("/health/ready")).json["checks"] == DOWN[part]
    lines[1][part].speak()
    begin = time.monotonic()
    while (await api.get("/health/ready")).status != 200:
        assert time.monotonic() - begin < 3
