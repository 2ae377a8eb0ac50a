"""Every route, method and caller against the table of contract section 14."""

import pytest

from satupeta_server.app import check_routes
from satupeta_server.errors import StartError
from satupeta_server.handlers.health import LiveHandler
from satupeta_server.routes import ROUTES, Operation, Route
from tests.conftest import Api

CALLERS = (None, "viewer", "pengelola", "walidata", "administrator")
UNKNOWN = "01968b53-0000-7000-8000-000000000000"

# Whether anonymous, viewer, manager, validator and administrator are let in.
EVERYBODY, NOBODY = (1, 1, 1, 1, 1), (0, 0, 0, 0, 0)
STAFF, KNOWN, ADMINISTRATOR = (0, 0, 1, 1, 1), (0, 1, 1, 1, 1), (0, 0, 0, 0, 1)
USER_KEEPERS = (0, 0, 0, 1, 1)

READERS = {
    "mapsets": EVERYBODY,
    "news": EVERYBODY,
    "categories": EVERYBODY,
    "organizations": EVERYBODY,
    "classifications": EVERYBODY,
    "map_projection_systems": EVERYBODY,
    "regionals": EVERYBODY,
    "histories": STAFF,
    "map_sources": STAFF,
    "credentials": ADMINISTRATOR,
    "users": USER_KEEPERS,
    "roles": STAFF,
    "audit": ADMINISTRATOR,
    "search": EVERYBODY,
}
WRITERS = {
    "mapsets": STAFF,
    "news": STAFF,
    "categories": ADMINISTRATOR,
    "organizations": ADMINISTRATOR,
    "classifications": ADMINISTRATOR,
    "map_projection_systems": ADMINISTRATOR,
    "regionals": ADMINISTRATOR,
    "map_sources": ADMINISTRATOR,
    "credentials": ADMINISTRATOR,
    "users": USER_KEEPERS,
}
OTHERS = {
    ("GET", "/me"): KNOWN,
    ("PATCH", "/me"): KNOWN,
    ("GET", "/me/data"): KNOWN,
    ("GET", "/me/sessions"): KNOWN,
    ("DELETE", "/me/sessions"): KNOWN,
    ("DELETE", "/me/sessions/{id}"): KNOWN,
    ("GET", "/tokens"): KNOWN,
    ("POST", "/tokens"): KNOWN,
    ("DELETE", "/tokens/{id}"): KNOWN,
    ("GET", "/users/{id}/data"): ADMINISTRATOR,
    ("POST", "/users/{id}/erase"): ADMINISTRATOR,
    ("GET", "/mapsets/{id}/revisions"): STAFF,
    ("GET", "/mapsets/{id}/revisions/compare"): STAFF,
    ("GET", "/mapsets/{id}/revisions/{revision}"): STAFF,
    ("PATCH", "/mapsets/activation"): STAFF,
    ("GET", "/credentials/{id}/decrypted"): ADMINISTRATOR,
    ("POST", "/files"): STAFF,
    ("DELETE", "/files/{id}"): STAFF,
    ("GET", "/files/{id}/download"): EVERYBODY,
    ("GET", "/statistics"): EVERYBODY,
    ("GET", "/statistics/page"): EVERYBODY,
}
PUBLIC = ("/", "/auth/", "/health/", "/docs", "/openapi.json", "/metrics")


def filled(path: str) -> str:
    """A path with something in each of its places."""
    if path == "/me/sessions":
        return f"{path}?keep_current=true"
    return path.format(id=UNKNOWN, file="style.css", revision=1, session=UNKNOWN)


def expected(method: str, path: str) -> tuple[int, ...]:
    """Who is let in, by the contract."""
    if (method, path) in OTHERS:
        return OTHERS[(method, path)]
    subject = path.split("/")[1]
    if subject == "trash":
        return {**WRITERS, "files": STAFF}[path.split("/")[2]]
    if subject in READERS:
        return READERS[subject] if method == "GET" else WRITERS.get(subject, NOBODY)
    assert path == "/" or path.startswith(PUBLIC[1:]), f"{method} {path} is in no table"
    return EVERYBODY


async def test_every_route_lets_in_whom_the_contract_grants_it(api: Api) -> None:
    for route in ROUTES:
        if route.path == "/auth/logout":
            continue  # It would end the sessions that the other cases use.
        path = filled(route.path)
        for method in route.operations:
            for caller, granted in zip(CALLERS, expected(method, route.path), strict=True):
                answer = await api.request(method, path, user=caller)
                case = f"{method} {path} as {caller}: {answer.status}"
                if granted:
                    is_login = route.path.startswith("/auth/")
                    assert answer.status not in ((403,) if is_login else (401, 403)), case
                else:
                    assert answer.status == (401 if caller is None else 403), case
                assert answer.status < 500, case


async def test_a_method_that_a_route_does_not_name_is_405(api: Api) -> None:
    for route in ROUTES:
        path = filled(route.path)
        for method in {"GET", "POST", "PATCH", "DELETE", "PUT"} - set(route.operations):
            answer = await api.request(method, path, user="administrator")
            assert answer.status == 405, f"{method} {path}"
            assert set(route.operations) <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "route",
    [
        Route("/open", LiveHandler, {}),
        Route("/open", LiveHandler, {"GET": Operation("everything:write", "Do all")}),
        Route("/open", LiveHandler, {"DELETE": Operation("public", "Remove")}),
    ],
)
def test_a_route_without_a_right_permission_stops_the_start(route: Route) -> None:
    with pytest.raises(StartError, match="/open"):
        check_routes((route,))


async def test_a_validator_never_reaches_an_administrator(api: Api) -> None:
    path = f"/users/{api.world.users['administrator']}"
    for method in ("GET", "PATCH", "DELETE"):
        answer = await api.request(method, path, user="walidata", json_body={"name": "X"})
        assert answer.status == 404
    listed = (await api.get("/users", user="walidata")).json["items"]
    assert "administrator" not in {item["role"]["name"] for item in listed}
    promotion = {"role_id": api.world.roles["administrator"]}
    target = f"/users/{api.world.users['viewer']}"
    assert (await api.patch(target, user="walidata", json_body=promotion)).status == 403
