"""``satupeta user``, as a process."""

import csv
import io
import json
import os
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from satupeta_server.security.passwords import check_password
from satupeta_server.services.logins import LoginService
from satupeta_server.services.sessions import SessionService
from satupeta_server.settings import Settings
from tests.cli.program import CONFIGURATION, SATUPETA, WRONG_USE, Program
from tests.world import PASSWORD

SITI = ("siti", "--name", "Siti Aminah", "--email", "siti@example.org")
ADMINISTRATOR = (*SITI, "--role", "administrator")
NEW_PASSWORD = "Sandi-Baru-2026!"
LOGGED_IN = (
    "INSERT INTO sessions (id, user_id, expires_at, address, last_address, user_agent) "
    "SELECT %s, id, now() + interval '1 day', '10.0.0.1', '10.0.0.2', 'tests' "
    "FROM users WHERE username = %s"
)
OPEN = (
    "SELECT count(*) FROM sessions JOIN users ON users.id = user_id "
    "WHERE username = %s AND ended_at IS NULL"
)


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


def password_of(program: Program, username: str) -> str | None:
    rows = program.rows("SELECT password_hash FROM users WHERE username = %s", [username])
    value: str | None = rows[0][0]
    return value


def log_in(program: Program, username: str) -> uuid.UUID:
    key = uuid.uuid4()
    program.rows(LOGGED_IN, [str(key), username])
    return key


def open_sessions(program: Program, username: str) -> int:
    number: int = program.rows(OPEN, [username])[0][0]
    return number


def state_of(program: Program, username: str) -> tuple[Any, ...]:
    statement = (
        "SELECT users.name, email, position, roles.name, organization_id IS NOT NULL, "
        "users.is_active, users.deleted_at IS NOT NULL, users.revision FROM users "
        "JOIN roles ON roles.id = role_id WHERE username = %s"
    )
    return program.rows(statement, [username])[0]


def test_the_first_administrator_is_made_once(program: Program) -> None:
    made = program("user", "create", *ADMINISTRATOR, SATUPETA_PASSWORD=NEW_PASSWORD)
    assert made.stdout == "siti: created\n"
    assert check_password(NEW_PASSWORD, password_of(program, "siti"), 4)
    again = program("user", "create", *ADMINISTRATOR, SATUPETA_PASSWORD="Lain-Sekali-1!")
    assert again.stdout == "siti: unchanged\n"
    assert check_password(NEW_PASSWORD, password_of(program, "siti"), 4)
    assert state_of(program, "siti")[-1] == 1
    other = program(
        "user", "create", "SITI", *SITI[1:3], "--email", "lain@example.org", "--role",
        "data_viewer", code=WRONG_USE, LANG="id_ID.UTF-8",
    )  # fmt: skip
    assert "Sudah ada pengguna" in other.stderr
    assert "email, role_id" in other.stderr
    (record,) = program.rows(
        "SELECT command, run_by, subject, users.is_system, changes FROM audit_log "
        "JOIN users ON users.id = user_id"
    )
    assert record[0] == "satupeta user create"
    assert record[1]
    assert record[2:4] == ("users", True)
    assert record[4]["username"] == [None, "siti"]
    (role,) = program.rows("SELECT id::text FROM roles WHERE name = 'administrator'")
    assert record[4]["role_id"] == [None, *role]


def test_two_at_once_make_one_user(program: Program) -> None:
    with ThreadPoolExecutor(2) as threads:
        ended = list(
            threads.map(
                lambda _: program("user", "create", *ADMINISTRATOR, "--reset-link"), range(2)
            )
        )
    assert program.rows("SELECT count(*) FROM users WHERE username = 'siti'") == [(1,)]
    assert all(one.returncode == 0 for one in ended)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "A password is needed"),
        (("--role", "data_manager", "--reset-link"), "must have an organization"),
        (("--organization", "Dinas Antah", "--reset-link"), "no organization “Dinas Antah”"),
        (("--email", "bukan surel", "--reset-link"), "email: "),
        (("--role", "raja"), "'raja' is not one of"),
    ],
)
def test_a_user_that_cannot_be_is_one_sentence(
    program: Program, options: tuple[str, ...], words: str
) -> None:
    ended = program.inside("user", "create", *ADMINISTRATOR, *options, code=WRONG_USE)
    assert words in ended.stderr
    assert ended.stdout == ""
    assert program.rows("SELECT count(*) FROM users WHERE username = 'siti'") == [(0,)]


def test_a_user_without_a_password_gets_a_link(program: Program) -> None:
    ended = program("--quiet", "user", "create", *ADMINISTRATOR, "--reset-link")
    assert ended.stdout.startswith("http://127.0.0.1:5000/api/auth/password-reset/page#")
    assert ended.stderr == ""
    assert password_of(program, "siti") is None
    shown = program.json("user", "show", "siti@example.org")
    assert (shown["has_password"], shown["role"]) == (False, "administrator")


def test_a_dry_run_leaves_nothing(program: Program) -> None:
    for text, words in {
        "would be created": ("create", *ADMINISTRATOR),
        "would be updated": ("update", "viewer", "--position", "Kepala"),
        "would be deleted": ("delete", "viewer"),
    }.items():
        assert text in program.inside("user", *words, "--dry-run").stdout
    assert program.audit() == []
    assert program.rows("SELECT count(*) FROM users WHERE username = 'siti'") == [(0,)]
    assert state_of(program, "viewer")[2:] == (None, "data_viewer", True, True, False, 1)


def test_listings_are_narrowed_and_come_in_every_form(program: Program) -> None:
    managers = program.inside("user", "list", "--role", "data_manager", "--csv").stdout
    names = [row["username"] for row in csv.DictReader(io.StringIO(managers))]
    assert names == ["pengelola", "pengelola_lain"]
    options = ("--organization", "dinas pekerjaan umum", "--search", "walidata", "--active")
    (line,) = program.inside("user", "list", *options, "--jsonl").stdout.splitlines()
    assert json.loads(line)["organization"] == "Dinas Pekerjaan Umum"
    table = program.inside(
        "user", "list", "--limit", "2", "--sort", "username:desc"
    ).stdout.splitlines()
    assert [row.split()[0] for row in table] == ["username", "walidata", "viewer"]
    nobody = program.inside("user", "list", "--inactive")
    assert (nobody.stdout, nobody.stderr) == ("", "Nothing found.\n")


def test_a_user_is_changed_once(program: Program) -> None:
    words = ("user", "update", "viewer@example.org", "--position", "Kepala", "--name", "Vina")
    assert program.inside(*words).stdout.endswith(": updated\n")
    assert program.inside(*words).stdout.endswith(": unchanged\n")
    assert (
        program.inside("user", "update", "viewer", "--position", "").stdout == "viewer: updated\n"
    )
    assert state_of(program, "viewer")[:3] == ("Vina", "viewer@example.org", None)
    assert program.audit() == [("update", "users", "satupeta user update")] * 2
    assert "what to change" in program.inside("user", "update", "viewer", code=WRONG_USE).stderr
    taken = ("user", "update", "viewer", "--email", "walidata@example.org")
    assert "already in use" in program.inside(*taken, code=WRONG_USE).stderr


def test_a_role_needs_what_the_api_needs(program: Program) -> None:
    program.inside("user", "create", *ADMINISTRATOR, "--reset-link")
    refused = program.inside("user", "role", "siti", "data_manager", code=WRONG_USE)
    assert "must have an organization" in refused.stderr
    given = ("--organization", "Dinas Kehutanan")
    assert (
        program.inside("user", "role", "siti", "data_manager", *given).stdout == "siti: updated\n"
    )
    assert state_of(program, "siti")[3:5] == ("data_manager", True)


@pytest.mark.parametrize(
    "words",
    [
        ("deactivate", "administrator"),
        ("delete", "administrator", "--yes"),
        ("role", "administrator", "data_viewer"),
    ],
)
def test_the_last_administrator_stays(program: Program, words: tuple[str, ...]) -> None:
    ended = program.inside("user", *words, code=WRONG_USE, LANG="id_ID.UTF-8")
    assert "administrator aktif terakhir" in ended.stderr
    assert state_of(program, "administrator")[3:] == ("administrator", True, True, False, 1)
    assert program.audit() == []


def test_a_new_password_ends_the_sessions(program: Program) -> None:
    log_in(program, "viewer")
    weak = program("user", "password", "viewer", code=WRONG_USE, SATUPETA_PASSWORD="geheim")
    assert "upper-case" in weak.stderr
    assert "geheim" not in weak.stderr
    assert open_sessions(program, "viewer") == 1
    program("user", "password", "viewer", "--password-fd", "0", typed=f"{NEW_PASSWORD}\n")
    assert check_password(NEW_PASSWORD, password_of(program, "viewer"), 4)
    assert open_sessions(program, "viewer") == 0
    ((action, changes),) = program.rows("SELECT action, changes FROM audit_log")
    assert (action, changes["password_hash"]) == ("set_password", ["***", "***"])


def test_a_password_can_come_from_any_descriptor(program: Program) -> None:
    reader, writer = os.pipe()
    os.write(writer, f"{NEW_PASSWORD}\n".encode())
    os.close(writer)
    subprocess.run(
        [*SATUPETA, "user", "password", "viewer", "--password-fd", str(reader)],
        env=program.environment,
        pass_fds=[reader],
        check=True,
        capture_output=True,
    )
    os.close(reader)
    assert check_password(NEW_PASSWORD, password_of(program, "viewer"), 4)
    closed = program("user", "password", "viewer", "--password-fd", "77", code=WRONG_USE)
    assert "file descriptor 77" in closed.stderr
    assert check_password(PASSWORD, password_of(program, "walidata"), 4)


def test_who_is_deactivated_is_out_at_once(program: Program) -> None:
    log_in(program, "viewer")
    assert program.inside("user", "deactivate", "viewer").stdout == "viewer: updated\n"
    assert open_sessions(program, "viewer") == 0
    assert "no active user" in program.inside("user", "reset-link", "viewer", code=WRONG_USE).stderr
    assert program.inside("user", "activate", "viewer").stdout == "viewer: updated\n"
    assert state_of(program, "viewer")[5]
    assert [action for action, *_ in program.audit()] == ["deactivate", "activate"]


def test_deleting_asks_where_somebody_can_be_asked(program: Program) -> None:
    log_in(program, "viewer")
    assert "say --yes" in program.inside("user", "delete", "viewer", code=WRONG_USE).stderr
    assert open_sessions(program, "viewer") == 1
    assert program.inside("user", "delete", "viewer", "--yes").stdout == "viewer: deleted\n"
    assert open_sessions(program, "viewer") == 0
    assert state_of(program, "viewer")[6]
    assert "no user “viewer”" in program.inside("user", "show", "viewer", code=WRONG_USE).stderr


def test_sessions_are_listed_and_ended(program: Program) -> None:
    first = log_in(program, "viewer")
    log_in(program, "viewer")
    log_in(program, "walidata")
    listed = program.json("user", "sessions", "list", "viewer")
    assert {one["username"] for one in listed} == {"viewer"}
    assert {one["last_address"] for one in listed} == {"10.0.0.2"}
    assert len(program.json("user", "sessions", "list")) == 3
    revoke = ("user", "sessions", "revoke")
    assert "1 sessions ended" in program.inside(*revoke, "viewer", str(first)).stdout
    assert "no open session" in program.inside(*revoke, "viewer", str(first), code=WRONG_USE).stderr
    program.inside(*revoke, "viewer", "--all", "--dry-run")
    assert open_sessions(program, "viewer") == 1
    program.inside(*revoke, "viewer", "--all")
    assert (open_sessions(program, "viewer"), open_sessions(program, "walidata")) == (0, 1)
    assert program.inside("user", "sessions", "revoke", "viewer", code=WRONG_USE).stderr
    assert [action for action, *_ in program.audit()] == ["revoke_sessions"] * 2


def test_failed_logins_are_forgotten(program: Program) -> None:
    logins = LoginService(program.settings, SessionService(program.settings))
    account = logins._account("viewer")
    program.rows("INSERT INTO login_failures (account, failures) VALUES (%s, 9)", [account])
    assert program.json("user", "show", "viewer")["failed_logins"] == 9
    assert (
        program.inside("user", "unlock", "viewer", "--dry-run").stdout
        == "viewer: would be unlocked\n"
    )
    assert program.inside("user", "unlock", "viewer").stdout == "viewer: unlocked\n"
    assert program.inside("user", "unlock", "viewer").stdout == "viewer: unchanged\n"
    assert program.rows("SELECT count(*) FROM login_failures") == [(0,)]


def test_a_database_without_roles_wants_its_seed(program: Program) -> None:
    program.rows("UPDATE roles SET deleted_at = now() WHERE name = 'administrator'")
    ended = program.inside("user", "create", *ADMINISTRATOR, "--reset-link", code=CONFIGURATION)
    assert ended.stderr == "satupeta: The database has no roles; run satupeta db seed.\n"


def test_nobody_sees_or_changes_the_system_user(program: Program) -> None:
    assert "no user “system”" in program.inside("user", "show", "system", code=WRONG_USE).stderr
    assert "system" not in {one["username"] for one in program.json("user", "list")}
