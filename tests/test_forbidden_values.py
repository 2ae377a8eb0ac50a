"""Fields and values that nobody, or not every role, may set; ids of one kind in another's place."""

import itertools
import uuid
from typing import Any

import pytest

from satupeta_server.models.users import User
from satupeta_server.routes import ROUTES, Route
from satupeta_server.services.container import Services
from satupeta_server.settings import Settings
from tests.conftest import Api
from tests.handlers.test_files import picture
from tests.rows import State, row_of
from tests.situations import (
    CALLERS,
    CREATIONS,
    ITEMS,
    SITUATIONS,
    WRITABLE,
    change,
    deleted,
    mapset,
    new_body,
    one_of_each,
    path_to,
    person,
)

SMUGGLED = "disusupkan"


def smuggled(model: Any, form: Any) -> dict[str, Any]:
    """A value for each column that the form does not offer."""
    values: dict[str, Any] = {}
    for column in model._meta.sorted_fields:
        kind = type(column).__name__
        if column.column_name in form.fields:
            continue
        if kind in ("UUIDField", "ForeignKeyField"):
            values[column.column_name] = "01968b53-dead-7000-8000-000000000000"
        elif kind == "DateTimeTZField":
            values[column.column_name] = "2001-02-03T04:05:06Z"
        elif kind in ("IntegerField", "BigIntegerField"):
            values[column.column_name] = 4711
        else:
            values[column.column_name] = True if kind == "BooleanField" else SMUGGLED
    return values


def route_of(path: str) -> Route:
    return next(route for route in ROUTES if route.path == path)


@pytest.mark.parametrize("subject", WRITABLE)
async def test_what_no_form_offers_cannot_be_set(
    api: Api, settings: Settings, subject: str
) -> None:
    model, path = WRITABLE[subject], f"/{subject}"
    form = route_of(path).options["form"]
    change_form = route_of(f"{path}/{{id}}").options["change_form"]
    follows = {"revision", "updated_at", "updated_by"}
    for caller, status in zip(CALLERS, CREATIONS[path], strict=True):
        if status != 200:
            continue
        extra = smuggled(model, form)
        assert {"id", "revision", "created_at", "updated_at", "deleted_at"} <= extra.keys()
        answer = await api.post(path, user=caller, json_body={**new_body(api, subject), **extra})
        assert answer.status == 201, answer.body
        row = row_of(settings, model._meta.table_name, answer.json["id"])
        for column, value in extra.items():
            assert row[column] != value, column
            assert str(value)[:10] not in str(row[column]), column
        extra = smuggled(model, change_form)
        body = {**extra, "name": f"Diubah {uuid.uuid4().hex}"}
        changed = await api.patch(f"{path}/{row['id']}", user=caller, json_body=body)
        assert changed.status == 200, changed.body
        after = row_of(settings, model._meta.table_name, row["id"])
        assert after["name"] == body["name"]
        for column in extra.keys() - follows:
            assert after[column] == row[column], column
        assert after["revision"] == row["revision"] + 1
        assert "2001-02-03" not in after["updated_at"]


async def test_what_oneself_may_not_change_stays(api: Api, settings: Settings) -> None:
    form = route_of("/me").options["change_form"]
    assert set(form.fields) == {"name", "profile_picture", "password", "current_password"}
    for caller in CALLERS[1:]:
        assert caller is not None
        user_id = str(api.world.users[caller])
        before = row_of(settings, "users", user_id)
        wanted = {
            "role_id": api.world.roles["administrator"],
            "organization_id": api.world.organizations["other"],
            "is_active": False,
            "username": f"{caller}-lain",
            "email": "lain@example.org",
            "employee_id": "1",
            "position": "Gubernur",
        }
        body = {**smuggled(User, form), **wanted, "name": "Nama Baru"}
        assert (await api.patch("/me", user=caller, json_body=body)).status == 200
        after = row_of(settings, "users", user_id)
        changed = {name for name in after if after[name] != before[name]}
        assert changed == {"name", "search_text", "revision", "updated_at"}, caller


async def test_an_upload_says_nothing_of_itself(api: Api, settings: Settings) -> None:
    claims = {"id": SMUGGLED, "object_name": "../x", "uploaded_by": SMUGGLED, "size": "1"}
    claims |= {"checksum": "0" * 64, "content_type": "text/html", "created_at": "2001-02-03"}
    answer = await api.upload(picture(), "a.png", user="pengelola", fields=claims)
    row = row_of(settings, "files", answer.json["id"])
    assert row["uploaded_by"] == str(api.world.users["pengelola"])
    for name, value in claims.items():
        assert str(row[name]) != value, name


# Values that a role may not set


async def test_values_beyond_a_role_are_refused(api: Api, state: State) -> None:
    world = api.world
    mine, verified = await mapset("own")(api), await mapset("own", is_public=True)(api)
    other, administrator = world.organizations["other"], world.roles["administrator"]
    new = world.mapset(name="Lain")
    somebody = {"role_id": administrator}
    users = world.users
    refused: list[tuple[str, str, str, dict[str, Any], int]] = [
        ("pengelola", "POST", "/mapsets", {**new, "producer_id": other}, 403),
        ("pengelola", "POST", "/mapsets", {**new, "status_validation": "approved"}, 403),
        ("pengelola", "POST", "/mapsets", {**new, "status_validation": "rejected"}, 403),
        ("walidata", "POST", "/mapsets", {**new, "status_validation": "approved"}, 422),
        ("pengelola", "PATCH", f"/mapsets/{mine}", {"producer_id": other}, 403),
        ("pengelola", "PATCH", f"/mapsets/{mine}", {"producer_id": ""}, 422),
        ("pengelola", "PATCH", f"/mapsets/{mine}", {"status_validation": "rejected"}, 403),
        ("pengelola", "PATCH", f"/mapsets/{mine}", {"status_validation": "published"}, 422),
        ("pengelola", "PATCH", f"/mapsets/{verified}", {"status_validation": "rejected"}, 403),
        ("pengelola_lain", "PATCH", f"/mapsets/{mine}", {"producer_id": other}, 404),
        ("pengelola_lain", "PATCH", f"/mapsets/{verified}", {"producer_id": other}, 403),
        ("walidata", "POST", "/users", {**person(api), **somebody}, 403),
        ("walidata", "PATCH", f"/users/{users['viewer']}", somebody, 403),
        ("walidata", "PATCH", f"/users/{users['walidata']}", somebody, 403),
        ("walidata", "PATCH", f"/users/{users['administrator']}", {"is_active": False}, 404),
        ("pengelola", "PATCH", f"/users/{users['pengelola']}", somebody, 403),
        ("viewer", "PATCH", f"/users/{users['viewer']}", somebody, 403),
        ("administrator", "PATCH", f"/users/{users['administrator']}", {"is_active": False}, 409),
        (
            "administrator",
            "PATCH",
            f"/users/{users['administrator']}",
            {"role_id": world.roles["data_viewer"]},
            409,
        ),
        ("administrator", "DELETE", f"/users/{users['administrator']}", {}, 409),
        ("administrator", "PATCH", f"/users/{users['pengelola']}", {"organization_id": ""}, 422),
    ]
    for caller, method, path, body, status in refused:
        before = state()
        answer = await api.request(method, path, user=caller, json_body=body)
        assert answer.status == status, (caller, method, path, body, answer.body)
        assert state() == before


async def test_an_id_of_one_kind_is_none_of_another(api: Api, state: State) -> None:
    ids = await one_of_each(api)
    before = state()
    for route, (subject, record_id) in itertools.product(ITEMS, ids.items()):
        if route.path.split("/")[1] == subject:
            continue
        for method in route.operations:
            path = path_to(route.path, record_id)
            body = change() if method in ("POST", "PATCH") else None
            answer = await api.request(method, path, user="administrator", json_body=body)
            assert answer.status in (404, 422), f"{method} {route.path} with one of {subject}"
    assert state() == before


@pytest.mark.parametrize("subject", WRITABLE)
async def test_a_reference_points_at_its_own_kind_only(
    api: Api, state: State, subject: str
) -> None:
    service = Services.__annotations__[subject]
    references = {
        column: model._meta.table_name for column, model in service.resource.references.items()
    }
    if subject == "mapsets":
        references["source_id"] = "map_sources"
    ids = await one_of_each(api)
    record_id = ids[subject]
    gone = {
        kind: await deleted(next(iter(SITUATIONS[f"/{kind}/{{id}}"].values())).make, kind)(api)
        for kind in set(references.values()) - {"roles"}
    }
    before = state()
    for column, kind in references.items():
        wrong = [one for name, one in ids.items() if name != kind]
        wrong += [gone[kind]] if kind in gone else []
        for one in wrong:
            new = {**new_body(api, subject), column: one}
            path = f"/{subject}/{record_id}"
            changed = await api.patch(path, user="administrator", json_body={column: one})
            made = await api.post(f"/{subject}", user="administrator", json_body=new)
            for answer in (changed, made):
                assert answer.status == 422, (column, one, answer.body)
                assert column in answer.json["errors"]
    assert state() == before
