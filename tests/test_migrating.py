"""Migrations: forwards, backwards, at once, and after a kill."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
from yoyo.backends.core.postgresql import PostgresqlBackend

from satupeta_server import migrating, migration_files
from satupeta_server.embedded import Addresses
from satupeta_server.errors import StartError
from tests.conftest import address_of, execute


@pytest.fixture
def empty(addresses: Addresses) -> str:
    """The address of an empty database."""
    name = f"empty_{secrets.token_hex(6)}"
    execute(addresses.database_url or "", f"CREATE DATABASE {name}")
    return address_of(addresses, name)


def schema(address: str) -> list[tuple[str, ...]]:
    """Every column and index."""
    connection = psycopg2.connect(address)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name NOT LIKE '%yoyo%' UNION ALL "
            "SELECT tablename, indexname, indexdef FROM pg_indexes "
            "WHERE schemaname = 'public' AND tablename NOT LIKE '%yoyo%' ORDER BY 1, 2, 3"
        )
        rows: list[tuple[str, ...]] = cursor.fetchall()
    connection.close()
    return rows


def test_all_steps_can_be_rolled_back_and_applied_again(empty: str) -> None:
    names = migrating.upgrade(empty)
    assert names == migration_files.migration_names()
    whole = schema(empty)
    assert migrating.upgrade(empty) == []
    assert sorted(migrating.downgrade(empty, "0003.lookups")) == names[3:]
    assert len(migrating.downgrade(empty)) == 3
    assert schema(empty) == []
    migrating.upgrade(empty)
    assert schema(empty) == whole


def test_of_two_at_once_one_applies(empty: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        applied = list(threads.map(migrating.upgrade, [empty, empty]))
    assert sorted(map(len, applied)) == [0, len(migration_files.migration_names())]


@pytest.mark.parametrize("note", ["mark_one", "unmark_one"])
def test_who_dies_before_a_step_is_noted_has_not_taken_it(
    empty: str, monkeypatch: pytest.MonkeyPatch, note: str
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    names = migration_files.migration_names()
    if note == "unmark_one":
        migrating.upgrade(empty)
    with monkeypatch.context() as dying:
        dying.setattr(PostgresqlBackend, note, die)
        with pytest.raises(KeyboardInterrupt):
            (migrating.upgrade if note == "mark_one" else migrating.downgrade)(empty)
    applied = schema(empty)
    assert bool(applied) == (note == "unmark_one")
    migrating.upgrade(empty)
    assert len(migrating.downgrade(empty)) == len(names)
    assert schema(empty) == []


def test_a_failure_outside_a_transaction_takes_nothing_from_readers(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = migrating.upgrade(empty)
    begin = f"-- depends: {names[-1]}\n-- transactional: false\n"
    (tmp_path / "9999.probe.sql").write_text(
        f"{begin}DROP INDEX IF EXISTS probe;\nCREATE INDEX probe ON mapsets (scale);\n"
        "DROP INDEX mapsets_newest;\nCREATE TABLE mapsets ();\n"
    )
    (tmp_path / "9999.probe.rollback.sql").write_text(
        "CREATE INDEX mapsets_newest ON mapsets (created_at);\nDROP INDEX probe;\nSELECT 1;\n"
    )
    for file in migration_files.MIGRATIONS.glob("*.sql"):
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.setattr(migration_files, "MIGRATIONS", tmp_path)
    with pytest.raises(StartError, match="failed on its way"):
        migrating.upgrade(empty)
    assert "probe" in {name for _, name, *_ in schema(empty)}


def test_the_role_s_limit_of_a_statement_is_not_one_of_migrations(empty: str) -> None:
    name = empty.rpartition("/")[2].partition("?")[0]
    execute(empty, f"ALTER DATABASE {name} SET statement_timeout = 1")
    assert migrating.upgrade(empty) == migration_files.migration_names()


def test_the_lock_of_a_killed_process_is_broken(empty: str) -> None:
    migrating.upgrade(empty)
    execute(empty, "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")
    assert migrating.upgrade(empty) == []


def test_an_unreachable_database_is_one_sentence_without_the_password() -> None:
    with pytest.raises(StartError) as error:
        migrating.upgrade("postgresql://u:geheim@127.0.0.1:9/x")
    assert "DATABASE_URL" in str(error.value)
    assert "geheim" not in str(error.value)


def test_every_foreign_key_has_an_index(empty: str) -> None:
    migrating.upgrade(empty)
    connection = psycopg2.connect(empty)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conkey[1] FROM pg_constraint c WHERE contype = 'f' "
            "AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid "
            "AND i.indkey[0] = c.conkey[1])"
        )
        missing = {row[0] for row in cursor.fetchall()}
    connection.close()
    assert missing <= {"mapsets", "credentials"}, missing
