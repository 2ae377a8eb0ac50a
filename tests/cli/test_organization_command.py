"""``satupeta organization`` and ``satupeta role``."""

from pathlib import Path

import pytest

from satupeta_server.security.permissions import GRANTS, ROLES
from satupeta_server.settings import Settings
from tests.cli.program import WRONG_USE, Program

NAME = "Dinas Perhubungan"
ROW = (
    "SELECT email, phone_number, is_active, deleted_at IS NOT NULL FROM organizations "
    "WHERE name = %s"
)


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


def test_an_organization_lives_and_ends(program: Program) -> None:
    create = ("organization", "create", NAME, "--email", "dishub@example.org")
    assert program.inside(*create, "--dry-run").stdout == f"{NAME}: would be created\n"
    assert program.rows(ROW, [NAME]) == []
    assert program(*create).stdout == f"{NAME}: created\n"
    assert program.inside(*create).stdout == f"{NAME}: unchanged\n"
    other = program.inside(*create[:3], "--email", "lain@example.org", code=WRONG_USE)
    assert "with other values of: email" in other.stderr
    change = ("organization", "update", NAME.upper(), "--phone-number", "+62 31 1")
    assert program.inside(*change).stdout.endswith(": updated\n")
    assert program.inside("organization", "deactivate", NAME).stdout == f"{NAME}: updated\n"
    assert program.rows(ROW, [NAME]) == [("dishub@example.org", "+62 31 1", False, False)]
    assert program.inside("organization", "activate", NAME).stdout == f"{NAME}: updated\n"
    asked = program.inside("organization", "delete", NAME, code=WRONG_USE)
    assert "which has 0 mapsets and 0 users" in asked.stderr
    assert program.inside("organization", "delete", NAME, "--yes").stdout == f"{NAME}: deleted\n"
    assert program.rows(ROW, [NAME])[0][3]
    done = [action for action, subject, _ in program.audit() if subject == "organizations"]
    assert done == ["create", "update", "deactivate", "activate", "delete"]


def test_the_api_refuses_the_same(program: Program) -> None:
    wrong = program.inside(
        "organization", "create", NAME, "--website", "dishub", code=WRONG_USE, LC_ALL="id_ID"
    )
    assert wrong.stderr.startswith("satupeta: Periksa kembali isian Anda.")
    picture = ("--thumbnail", "01968b53-a910-7a67-bd10-000000000000")
    program.inside("organization", "update", "Dinas Kehutanan", *picture, code=WRONG_USE)
    taken = ("organization", "update", "Dinas Kehutanan", "--name", "dinas pekerjaan umum")
    assert "already in use" in program.inside(*taken, code=WRONG_USE).stderr
    assert program.audit() == []


def test_organizations_are_listed_and_shown(program: Program) -> None:
    names = [one["name"] for one in program.json("organization", "list", "--active")]
    assert names == ["Dinas Kehutanan", "Dinas Pekerjaan Umum"]
    shown = program.json("organization", "show", "dinas pekerjaan umum")
    assert (shown["users"], shown["mapsets"]) == (4, 0)
    assert program.json("organization", "show", shown["id"])["name"] == "Dinas Pekerjaan Umum"
    assert "no organization “x”" in program.inside("organization", "show", "x", code=2).stderr


def test_roles_show_what_they_may(program: Program) -> None:
    roles = program.json("role", "list")
    assert {one["name"]: one["users"] for one in roles} == {
        "administrator": 1,
        "data_validator": 1,
        "data_manager": 2,
        "data_viewer": 1,
    }
    for role in ROLES:
        shown = program.json("role", "show", role)
        granted = {name: scopes[role] for name, scopes in GRANTS.items() if role in scopes}
        assert shown["permissions"] == granted
    assert "mapsets:write" in program.inside("role", "show", "data_manager").stdout
    assert "no role “raja”" in program.inside("role", "show", "raja", code=WRONG_USE).stderr
