"""Every route by method, by role and by whose record it is, against contract 4 and 14.

What is not granted is refused, and nothing in the database is another than before.
"""

import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from satupeta_server.models.mapsets import Mapset
from satupeta_server.models.users import SYSTEM_USER_ID, User
from satupeta_server.routes import ROUTES, Route
from satupeta_server.services.container import Services
from satupeta_server.settings import Settings
from tests.conftest import Api
from tests.handlers.test_files import picture
from tests.handlers.test_resources import BODIES
from tests.rows import State, reading_state, row_of
from tests.world import PASSWORD

CALLERS = (None, "viewer", "pengelola", "walidata", "administrator")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
NUMBERS = itertools.count()
DONE = {"POST": 201, "DELETE": 204}

Make = Callable[[Api], Awaitable[str]]
Answers = tuple[int, int, int, int, int]
"""For anonymous, viewer, manager, validator and administrator; 200 is "granted"."""

EVERYBODY: Answers = (200, 200, 200, 200, 200)
HIDDEN: Answers = (404, 404, 200, 200, 200)
STAFF: Answers = (401, 403, 200, 200, 200)
NO_MANAGER: Answers = (401, 403, 403, 200, 200)
ADMINISTRATORS: Answers = (401, 403, 403, 403, 200)
NOBODY: Answers = (404, 404, 404, 404, 404)


@dataclass(frozen=True)
class Situation:
    """A record of some owner in some state, and what each caller gets; None is 405."""

    make: Make
    read: Answers | None
    write: Answers | None = None
    delete: Answers | None = None
    """Where it differs from ``write``."""
    is_recorded: bool = False
    """Whether the record says when it was read."""

    def expected(self, method: str) -> Answers | None:
        """What the callers get."""
        if method in ("GET", "HEAD"):
            return self.read
        if method == "DELETE":
            return self.delete or self.write
        return self.write if method == "PATCH" else None


def mapset(owner: str, *, is_public: bool = False, **changes: Any) -> Make:
    """Makes a mapset of the managers' organization or of another one."""

    async def make(api: Api) -> str:
        values = {"producer_id": api.world.organizations[owner], **changes}
        if "classification" in values:
            values["classification_id"] = api.world.classifications[values.pop("classification")]
        maker = api.make_public_mapset if is_public else api.make_mapset
        return str((await maker(user="administrator", **values))["id"])

    return make


def record(subject: str, **changes: Any) -> Make:
    """Makes a plain record."""

    async def make(api: Api) -> str:
        name = f"Uji {uuid.uuid4().hex}"
        number = next(NUMBERS) % 100
        unique = {"code": f"99.{number:02}", "authority_code": f"EPSG:9{number}"}
        body = {**BODIES[subject], "name": name, **changes}
        body |= {field: unique[field] for field in unique.keys() & body.keys()}
        return await created(api, f"/{subject}", body)

    return make


def user(role: str) -> Make:
    """Makes somebody."""

    async def make(api: Api) -> str:
        return await created(api, "/users", {**person(api), "role_id": api.world.roles[role]})

    return make


def upload(username: str) -> Make:
    """Has somebody upload a file."""

    async def make(api: Api) -> str:
        return str((await api.upload(picture(), "a.png", user=username)).json["id"])

    return make


def history(owner: str) -> Make:
    """Makes an entry of the history of a mapset."""

    async def make(api: Api) -> str:
        of = f"mapset_id={await mapset(owner)(api)}"
        found = await api.get("/histories", user="administrator", filter=of)
        return str(found.json["items"][0]["id"])

    return make


def deleted(make: Make, subject: str) -> Make:
    """Makes a record and deletes it."""

    async def made(api: Api) -> str:
        record_id = await make(api)
        assert (await api.delete(f"/{subject}/{record_id}", user="administrator")).status == 204
        return record_id

    return made


def known(choose: Callable[[Api], Any]) -> Make:
    """Takes what is there already."""

    async def make(api: Api) -> str:
        return str(choose(api))

    return make


def change() -> dict[str, Any]:
    """A change that nearly every record would take."""
    return {"name": f"Diubah {next(NUMBERS)}", "is_active": True}


async def created(api: Api, path: str, body: dict[str, Any]) -> str:
    answer = await api.post(path, user="administrator", json_body=body)
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


def person(api: Api) -> dict[str, Any]:
    """The body of a new user."""
    name = f"budi{uuid.uuid4().hex}"
    return {
        "name": "Budi",
        "username": name,
        "email": f"{name}@example.org",
        "password": PASSWORD,
        "role_id": api.world.roles["data_viewer"],
        "organization_id": api.world.organizations["own"],
    }


def lookup(subject: str, read: Answers, inactive: Answers, write: Answers) -> dict[str, Situation]:
    """What becomes of a plain record in each of its states."""
    gone: Any = tuple(404 if status == 200 else status for status in read)
    unwritable: Any = tuple(404 if status == 200 else status for status in write)
    return {
        "active": Situation(record(subject), read, write),
        "inactive": Situation(record(subject, is_active=False), inactive, write),
        "deleted": Situation(deleted(record(subject), subject), gone, unwritable),
    }


SITUATIONS: Mapping[str, Mapping[str, Situation]] = {
    "/mapsets/{id}": {
        "own, public": Situation(mapset("own", is_public=True), EVERYBODY, STAFF),
        "own, in verification": Situation(mapset("own"), HIDDEN, STAFF),
        "own, secret": Situation(
            mapset("own", is_public=True, classification="secret"), HIDDEN, STAFF
        ),
        "own, inactive": Situation(mapset("own", is_public=True, is_active=False), HIDDEN, STAFF),
        "another's, public": Situation(mapset("other", is_public=True), EVERYBODY, NO_MANAGER),
        "another's, in verification": Situation(
            mapset("other"), (404, 404, 404, 200, 200), (401, 403, 404, 200, 200)
        ),
        "another's, secret": Situation(
            mapset("other", is_public=True, classification="secret"),
            (404, 404, 404, 200, 200),
            (401, 403, 404, 200, 200),
        ),
        "deleted": Situation(deleted(mapset("own"), "mapsets"), NOBODY, (401, 403, 404, 404, 404)),
    },
    "/histories/{id}": {
        "of an own mapset": Situation(history("own"), STAFF),
        "of another's mapset": Situation(history("other"), (401, 403, 404, 200, 200)),
    },
    "/news/{id}": lookup("news", EVERYBODY, HIDDEN, STAFF),
    "/organizations/{id}": lookup("organizations", EVERYBODY, HIDDEN, ADMINISTRATORS)
    | {
        "the managers' own": Situation(
            known(lambda api: api.world.organizations["own"]), EVERYBODY, ADMINISTRATORS
        )
    },
    "/categories/{id}": lookup("categories", EVERYBODY, HIDDEN, ADMINISTRATORS),
    "/classifications/{id}": lookup("classifications", EVERYBODY, HIDDEN, ADMINISTRATORS),
    "/map_projection_systems/{id}": lookup(
        "map_projection_systems", EVERYBODY, HIDDEN, ADMINISTRATORS
    ),
    "/regionals/{id}": lookup("regionals", EVERYBODY, HIDDEN, ADMINISTRATORS),
    "/map_sources/{id}": lookup("map_sources", STAFF, STAFF, ADMINISTRATORS),
    "/credentials/{id}": lookup("credentials", ADMINISTRATORS, ADMINISTRATORS, ADMINISTRATORS),
    "/credentials/{id}/decrypted": {
        "any": Situation(record("credentials"), ADMINISTRATORS, is_recorded=True),
        "deleted": Situation(
            deleted(record("credentials"), "credentials"), (401, 403, 403, 403, 404)
        ),
    },
    "/users/{id}": {
        "somebody": Situation(user("data_viewer"), NO_MANAGER, NO_MANAGER),
        "a validator": Situation(user("data_validator"), NO_MANAGER, NO_MANAGER),
        "an administrator": Situation(
            user("administrator"), (401, 403, 403, 404, 200), (401, 403, 403, 404, 200)
        ),
        "the system": Situation(
            known(lambda _api: SYSTEM_USER_ID), (401, 403, 403, 404, 404), (401, 403, 403, 404, 404)
        ),
        "deleted": Situation(
            deleted(user("data_viewer"), "users"),
            (401, 403, 403, 404, 404),
            (401, 403, 403, 404, 404),
        ),
    },
    "/roles/{id}": {"any": Situation(known(lambda api: api.world.roles["administrator"]), STAFF)},
    "/files/{id}": {
        "the manager's upload": Situation(
            upload("pengelola"), None, delete=(401, 403, 200, 403, 200)
        ),
        "the validator's upload": Situation(
            upload("walidata"), None, delete=(401, 403, 403, 200, 200)
        ),
        "another manager's upload": Situation(
            upload("pengelola_lain"), None, delete=ADMINISTRATORS
        ),
        "the administrator's upload": Situation(
            upload("administrator"), None, delete=ADMINISTRATORS
        ),
    },
    "/files/{id}/download": {
        "any": Situation(upload("pengelola"), EVERYBODY),
        "deleted": Situation(deleted(upload("pengelola"), "files"), NOBODY),
    },
}
ITEMS = [route for route in ROUTES if "{" in route.path and "{file}" not in route.path]

# Who may make a new one, by path; the other POST routes are public or have tests of their own.
CREATIONS: Mapping[str, Answers] = {
    "/mapsets": STAFF,
    "/news": STAFF,
    "/organizations": ADMINISTRATORS,
    "/categories": ADMINISTRATORS,
    "/classifications": ADMINISTRATORS,
    "/map_projection_systems": ADMINISTRATORS,
    "/regionals": ADMINISTRATORS,
    "/map_sources": ADMINISTRATORS,
    "/credentials": ADMINISTRATORS,
    "/users": NO_MANAGER,
    "/files": STAFF,
}


@pytest.fixture
def state(settings: Settings) -> Iterator[State]:
    """Gives what tells of every row that was written, changed or removed."""
    with reading_state(settings) as read:
        yield read


@pytest.mark.parametrize("route", ITEMS, ids=lambda route: route.path)
async def test_a_record_is_for_whom_the_contract_grants_it(
    api: Api, state: State, route: Route
) -> None:
    assert route.path in SITUATIONS, (
        f"{route.path} is new: say in SITUATIONS of {__file__} what each caller gets of an own "
        "record, of another's and of a deleted one, as the contract grants it."
    )
    for name, situation in SITUATIONS[route.path].items():
        record_id = await situation.make(api)
        for method, (number, caller) in itertools.product(METHODS, enumerate(CALLERS)):
            expected = situation.expected(method)
            status = 405 if expected is None else expected[number]
            is_change = status == 200 and method in ("PATCH", "DELETE")
            if method == "DELETE" and expected is not None:
                record_id = await situation.make(api)
            before = state()
            path = route.path.replace("{id}", record_id)
            body = change() if method in ("POST", "PUT", "PATCH") else None
            answer = await api.request(method, path, user=caller, json_body=body)
            case = f"{method} {route.path} ({name}) as {caller}: {answer.status} {answer.body!r}"
            assert answer.status == (DONE.get(method, 200) if status == 200 else status), case
            if not is_change and not (situation.is_recorded and status == 200):
                assert state() == before, case
        for number, caller in enumerate(CALLERS):
            await check_list(api, route, record_id, caller, situation.read, number)


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
    path = route.path.replace("{id}", place).replace("{file}", "style.css")
    offered = {*route.operations, *(["HEAD"] if "GET" in route.operations else [])}
    for method, caller in itertools.product([*METHODS, "TRACE", "MERGE"], CALLERS):
        if method in offered:
            continue
        before = state()
        answer = await api.request(method, path, user=caller, json_body=change())
        assert answer.status == 405, f"{method} {path} as {caller}: {answer.status}"
        assert state() == before
    operation = route.operations.get("POST")
    if operation is None or operation.permission == "public":
        return
    assert route.path in CREATIONS, (
        f"POST {route.path} is new: say in CREATIONS of {__file__} who may do that."
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


def new_body(api: Api, subject: str) -> dict[str, Any]:
    """A body that would make a record."""
    bodies = {"mapsets": api.world.mapset(), "users": person(api)}
    return {**(bodies.get(subject) or BODIES[subject]), "name": f"Uji {uuid.uuid4().hex}"}


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


# Fields that nobody may set


SMUGGLED = "disusupkan"
WRITABLE = {
    subject: service.resource.model
    for subject, service in Services.__annotations__.items()
    if f"/{subject}" in CREATIONS and subject != "files"
}


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


async def one_of_each(api: Api) -> dict[str, str]:
    """An id of each kind of record."""
    return {
        subject: await situations[next(iter(situations))].make(api)
        for path, situations in SITUATIONS.items()
        if (subject := path.strip("/").removesuffix("/{id}")) and subject.count("/") == 0
    }


async def test_an_id_of_one_kind_is_none_of_another(api: Api, state: State) -> None:
    ids = await one_of_each(api)
    before = state()
    for route, (subject, record_id) in itertools.product(ITEMS, ids.items()):
        if route.path.split("/")[1] == subject:
            continue
        for method in route.operations:
            path = route.path.replace("{id}", record_id)
            body = change() if method in ("POST", "PATCH") else None
            answer = await api.request(method, path, user="administrator", json_body=body)
            assert answer.status == 404, f"{method} {route.path} with one of {subject}"
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
