"""``satupeta doctor``: each thing that can be wrong is a line, and never a traceback."""

import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from minio import Minio
from pydantic import SecretStr

from satupeta_server.maintenance import (
    checks_database,
    checks_servers,
    checks_settings,
    checks_store,
)
from satupeta_server.maintenance.doctor import Check, Finding, Patient, examine
from satupeta_server.maintenance.examination import CHECKS
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import DONE, SOME_FAILED, Program
from tests.conftest import execute
from tests.running import free_port
from tests.test_notifications import SMTP_SECRET, Mailbox, mailbox

__all__ = ["mailbox"]


@pytest.fixture
def program(settings: Settings, tmp_path: Path, store: ObjectStore) -> Program:
    return Program(settings, tmp_path)


def patient(settings: Settings, **changes: Any) -> Patient:
    return Patient(settings.model_copy(update=changes), Path("nowhere.env"))


def address(settings: Settings) -> str:
    return settings.database_url.get_secret_value() if settings.database_url else ""


def test_a_sound_installation(program: Program) -> None:
    found = {one["check"]: one for one in program.json("doctor")}
    assert list(found) == [check.name for check in CHECKS]
    wrong = {name: one for name, one in found.items() if one["state"] not in ("ok", "skipped")}
    # The tests hash cheaply, with a key of zeros, their administrator never changed, the API
    # owns the tables, and no worker works.
    assert set(wrong) <= {"secrets", "accounts", "audit", "disk", "objects", "jobs"}
    assert all(one["state"] == "warning" and one["advice"] for one in wrong.values())
    lines = program("doctor").stdout.splitlines()
    assert len(lines) == len(CHECKS)
    assert program.inside("doctor", "--strict", code=SOME_FAILED)
    assert program.audit() == []


def test_a_dead_database_and_a_dead_store_are_lines(program: Program) -> None:
    started = time.monotonic()
    ended = program(
        "doctor", code=SOME_FAILED,
        DATABASE_URL="postgresql://budi:geheim@127.0.0.1:9/x", MINIO_ENDPOINT_URL="127.0.0.1:9",
    )  # fmt: skip
    assert time.monotonic() - started < 20
    assert "problem  database" in ended.stdout
    assert "problem  bucket" in ended.stdout
    assert "skipped  migrations     needs database" in ended.stdout
    assert "skipped  policy         needs bucket" in ended.stdout
    assert "geheim" not in ended.stdout


def test_settings_that_cannot_be_read_are_a_line(program: Program) -> None:
    found = program.json("doctor", code=SOME_FAILED, ALLOWED_ORIGINS='["*"]')
    assert found[0]["state"] == "problem"
    assert "ALLOWED_ORIGINS" in found[0]["finding"]
    assert {one["state"] for one in found[1:]} == {"skipped"}


@pytest.mark.alone
def test_checks_run_side_by_side_and_are_not_waited_for() -> None:
    def sleep(_patient: Patient) -> Finding:
        time.sleep(0.4)
        return Finding("ok", "")

    def hang(_patient: Patient) -> Finding:
        threading.Event().wait()
        return Finding("ok", "")

    def fail(_patient: Patient) -> Finding:
        raise ZeroDivisionError

    looks = {"one": sleep, "two": sleep, "three": sleep, "stuck": hang, "broken": fail}
    checks = [Check(name, look, needs=()) for name, look in looks.items()]
    begin = time.monotonic()
    found = examine(
        Patient(None, Path(".env")), [*checks, Check("after", sleep, needs=("broken",))], 1
    )
    assert time.monotonic() - begin < 1.4
    assert [one.state for one in found.values()] == [
        "ok", "ok", "ok", "problem", "problem", "skipped",
    ]  # fmt: skip
    assert "no answer within 1 second" in found["stuck"].text
    assert "ZeroDivisionError" in found["broken"].text


def test_a_database_that_accepts_and_says_nothing_is_left_alone(settings: Settings) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = SecretStr(f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/x")
        begin = time.monotonic()
        check = Check("database", checks_database.server, needs=())
        found = examine(patient(settings, database_url=url), [check])
    assert found["database"].state == "problem"
    assert time.monotonic() - begin < 9


def test_pending_and_unknown_migrations(settings: Settings) -> None:
    execute(address(settings), "UPDATE _yoyo_migration SET migration_id = '9999.later' "
            "WHERE migration_id = '0003.lookups'")  # fmt: skip
    found = checks_database.migrations(patient(settings))
    assert (found.state, found.advice) == ("problem", "run satupeta db upgrade")
    assert "0003.lookups" in found.text
    execute(address(settings), "INSERT INTO _yoyo_migration (migration_hash, migration_id) "
            "VALUES ('x', '0003.lookups')")  # fmt: skip
    assert "9999.later" in checks_database.migrations(patient(settings)).text
    execute(address(settings), "DROP TABLE _yoyo_migration")
    assert checks_database.migrations(patient(settings)).state == "problem"


def test_missing_and_invalid_indexes(settings: Settings) -> None:
    assert checks_database.indexes(patient(settings)).state == "ok"
    execute(address(settings), "DROP INDEX mapsets_newest")
    # A unique index that its rows contradict is left behind, invalid.
    with pytest.raises(psycopg2.errors.UniqueViolation):
        execute(
            address(settings), "CREATE UNIQUE INDEX CONCURRENTLY one_of_each ON users (is_active)"
        )
    found = checks_database.indexes(patient(settings))
    assert found.state == "problem"
    assert "invalid: one_of_each" in found.text
    assert "missing: mapsets_newest" in found.text
    assert "REINDEX INDEX CONCURRENTLY one_of_each" in found.advice


def test_indexes_that_migrations_drop_or_rename_are_not_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001.sql").write_text(
        "CREATE TABLE one (id int); -- CREATE INDEX remark ON one (id);\n"
        "CREATE UNIQUE INDEX a ON one (id);\nCREATE INDEX CONCURRENTLY b\n    ON one (id);\n"
        "CREATE INDEX IF NOT EXISTS c ON two USING gin (id);\nCREATE INDEX d ON two (id);",
        encoding="utf-8",
    )
    (tmp_path / "0002.sql").write_text(
        "DROP INDEX IF EXISTS d; ALTER INDEX c RENAME TO e; DROP TABLE one;", encoding="utf-8"
    )
    monkeypatch.setattr(checks_database, "MIGRATIONS", tmp_path)
    monkeypatch.setattr(checks_database, "migration_names", lambda: ["0001", "0002"])
    assert checks_database.expected_indexes() == {"e"}


@pytest.mark.parametrize(
    ("statement", "state", "words"),
    [
        ("UPDATE users SET is_active = false WHERE username = 'administrator'", "problem",
         "no active administrator"),
        ("UPDATE users SET password_hash = NULL, email = 'v@pu.go.id' WHERE username = 'viewer'",
         "warning", "without a password: viewer"),
        ("UPDATE users SET organization_id = NULL WHERE username = 'pengelola'", "warning",
         "without an organization: pengelola"),
    ],
)  # fmt: skip
def test_accounts(settings: Settings, statement: str, state: str, words: str) -> None:
    execute(address(settings), "UPDATE users SET password_changed_at = now() WHERE NOT is_system")
    assert checks_database.accounts(patient(settings)).state == "ok"
    execute(address(settings), statement)
    found = checks_database.accounts(patient(settings))
    assert found.state == state
    assert words in found.text
    assert "satupeta user" in found.advice


def test_accounts_of_the_sample_data_are_a_problem_in_production(settings: Settings) -> None:
    found = checks_database.accounts(patient(settings, environment="production"))
    assert found.state == "problem"
    assert "accounts of the sample data: administrator" in found.text
    assert "first password: administrator" in found.text


def test_a_key_that_is_missing(settings: Settings) -> None:
    assert checks_database.credentials(patient(settings)).state == "ok"
    execute(address(settings), "UPDATE credentials SET encryption_key_id = 'lost'")
    found = checks_database.credentials(patient(settings))
    assert found.state == "problem"
    assert "“lost” for 1" in found.text


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({"allowed_origins": []}, "warning", "empty"),
        ({"allowed_origins": ["https://*"]}, "problem", "no origin"),
        ({"allowed_origins": ["http://peta.go.id"]}, "problem", "without TLS"),
        ({"allowed_origins": ["http://localhost:3000"]}, "warning", "without TLS"),
        ({"allowed_origins": ["https://peta.go.id"]}, "ok", "https://peta.go.id"),
    ],
)
def test_origins(settings: Settings, changes: dict[str, Any], state: str, words: str) -> None:
    found = checks_settings.origins(patient(settings, environment="production", **changes))
    assert found.state == state
    assert words in found.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"minio_root_password": SecretStr("minioadmin")}, "MINIO_ROOT_PASSWORD is a default"),
        ({"database_url": SecretStr("postgresql://u:postgres@h/d")}, "DATABASE_URL is a default"),
        ({"database_url": SecretStr("postgresql://u:short@h/d")}, "less than 12 characters"),
        ({"bcrypt_rounds": 4}, "BCRYPT_ROUNDS is 4"),
        ({}, "the encryption key “1” is not random"),
    ],
)
def test_weak_secrets(settings: Settings, changes: dict[str, Any], words: str) -> None:
    found = checks_settings.secrets(patient(settings, **{"environment": "production", **changes}))
    assert found.state == "problem"
    assert words in found.text


def test_files_of_secrets_are_private(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.touch(0o644)
    assert f"chmod 600 {path}" in checks_settings.secrets(Patient(settings, path)).advice
    # As docs/deployment.md gives it to the service, if it is root's.
    path.chmod(0o640)
    is_fine = "chmod" not in (checks_settings.secrets(Patient(settings, path)).advice or "")
    assert is_fine is (path.stat().st_uid == 0)


def test_production_wants_its_public_address(settings: Settings) -> None:
    production = {"environment": "production"}
    assert checks_settings.configuration(patient(settings)).state == "ok"
    assert "PUBLIC_URL" in checks_settings.configuration(patient(settings, **production)).text
    exposed = checks_settings.configuration(patient(settings, host="0.0.0.0"))  # noqa: S104
    assert exposed.state == "warning"


def test_little_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks_settings.disk(patient(settings)).state in ("ok", "warning")
    monkeypatch.setattr(checks_settings, "_LITTLE_SPACE", 1 << 60)
    found = checks_settings.disk(patient(settings, max_upload_size=1 << 60))
    assert found.state == "problem"
    assert "TMPDIR" in found.advice


def test_the_bucket(settings: Settings, store: ObjectStore) -> None:
    assert checks_store.bucket(patient(settings)).state == "ok"
    missing = checks_store.bucket(patient(settings, minio_bucket_name="nothing-here"))
    assert (missing.state, missing.advice) == ("problem", "run satupeta bucket create")
    wrong_key = patient(settings, minio_root_password=SecretStr("wrong"))
    assert "refuses" in checks_store.bucket(wrong_key).text
    dead = checks_store.bucket(patient(settings, minio_endpoint_url="127.0.0.1:9"))
    assert "does not answer" in dead.text


def test_anonymous_access_is_found(settings: Settings) -> None:
    own = settings.model_copy(update={"minio_bucket_name": f"satupeta-{secrets.token_hex(6)}"})
    bucket = ObjectStore(own)
    bucket.ensure_bucket()
    assert checks_store.policy(patient(own)).state == "ok"
    client: Minio = bucket._client
    client.set_bucket_policy(own.minio_bucket_name, f"""{{"Version": "2012-10-17", "Statement": [
        {{"Effect": "Allow", "Principal": {{"AWS": ["*"]}}, "Action": ["s3:GetObject"],
          "Resource": ["arn:aws:s3:::{own.minio_bucket_name}/*"]}}]}}""")  # fmt: skip
    found = checks_store.policy(patient(own))
    assert (found.state, "s3:GetObject" in found.text) == ("problem", True)
    client.delete_bucket_policy(own.minio_bucket_name)
    client.remove_bucket(own.minio_bucket_name)
    bucket.close()


def test_objects_and_rows_belong_together(
    settings: Settings, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = settings.model_copy(update={"minio_bucket_name": "satupeta-doctor"})
    bucket = ObjectStore(own)
    bucket.ensure_bucket()
    assert checks_store.objects(patient(own)).state == "ok"
    (tmp_path / "one").write_bytes(b"x")
    bucket.put_file("files/one", tmp_path / "one", "text/plain")
    assert checks_store.objects(patient(own)).text == "1 objects have no row"
    execute(address(own), "INSERT INTO files (id, object_name, name, content_type, size, checksum, "
            "uploaded_by) SELECT gen_random_uuid(), 'files/two', 'two', 'text/plain', 1, "
            "repeat('0', 64), id FROM users LIMIT 1")  # fmt: skip
    assert checks_store.objects(patient(own)).state == "problem"
    monkeypatch.setattr(checks_store, "FEW_OBJECTS", 0)
    assert checks_store.objects(patient(own)).state == "skipped"
    bucket.remove("files/one")
    bucket.close()


def test_clocks_that_differ(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks_store.clock(patient(settings))
    assert found.state == "ok"
    assert "object store" in found.text
    for seconds, state in ((30.0, "warning"), (-90.0, "problem")):
        monkeypatch.setattr(checks_store, "_database_time", lambda _one, shift=seconds: shift)
        assert checks_store.clock(patient(settings)).state == state


def test_nothing_is_changed_by_looking(program: Program) -> None:
    program.inside("doctor", code=DONE)
    assert not [path for path in program.folder.iterdir() if path.name == "secrets.json"]


def test_jobs_that_nobody_does_are_a_problem(settings: Settings) -> None:
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    check = Check("jobs", checks_database.jobs, needs=())

    def state() -> str:
        return examine(patient(settings), [check])["jobs"].state

    assert state() == "warning"
    execute(
        url,
        "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('default', 'x');"
        "UPDATE procrastinate_events SET at = now() - interval '1 hour'",
    )
    assert state() == "problem"
    execute(url, "INSERT INTO procrastinate_workers DEFAULT VALUES")
    assert state() == "warning"
    execute(url, "UPDATE procrastinate_jobs SET status = 'doing'")
    assert state() == "ok"


def test_a_delivery_that_has_failed_is_told(settings: Settings) -> None:
    check = Check("deliveries", checks_database.deliveries, needs=())

    def finding() -> Finding:
        return examine(patient(settings), [check])["deliveries"]

    execute(address(settings), "DELETE FROM outbox")
    assert finding().state == "ok"
    execute(
        address(settings),
        "INSERT INTO outbox (id, channel, event, payload, address, status)"
        " SELECT gen_random_uuid(), 'webhook', 'x', '{}', 'https://example.org', status"
        " FROM unnest(ARRAY['failed', 'delivered', 'waiting']) AS status",
    )
    assert finding().state == "warning"
    assert finding().text == "webhook: 1 failed"
    assert "satupeta outbox retry" in finding().advice


def test_a_mail_server_is_greeted_and_sent_nothing(settings: Settings, mailbox: Mailbox) -> None:
    check = Check("mail", checks_servers.mail, needs=())

    def finding(**changes: Any) -> Finding:
        return examine(patient(settings, **changes), [check])["mail"]

    assert finding().state == "skipped"
    known = {"smtp_host": "127.0.0.1", "smtp_port": mailbox.port, "smtp_security": "none"}
    assert finding(**known).state == "ok"
    assert mailbox.mails == []
    for wrong in ({"smtp_port": free_port()}, {"smtp_security": "starttls"}):
        found = finding(**known | wrong)
        assert found.state == "problem"
        assert "SMTP_" in found.advice
    secret = SecretStr(SMTP_SECRET)
    found = finding(**known, smtp_username="peta", smtp_password=secret)
    assert found.state == "problem"
    assert SMTP_SECRET not in found.text
