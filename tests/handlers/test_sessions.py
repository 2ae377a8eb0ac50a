"""Sessions: from where they are used, which are open, and how they are ended."""

import asyncio
import logging
from typing import Any

import pytest

from satupeta_server.models.audit import AuditRecord
from satupeta_server.models.sessions import Session
from tests.conftest import Api

PORTAL = "192.0.2.10"


async def opened(api: Api, username: str = "pengelola") -> tuple[str, str]:
    """A new session: its access and its refresh token."""
    sessions = api.application.services.sessions
    pair = await sessions.open(api.world.users[username], PORTAL, "tests")
    return pair.access_token, pair.refresh_token


async def refreshed_from(api: Api, token: str, *addresses: str | None) -> None:
    for address in addresses:
        await api.application.services.sessions.refresh(token, address, "a-request")


async def recorded(api: Api) -> list[str]:
    condition = AuditRecord.action == "session_address_changed"
    rows = await AuditRecord.select().where(condition).order_by(AuditRecord.id).aio_execute()
    assert {row.user_id_key for row in rows} <= {api.world.users["pengelola"]}
    assert {row.request_id for row in rows} <= {"a-request"}
    return [row.address for row in rows]


async def test_each_new_address_of_a_session_is_recorded_and_logged_once(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    access, token = await opened(api)
    caplog.set_level(logging.WARNING, logger="satupeta_server")
    await refreshed_from(api, token, PORTAL, PORTAL, None)
    assert await recorded(api) == []
    strangers = ["198.51.100.7", "2001:db8::1"]
    await refreshed_from(api, token, strangers[0], PORTAL, *strangers, *strangers, PORTAL)
    assert await recorded(api) == strangers
    (row,) = (await api.get("/me/sessions", token=access)).json["items"]
    assert (row["address_changes"], row["refresh_count"]) == (2, 10)
    assert (row["address"], row["last_address"]) == (PORTAL, PORTAL)
    lines = [one.getMessage() for one in caplog.records if "new address" in one.getMessage()]
    assert len(lines) == 2
    # LOG_PERSONAL_DATA may forbid addresses in the log; the audit log has them.
    assert not any(one in line for one in strangers for line in lines)
    assert not any("pengelola" in line for line in lines)
    # Another session from there is another matter.
    _, other = await opened(api)
    await refreshed_from(api, other, strangers[0])
    assert await recorded(api) == [*strangers, strangers[0]]


async def test_a_new_address_of_many_refreshes_at_once_is_recorded_once(api: Api) -> None:
    _, token = await opened(api)
    await asyncio.gather(*[refreshed_from(api, token, "198.51.100.7") for _ in range(10)])
    assert await recorded(api) == ["198.51.100.7"]


async def test_a_user_lists_and_ends_the_own_sessions(api: Api) -> None:
    first, second, third = [(await opened(api))[0] for _ in range(3)]
    _, others = await opened(api, "pengelola_lain")
    listed = (await api.get("/me/sessions", token=first)).json
    assert listed["total"] == 3
    assert not listed["has_more"]
    assert [one["is_current"] for one in listed["items"]].count(True) == 1
    assert {one["username"] for one in listed["items"]} == {"pengelola"}
    by_age = sorted(listed["items"], key=lambda one: str(one["created_at"]))
    ended = await api.delete(f"/me/sessions/{by_age[1]['id']}", token=first)
    assert ended.status == 204
    assert (await api.get("/me", token=second)).status == 401
    again = await api.delete(f"/me/sessions/{by_age[1]['id']}", token=first)
    assert again.status == 404
    kept = await api.delete("/me/sessions", token=first, keep_current="true")
    assert kept.status == 204
    assert (await api.get("/me", token=third)).status == 401
    assert (await api.get("/me", token=first)).status == 200
    assert (await api.delete("/me/sessions", token=first, keep_current="ya")).status == 422
    assert (await api.delete("/me/sessions", token=first)).status == 204
    assert (await api.get("/me", token=first)).status == 401
    await refreshed_from(api, others, PORTAL)


async def test_nobody_ends_the_session_of_another_as_an_own_one(api: Api) -> None:
    access, _ = await opened(api)
    others, _ = await opened(api, "administrator")
    (row,) = (await api.get("/me/sessions", token=others)).json["items"]
    assert (await api.delete(f"/me/sessions/{row['id']}", token=access)).status == 404
    viewer = api.world.users["viewer"]
    path = f"/users/{viewer}/sessions/{row['id']}"
    assert (await api.delete(path, user="administrator")).status == 404
    assert (await api.get("/me", token=others)).status == 200


@pytest.mark.parametrize("by", ["walidata", "administrator"])
async def test_who_keeps_users_lists_and_ends_their_sessions(api: Api, by: str) -> None:
    (first, _), (second, _) = await opened(api), await opened(api)
    path = f"/users/{api.world.users['pengelola']}/sessions"
    listed = (await api.get(path, user=by)).json["items"]
    assert len(listed) == 2
    newest = max(listed, key=lambda one: str(one["created_at"]))
    assert (await api.delete(f"{path}/{newest['id']}", user=by)).status == 204
    assert (await api.get("/me", token=second)).status == 401
    assert (await api.get("/me", token=first)).status == 200
    assert (await api.delete(path, user=by)).status == 204
    assert (await api.get("/me", token=first)).status == 401
    rows: Any = await Session.select().where(Session.end_reason == "revocation").aio_execute()
    assert len(rows) == 2
    ended = await AuditRecord.aio_get_or_none(AuditRecord.action == "revoke_sessions")
    assert ended.subject_id == api.world.users["pengelola"]
    assert ended.user_id_key == api.world.users[by]


async def test_a_validator_neither_sees_nor_ends_sessions_of_administrators(api: Api) -> None:
    token = await api.token("administrator")
    path = f"/users/{api.world.users['administrator']}/sessions"
    (row,) = (await api.get(path, user="administrator")).json["items"]
    assert (await api.get(path, user="walidata")).status == 404
    assert (await api.delete(path, user="walidata")).status == 404
    assert (await api.delete(f"{path}/{row['id']}", user="walidata")).status == 404
    assert (await api.get("/me", token=token)).status == 200
