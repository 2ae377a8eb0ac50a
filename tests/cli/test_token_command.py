"""``satupeta token``, as a process."""

import json
from pathlib import Path

import pytest

from satupeta_server.settings import Settings
from tests.cli.program import WRONG_USE, Program
from tests.conftest import Api
from tests.world import World

CREATE = ("token", "create", "pengelola", "--name", "Mesin", "--permission")


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


async def test_the_secret_alone_is_printed_and_works(api: Api, program: Program) -> None:
    ended = program(*CREATE, "mapsets:read", "--permission", "me:read")
    secret = ended.stdout.strip()
    assert secret.startswith("sp_")
    assert "Mesin" in ended.stderr
    assert secret not in ended.stderr
    assert (await api.get("/me", token=secret)).json["username"] == "pengelola"
    listed = json.loads(program("token", "list", "pengelola", "--json").stdout)
    assert [one["permissions"] for one in listed] == [["mapsets:read", "me:read"]]
    assert program("token", "list", "viewer").stdout == ""
    token_id = listed[0]["id"]
    trial = program("token", "revoke", token_id, "--dry-run")
    assert "revoked" in trial.stderr + trial.stdout
    assert (await api.get("/me", token=secret)).status == 200
    program("token", "revoke", token_id, "--yes")
    assert (await api.get("/me", token=secret)).status == 401
    actions = program.rows(
        "SELECT action, command FROM audit_log WHERE subject = 'api_tokens' ORDER BY id"
    )
    assert actions == [
        ("create_token", "satupeta token create"),
        ("revoke_token", "satupeta token revoke"),
    ]


def test_a_token_is_narrowed_and_ends_as_it_is_said(program: Program, world: World) -> None:
    options = ("--organization", "Dinas Pekerjaan Umum", "--expires-in", "2d", "--json")
    made = json.loads(program(*CREATE, "mapsets:write", *options).stdout)
    assert made["organization_id"] == world.organizations["own"]
    (left,) = program.rows("SELECT expires_at - created_at FROM api_tokens")[0]
    assert left.days in (1, 2)


def test_what_cannot_be_is_refused_in_a_sentence(program: Program) -> None:
    before = program.rows("SELECT count(*) FROM api_tokens")
    refused = program(*CREATE, "users:read", code=None)
    assert refused.returncode != 0
    assert "users:read" in refused.stderr
    assert "Traceback" not in refused.stderr
    program(*CREATE, "mapsets:read", "--expires-in", "soon", code=WRONG_USE)
    dry = program(*CREATE, "mapsets:read", "--dry-run")
    assert "sp_" not in dry.stdout + dry.stderr
    assert program.rows("SELECT count(*) FROM api_tokens") == before
