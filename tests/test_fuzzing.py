"""Thousands of requests made from the OpenAPI document: every answer is as the document says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from satupeta_server.embedded import Addresses
from tests.conftest import TEMPLATE, make_settings, own_database, passable_folder
from tests.handlers.test_files import picture
from tests.serving import Served, starting
from tests.world import PASSWORD, World

CALLERS = (None, "viewer", "pengelola", "walidata", "administrator")
CASES, MANY_CASES = 2_000, 10_000
"""How many there are at least, of all callers together, in make test and in make test-long."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MOSTLY = 0.7
RECORDS = 8
"""Of each kind that can be made, so that something is left when a part is deleted."""

# What a body's field points at, where its name does not say it.
TARGETS = {
    "projection_system_id": "map_projection_systems",
    "category_id": "categories",
    "producer_id": "organizations",
    "thumbnail": "files",
    "profile_picture": "files",
    "source_id": "map_sources",
    "ids": "mapsets",
}


@dataclass
class Target:
    """A running server, and whose tokens and which ids there are."""

    served: Served
    document: dict[str, Any]
    tokens: dict[str, str]
    world: World

    @property
    def base(self) -> str:
        """Where the API stands."""
        return f"http://127.0.0.1:{self.served.port}/api"

    def headers(self, caller: str | None) -> dict[str, str]:
        """What says who calls; logged in anew where a request has ended the session."""
        if caller is None:
            return {}
        headers = {"Authorization": f"Bearer {self.tokens.get(caller)}"}
        if requests.get(f"{self.base}/me", headers=headers, timeout=30).status_code == 200:
            return headers
        self.tokens[caller] = token_of(self.base, caller)
        return {"Authorization": f"Bearer {self.tokens[caller]}"}

    def ids(self) -> dict[str, list[str]]:
        """Ids of each subject; those of the callers themselves are not among them."""
        headers = self.headers("administrator")
        found: dict[str, list[str]] = {}
        mine = {str(one) for one in self.world.users.values()}
        for path, operations in self.document["paths"].items():
            names = {one["name"] for one in operations.get("get", {}).get("parameters", ())}
            if "offset" not in names or "{" in path:
                continue
            address = f"{self.base}{path}?limit=30"
            items = requests.get(address, headers=headers, timeout=30).json()["items"]
            known = {str(one["id"]) for one in items if "id" in one}
            found[path.strip("/")] = sorted(known - mine)
        return found


def token_of(base: str, username: str) -> str:
    form = {"username": (None, username), "password": (None, PASSWORD)}
    answer = requests.post(f"{base}/auth/login", files=form, timeout=30)
    return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def target(addresses: Addresses, template: World) -> Iterator[Target]:
    """The server as it runs in production, on a database of the module's own."""
    with (
        own_database(addresses, "fuzzing", TEMPLATE) as name,
        passable_folder() as folder,
        starting(folder) as start,
    ):
        served = start(make_settings(addresses, name, data_dir=folder, log_level="WARNING"))
        base = f"http://127.0.0.1:{served.port}/api"
        target = Target(
            served,
            requests.get(f"{base}/openapi.json", timeout=30).json(),
            {},
            template,
        )
        make_records(target)
        yield target
        served.end()


def make_records(target: Target) -> None:
    """Make what may be changed and deleted."""
    world, headers = target.world, target.headers("administrator")
    for number in range(RECORDS):
        person = {
            "username": f"budi{number}",
            "email": f"budi{number}@example.org",
            "password": PASSWORD,
            "role_id": world.roles["data_viewer"],
            "organization_id": world.organizations["own"],
        }
        for path, body in {
            "mapsets": world.mapset(name=f"Peta {number}"),
            "news": {"name": f"Berita {number}", "description": "<p>Isi</p>"},
            "categories": {"name": f"Kategori {number}"},
            "organizations": {"name": f"Dinas {number}"},
            "map_sources": {"name": f"Sumber {number}", "url": "https://peta.example.org"},
            "credentials": {"name": f"Kunci {number}", "sensitive_data": {"a": "b"}},
            "users": {"name": f"Budi {number}", **person},
        }.items():
            address = f"{target.base}/{path}"
            answer = requests.post(address, json=body, headers=headers, timeout=30)
            assert answer.status_code == 201, answer.text
        image = {"file": ("a.png", picture(), "image/png")}
        answer = requests.post(f"{target.base}/files", files=image, headers=headers, timeout=30)
        assert answer.status_code == 201, answer.text


def has_choices(operation: Any) -> bool:
    """Whether there is anything in a request that could be this or that."""
    return bool(list(operation.iter_parameters())) or bool(operation.body)


def cases_of(operation: Any) -> st.SearchStrategy[Any]:
    """Requests as the document allows them, and others."""
    right = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not has_choices(operation):
        return right
    return right | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


def point_at_something(case: Any, ids: Mapping[str, Sequence[str]], choose: Any) -> None:
    """Put ids of what is there in the place of some of those that were made up."""
    subject = case.path.split("/")[1]
    if ids.get(subject) and "id" in case.path_parameters and choose.random() < MOSTLY:
        case.path_parameters["id"] = choose.choice(ids[subject])
    if not isinstance(case.body, dict):
        return
    for name in case.body:
        known = ids.get(TARGETS.get(name, f"{name.removesuffix('_id')}s"))
        if known and choose.random() < MOSTLY:
            several = [choose.choice(known) for _ in range(3)]
            case.body[name] = several if name in ("ids", "source_id") else several[0]


def spoiled(choose: Any) -> dict[str, Any]:
    """Sometimes what no document can describe: bytes that are no text, a body of another type."""
    return choose.choice(
        [
            *[{}] * 8,
            {"params": {"search": b"\xff"}},
            {"headers": {"Content-Type": "text/plain"}},
        ]
    )


def check(case: Any, answer: Any) -> None:
    """Hold an answer against the document."""
    case.validate_response(answer, checks=CHECKS)


def fuzz(target: Target, caller: str | None, least: int, *, is_random: bool) -> int:
    """Send at least so many requests as a caller, and count them."""
    schema = schemathesis.openapi.from_dict(target.document)
    # What can be asked in one way only comes first: the others take over its share.
    operations = sorted((one.ok() for one in schema.get_all_operations()), key=has_choices)
    ids, sent = target.ids(), 0
    with requests.Session() as session:
        for number, operation in enumerate(operations):
            share = -((sent - least) // (len(operations) - number))
            # Without a token, logging out ends no session that the others need.
            headers = {} if operation.path == "/auth/logout" else target.headers(caller)
            answers = Asking(target.base, session, headers, ids)
            answers.ask(operation, share, is_random=is_random)
            sent += answers.number
    return sent


@dataclass
class Asking:
    """Sends requests of one operation."""

    base: str
    session: requests.Session
    headers: Mapping[str, str]
    ids: Mapping[str, Sequence[str]]
    number: int = 0

    def ask(self, operation: Any, most: int, *, is_random: bool) -> None:
        """Send what Hypothesis finds; it ends early where there is nothing else to say."""

        @examples(
            max_examples=max(most, 1),
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
            derandomize=not is_random,
            print_blob=True,
        )
        @given(case=cases_of(operation), choose=st.randoms(use_true_random=False))
        def send(case: Any, choose: Any) -> None:
            point_at_something(case, self.ids, choose)
            more = spoiled(choose)
            headers = {**self.headers, **more.pop("headers", {})}
            answer = case.call(base_url=self.base, session=self.session, headers=headers, **more)
            self.number += 1
            check(case, answer)

        send()


@pytest.mark.parametrize("caller", CALLERS)
def test_every_answer_is_as_the_document_says(target: Target, caller: str | None) -> None:
    share = CASES // len(CALLERS)
    assert fuzz(target, caller, share, is_random=False) >= share
    assert_nothing_failed(target)


@pytest.mark.long
@pytest.mark.parametrize("caller", CALLERS)
def test_ever_other_requests_are_answered_as_the_document_says(
    target: Target, caller: str | None
) -> None:
    share = MANY_CASES // len(CALLERS)
    assert fuzz(target, caller, share, is_random=True) >= share
    assert_nothing_failed(target)


def assert_nothing_failed(target: Target) -> None:
    """The server goes on, and had nothing to say of failures."""
    ready = requests.get(f"{target.base}/health/ready", timeout=30)
    assert ready.status_code == 200
    said = target.served.said.read_text()
    assert "Traceback" not in said
    assert " ERROR " not in said
