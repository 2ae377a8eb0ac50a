"""``satupeta audit``, and what commands do where the API has a role of its own."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from satupeta_server.maintenance.grants import grant_to_api
from satupeta_server.models.base import new_id
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import SOME_FAILED, WRONG_USE, Program
from tests.conftest import execute, with_two_roles
from tests.world import PASSWORD

FORMULA = "=HYPERLINK(0)"


@pytest.fixture
def program(settings: Settings, api_role: str, tmp_path: Path, store: ObjectStore) -> Program:
    del store
    return Program(with_two_roles(settings, api_role), tmp_path)


def old(program: Program, days: int, action: str = "test", user: str | None = None) -> str:
    """Put a record of so many days ago into the log, and give its id."""
    record_id = str(new_id())
    program.rows(
        "INSERT INTO audit_log (id, occurred_at, user_id, action, subject, details) "
        "VALUES (%s, now() - make_interval(days => %s), %s, %s, 'x', %s)",
        [record_id, days, user, action, json.dumps({"text": FORMULA})],
    )
    return record_id


def privileges(program: Program, table: str) -> set[str]:
    rows = program.rows(
        "SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', "
        "'REFERENCES', 'TRIGGER']) AS privilege WHERE has_table_privilege(%s, privilege)",
        [table],
    )
    return {name for (name,) in rows}


def owner_url(program: Program) -> str:
    url = program.settings.owner().database_url
    return url.get_secret_value() if url else ""


def test_the_log_is_listed_by_its_filters(program: Program) -> None:
    program.inside("user", "update", "viewer", "--position", "Kepala")
    program.inside("user", "deactivate", "viewer")
    first = old(program, 400, user=str(SYSTEM_USER_ID))
    found = program.json("audit", "list")
    assert [one["action"] for one in found] == ["deactivate", "update", "test"]
    assert found[1]["changes"] == {"position": [None, "Kepala"]}
    assert found[1]["command"] == "satupeta user update"
    viewer = str(found[0]["subject_id"])
    for words, actions in {
        ("--action", "update"): ["update"],
        ("--subject", "users"): ["deactivate", "update"],
        ("--record", viewer): ["deactivate", "update"],
        ("--user", str(SYSTEM_USER_ID)): ["deactivate", "update", "test"],
        ("--user", "walidata"): [],
        ("--since", "2026-01-01", "--limit", "1"): ["deactivate"],
        ("--until", found[1]["occurred_at"]): ["test"],
        ("--since", found[1]["occurred_at"]): ["deactivate", "update"],
        ("--request-id", "x"): [],
        ("--search", "deactivate"): ["deactivate"],
    }.items():
        listed = program.json("audit", "list", *words)
        assert [one["action"] for one in listed] == actions, words
    assert program.json("audit", "list", "--action", "test")[0]["id"] == first
    table = program.inside("audit", "list").stdout.splitlines()
    assert table[0].split()[:2] == ["occurred_at", "user"]
    assert " system " in table[1]
    assert program.inside("audit", "list", "--since", "kapan", code=WRONG_USE).stderr


def test_an_export_is_the_list(program: Program) -> None:
    program.inside("user", "update", "viewer", "--position", FORMULA)
    for days in range(3):
        old(program, days, user=str(SYSTEM_USER_ID))
    listed = program.json("audit", "list")
    assert len(listed) == 4
    lines = program("audit", "export").stdout.splitlines()
    assert [json.loads(line) for line in lines] == listed
    program.inside("audit", "export", "-o", "audit.jsonl.gz", "--action", "test")
    packed = gzip.decompress((program.folder / "audit.jsonl.gz").read_bytes()).splitlines()
    assert [json.loads(line) for line in packed] == [
        one for one in listed if one["action"] == "test"
    ]
    program.inside("audit", "export", "-o", "audit.csv")
    rows = [*csv.DictReader(io.StringIO((program.folder / "audit.csv").read_text()))]
    assert [row["id"] for row in rows] == [one["id"] for one in listed]
    changed = next(row for row in rows if row["action"] == "update")
    assert json.loads(changed["changes"]) == {"position": [None, FORMULA]}
    assert sorted(path.name for path in program.folder.glob("*audit*")) == [
        "audit.csv", "audit.jsonl.gz",
    ]  # fmt: skip


def test_no_cell_of_an_export_is_a_formula(program: Program) -> None:
    old(program, 1, action=FORMULA)
    program.inside("audit", "export", "-o", "audit.csv")
    (row,) = csv.DictReader(io.StringIO((program.folder / "audit.csv").read_text()))
    assert row["action"] == f"'{FORMULA}"


def test_what_is_older_than_the_retention_goes_and_that_is_recorded(program: Program) -> None:
    old(program, 31)
    kept = old(program, 29)
    month = {"AUDIT_RETENTION_DAYS": "30"}
    tried = program.inside("audit", "prune", "--dry-run", **month)
    assert tried.stdout == "Audit log: 1 records would be removed\n"
    assert "say --yes" in program.inside("audit", "prune", code=WRONG_USE, **month).stderr
    assert len(program.audit()) == 2
    for setting in ("0", "730"):
        same = program.inside("audit", "prune", "--yes", AUDIT_RETENTION_DAYS=setting)
        assert "unchanged" in same.stdout
    assert len(program.audit()) == 2
    # The role of the API cannot do it.
    narrow = {**month, "MIGRATION_DATABASE_URL": ""}
    refused = program.inside("audit", "prune", "--yes", code=SOME_FAILED, **narrow)
    assert "permission denied" in refused.stderr
    done = program("audit", "prune", "--yes", **month)
    assert done.stdout == "Audit log: 1 records removed\n"
    rows = program.rows("SELECT id::text, action, details FROM audit_log ORDER BY occurred_at")
    assert rows[0][:2] == (kept, "test")
    assert rows[1][1:] == ("prune", {"days": 30, "count": 1})


def test_an_upgrade_grants_the_api_what_it_needs(program: Program) -> None:
    everything = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    owner, role = owner_url(program), program.settings.owner().api_role
    execute(owner, f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
    execute(owner, f"GRANT ALL ON audit_log TO {role}")
    assert privileges(program, "mapsets") == set()
    assert program.inside("db", "upgrade").stdout == "0 migrations applied\n"
    assert privileges(program, "mapsets") == everything
    assert privileges(program, "audit_log") == {"SELECT", "INSERT"}
    assert privileges(program, "_yoyo_migration") == {"SELECT"}
    execute(owner, "CREATE TABLE later (id serial PRIMARY KEY)")
    assert privileges(program, "later") == everything
    program.rows("INSERT INTO later DEFAULT VALUES")


def test_commands_work_and_keep_the_rights_narrow(program: Program) -> None:
    (program.folder / "regions.csv").write_text("code,name\n99,Uji\n99.01,Uji Satu\n")
    (program.folder / "organizations.csv").write_text("name\nDinas Baru\n")
    program.inside("import", "regions", "regions.csv", "--atomic")
    program.inside("import", "organizations", "organizations.csv")
    program.inside("credential", "rotate-key")
    program.inside("db", "backup", "one.tar")
    program.inside("db", "restore", "one.tar", "--yes")
    assert privileges(program, "audit_log") == {"SELECT", "INSERT"}
    program.inside("db", "downgrade", "--to", "0001.roles-and-users", "--yes")
    program.inside("db", "restore", "one.tar", "--yes")
    assert privileges(program, "audit_log") == {"SELECT", "INSERT"}
    assert "UPDATE" in privileges(program, "mapsets")
    assert program.rows("SELECT count(*) FROM regionals WHERE code LIKE '99%'") == [(2,)]
    program.inside("db", "seed")
    program.inside("db", "sample", "--count", "2", "--yes")
    program.inside("db", "anonymize", "--yes", SATUPETA_PASSWORD=PASSWORD)
    found = {one["check"]: one for one in program.json("doctor")}
    assert found["audit"]["state"] == "ok"
    assert program.inside("db", "check").stderr


def test_what_an_import_makes_is_recorded_row_by_row(program: Program) -> None:
    (program.folder / "organizations.csv").write_text("name\nDinas Satu\nDinas Dua\n")
    program.inside("import", "organizations", "organizations.csv")
    assert [one[:2] for one in program.audit()] == [
        ("import", "organizations"), ("create", "organizations"), ("create", "organizations"),
    ]  # fmt: skip


def test_with_one_role_nothing_is_granted(settings: Settings, program: Program) -> None:
    assert not grant_to_api(settings.owner())
    before: Any = program.rows("SELECT relacl::text FROM pg_class WHERE relname = 'audit_log'")
    Program(settings, program.folder).inside("db", "upgrade")
    assert program.rows("SELECT relacl::text FROM pg_class WHERE relname = 'audit_log'") == before
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        Program(settings, program.folder).rows("DELETE FROM audit_log")
