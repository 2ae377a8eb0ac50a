"""Every route by method, by role and by whose record it is, against contract 4 and 14.

What is not granted is refused, and nothing in the database is another than before.
"""

import itertools
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from satupeta_server.models.mapsets import Mapset
from satupeta_server.routes import ROUTES, Route
from tests.conftest import Api
from tests.handlers.test_files import picture
from tests.rows import State
from tests.situations import (
    CALLERS,
    CREATIONS,
    ITEMS,
    NO_MANAGER,
    SITUATIONS,
    STAFF,
    Answers,
    change,
    deleted,
    mapset,
    new_body,
    path_to,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@pytest.mark.parametrize("route", ITEMS, ids=lambda route: route.path)
async def test_a_record_is_for_whom_the_contract_grants_it(
    api: Api, state: State, route: Route
) -> None:
    assert route.path in SITUATIONS, (
        f"{route.path} is new: say in SITUATIONS of tests/situations.py what each caller gets of "
        "an own record, of another's and of a deleted one, as the contract grants it."
    )
    for name, situation in SITUATIONS[route.path].items():
        record_id = await situation.make(api)
        for number, caller in enumerate(CALLERS):
            await check_list(api, route, record_id, caller, situation.read, number)
        for method, (number, caller) in itertools.product(METHODS, enumerate(CALLERS)):
            expected = situation.expected(method)
            status = 405 if expected is None else expected[number]
            is_change = status == 200 and method in ("POST", "PATCH", "DELETE")
            if method in ("POST", "DELETE") and expected is not None:
                record_id = await situation.make(api)
            before = state()
            path = path_to(route.path, record_id)
            body = change() if method in ("POST", "PUT", "PATCH") else None
            answer = await api.request(method, path, user=caller, json_body=body)
            case = f"{method} {route.path} ({name}) as {caller}: {answer.status} {answer.body!r}"
            done = route.operations.get("GET" if method == "HEAD" else method)
            assert answer.status == (done.status if done and status == 200 else status), case
            if not is_change and not (situation.is_recorded and status == 200):
                assert state() == before, case


async def check_list(
    api: Api, route: Route, record_id: str, caller: str | None, read: Answers | None, number: int
) -> None:
    """A list shows to whom it is shown exactly what can be read one by one."""
    subject = route.path.split("/")[1]
    is_listed = route.path == f"/{subject}/{{id}}" and read is not None
    if not is_listed or read is None or read[number] in (401, 403):
        return
    alone = await api.get(route.path.replace("{id}", record_id), user=caller)
    listed = await api.get(f"/{subject}", user=caller, filter=f"id={record_id}")
    assert listed.status == 200
    assert listed.json["total"] == (alone.status == 200), f"{subject} as {caller}"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
async def test_only_whom_the_contract_grants_it_makes_something(
    api: Api, state: State, route: Route
) -> None:
    """And nobody can do with a path what it does not offer."""
    place = str(uuid.uuid4())
    path = path_to(route.path.replace("{file}", "style.css"), place)
    offered = {*route.operations, *(["HEAD"] if "GET" in route.operations else [])}
    for method, caller in itertools.product([*METHODS, "TRACE", "MERGE"], CALLERS):
        if method in offered:
            continue
        before = state()
        answer = await api.request(method, path, user=caller, json_body=change())
        assert answer.status == 405, f"{method} {path} as {caller}: {answer.status}"
        assert state() == before
    operation = route.operations.get("POST")
    if operation is None or operation.permission == "public" or route in ITEMS:
        return
    assert route.path in CREATIONS, (
        f"POST {route.path} is new: say in CREATIONS of tests/situations.py who may do that."
    )
    for caller, status in zip(CALLERS, CREATIONS[route.path], strict=True):
        before = state()
        answer = await make_one(api, path, caller)
        assert answer.status == (201 if status == 200 else status), f"{path} as {caller}"
        assert (state() == before) == (status != 200)


async def make_one(api: Api, path: str, caller: str | None) -> Any:
    """Try to make a record."""
    if path == "/files":
        return await api.upload(picture(), "a.png", user=caller)
    body = new_body(api, path.strip("/"))
    return await api.post(path, user=caller, json_body=body)


@pytest.mark.parametrize(
    ("whose", "answers"),
    [
        (["own"], STAFF),
        (["other"], (401, 403, 404, 200, 200)),
        (["other public"], NO_MANAGER),
        (["own", "other"], (401, 403, 404, 200, 200)),
        (["own", "other public"], NO_MANAGER),
        (["own", "deleted"], (401, 403, 404, 404, 404)),
    ],
)
async def test_several_mapsets_are_switched_all_or_none(
    api: Api, state: State, whose: list[str], answers: Answers
) -> None:
    makers = {
        "own": mapset("own"),
        "other": mapset("other"),
        "other public": mapset("other", is_public=True),
        "deleted": deleted(mapset("own"), "mapsets"),
    }
    for caller, status in zip(CALLERS, answers, strict=True):
        body = {"ids": [await makers[one](api) for one in whose], "is_active": False}
        before = state()
        answer = await api.patch("/mapsets/activation", user=caller, json_body=body)
        assert answer.status == status, (caller, answer.body)
        assert (state() == before) == (status != 200)


# What a list holds


def may_see(caller: str, row: Mapping[str, Any]) -> bool:
    """Contract 14, decisions 1 and 5, in other words than ours."""
    if row["deleted_at"]:
        return False
    is_public = row["is_active"] and row["status_validation"] == "approved"
    is_public = is_public and row["level"] != "secret"
    if caller in ("walidata", "administrator"):
        return True
    owner = {"pengelola": "own", "pengelola_lain": "other"}.get(caller)
    return is_public or row["owner"] == owner


async def test_lists_searches_and_counts_hold_what_one_may_see(api: Api) -> None:
    world, template = api.world, await api.make_mapset(user="administrator", name="Contoh")
    kept = await Mapset.aio_get(Mapset.id == template["id"])
    states = itertools.product(
        ("own", "other"),
        (True, False),
        ("on_verification", "approved", "rejected"),
        ("open", "limited", "secret"),
        (None, kept.created_at),
    )
    rows, names = [], ("owner", "is_active", "status_validation", "level", "deleted_at")
    for number, values in enumerate(states):
        row = dict(zip(names, values, strict=True))
        rows.append({**row, "name": f"Zirkon {number}"})
    columns = {
        field.name: getattr(kept, field.name)
        for field in Mapset._meta.sorted_fields
        if field.name not in ("id", "name")
    }
    stored = [
        {
            **columns,
            "name": row["name"],
            "producer_id": world.organizations[row["owner"]],
            "classification_id": world.classifications[row["level"]],
            "is_active": row["is_active"],
            "status_validation": row["status_validation"],
            "deleted_at": row["deleted_at"],
        }
        for row in rows
    ]
    await Mapset.insert_many(stored).as_rowcount().aio_execute()
    for caller in (None, "viewer", "pengelola", "pengelola_lain", "walidata", "administrator"):
        expected = {row["name"] for row in rows if may_see(caller or "", row)}
        query = {"search": "Zirkon", "limit": 100, "facets": "producer"}
        listed = (await api.get("/mapsets", user=caller, **query)).json
        assert {one["name"] for one in listed["items"]} == expected, caller
        assert listed["total"] == len(expected)
        assert sum(one["count"] for one in listed["facets"]["producer"]) == len(expected)
        found = (await api.get("/search", user=caller, q="Zirkon", limit=100)).json["mapsets"]
        assert found["total"] == len(expected), caller
