"""``satupeta db anonymize``: what told of persons is gone, and all the rest is as it was."""

import uuid
from pathlib import Path

import psycopg2
import pytest

from satupeta_server import database
from satupeta_server.models.base import new_id
from satupeta_server.models.credentials import encryption_context
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.security.encryption import Encryptor
from satupeta_server.security.passwords import check_password
from satupeta_server.seed.sample import load_sample
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import CONFIGURATION, UNAVAILABLE, WRONG_USE, Program
from tests.world import World

MARK = "Ratna Kusumawardhani"
PASSWORD = "Salinan-2026!"
ADDRESS = "203.0.113.77"


@pytest.fixture
def program(settings: Settings, tmp_path: Path, store: ObjectStore, world: World) -> Program:
    """A system in which one name stands wherever a person's can."""
    database.connect(settings)
    with database.synchronous():
        load_sample(settings, store, count=3)
    database.database.close()
    program = Program(settings, tmp_path)
    user, session = world.users["walidata"], new_id()
    (file_id,) = program.rows("SELECT id FROM files LIMIT 1")[0]
    (mapset,) = program.rows("SELECT id FROM mapsets LIMIT 1")[0]
    program.rows(
        f"""
        UPDATE users SET name = '{MARK}', username = '{MARK}', email = '{MARK}@dinas.go.id',
            employee_id = '{MARK}', position = '{MARK}', profile_picture = '{file_id}'
            WHERE id = '{user}';
        UPDATE users SET deleted_at = now(), name = '{MARK} lama' WHERE username = 'viewer';
        INSERT INTO sessions (id, user_id, expires_at, address, user_agent)
            VALUES ('{session}', '{user}', now() + interval '1 day', '{ADDRESS}', '{MARK}');
        INSERT INTO password_resets (id, user_id, token_hash, expires_at)
            VALUES ('{new_id()}', '{user}', '{MARK}', now());
        INSERT INTO login_failures (account, failures) VALUES ('{MARK}', 1);
        INSERT INTO audit_log (id, user_id, action, subject, address, run_by, details, changes,
                               request_id)
            VALUES ('{new_id()}', '{user}', 'update', 'users', '{ADDRESS}', '{MARK}',
                    '{{"name": "{MARK}"}}', '{{"name": [null, "{MARK}"]}}', '{MARK}');
        UPDATE files SET name = '{MARK}.PNG', description = '{MARK}' WHERE id = '{file_id}';
        UPDATE mapsets SET notes = '{MARK}' WHERE id = '{mapset}';
        UPDATE mapset_histories SET notes = '{MARK}' WHERE mapset_id = '{mapset}';
        UPDATE mapset_revisions SET state = state || '{{"notes": "{MARK}"}}'
            WHERE mapset_id = '{mapset}';
        UPDATE credentials SET description = '{MARK}';
        UPDATE organizations SET phone_number = '{ADDRESS}'
            WHERE id = '{world.organizations["own"]}';
        """
    )
    return program


def everything(program: Program) -> dict[str, list[str]]:
    tables = program.rows(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace = 'public'::regnamespace AND relname !~ 'yoyo' ORDER BY 1"
    )
    return {
        name: [row for (row,) in program.rows(f"SELECT t::text FROM {name} AS t ORDER BY 1")]
        for (name,) in tables
    }


def test_no_person_can_be_told_any_more(program: Program, settings: Settings) -> None:
    before = everything(program)
    told = {name for name, rows in before.items() if MARK in "".join(rows)}
    assert len(told) == 11
    tried = program.inside("db", "anonymize", "--dry-run")
    assert "Nothing was changed." in tried.stderr
    assert everything(program) == before
    done = program("db", "anonymize", "--yes", SATUPETA_PASSWORD=PASSWORD)
    assert tried.stdout == done.stdout
    after = everything(program)
    assert not [name for name, rows in after.items() if MARK in "".join(rows)]
    assert ADDRESS not in "".join(after["audit_log"] + after["sessions"])
    assert ADDRESS in "".join(after["organizations"])
    untouched = {
        "categories", "classifications", "map_projection_systems", "map_sources", "mapset_sources",
        "news", "organizations", "regionals", "roles",
    }  # fmt: skip
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert {name: len(rows) for name, rows in after.items()} == {
        **{name: len(rows) for name, rows in before.items()},
        "sessions": 0, "password_resets": 0, "login_failures": 0, "audit_log": 2,
        "mapset_changes": 0,
    }  # fmt: skip
    assert program.rows("SELECT name FROM files WHERE name LIKE '%%.PNG'") == []
    assert program.audit()[-1] == ("anonymize", "database", "satupeta db anonymize")


def test_users_keep_their_role_and_get_the_one_password(
    program: Program, settings: Settings
) -> None:
    program.inside("db", "anonymize", "--yes", SATUPETA_PASSWORD=PASSWORD)
    users = program.rows(
        "SELECT username, users.name, email, roles.name, password_hash, users.is_active, "
        "users.deleted_at, profile_picture FROM users "
        "JOIN roles ON roles.id = role_id WHERE NOT is_system"
    )
    assert len({one[0] for one in users}) == len({one[2] for one in users}) == len(users)
    for username, _, email, role, password_hash, is_active, deleted_at, picture in users:
        assert username.rpartition("-")[0] == role
        assert email == f"{username}@example.org"
        assert picture is None
        may_log_in = is_active and deleted_at is None
        assert (password_hash is not None) == may_log_in
        if may_log_in:
            assert check_password(PASSWORD, password_hash, settings.bcrypt_rounds)
    system = program.rows(f"SELECT username FROM users WHERE id = '{SYSTEM_USER_ID}'")
    assert system == [("system",)]
    shown = program.json("user", "show", "data_validator-1")
    assert shown["name"] == "Data Validator 1"
    # A second time, with a user before all others, everybody gets the name of a neighbour.
    program.rows(
        "INSERT INTO users (id, name, username, email, role_id) SELECT "
        "'00000000-0000-7000-8000-000000000001', 'x', 'x', 'x@example.org', id FROM roles "
        "WHERE name = 'administrator'"
    )
    ended = program.inside("db", "anonymize", "--yes")
    assert "No user can log in" in ended.stderr
    assert program.rows("SELECT count(*) FROM users WHERE password_hash IS NOT NULL") == [(0,)]


def test_credentials_hold_nothing_and_can_be_read(program: Program, settings: Settings) -> None:
    program.inside("db", "anonymize", "--yes", "--organizations")
    encryptor = Encryptor(settings.encryption_key_ring())
    rows = program.rows("SELECT id, encryption_key_id, sensitive_data FROM credentials")
    assert rows
    for row_id, key_id, data in rows:
        assert (
            encryptor.decrypt(key_id, bytes(data), encryption_context(uuid.UUID(str(row_id)))) == {}
        )
    assert ADDRESS not in "".join(everything(program)["organizations"])


def test_an_audit_log_that_refuses_changes_is_scrubbed_all_the_same(program: Program) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="append-only"):
        program.rows("UPDATE audit_log SET address = NULL")
    program.inside("db", "anonymize", "--yes")
    assert MARK not in "".join(everything(program)["audit_log"])
    enabled = "SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'append_only'"
    assert program.rows(enabled) == [("O",)]


def test_it_is_refused_where_it_must_not_be(program: Program, settings: Settings) -> None:
    before = everything(program)
    asked = program.inside("db", "anonymize", code=WRONG_USE)
    assert "for good. Go on?" in asked.stderr
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    assert url.rpartition("/")[2].partition("?")[0] in asked.stderr
    weak = program.inside("db", "anonymize", "--yes", code=WRONG_USE, SATUPETA_PASSWORD="x")
    assert "8" in weak.stderr
    keys = '{"1": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}'
    production = {"ENVIRONMENT": "production", "ENCRYPTION_KEYS": keys}
    for option in ("--yes", "--dry-run"):
        ended = program.inside("db", "anonymize", option, code=WRONG_USE, **production)
        assert "production system" in ended.stderr
    away = {"DATABASE_URL": "postgresql://x:y@127.0.0.1:9/x"}
    program.inside("db", "anonymize", "--yes", code=UNAVAILABLE, **away)
    assert everything(program) == before
    program.rows("DROP TABLE mapset_revisions")
    lacking = program.inside("db", "anonymize", "--yes", code=CONFIGURATION)
    assert "run satupeta db upgrade" in lacking.stderr
    assert MARK in "".join(everything(program)["users"])
