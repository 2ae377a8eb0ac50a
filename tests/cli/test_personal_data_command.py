"""``satupeta user export-data`` and ``erase``."""

import json
from pathlib import Path

import pytest

from satupeta_server.services.personal_data import ERASED_NAME
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import WRONG_USE, Program
from tests.world import World

LOGGED_IN = (
    "INSERT INTO sessions (id, user_id, expires_at, address, user_agent) SELECT gen_random_uuid(), "
    "id, now() + interval '1 day', '203.0.113.77', 'tests' FROM users WHERE username = 'viewer'"
)


@pytest.fixture
def program(settings: Settings, tmp_path: Path, store: ObjectStore) -> Program:
    del store
    program = Program(settings, tmp_path)
    program.rows(LOGGED_IN)
    return program


def test_all_that_is_kept_of_a_person_is_written(program: Program) -> None:
    data = json.loads(program("user", "export-data", "viewer").stdout)
    assert data["account"]["username"] == "viewer"
    assert [one["address"] for one in data["sessions"]] == ["203.0.113.77"]
    assert program("user", "export-data", "viewer@example.org", "viewer.json").stdout == ""
    file = program.folder / "viewer.json"
    assert json.loads(file.read_text(encoding="utf-8"))["account"] == data["account"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [row[:2] for row in program.audit()] == [("export_data", "users")] * 2
    assert "There is no user" in program("user", "export-data", "x", code=WRONG_USE).stderr
    refused = program("user", "export-data", "viewer", "nowhere/viewer.json", code=WRONG_USE)
    assert "cannot be written" in refused.stderr


def test_a_person_is_erased_once(program: Program, world: World) -> None:
    user_id = str(world.users["viewer"])
    state = "SELECT name, username, deleted_at IS NULL FROM users WHERE id = %s"
    refused = program("user", "erase", "viewer", code=WRONG_USE)
    assert "Erase all that tells of Viewer, for good?" in refused.stderr
    tried = program("user", "erase", "viewer", "--dry-run")
    assert tried.stdout == "viewer: would be erased\n"
    assert program.rows(state, [user_id]) == [("Viewer", "viewer", True)]
    assert program.audit() == []
    assert program("user", "erase", "viewer", "--yes").stdout == "viewer: erased\n"
    assert program.rows(state, [user_id]) == [(ERASED_NAME, f"dihapus-{user_id}", False)]
    assert program.rows("SELECT DISTINCT address, user_agent, end_reason FROM sessions") == [
        (None, None, "deletion")
    ]
    again = program("user", "erase", user_id, "--yes")
    assert again.stdout == f"{user_id}: unchanged\n"
    program("user", "erase", "viewer", "--yes", code=WRONG_USE)
    assert sorted(program.audit()) == [
        ("erase", "users", "satupeta user erase"),
        ("erase_from_log", "users", None),
    ]


def test_the_last_administrator_is_not_erased(program: Program) -> None:
    refused = program("user", "erase", "administrator", "--yes", code=WRONG_USE)
    assert "last active administrator" in refused.stderr
    assert program.rows("SELECT erased_at FROM users WHERE username = 'administrator'") == [(None,)]
