"""``satupeta db``: what is applied, new migrations, locks that are left, and first data."""

import datetime
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from satupeta_server import migrating, migration_files
from satupeta_server.embedded import Addresses
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import CONFIGURATION, SATUPETA, SOME_FAILED, WRONG_USE, Program
from tests.conftest import make_settings, own_database

NAMES = migration_files.migration_names()
LEFT = "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 4711)"


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


@pytest.fixture
def empty(addresses: Addresses, tmp_path: Path) -> Iterator[Program]:
    """A program on an empty database."""
    with own_database(addresses, "empty") as name:
        yield Program(make_settings(addresses, name, data_dir=tmp_path), tmp_path)


# --- Status and check -----------------------------------------------------------------------------


def test_status_and_check_of_an_empty_and_of_a_whole_database(
    empty: Program, program: Program
) -> None:
    listed = empty.json("db", "status")
    assert [(one["name"], one["state"]) for one in listed] == [(name, "pending") for name in NAMES]
    pending = empty("db", "check", code=SOME_FAILED)
    assert [line.split() for line in pending.stdout.splitlines()[1:]] == [
        [name, "pending"] for name in NAMES
    ]
    assert "Run satupeta db upgrade." in pending.stderr
    assert "no tables" in empty.inside("db", "status", "--tables").stderr
    whole = program("db", "status")
    assert whole.stdout.count(" applied ") == len(NAMES)
    assert "0 migrations pending" in whole.stderr
    moment = datetime.datetime.fromisoformat(program.json("db", "status")[0]["applied_at"])
    age = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - moment
    assert abs(age) < datetime.timedelta(hours=1)
    assert program.inside("db", "check").stdout == ""
    tables = {one["table"]: one for one in program.json("db", "status", "--tables")}
    assert tables["roles"]["rows"] == 4
    assert tables["regionals"]["bytes"] > 8192
    assert not any("yoyo" in name for name in tables)


def test_migrations_that_only_another_version_knows(program: Program) -> None:
    program.rows(
        "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc) "
        "VALUES ('x', '0099.of-later', now())"
    )
    assert program.json("db", "status")[-1]["state"] == "unknown"
    assert program.json("db", "check", code=SOME_FAILED) == [
        {"name": "0099.of-later", "state": "unknown"}
    ]
    refused = program.inside("db", "downgrade", "--to", NAMES[0], "--yes", code=WRONG_USE)
    assert "0099.of-later" in refused.stderr
    assert program.rows("SELECT count(*) FROM _yoyo_migration") == [(len(NAMES) + 1,)]


def test_upgrade_and_downgrade_can_be_tried_and_are_recorded(
    empty: Program, program: Program
) -> None:
    tried = empty.inside("db", "upgrade", "--dry-run")
    assert tried.stdout == f"{len(NAMES)} migrations would be applied\n"
    assert empty.rows("SELECT to_regclass('users')") == [(None,)]
    url = program.settings.database_url
    assert url is not None
    migrating.downgrade(url.get_secret_value(), to=NAMES[-2])
    assert program.inside("db", "upgrade").stdout == "1 migrations applied\n"
    assert program.audit() == [("upgrade", "database", "satupeta db upgrade")]
    assert program.inside("db", "upgrade").stdout == "0 migrations applied\n"
    assert len(program.audit()) == 1


# --- A new migration ------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations in a checkout of their own."""
    folder = tmp_path / "checkout" / "migrations"
    shutil.copytree(migration_files.MIGRATIONS, folder)
    (folder.parent / "pyproject.toml").touch()
    monkeypatch.setattr(migration_files, "MIGRATIONS", folder)
    return folder


def test_a_new_migration_comes_last_and_can_be_applied(empty: Program, checkout: Path) -> None:
    number = len(NAMES) + 1
    stem = f"{number:04}.licences-of-mapsets"
    tried = empty.inside("db", "new", "licences-of-mapsets", "--dry-run")
    assert f"migrations/{stem}.sql: would be written" in tried.stdout
    assert len(list(checkout.glob("*.sql"))) == 2 * len(NAMES)
    made = empty.inside("db", "new", "licences-of-mapsets")
    assert made.stdout.split() == [f"migrations/{stem}.sql", f"migrations/{stem}.rollback.sql"]
    text = (checkout / f"{stem}.sql").read_text(encoding="utf-8")
    assert text == f"-- depends: {NAMES[-1]}\n"
    with (checkout / f"{stem}.sql").open("a", encoding="utf-8") as file:
        file.write("CREATE TABLE licences (id uuid PRIMARY KEY);\n")
    (checkout / f"{stem}.rollback.sql").write_text("DROP TABLE licences;\n", encoding="utf-8")
    assert empty.inside("db", "upgrade").stdout == f"{number} migrations applied\n"
    assert empty.rows("SELECT count(*) FROM licences") == [(0,)]
    empty.inside("db", "downgrade", "--to", NAMES[-1], "--yes")
    assert empty.rows("SELECT to_regclass('licences')") == [(None,)]


@pytest.mark.parametrize(
    "name", ["", "Huruf", "a b", "../a", "a--b", "-a", "a-", "1a", "a.b", "a_b", "é", "x" * 61]
)
def test_names_that_a_migration_cannot_have(empty: Program, checkout: Path, name: str) -> None:
    before = sorted(checkout.iterdir())
    ended = empty.inside("db", "new", "--", name, code=WRONG_USE)
    assert "cannot be the name of a migration" in ended.stderr
    assert sorted(checkout.iterdir()) == before


def test_a_migration_is_not_begun_twice_nor_outside_a_checkout(
    empty: Program, checkout: Path
) -> None:
    ended = empty.inside("db", "new", "mapsets", code=WRONG_USE)
    assert "There is a migration of this name: 0005.mapsets." in ended.stderr
    (checkout.parent / "pyproject.toml").unlink()
    ended = empty.inside("db", "new", "licences", code=WRONG_USE)
    assert "is not in a checkout" in ended.stderr


# --- Locks ----------------------------------------------------------------------------------------


def test_a_lock_that_was_left_is_broken(program: Program, empty: Program) -> None:
    assert program("db", "break-lock").stdout == "Lock: unchanged; there is none\n"
    program.rows(LEFT)
    assert program.inside("db", "break-lock", "--dry-run").stdout == "Lock: would be broken\n"
    assert program.rows("SELECT pid FROM yoyo_lock") == [(4711,)]
    assert program.audit() == []
    assert program.inside("db", "break-lock").stdout == "Lock: broken\n"
    assert program.rows("SELECT pid FROM yoyo_lock") == []
    assert program.audit() == [("break_lock", "database", "satupeta db break-lock")]
    assert "there is none" in empty.inside("db", "break-lock").stdout


def test_the_lock_of_a_process_that_works_is_not_broken(program: Program) -> None:
    program.rows(LEFT)
    holder = psycopg2.connect(program.environment["DATABASE_URL"])
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s), pg_backend_pid()", (migrating.LOCK_KEY,))
        pid = (cursor.fetchone() or ("", 0))[1]
    ended = program("db", "break-lock", code=SOME_FAILED)
    assert f"number {pid} in PostgreSQL" in ended.stderr
    assert program.rows("SELECT pid FROM yoyo_lock") == [(4711,)]
    release = threading.Timer(2, holder.close)
    release.start()
    waited = program("db", "upgrade")
    release.join()
    assert "this one waits for it" in waited.stderr
    assert waited.stdout == "0 migrations applied\n"


# --- First data -----------------------------------------------------------------------------------


def test_a_seed_can_be_tried_and_is_recorded_once(empty: Program) -> None:
    assert "run satupeta db upgrade" in empty.inside("db", "seed", code=CONFIGURATION).stderr
    empty.inside("db", "upgrade")
    tried = empty.inside("db", "seed", "--dry-run")
    assert " 4 roles, 1 users would be added" in tried.stdout
    assert empty.rows("SELECT count(*) FROM roles") == [(0,)]
    assert " 4 roles, 1 users added" in empty("db", "seed").stdout
    assert empty.inside("db", "seed").stdout == "Seed: unchanged\n"
    assert empty.audit() == [("seed", "database", "satupeta db seed")]


def test_a_sample_of_any_size_is_added_once(program: Program) -> None:
    own = program.settings.model_copy(update={"minio_bucket_name": "tests-of-db-sample"})
    program = Program(own, program.folder)
    tried = program.inside("db", "sample", "--count", "7", "--dry-run")
    assert tried.stdout == "Sample: 7 mapsets would be added\n"
    assert program.rows("SELECT count(*) FROM mapsets") == [(0,)]
    assert "7 mapsets" in program("db", "sample", "--count", "7").stdout
    assert program.inside("db", "sample", "--count", "7").stdout == "Sample: unchanged\n"
    assert program.inside("db", "sample", "--count", "9").stdout == "Sample: 2 mapsets added\n"
    assert [one[:2] for one in program.audit()] == [("sample", "database")] * 2
    store = ObjectStore(own)
    for (name,) in program.rows("SELECT object_name FROM files"):
        assert store.describe(name).size > 0
    store.close()


def test_a_sample_is_asked_for_in_production(program: Program) -> None:
    strong = {"ENVIRONMENT": "production", "ENCRYPTION_KEYS": _random_keys()}
    ended = program.inside("db", "sample", "--count", "1", code=WRONG_USE, **strong)
    assert "This mixes made-up records with those of" in ended.stderr
    assert program.rows("SELECT count(*) FROM mapsets") == [(0,)]


def _random_keys() -> str:
    ended = subprocess.run(
        ["openssl", "rand", "-base64", "32"], capture_output=True, text=True, check=True
    )
    return f'{{"1": "{ended.stdout.strip()}"}}'


def test_an_upgrade_that_waits_can_be_interrupted(program: Program) -> None:
    holder = psycopg2.connect(program.environment["DATABASE_URL"])
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (migrating.LOCK_KEY,))
    process = subprocess.Popen(
        [*SATUPETA, "db", "upgrade"],
        cwd=program.folder,
        env=program.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert "waits for it" in process.stderr.readline()
        os.kill(process.pid, 2)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
        holder.close()
    assert (process.returncode, said.strip()) == (130, "Interrupted.")
