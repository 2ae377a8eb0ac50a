"""Tokens of machines: made once, narrowed, and dead at once."""

import asyncio
import datetime
import hashlib
from typing import Any

import pytest

from satupeta_server.models.api_tokens import ApiToken
from satupeta_server.models.audit import AuditRecord
from satupeta_server.models.base import now
from satupeta_server.models.mapsets import MapsetHistory
from satupeta_server.models.users import User
from satupeta_server.openapi import make_document
from satupeta_server.routes import ROUTES
from satupeta_server.security.permissions import GRANTS, NEVER_BY_TOKEN, granted_scope
from tests.conftest import Api

ROLES = {
    "viewer": "data_viewer",
    "pengelola": "data_manager",
    "walidata": "data_validator",
    "administrator": "administrator",
}


async def made(api: Api, user: str, *permissions: str, **more: Any) -> dict[str, Any]:
    body = {"name": "Mesin", "permissions": list(permissions), **more}
    answer = await api.post("/tokens", user=user, json_body=body)
    assert answer.status == 201, answer.body
    token: dict[str, Any] = answer.json
    return token


def all_of(user: str) -> list[str]:
    """Every permission that a token of this user can have."""
    granted = {one for one in GRANTS if granted_scope(ROLES[user], one)}
    return sorted(granted - NEVER_BY_TOKEN)


async def test_a_secret_is_shown_once_and_kept_as_a_digest(api: Api) -> None:
    token = await made(api, "pengelola", "mapsets:read", "me:read")
    secret = token["token"]
    assert secret.startswith("sp_")
    assert len(secret) >= 3 + 43
    listed = await api.get("/tokens", user="pengelola")
    assert [one["id"] for one in listed.json["items"]] == [token["id"]]
    assert secret.encode() not in listed.body
    assert b"token_hash" not in listed.body
    row = await ApiToken.aio_get(ApiToken.id == token["id"])
    assert row.token_hash == hashlib.sha256(secret.encode()).hexdigest()
    assert (await api.get("/me", token=secret)).json["username"] == "pengelola"
    record = await AuditRecord.aio_get_or_none(AuditRecord.action == "create_token")
    assert str(record.subject_id) == token["id"]
    assert secret not in str(record.details)


def test_a_creation_whose_answer_must_not_be_kept_takes_no_key() -> None:
    takers = {
        path
        for path, methods in make_document("Satu Peta")["paths"].items()
        for one in methods.get("post", {}).get("parameters", ())
        if one["name"] == "Idempotency-Key"
    }
    assert "/news" in takers
    assert "/tokens" not in takers


async def test_what_is_no_token_opens_nothing(api: Api) -> None:
    secret = (await made(api, "pengelola", "me:read"))["token"]
    digest = hashlib.sha256(secret.encode()).hexdigest()
    for wrong in (
        "sp_",
        "sp_x",
        secret[:-1],
        secret + "x",
        secret[3:],
        f"sp_{digest}",
        "SP_" + secret[3:],
    ):
        assert (await api.get("/me", token=wrong)).status == 401, wrong
        # Who calls with a machine's token gets no public part in the place of all.
        is_machine = wrong.startswith("sp_")
        assert (await api.get("/categories", token=wrong)).status == (401 if is_machine else 200)


async def test_a_token_may_what_its_list_and_its_owner_may_and_no_more(api: Api) -> None:
    secret = (await made(api, "walidata", "mapsets:read", "mapsets:write"))["token"]
    mapset = await api.make_mapset()
    assert (await api.get(f"/mapsets/{mapset['id']}", token=secret)).status == 200
    changed = await api.patch(f"/mapsets/{mapset['id']}", token=secret, json_body={"name": "Baru"})
    assert changed.status == 200
    verdict = {"status_validation": "approved", "notes": "", "layer_url": mapset["layer_url"]}
    refused = await api.patch(f"/mapsets/{mapset['id']}", token=secret, json_body=verdict)
    assert refused.status == 403
    off = {"is_active": not mapset["is_active"]}
    assert (await api.patch(f"/mapsets/{mapset['id']}", token=secret, json_body=off)).status == 403
    assert (await api.get("/users", token=secret)).status == 403
    assert (await api.get("/me", token=secret)).status == 403
    # What everybody may read, a token may read: no more of it than everybody.
    listed = (await api.get("/news", token=secret)).json
    assert listed["total"] == (await api.get("/news")).json["total"]
    role = {"role_id": api.world.roles["data_viewer"]}
    path = f"/users/{api.world.users['walidata']}"
    assert (await api.patch(path, user="administrator", json_body=role)).status == 200
    assert (await api.get(f"/mapsets/{mapset['id']}", token=secret)).status == 404
    again = await api.patch(f"/mapsets/{mapset['id']}", token=secret, json_body={"name": "Lagi"})
    assert again.status == 403


@pytest.mark.parametrize("user", ["viewer", "pengelola", "walidata", "administrator"])
async def test_no_token_reaches_what_would_let_it_outgrow_its_list(api: Api, user: str) -> None:
    secret = (await made(api, user, *all_of(user)))["token"]
    own, tokens = str(api.world.users[user]), 0
    for route in ROUTES:
        for method, operation in route.operations.items():
            if operation.permission not in NEVER_BY_TOKEN:
                continue
            tokens += 1
            path = route.path.replace("{id}", own).replace("{session}", own)
            body = {"password": "Kunci-Pagar-77!", "name": "X", "permissions": ["me:read"]}
            answer = await api.request(
                method, path, token=secret, json_body=None if method == "GET" else body
            )
            assert answer.status == 403, f"{method} {path}"
    assert tokens > 10
    for permission in NEVER_BY_TOKEN:
        body = {"name": "X", "permissions": [permission]}
        refused = await api.post("/tokens", user=user, json_body=body)
        assert list(refused.json["errors"]) == ["permissions"]


async def test_a_list_that_was_altered_in_the_database_grants_nothing_more(api: Api) -> None:
    token = await made(api, "viewer", "me:read")
    everything = sorted(GRANTS)
    await ApiToken.update(permissions=everything).where(ApiToken.id == token["id"]).aio_execute()
    for path in ("/users", "/credentials", "/tokens"):
        assert (await api.get(path, token=token["token"])).status == 403
    assert (await api.patch("/me", token=token["token"], json_body={"name": "X"})).status == 403


async def test_a_token_of_one_organization_is_like_a_manager_of_it(api: Api) -> None:
    own, other = api.world.organizations["own"], api.world.organizations["other"]
    ours = await api.make_mapset()
    theirs = await api.make_mapset(user="administrator", producer_id=other)
    secret = (await made(api, "administrator", *all_of("administrator"), organization_id=own))[
        "token"
    ]
    assert (await api.get(f"/mapsets/{ours['id']}", token=secret)).status == 200
    assert (await api.get(f"/mapsets/{theirs['id']}", token=secret)).status == 404
    change = {"name": "Diubah"}
    assert (await api.patch(f"/mapsets/{ours['id']}", token=secret, json_body=change)).status == 200
    assert (
        await api.patch(f"/mapsets/{theirs['id']}", token=secret, json_body=change)
    ).status == 404
    foreign = api.world.mapset(producer_id=other)
    assert (await api.post("/mapsets", token=secret, json_body=foreign)).status == 403
    assert (await api.post("/mapsets", token=secret, json_body=api.world.mapset())).status == 201
    assert (await api.get("/users", token=secret)).status == 403
    assert (await api.get("/credentials", token=secret)).status == 403
    found = (await api.get("/mapsets", token=secret)).json["items"]
    assert theirs["id"] not in {one["id"] for one in found}
    # Its owner sees all, with the same statements.
    assert (await api.get(f"/mapsets/{theirs['id']}", user="administrator")).status == 200


async def test_a_manager_makes_no_token_of_another_organization(api: Api) -> None:
    own, other = api.world.organizations["own"], api.world.organizations["other"]
    body = {"name": "X", "permissions": ["mapsets:write"], "organization_id": other}
    refused = await api.post("/tokens", user="pengelola", json_body=body)
    assert list(refused.json["errors"]) == ["organization_id"]
    secret = (await made(api, "pengelola", "me:read", organization_id=own))["token"]
    assert (await api.get("/me", token=secret)).status == 200
    moved = {"organization_id": other}
    path = f"/users/{api.world.users['pengelola']}"
    assert (await api.patch(path, user="administrator", json_body=moved)).status == 200
    assert (await api.get("/me", token=secret)).status == 401


@pytest.mark.parametrize("end", ["revoked", "expired", "deactivated", "deleted", "erased"])
async def test_a_token_that_has_ended_is_dead_at_once(api: Api, end: str) -> None:
    token = await made(api, "pengelola", "me:read")
    path = f"/users/{api.world.users['pengelola']}"
    assert (await api.get("/me", token=token["token"])).status == 200
    if end == "revoked":
        assert (await api.delete(f"/tokens/{token['id']}", user="pengelola")).status == 204
        assert (await api.delete(f"/tokens/{token['id']}", user="pengelola")).status == 404
    elif end == "expired":
        past = now() - datetime.timedelta(seconds=1)
        moved = {"expires_at": past, "created_at": past - datetime.timedelta(days=1)}
        await ApiToken.update(moved).where(ApiToken.id == token["id"]).aio_execute()
    elif end == "deactivated":
        body = {"is_active": False}
        assert (await api.patch(path, user="administrator", json_body=body)).status == 200
    elif end == "deleted":
        assert (await api.delete(path, user="administrator")).status == 204
    else:
        assert (await api.post(f"{path}/erase", user="administrator")).status == 204
    assert (await api.get("/me", token=token["token"])).status == 401


async def test_ending_all_sessions_leaves_the_machines_alone(api: Api) -> None:
    secret = (await made(api, "pengelola", "me:read"))["token"]
    assert (await api.delete("/me/sessions", user="pengelola")).status == 204
    assert (await api.get("/me", token=secret)).status == 200


async def test_the_use_is_noted_once_a_minute(api: Api) -> None:
    token = await made(api, "pengelola", "me:read")

    async def noted() -> Any:
        row = await ApiToken.aio_get(ApiToken.id == token["id"])
        return row.last_used_at, row.last_address

    assert await noted() == (None, None)
    await asyncio.gather(*[api.get("/me", token=token["token"]) for _ in range(5)])
    first = await noted()
    assert first[1] == "127.0.0.1"
    await api.get("/me", token=token["token"])
    assert await noted() == first
    earlier = first[0] - datetime.timedelta(minutes=2)
    await ApiToken.update(last_used_at=earlier).where(ApiToken.id == token["id"]).aio_execute()
    await api.get("/me", token=token["token"])
    assert (await noted())[0] > first[0]


async def test_everybody_sees_and_revokes_the_own_and_administrators_all(api: Api) -> None:
    mine, theirs = await made(api, "pengelola", "me:read"), await made(api, "walidata", "me:read")
    listed = (await api.get("/tokens", user="walidata")).json["items"]
    assert [one["id"] for one in listed] == [theirs["id"]]
    assert (await api.delete(f"/tokens/{mine['id']}", user="walidata")).status == 404
    everything = (await api.get("/tokens", user="administrator")).json["items"]
    assert {one["id"] for one in everything} == {mine["id"], theirs["id"]}
    assert (await api.delete(f"/tokens/{mine['id']}", user="administrator")).status == 204


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"permissions": []}, "permissions"),
        ({"permissions": "mapsets:read"}, "permissions"),
        ({"permissions": [5]}, "permissions"),
        ({"permissions": ["a\0b"]}, "permissions"),
        ({"permissions": ["mapsets:fly"]}, "permissions"),
        ({"permissions": ["users:read"]}, "permissions"),
        ({"organization_id": "x"}, "organization_id"),
        ({"organization_id": "01968b53-0000-7000-8000-000000000000"}, "organization_id"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "besok"}, "expires_at"),
    ],
)
async def test_a_wrong_field_of_a_token_is_named(
    api: Api, changes: dict[str, Any], field: str
) -> None:
    body = {"name": "X", "permissions": ["mapsets:read"], **changes}
    answer = await api.post("/tokens", user="pengelola", json_body=body)
    assert answer.status == 422
    assert list(answer.json["errors"]) == [field]


async def test_what_a_token_writes_belongs_to_its_owner(api: Api) -> None:
    secret = (await made(api, "pengelola", "mapsets:write"))["token"]
    answer = await api.post("/mapsets", token=secret, json_body=api.world.mapset())
    assert answer.status == 201
    rows = await MapsetHistory.select().aio_execute()
    assert {row.user_id_key for row in rows} == {api.world.users["pengelola"]}
    assert await User.aio_get_or_none(User.id == rows[0].user_id_key)
