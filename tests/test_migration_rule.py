"""Migrations let the old version go on, and a check would see one that does not."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from satupeta_server import migrating, migration_files
from tests.migration_rule import problems
from tests.test_migrating import empty

__all__ = ["empty"]

PATHS = [
    path for path in sorted(migration_files.MIGRATIONS.glob("*.sql")) if "rollback" not in path.name
]
FIRST = """CREATE TABLE lakes (id integer PRIMARY KEY, name text, area integer,
    kind text NOT NULL DEFAULT 'natural', note text DEFAULT '');
CREATE FUNCTION size_of(lake integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
INSERT INTO lakes SELECT number, 'Danau ' || number, number FROM generate_series(1, 100) AS number;
"""
BAD = {
    "ALTER TABLE lakes DROP COLUMN area;": "lakes.area: the old version still reads it",
    "ALTER TABLE lakes RENAME COLUMN area TO surface;": "lakes.area: the old version still reads",
    "ALTER TABLE lakes RENAME TO waters;": "lakes.id: the old version still reads it",
    "DROP TABLE lakes;": "lakes.id: the old version still reads it",
    "DROP FUNCTION size_of(integer);": "size_of(integer): the old version still reads it",
    "ALTER TABLE lakes ALTER COLUMN area TYPE bigint;": "lakes: the whole table is written anew",
    "ALTER TABLE lakes ALTER COLUMN name TYPE varchar;": "lakes.name: the old version knows it",
    "ALTER TABLE lakes ALTER COLUMN name SET NOT NULL;": "lakes.name: the old version knows it",
    "ALTER TABLE lakes ADD COLUMN at timestamptz DEFAULT clock_timestamp();": "lakes: the whole",
    "ALTER TABLE lakes ADD CONSTRAINT wide CHECK (area > 0);": "wide: a new rule reads the whole",
    "ALTER TABLE lakes ADD COLUMN x text; CREATE INDEX ON lakes (area);": "lakes: readers wait",
    "ALTER TABLE lakes ADD CONSTRAINT named UNIQUE (name);": "named: readers wait while its index",
    "CREATE UNIQUE INDEX named ON lakes (name);": "named: the old version may write the same",
    "DELETE FROM lakes; ALTER TABLE lakes ADD COLUMN x integer NOT NULL;": "lakes.x: the old",
    "ALTER TABLE lakes ALTER COLUMN kind DROP DEFAULT;": "lakes.kind: the old version writes rows",
    "ALTER TABLE lakes ALTER COLUMN note DROP DEFAULT;": "lakes.note: the old version knows its",
    "WITH large AS (SELECT 1) UPDATE lakes SET area = 1;": "lakes: a table that is in use",
    "-- transactional: false\nCREATE INDEX CONCURRENTLY a ON lakes (area);": "a: what a failure",
    "UPDATE lakes SET area = 1;": "lakes: a table that is in use is changed in one statement",
}
GOOD = (
    "CREATE TABLE rivers (id integer PRIMARY KEY); INSERT INTO rivers SELECT id FROM lakes;",
    "ALTER TABLE lakes ADD COLUMN depth integer NOT NULL DEFAULT 0;",
    "CREATE INDEX lakes_area ON lakes (area); ALTER TABLE lakes ADD COLUMN depth integer;",
    "ALTER TABLE lakes ADD CONSTRAINT wide CHECK (area > 0) NOT VALID;",
    "-- contract: lakes.area: no version since 1.3.0 reads it\nALTER TABLE lakes DROP COLUMN area;",
    "-- transactional: false\nDROP INDEX CONCURRENTLY IF EXISTS lakes_area;\n"
    "CREATE INDEX CONCURRENTLY lakes_area ON lakes (area);",
    "CREATE TABLE rivers (id integer PRIMARY KEY, name text NOT NULL UNIQUE);",
)


def found(address: str, folder: Path, migration: str) -> list[str]:
    """What breaks the rule in a migration of a database that has lakes."""
    for name, text in (("0001.lakes", FIRST), ("0019.change", migration)):
        (folder / f"{name}.sql").write_text(text, encoding="utf-8")
    return list(problems(address, sorted(folder.glob("*.sql"))))


def test_the_old_version_goes_on_beside_every_migration(empty: str) -> None:
    assert len(PATHS) == len(migration_files.migration_names())
    assert list(problems(empty, PATHS)) == []


@pytest.mark.parametrize("migration", BAD)
def test_what_breaks_the_rule_is_seen(empty: str, tmp_path: Path, migration: str) -> None:
    said = found(empty, tmp_path, migration)
    assert any(one.startswith(f"0019.change: {BAD[migration]}") for one in said), said


@pytest.mark.parametrize("migration", GOOD)
def test_what_keeps_it_is_not_complained_of(empty: str, tmp_path: Path, migration: str) -> None:
    assert found(empty, tmp_path, migration) == []


@contextmanager
def holding(address: str, statement: str) -> Iterator[None]:
    """Somebody who reads and does not end the transaction."""
    with closing(psycopg2.connect(address)) as connection:
        connection.cursor().execute(statement)
        yield


@pytest.fixture
def add(empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts one more migration behind those that are applied; locks are not waited for long."""
    migrating.upgrade(empty)
    folder = tmp_path / "migrations"
    shutil.copytree(migration_files.MIGRATIONS, folder)
    last = migration_files.migration_names()[-1]
    monkeypatch.setattr(migration_files, "MIGRATIONS", folder)
    monkeypatch.setattr(migrating, "LOCK_MILLISECONDS", 300)
    monkeypatch.setattr(migrating, "PAUSE_SECONDS", 0.2)

    def add(change: str) -> None:
        path = folder / "9999.probe.sql"
        path.write_text(f"-- depends: {last}\n{change}\n", encoding="utf-8")

    return add


def upgrade_beside(address: str) -> tuple[threading.Thread, list[str], list[str]]:
    """A thread that is going to upgrade, what it says, and what it has applied."""
    said: list[str] = []
    applied: list[str] = []
    work = threading.Thread(target=lambda: applied.extend(migrating.upgrade(address, said.append)))
    return work, said, applied


def test_a_migration_that_waits_for_a_reader_makes_no_other_reader_wait(
    empty: str, add: Callable[[str], None]
) -> None:
    add("ALTER TABLE mapsets ADD COLUMN probe text;")
    upgrading, said, applied = upgrade_beside(empty)
    with holding(empty, "SELECT FROM mapsets"):
        upgrading.start()
        for _ in range(8):
            time.sleep(0.15)
            with closing(psycopg2.connect(empty, options="-c statement_timeout=2000")) as other:
                other.cursor().execute("SELECT count(*) FROM mapsets")
        assert applied == []
    upgrading.join(20)
    assert applied == ["9999.probe"]
    assert any("is in use" in one for one in said)


def test_an_index_beside_all_others_waits_for_their_transactions(
    empty: str, add: Callable[[str], None]
) -> None:
    add(
        "-- transactional: false\n\nDROP INDEX CONCURRENTLY IF EXISTS probe;\n"
        "CREATE INDEX CONCURRENTLY probe ON mapsets (scale);"
    )
    # As a process leaves it that is killed in the middle.
    with closing(psycopg2.connect(empty)) as connection:
        connection.autocommit = True
        connection.cursor().execute("CREATE INDEX probe ON mapsets (name)")
    upgrading, said, applied = upgrade_beside(empty)
    with holding(empty, "SELECT FROM mapsets"):
        upgrading.start()
        upgrading.join(1.5)
        assert upgrading.is_alive()
    upgrading.join(20)
    assert applied == ["9999.probe"]
    assert said == ["Applying migration 9999.probe"]
    with closing(psycopg2.connect(empty)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'probe'::regclass")
        assert cursor.fetchall() == [(True,)]
