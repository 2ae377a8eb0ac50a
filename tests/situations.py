"""Whose record in which state each caller may read, change and delete: contract 4 and 14.

The tables stand here in their own right: they are never made from those of the code.
"""

import itertools
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.routes import ROUTES
from satupeta_server.services.container import Services
from tests.conftest import Api
from tests.handlers.test_files import picture
from tests.handlers.test_resources import BODIES
from tests.world import PASSWORD

CALLERS = (None, "viewer", "pengelola", "walidata", "administrator")
NUMBERS = itertools.count()

Make = Callable[[Api], Awaitable[str]]
"""Makes a record and gives its id; or its whole path, where that has more parts than ``{id}``."""
Answers = tuple[int, int, int, int, int]
"""For anonymous, viewer, manager, validator and administrator; 200 is "granted"."""

EVERYBODY: Answers = (200, 200, 200, 200, 200)
HIDDEN: Answers = (404, 404, 200, 200, 200)
STAFF: Answers = (401, 403, 200, 200, 200)
NO_MANAGER: Answers = (401, 403, 403, 200, 200)
ADMINISTRATORS: Answers = (401, 403, 403, 403, 200)
NO_MANAGER_SEES: Answers = (401, 403, 404, 200, 200)
NOBODY: Answers = (404, 404, 404, 404, 404)


@dataclass(frozen=True)
class Situation:
    """A record of some owner in some state, and what each caller gets; None is 405."""

    make: Make
    read: Answers | None
    write: Answers | None = None
    delete: Answers | None = None
    """Where it differs from ``write``."""
    post: Answers | None = None
    is_recorded: bool = False
    """Whether the record says when it was read."""

    def expected(self, method: str) -> Answers | None:
        """What the callers get."""
        return {
            "GET": self.read,
            "HEAD": self.read,
            "POST": self.post,
            "PATCH": self.write,
            "DELETE": self.delete or self.write,
        }.get(method)


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


def session(username: str, path: str) -> Make:
    """Opens a session of one of the callers, and gives the path of it."""

    async def make(api: Api) -> str:
        sessions, user_id = api.application.services.sessions, api.world.users[username]
        pair = await sessions.open(user_id, None, "tests")
        opened = sessions.tokens.read("access", pair.access_token).session_id
        return path.format(id=user_id, session=opened)

    return make


def token(username: str) -> Make:
    """Makes a machine's token for one of the callers."""

    async def make(api: Api) -> str:
        body = {"name": "Mesin", "permissions": ["me:read"]}
        answer = await api.post("/tokens", user=username, json_body=body)
        assert answer.status == 201, answer.body
        return str(answer.json["id"])

    return make


async def audit_record(api: Api) -> str:
    """Finds what the audit log says of a new record."""
    of = f"subject_id={await record('news')(api)}"
    found = await api.get("/audit", user="administrator", filter=of)
    return str(found.json["items"][0]["id"])


def deleted(make: Make, subject: str) -> Make:
    """Makes a record and deletes it."""

    async def made(api: Api) -> str:
        record_id = await make(api)
        assert (await api.delete(f"/{subject}/{record_id}", user="administrator")).status == 204
        return record_id

    return made


def under(make: Make, path: str) -> Make:
    """Makes a record and gives a path that leads on from it."""

    async def made(api: Api) -> str:
        return path.replace("{id}", await make(api))

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


def of_revisions(tail: str, *, is_restored: bool = False) -> dict[str, Situation]:
    """What becomes of the revisions of a mapset."""
    path = "/mapsets/{id}/revisions" + tail

    def situation(make: Make, answers: Answers) -> Situation:
        placed = under(make, path)
        return Situation(placed, None, post=answers) if is_restored else Situation(placed, answers)

    return {
        "own": situation(mapset("own"), STAFF),
        "another's, in verification": situation(mapset("other"), NO_MANAGER_SEES),
        "another's, public": situation(mapset("other", is_public=True), NO_MANAGER_SEES),
    }


def of_trash(subject: str, cases: Mapping[str, tuple[Make, Answers]]) -> dict[str, Any]:
    """What becomes of deleted records."""
    made = {name: (deleted(make, subject), answers) for name, (make, answers) in cases.items()}
    paths = f"/trash/{subject}/{{id}}", f"/trash/{subject}/{{id}}/restore"
    return {
        paths[0]: {name: Situation(make, answers) for name, (make, answers) in made.items()},
        paths[1]: {
            name: Situation(make, None, post=answers) for name, (make, answers) in made.items()
        },
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
    "/audit/{id}": {"any": Situation(audit_record, ADMINISTRATORS)},
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
    "/mapsets/{id}/revisions": of_revisions(""),
    "/mapsets/{id}/revisions/compare": of_revisions("/compare?from=1&to=1"),
    "/mapsets/{id}/revisions/{revision}": of_revisions("/1"),
    "/mapsets/{id}/revisions/{revision}/restore": of_revisions("/1/restore", is_restored=True),
    "/users/{id}/sessions": {
        "somebody's": Situation(
            under(user("data_viewer"), "/users/{id}/sessions"), NO_MANAGER, None, NO_MANAGER
        ),
        "an administrator's": Situation(
            under(user("administrator"), "/users/{id}/sessions"),
            (401, 403, 403, 404, 200),
            None,
            (401, 403, 403, 404, 200),
        ),
    },
    "/users/{id}/sessions/{session}": {
        "somebody's": Situation(
            session("pengelola_lain", "/users/{id}/sessions/{session}"), None, None, NO_MANAGER
        ),
        "an administrator's": Situation(
            session("administrator", "/users/{id}/sessions/{session}"),
            None,
            None,
            (401, 403, 403, 404, 200),
        ),
    },
    "/me/sessions/{id}": {
        "the manager's": Situation(
            session("pengelola", "/me/sessions/{session}"), None, None, (401, 404, 200, 404, 404)
        )
    },
    "/tokens/{id}": {
        "the manager's": Situation(token("pengelola"), None, None, (401, 404, 200, 404, 200)),
        "an administrator's": Situation(
            token("administrator"), None, None, (401, 404, 404, 404, 200)
        ),
    },
    "/users/{id}/data": {
        "somebody": Situation(user("data_viewer"), ADMINISTRATORS, is_recorded=True)
    },
    "/users/{id}/erase": {"somebody": Situation(user("data_viewer"), None, post=ADMINISTRATORS)},
    **of_trash(
        "mapsets",
        {"own": (mapset("own"), STAFF), "another's": (mapset("other"), NO_MANAGER_SEES)},
    ),
    **of_trash("news", {"any": (record("news"), STAFF)}),
    **of_trash("organizations", {"any": (record("organizations"), ADMINISTRATORS)}),
    **of_trash("categories", {"any": (record("categories"), ADMINISTRATORS)}),
    **of_trash("classifications", {"any": (record("classifications"), ADMINISTRATORS)}),
    **of_trash(
        "map_projection_systems", {"any": (record("map_projection_systems"), ADMINISTRATORS)}
    ),
    **of_trash("regionals", {"any": (record("regionals"), ADMINISTRATORS)}),
    **of_trash("map_sources", {"any": (record("map_sources"), ADMINISTRATORS)}),
    **of_trash("credentials", {"any": (record("credentials"), ADMINISTRATORS)}),
    **of_trash(
        "users",
        {
            "somebody": (user("data_viewer"), NO_MANAGER),
            "an administrator": (user("administrator"), (401, 403, 403, 404, 200)),
        },
    ),
    **of_trash(
        "files",
        {
            "the manager's": (upload("pengelola"), (401, 403, 200, 404, 200)),
            "another manager's": (upload("pengelola_lain"), (401, 403, 404, 404, 200)),
        },
    ),
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
    "/tokens": (401, 200, 200, 200, 200),
}


WRITABLE = {
    subject: service.resource.model
    for subject, service in Services.__annotations__.items()
    if f"/{subject}" in CREATIONS and subject not in ("files", "tokens")
}


def new_body(api: Api, subject: str) -> dict[str, Any]:
    """A body that would make a record."""
    tokens = {"permissions": ["me:read"]}
    bodies = {"mapsets": api.world.mapset(), "users": person(api), "tokens": tokens}
    return {**(bodies.get(subject) or BODIES[subject]), "name": f"Uji {uuid.uuid4().hex}"}


async def one_of_each(api: Api) -> dict[str, str]:
    """An id of each kind of record."""
    return {
        subject: await situations[next(iter(situations))].make(api)
        for path, situations in SITUATIONS.items()
        if (subject := path.strip("/").removesuffix("/{id}")) and subject.count("/") == 0
    }


def path_to(path: str, place: str) -> str:
    """The path of a record, by its id."""
    return place if place.startswith("/") else re.sub(r"{\w+}", lambda _match: place, path)
