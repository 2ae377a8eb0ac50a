"""Many failed logins slow an account down: together, alike for all names, and at no one's cost."""

import asyncio
from typing import Any

import pytest

from satupeta_server.database import database
from satupeta_server.errors import NotAuthenticatedError
from satupeta_server.models.sessions import LoginFailure
from satupeta_server.security.callers import Caller
from satupeta_server.services import logins as logins_module
from satupeta_server.services.logins import FREE_FAILURES, LoginService, account_of, delay_after
from satupeta_server.services.sessions import SessionService
from satupeta_server.settings import Settings
from tests.conftest import Answer, Api
from tests.world import PASSWORD

WRONG = "salah"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that each login waits; none of them passes."""
    found: list[float] = []

    class Clock:
        @staticmethod
        async def sleep(seconds: float) -> None:
            found.append(seconds)

    monkeypatch.setattr(logins_module, "asyncio", Clock)
    return found


async def login(api: Api, username: str, password: str = WRONG) -> Answer:
    body = {"username": username, "password": password}
    return await api.post("/auth/login", json_body=body)


async def test_tries_at_once_in_several_processes_are_slowed_like_tries_in_a_row(
    api: Api, settings: Settings, waits: list[float]
) -> None:
    # Each process has services of its own; all they share is the database.
    processes = [LoginService(settings, SessionService(settings)) for _ in range(3)]

    async def fail(service: LoginService) -> None:
        with pytest.raises(NotAuthenticatedError):
            await service.login(Caller(), "pengelola", WRONG, "")

    await asyncio.gather(*[fail(one) for one in processes * 4])
    expected = [delay_after(number, settings.login_delay_ceiling_seconds) for number in range(12)]
    assert sorted(waits) == sorted(expected)
    assert waits.count(0) == FREE_FAILURES
    assert max(waits) == settings.login_delay_ceiling_seconds


async def test_a_slowed_account_is_never_locked_and_success_or_a_command_frees_it(
    api: Api, waits: list[float]
) -> None:
    logins = api.application.services.logins
    for _ in range(40):
        assert (await login(api, "pengelola")).status == 401
    assert (await login(api, "pengelola", PASSWORD)).status == 200
    assert waits[-1] == 1
    assert (await login(api, "pengelola", PASSWORD)).status == 200
    assert waits[-1] == 0
    for _ in range(20):
        await login(api, "pengelola")
    assert await logins.forget_failures("pengelola")
    await login(api, "pengelola")
    assert waits[-1] == 0


async def test_known_and_unknown_names_get_one_answer_for_one_work(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    statements: list[str] = []
    hashed: list[int] = []
    execute, check = database.aio_execute_sql, logins_module.check_password

    async def executed(sql: str, *arguments: Any, **named: Any) -> Any:
        statements.append(sql)
        return await execute(sql, *arguments, **named)

    def checked(password: str, known: str | None, rounds: int) -> bool:
        hashed.append(rounds)
        return check(password, known, rounds)

    monkeypatch.setattr(database, "aio_execute_sql", executed)
    monkeypatch.setattr(logins_module, "check_password", checked)
    seen = []
    for username in ("pengelola", "tidak-ada", "system", "viewer"):
        path = f"/users/{api.world.users['viewer']}"
        if username == "viewer":
            body = {"is_active": False}
            assert (await api.patch(path, user="administrator", json_body=body)).status == 200
        statements.clear()
        hashed.clear()
        answer = await login(api, username)
        body = {**answer.json, "request_id": None}
        names = {name for name in answer.headers if name != "X-Request-Id"}
        seen.append((answer.status, body, names, list(statements), list(hashed)))
    assert seen[0][0] == 401
    assert seen[0][4] == [settings.bcrypt_rounds]
    assert seen[0][3]
    assert all(one == seen[0] for one in seen)
    # Many failures of either are counted, and slow it down, alike.
    for username in ("pengelola", "tidak-ada"):
        waits.clear()
        for _ in range(8):
            await login(api, username)
        assert waits[-3:] == [1.0, 1.0, 1.0]


@pytest.mark.settings(database_pool_size=1, login_delay_ceiling_seconds=20)
async def test_a_login_that_waits_holds_no_connection(
    api: Api, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = account_of("pengelola", settings)
    await LoginFailure.insert(account=account, failures=50).aio_execute()
    waiting, go_on = asyncio.Event(), asyncio.Event()

    class Clock:
        @staticmethod
        async def sleep(_seconds: float) -> None:
            waiting.set()
            await go_on.wait()

    monkeypatch.setattr(logins_module, "asyncio", Clock)
    slowed = [asyncio.ensure_future(login(api, "pengelola", PASSWORD)) for _ in range(3)]
    await asyncio.wait_for(waiting.wait(), 10)
    # There is one connection, and whoever wants it gets it.
    for _ in range(3):
        assert (await api.get("/categories", user="viewer")).status == 200
    assert not any(one.done() for one in slowed)
    go_on.set()
    assert {(await one).status for one in slowed} == {200}
