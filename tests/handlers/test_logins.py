"""Logging in and out, sessions, oneself, users: contract 3 and 6.5."""

import asyncio
import datetime
import time
from typing import Any

import jwt
import pytest

from satupeta_server.models.users import User
from satupeta_server.services import logins as logins_module
from satupeta_server.services.logins import delay_after
from tests.conftest import SECRET_KEY, Answer, Api, multipart
from tests.world import PASSWORD

NEW_PASSWORD = "Sandi-Baru-2026!"
ADMINISTRATOR = {"user": "administrator"}


async def login(api: Api, username: str = "pengelola", password: str = PASSWORD) -> Answer:
    """Log in as the portal does."""
    headers, body = multipart({"username": username, "password": password})
    return await api.post("/auth/login", headers=headers, body=body)


async def refresh(api: Api, token: str) -> Answer:
    return await api.post("/auth/refresh", json_body={"refresh_token": token})


async def test_a_login_gives_tokens_and_the_time_of_their_end(api: Api) -> None:
    answer = await login(api)
    assert answer.status == 200
    assert 0 < answer.json["expires_at"] - time.time() <= 480 * 60
    assert not answer.json.get("error")
    me = await api.get("/me", token=answer.json["access_token"])
    assert me.json["role"]["name"] == "data_manager"
    assert me.json["organization"]["id"] == api.world.organizations["own"]
    assert "image" in me.json
    assert me.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("username", "password"),
    [("pengelola", "salah"), ("siapa", PASSWORD), ("system", PASSWORD), ("pengelola", "x" * 100)],
)
async def test_whoever_is_not_known_gets_one_and_the_same_answer(
    api: Api, username: str, password: str
) -> None:
    answer = await login(api, username, password)
    assert answer.status == 401
    assert answer.json["code"] == "login_failed"
    assert answer.json["message"]


async def test_what_is_no_login_is_refused(api: Api) -> None:
    plain = {"Content-Type": "text/plain"}
    assert (await api.post("/auth/login", headers=plain, body=b"x")).status == 415
    headers, body = multipart({"username": "pengelola"})
    assert (await api.post("/auth/login", headers=headers, body=body)).status == 422
    assert (await api.post("/auth/login", headers=headers, body=body[:-9])).status == 400
    assert (await api.post("/auth/login", headers=headers, body=b"")).status == 400
    json_login = {"username": "pengelola", "password": PASSWORD}
    assert (await api.post("/auth/login", json_body=json_login)).status == 200


async def test_one_refresh_token_serves_many_times_at_once(api: Api) -> None:
    token = (await login(api)).json["refresh_token"]
    answers = await asyncio.gather(*[refresh(api, token) for _ in range(20)])
    assert {answer.status for answer in answers} == {200}
    access = [answer.json["access_token"] for answer in answers]
    assert len(set(access)) == 20
    assert {(await api.get("/me", token=one)).status for one in access} == {200}


async def test_a_token_that_is_not_ours_opens_nothing(api: Api) -> None:
    pair = (await login(api)).json
    claims = jwt.decode(pair["access_token"], SECRET_KEY, algorithms=["HS256"])
    past = int((datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)).timestamp())
    forged = {
        "expired": jwt.encode({**claims, "exp": past}, SECRET_KEY, algorithm="HS256"),
        "other key": jwt.encode(claims, "x" * 40, algorithm="HS256"),
        "other algorithm": jwt.encode(claims, SECRET_KEY * 2, algorithm="HS512"),
        "no algorithm": jwt.encode(claims, "", algorithm="none"),
        "other session": jwt.encode({**claims, "sid": claims["sub"]}, SECRET_KEY, "HS256"),
        "no session": jwt.encode({**claims, "sid": 1}, SECRET_KEY, "HS256"),
        "refresh as access": pair["refresh_token"],
        "tampered": pair["access_token"][:-4] + "AAAA",
        "none": "x",
    }
    for case, token in forged.items():
        assert (await api.get("/me", token=token)).status == 401, case
        assert (await api.get("/categories", token=token)).status == 200, case
        assert (await api.post("/news", token=token, json_body={})).status == 401, case
        if case != "refresh as access":
            assert (await refresh(api, token)).status == 401, case
    assert (await refresh(api, pair["access_token"])).status == 401


async def test_a_logout_always_succeeds_and_ends_the_session_at_once(api: Api) -> None:
    pair = (await login(api)).json
    claims = jwt.decode(pair["access_token"], SECRET_KEY, algorithms=["HS256"])
    expired = jwt.encode({**claims, "exp": 1}, SECRET_KEY, algorithm="HS256")
    for given in (None, "nonsense", expired):
        assert (await api.post("/auth/logout", token=given)).status == 200
    headers = {"Content-Type": "text/plain"}
    for body in (b"{", b"x" * 3_000_000):
        assert (await api.post("/auth/logout", headers=headers, body=body)).status == 200
    token = pair["access_token"]
    assert (await api.post("/auth/logout", token=token, body=b"[]")).status == 200
    assert (await api.get("/me", token=token)).status == 401
    assert (await refresh(api, pair["refresh_token"])).status == 401


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": NEW_PASSWORD}, None])
async def test_what_ends_a_user_ends_the_sessions(api: Api, change: dict[str, Any] | None) -> None:
    pair = (await login(api)).json
    path = f"/users/{api.world.users['pengelola']}"
    if change is None:
        assert (await api.delete(path, **ADMINISTRATOR)).status == 204
    else:
        assert (await api.patch(path, json_body=change, **ADMINISTRATOR)).status == 200
    assert (await api.get("/me", token=pair["access_token"])).status == 401
    assert (await refresh(api, pair["refresh_token"])).status == 401
    assert (await login(api)).status == 401


async def test_one_changes_oneself_and_nothing_that_others_decide(api: Api) -> None:
    pair = (await login(api)).json
    token = pair["access_token"]
    body = {
        "name": "Nama Baru",
        "username": "lain",
        "role_id": api.world.roles["administrator"],
        "is_active": False,
        "organization_id": api.world.organizations["other"],
    }
    me = (await api.patch("/me", token=token, json_body=body)).json
    assert (me["name"], me["username"]) == ("Nama Baru", "pengelola")
    assert me["role"]["name"] == "data_manager"
    assert me["organization_id"] == api.world.organizations["own"]
    password = {"password": NEW_PASSWORD}
    for current in (None, "", "salah"):
        refused = await api.patch(
            "/me", token=token, json_body={**password, "current_password": current}
        )
        assert list(refused.json["errors"]) == ["current_password"]
    right = {**password, "current_password": PASSWORD}
    assert (await api.patch("/me", token=token, json_body=right)).status == 200
    assert (await api.get("/me", token=token)).status == 401
    assert (await login(api, password=NEW_PASSWORD)).status == 200


def test_failures_slow_down_up_to_a_ceiling() -> None:
    assert [delay_after(failures, 8) for failures in (0, 4, 5, 6, 8, 9, 10_000)] == [
        0, 0, 0.5, 1, 4, 8, 8,
    ]  # fmt: skip


@pytest.mark.alone
async def test_many_failures_never_lock_an_account_nor_the_others(api: Api) -> None:
    for _ in range(6):
        assert (await login(api, password="salah")).status == 401
    begin = time.monotonic()
    assert (await login(api, "viewer")).status == 200
    assert time.monotonic() - begin < 0.9
    begin = time.monotonic()
    assert (await login(api)).status == 200
    assert time.monotonic() - begin >= 1
    begin = time.monotonic()
    assert (await login(api)).status == 200
    assert time.monotonic() - begin < 0.9


@pytest.mark.alone
async def test_tries_at_the_same_time_are_slowed_down_like_tries_in_a_row(api: Api) -> None:
    async def seconds() -> float:
        begin = time.monotonic()
        assert (await login(api, password="salah")).status == 401
        return time.monotonic() - begin

    waits = await asyncio.gather(*(seconds() for _ in range(10)))
    assert sum(wait >= 0.5 for wait in waits) >= 5


async def test_a_one_time_link_sets_a_password_once(api: Api) -> None:
    logins = api.application.services.logins
    session = (await login(api)).json
    older = await logins.make_reset_token("pengelola")
    token = await logins.make_reset_token("Pengelola")

    async def reset(secret: str, password: str) -> int:
        body = {"token": secret, "password": password}
        return (await api.post("/auth/password-reset", json_body=body)).status

    assert await reset(older, NEW_PASSWORD) == 401
    assert await reset(token, "lemah") == 422
    assert await reset(token, NEW_PASSWORD) == 204
    assert await reset(token, NEW_PASSWORD) == 401
    assert (await api.get("/me", token=session["access_token"])).status == 401
    assert (await login(api, password=NEW_PASSWORD)).status == 200


def person(api: Api, **changes: Any) -> dict[str, Any]:
    return {
        "name": "Budi",
        "username": "budi",
        "email": "budi@example.org",
        "employee_id": "",
        "position": "",
        "profile_picture": "",
        "role_id": api.world.roles["data_manager"],
        "organization_id": api.world.organizations["own"],
        "is_active": True,
        "password": PASSWORD,
        "confirm_password": PASSWORD,
        **changes,
    }


async def test_a_new_user_can_log_in_and_shows_no_password(api: Api) -> None:
    answer = await api.post("/users", user="walidata", json_body=person(api, username="ｂｕｄｉ"))
    assert answer.status == 201
    assert answer.json["username"] == "budi"
    assert answer.json["organization_id"] == answer.json["organization"]["id"]
    assert b"password" not in answer.body
    assert b"$2b$" not in answer.body
    assert (await login(api, "BUDI")).status == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("password", ""),
        ("password", "pendek1!"),
        ("password", "X1!" + "é" * 40),
        ("email", "bukan surel"),
        ("organization_id", ""),
        ("role_id", "x"),
        ("username", "dua kata"),
    ],
)
async def test_a_wrong_field_of_a_user_is_named(api: Api, field: str, value: str) -> None:
    answer = await api.post("/users", json_body=person(api, **{field: value}), **ADMINISTRATOR)
    assert answer.status == 422
    assert list(answer.json["errors"]) == [field]


async def test_usernames_and_emails_are_given_once(api: Api) -> None:
    await api.token("administrator")
    answers = await asyncio.gather(
        *[api.post("/users", json_body=person(api), **ADMINISTRATOR) for _ in range(3)]
    )
    assert sorted(answer.status for answer in answers) == [201, 409, 409]
    other = person(api, username="BUDI", email="lain@example.org")
    assert list((await api.post("/users", json_body=other, **ADMINISTRATOR)).json["errors"]) == [
        "username"
    ]
    second = person(api, username="budi2", email="budi2@example.org")
    assert (await api.post("/users", json_body=second, **ADMINISTRATOR)).status == 201


async def test_the_last_administrator_stays(api: Api) -> None:
    path = f"/users/{api.world.users['administrator']}"
    manager = {"role_id": api.world.roles["data_manager"]}
    for change in ({"is_active": False}, manager):
        answer = await api.patch(path, json_body=change, **ADMINISTRATOR)
        assert answer.status == 409
    assert (await api.delete(path, **ADMINISTRATOR)).status == 409
    role = {"role_id": api.world.roles["administrator"]}
    second = f"/users/{api.world.users['viewer']}"
    assert (await api.patch(second, json_body=role, **ADMINISTRATOR)).status == 200
    answers = await asyncio.gather(
        api.delete(path, **ADMINISTRATOR), api.delete(second, **ADMINISTRATOR)
    )
    assert sorted(answer.status for answer in answers) in ([204, 401], [204, 409])


async def test_nobody_sees_the_system_user(api: Api) -> None:
    listed = (await api.get("/users", **ADMINISTRATOR)).json["items"]
    assert "system" not in {item["username"] for item in listed}
    system = "/users/01968b53-a910-7000-8000-000000000001"
    assert (await api.get(system, **ADMINISTRATOR)).status == 404


async def test_an_old_password_opens_no_session_after_a_change(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = logins_module.in_thread

    async def changed_meanwhile(*arguments: Any) -> Any:
        result = await checked(*arguments)
        monkeypatch.setattr(logins_module, "in_thread", checked)
        path, body = f"/users/{api.world.users['pengelola']}", {"password": NEW_PASSWORD}
        assert (await api.patch(path, user="administrator", json_body=body)).status == 200
        return result

    monkeypatch.setattr(logins_module, "in_thread", changed_meanwhile)
    assert (await login(api)).status == 401
    assert (await login(api, password=NEW_PASSWORD)).status == 200


async def test_an_administrator_without_a_password_is_not_counted_as_the_last(api: Api) -> None:
    administrator = api.world.roles["administrator"]
    body = person(api, role_id=administrator)
    made = (await api.post("/users", user="administrator", json_body=body)).json
    await User.update(password_hash=None).where(User.id == made["id"]).aio_execute()
    path = f"/users/{api.world.users['administrator']}"
    answer = await api.patch(path, user="administrator", json_body={"is_active": False})
    assert (answer.status, answer.json["code"]) == (409, "last_administrator")


async def test_the_own_names_are_no_password_wherever_one_is_set(api: Api) -> None:
    weak = {"password": "Pengelola-2026!"}
    path = f"/users/{api.world.users['pengelola']}"
    token = (await login(api)).json["access_token"]
    change = {**weak, "current_password": PASSWORD}
    link = await api.application.services.logins.make_reset_token("pengelola")
    new = person(api, username="wirawan", password="Wirawan-2026!")
    for answer in (
        await api.patch(path, json_body=weak, **ADMINISTRATOR),
        await api.patch(path, json_body={**weak, "name": "Lain"}, **ADMINISTRATOR),
        await api.patch("/me", token=token, json_body=change),
        await api.post("/auth/password-reset", json_body={**weak, "token": link}),
        await api.post("/users", json_body=new, **ADMINISTRATOR),
    ):
        assert answer.status == 422
        assert list(answer.json["errors"]) == ["password"]
    assert (await login(api)).status == 200
