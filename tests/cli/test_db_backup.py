"""``satupeta db backup`` and ``restore``: proven on real servers, and with servers that go away."""

import contextlib
import hashlib
import io
import os
import resource
import secrets
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from minio.deleteobjects import DeleteObject

from satupeta_server import migration_files
from satupeta_server.embedded import Addresses
from satupeta_server.maintenance import backing_up, catalog
from satupeta_server.maintenance.audit_retention import ALLOW_UPKEEP
from satupeta_server.maintenance.connections import transaction
from satupeta_server.models.base import new_id
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.cli.program import (
    INTERRUPTED,
    SATUPETA,
    SOME_FAILED,
    UNAVAILABLE,
    WRONG_USE,
    Program,
)
from tests.cli.proxies import before_database, before_store
from tests.conftest import execute, make_settings, own_database

UNAVAILABLE_TEXT = (
    "satupeta: The database or the object store does not answer. Try satupeta doctor.\n"
)
NAME = "satu.satupeta.tar"
ADD_FILE = (
    "INSERT INTO files (id, object_name, name, content_type, size, checksum, uploaded_by) "
    "VALUES (%s, %s, 'gambar.png', 'image/png', %s, %s, %s)"
)
ADD_NEWS = "INSERT INTO news (id, name, description, thumbnail) VALUES (%s, %s, %s, %s)"


def address(settings: Settings) -> str:
    return settings.database_url.get_secret_value() if settings.database_url else ""


def names_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def bucket(settings: Settings) -> Settings:
    """The same settings with a bucket of their own, which is not made yet."""
    return settings.model_copy(update={"minio_bucket_name": f"tests-{secrets.token_hex(6)}"})


@pytest.fixture
def source(settings: Settings) -> Settings:
    """A system with some news whose pictures are in a bucket of its own."""
    chosen = bucket(settings)
    store = ObjectStore(chosen)
    store.ensure_bucket()
    connection = psycopg2.connect(address(chosen))
    for size in (0, 1, 70_000, 300_000, 5_500_000, *[200_000] * 10):
        add(connection, store, os.urandom(size), secrets.token_hex(100_000))
    connection.close()
    store.close()
    return chosen


@pytest.fixture
def program(source: Settings, tmp_path: Path) -> Program:
    return Program(source, tmp_path)


@pytest.fixture
def elsewhere(addresses: Addresses, tmp_path: Path) -> Iterator[Program]:
    """An empty database without a bucket, on the same servers."""
    with own_database(addresses, "elsewhere") as name:
        yield Program(bucket(make_settings(addresses, name, data_dir=tmp_path)), tmp_path)


def add(connection: Any, store: ObjectStore, content: bytes, text: str, title: str = "x") -> str:
    """Add a picture and an article with it, as the API does: object, row, reference."""
    file_id = new_id()
    name = f"files/2026/01/{file_id}.png"
    store.put(name, io.BytesIO(content), len(content), "image/png")
    checksum = hashlib.sha256(content).hexdigest()
    with connection, connection.cursor() as cursor:
        values = (str(file_id), name, len(content), checksum, str(SYSTEM_USER_ID))
        cursor.execute(ADD_FILE, values)
        cursor.execute(ADD_NEWS, (str(new_id()), title, text, str(file_id)))
    return name


def rows(settings: Settings) -> dict[str, list[str]]:
    """Every row of every table, as PostgreSQL writes it, but not what it derives or counts."""
    with transaction(settings, is_snapshot=True) as cursor:
        found = {}
        for table in catalog.tables(cursor):
            if table.name in ("kept_counts", "mapset_changes", "mapset_changes_pruned"):
                continue
            columns = ", ".join(f'"{column}"' for column in table.columns)
            one = f'(SELECT {columns} FROM "{table.name}") AS one'
            cursor.execute(f"SELECT one::text FROM {one} ORDER BY 1")
            found[table.name] = [row for (row,) in cursor.fetchall()]
    return found


def objects(settings: Settings) -> dict[str, tuple[str, str]]:
    """The SHA-256 and the type of every object in the bucket."""
    store = ObjectStore(settings)
    found = {}
    for one in store._client.list_objects(store.bucket, recursive=True):
        digest = hashlib.sha256(b"".join(store.open(one.object_name or "")))
        content_type = store.describe(one.object_name or "").content_type
        found[one.object_name or ""] = (digest.hexdigest(), content_type)
    store.close()
    return found


def structure(settings: Settings) -> list[tuple[Any, ...]]:
    """All columns, indexes, constraints and triggers."""
    connection = psycopg2.connect(address(settings))
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated "
            "FROM pg_constraint WHERE connamespace = 'public'::regnamespace UNION ALL "
            "SELECT tablename, indexname, indexdef, true FROM pg_indexes WHERE "
            "schemaname = 'public' UNION ALL SELECT tgrelid::regclass::text, tgname, "
            "pg_get_triggerdef(oid), tgenabled <> 'D' FROM pg_trigger WHERE NOT tgisinternal "
            "UNION ALL SELECT table_name, column_name, data_type, true FROM "
            "information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2, 3"
        )
        found = [tuple(row) for row in cursor.fetchall() if "yoyo" not in row[0]]
    connection.close()
    return found


def without_restore(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """The rows without the record that the restore itself leaves."""
    log = [row for row in found.get("audit_log", []) if ",restore,database," not in row]
    return {**found, "audit_log": log}


def destroy(settings: Settings) -> None:
    execute(address(settings), "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    store = ObjectStore(settings)
    names = [DeleteObject(name) for name in objects(settings)]
    assert list(store._client.remove_objects(store.bucket, names)) == []
    store._client.remove_bucket(store.bucket)
    store.close()


# --- The proof ------------------------------------------------------------------------------------


@contextlib.contextmanager
def load(settings: Settings) -> Iterator[list[str]]:
    """Uploads, articles and changes that belong together, without a pause, from two threads."""
    ended, added = threading.Event(), list[str]()

    def work() -> None:
        store = ObjectStore(settings)
        connection = psycopg2.connect(address(settings))
        while not ended.is_set():
            added.append(add(connection, store, os.urandom(20_000), "y" * 1000, "load"))
            with connection, connection.cursor() as cursor:
                cursor.execute("UPDATE roles SET description = %s", (str(uuid.uuid4()),))
        connection.close()
        store.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(added) < 4:
        time.sleep(0.01)
    try:
        yield added
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_backup_under_load_is_one_moment_and_whole(program: Program, elsewhere: Program) -> None:
    before = rows(program.settings)
    with load(program.settings) as added:
        at_begin = list(added)
        made = program("db", "backup", NAME)
        assert len(added) > len(at_begin)
    after, stored = rows(program.settings), objects(program.settings)
    assert "Keep ENCRYPTION_KEYS (here “1”)" in made.stderr
    restored = elsewhere("db", "restore", NAME)
    assert restored.stdout.startswith(f"{NAME}: restored; of ")
    found, kept = rows(elsewhere.settings), objects(elsewhere.settings)
    # The load only adds news and files, so what was there before is there, and nothing else is.
    for table in ("news", "files"):
        assert set(before[table]) <= set(found[table]) <= set(after[table])
    assert set(at_begin) <= kept.keys() <= stored.keys()
    assert len(found["news"]) == len(found["files"]) == len(kept)
    assert all(kept[name] == stored[name] for name in kept)
    # All four roles are changed at once, to a value of their own.
    described = elsewhere.rows("SELECT count(*), count(DISTINCT description) FROM roles")
    assert described == [(4, 1)]
    others = before.keys() - {"news", "files", "roles", "search_words"}
    assert {name: before[name] for name in others} == {
        name: without_restore(found)[name] for name in others
    }


def test_after_all_was_destroyed_every_row_and_object_is_back(
    program: Program, elsewhere: Program
) -> None:
    before, stored = rows(program.settings), objects(program.settings)
    shape = structure(program.settings)
    program("db", "backup", NAME)
    assert (program.folder / NAME).stat().st_mode & 0o777 == 0o600
    destroy(program.settings)
    tried = elsewhere("db", "restore", NAME, "--dry-run")
    assert tried.stdout.startswith(f"{NAME}: would be restored")
    assert rows(elsewhere.settings) == {}
    elsewhere("db", "restore", NAME)
    assert without_restore(rows(elsewhere.settings)) == before
    assert objects(elsewhere.settings) == stored
    assert structure(elsewhere.settings) == shape
    ended = elsewhere.inside("db", "check")
    assert "migrations are applied" in ended.stderr
    assert elsewhere.audit() == [("restore", "database", "satupeta db restore")]
    # And once more in the place where it was destroyed, through pipes.
    with (program.folder / NAME).open("rb") as content:
        piped = subprocess.run(
            [*SATUPETA, "db", "restore", "-", "--json"],
            cwd=program.folder,
            env=program.environment,
            stdin=content,
            capture_output=True,
            check=True,
        )
    assert b'"is_restored": true' in piped.stdout
    assert without_restore(rows(program.settings)) == before
    assert objects(program.settings) == stored


def test_a_backup_through_a_pipe_is_the_same(program: Program) -> None:
    ended = subprocess.run(
        [*SATUPETA, "db", "backup", "-"],
        cwd=program.folder,
        env=program.environment,
        capture_output=True,
        check=True,
    )
    (program.folder / NAME).write_bytes(ended.stdout)
    assert b"-: " in ended.stderr
    whole = program.inside("db", "restore", NAME, "--verify-only")
    assert whole.stdout.startswith(f"{NAME}: whole")


# --- What a backup is restored into ---------------------------------------------------------------


def test_what_holds_records_is_asked_for(program: Program) -> None:
    made = program.json("db", "backup", NAME, "--no-objects")
    assert (made["missing"], made["objects"], made["rows"]["users"]) == (0, 0, 6)
    program.rows("UPDATE news SET name = 'changed'")
    before = rows(program.settings)
    ended = program.inside("db", "restore", NAME, code=WRONG_USE)
    assert "15 news" in ended.stderr
    assert "Replace all of it?" in ended.stderr
    assert "geheim" not in ended.stderr
    assert (
        "5 users, which would be replaced"
        in program.inside("db", "restore", NAME, "--dry-run").stderr
    )
    assert rows(program.settings) == before
    program.inside("db", "restore", NAME, "--yes")
    assert program.rows("SELECT DISTINCT name FROM news") == [("x",)]


def test_an_existing_file_is_asked_for(program: Program) -> None:
    (program.folder / NAME).write_bytes(b"mine")
    ended = program.inside("db", "backup", NAME, "--no-objects", code=WRONG_USE)
    assert f"{NAME} exists. Replace it?" in ended.stderr
    assert (program.folder / NAME).read_bytes() == b"mine"
    program.inside("db", "backup", NAME, "--no-objects", "--yes")
    program.inside("db", "restore", NAME, "--verify-only")


def test_an_older_backup_is_brought_up_to_date(program: Program, elsewhere: Program) -> None:
    names = migration_files.migration_names()
    program.inside("db", "downgrade", "--to", "0005.mapsets", "--yes")
    before = rows(program.settings)
    program.inside("db", "backup", NAME, "--no-objects")
    elsewhere.inside("db", "upgrade")
    elsewhere.inside("db", "restore", NAME)
    (applied,) = elsewhere.rows("SELECT array_agg(migration_id) FROM _yoyo_migration")
    assert sorted(applied[0]) == names
    found = rows(elsewhere.settings)
    changed = {"audit_log", "users"}
    assert {name: found[name] for name in before.keys() - changed} == {
        name: before[name] for name in before.keys() - changed
    }
    # Users got a last column since.
    assert found["users"] == [f"{row[:-1]},)" for row in before["users"]]
    assert ("restore", "database", "satupeta db restore") in elsewhere.audit()


def test_triggers_and_sequences_do_not_stand_in_the_way(
    program: Program, elsewhere: Program
) -> None:
    program.rows(
        "INSERT INTO audit_log (id, user_id, action, subject) "
        f"VALUES ('{new_id()}', '{SYSTEM_USER_ID}', 'test', 'x');"
        "CREATE SEQUENCE numbers START 41; SELECT nextval('numbers');"
    )
    elsewhere.inside("db", "upgrade")
    for one in (program, elsewhere):
        one.rows("CREATE SEQUENCE IF NOT EXISTS numbers")
    program.inside("db", "backup", NAME, "--no-objects")
    for one in (elsewhere, program):
        one.inside("db", "restore", NAME, "--yes")
        assert [row[0] for row in one.audit()] == ["test", "restore"]
        assert one.rows("SELECT nextval('numbers')") == [(42,)]
        with pytest.raises(psycopg2.Error, match="append-only"):
            one.rows("DELETE FROM audit_log")


def test_a_restore_waits_for_those_who_work(program: Program) -> None:
    program.inside("db", "backup", NAME, "--no-objects")
    holder = psycopg2.connect(address(program.settings))
    with holder.cursor() as cursor:
        cursor.execute("UPDATE news SET name = 'late'")

    def let_go() -> None:
        deadline = time.monotonic() + 50
        while program.rows("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # Longer than a restore waits before it says so and asks again.
        time.sleep(3)
        holder.commit()

    release = threading.Thread(target=let_go)
    release.start()
    ended = program("db", "restore", NAME, "--yes")
    release.join()
    holder.close()
    assert "Others work in the database" in ended.stderr
    assert program.rows("SELECT DISTINCT name FROM news") == [("x",)]


def test_keys_that_are_missing_are_told(program: Program) -> None:
    program.inside("db", "backup", NAME, "--no-objects")
    program.rows("UPDATE credentials SET encryption_key_id = 'other'")
    other = f"two.{NAME}"
    program.inside("db", "backup", other, "--no-objects")
    said = program.inside("db", "restore", other, "--dry-run").stderr
    assert "ENCRYPTION_KEYS lacks “other”" in said
    assert "lacks" not in program.inside("db", "restore", NAME, "--dry-run").stderr


def test_tables_that_are_not_ours_are_left_out_and_said(
    program: Program, elsewhere: Program
) -> None:
    program.rows("CREATE TABLE catatan (isi text); INSERT INTO catatan VALUES ('x')")
    program.inside("db", "backup", NAME, "--no-objects")
    ended = elsewhere.inside("db", "restore", NAME, code=SOME_FAILED)
    assert "The table catatan is not one of the program's" in ended.stderr
    assert elsewhere.rows("SELECT count(*) FROM news") == [(15,)]


# --- What is wrong with the objects ---------------------------------------------------------------


def test_objects_that_are_missing_or_wrong_are_named(program: Program, elsewhere: Program) -> None:
    store = ObjectStore(program.settings)
    stored = sorted(objects(program.settings))
    gone, wrong = stored[4], stored[6]
    store.remove(gone)
    store.put(wrong, io.BytesIO(b"other"), 5, "image/png")
    ended = program("db", "backup", NAME, code=SOME_FAILED)
    assert f"Missing, or not what its row says: {gone}\n" in ended.stderr
    assert f"Missing, or not what its row says: {wrong}\n" in ended.stderr
    assert "2 objects are missing" in ended.stderr
    ended = elsewhere.inside("db", "restore", NAME, code=SOME_FAILED)
    assert "2 objects are missing" in ended.stderr
    assert sorted(objects(elsewhere.settings)) == sorted({*stored} - {gone, wrong})
    assert elsewhere.rows("SELECT count(*) FROM files") == [(15,)]


def test_what_is_in_the_bucket_is_not_put_again(program: Program) -> None:
    stored = objects(program.settings)
    program.inside("db", "backup", NAME)
    store = ObjectStore(program.settings)
    first, second, *_ = sorted(stored)[5:]
    store.remove(first)
    size = store.describe(second).size
    store.put(second, io.BytesIO(bytes(size)), size, "image/png")
    done = program.json("db", "restore", NAME, "--yes")
    assert done["objects_put"] == 2
    assert objects(program.settings) == stored


# --- Backups that are none ------------------------------------------------------------------------


def test_a_backup_that_is_no_good_changes_nothing(program: Program) -> None:
    program.inside("db", "backup", NAME)
    path = program.folder / NAME
    content = path.read_bytes()
    program.rows("UPDATE news SET name = 'changed'")
    before, stored = rows(program.settings), objects(program.settings)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    newer = content.replace(b'"format": 1', b'"format": 9', 1)
    unknown = content.replace(b"0006.audit-of-commands", b"0099.audit-of-commands", 1)
    for bad, code, text in (
        (content[: len(content) // 2], SOME_FAILED, "was cut"),
        (content[:-1], SOME_FAILED, "was cut"),
        (bytes(flipped), SOME_FAILED, "was altered or damaged"),
        (b"", WRONG_USE, "is no backup"),
        (b"name,code\n" * 1000, WRONG_USE, "is no backup"),
        (newer, WRONG_USE, "install that version"),
        (unknown, WRONG_USE, "0099.audit-of-commands"),
    ):
        path.write_bytes(bad)
        ended = program.inside("db", "restore", NAME, "--yes", code=code)
        assert text in ended.stderr
        assert ended.stdout == ""
        assert len(ended.stderr.strip().splitlines()[-1]) < 300
    missing = program.inside("db", "restore", "nowhere.tar", code=WRONG_USE)
    assert "No such file" in missing.stderr
    assert rows(program.settings) == before
    assert objects(program.settings) == stored


def test_rows_that_postgresql_refuses_change_nothing(program: Program) -> None:
    program.rows("ALTER TABLE news DROP CONSTRAINT news_thumbnail_fkey")
    program.rows(f"UPDATE news SET thumbnail = '{uuid.uuid4()}'")
    program.inside("db", "backup", NAME, "--no-objects")
    program.rows(
        "UPDATE news SET thumbnail = NULL; ALTER TABLE news ADD CONSTRAINT news_thumbnail_fkey "
        "FOREIGN KEY (thumbnail) REFERENCES files (id)"
    )
    before, shape = rows(program.settings), structure(program.settings)
    ended = program("db", "restore", NAME, "--yes", code=SOME_FAILED)
    assert "PostgreSQL refuses the backup: insert or update on table" in ended.stderr
    assert (rows(program.settings), structure(program.settings)) == (before, shape)


# --- Targets that are none ------------------------------------------------------------------------


def test_a_full_disk_is_one_sentence_and_leaves_nothing(program: Program) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    ended = subprocess.run(
        [*SATUPETA, "db", "backup", NAME],
        cwd=program.folder,
        env=program.environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=small_files,
    )
    assert ended.returncode == SOME_FAILED
    assert ended.stderr == f"Error: {NAME} cannot be written: File too large.\n"
    assert names_in(program.folder) == []
    with Path("/dev/full").open("wb") as full:
        piped = subprocess.run(
            [*SATUPETA, "db", "backup", "-"],
            env=program.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert piped.returncode == SOME_FAILED
    assert piped.stderr == "Error: Standard output cannot be written: No space left on device.\n"


def test_what_postgresql_does_not_allow_is_one_sentence(program: Program) -> None:
    program.rows("REVOKE SELECT ON news FROM CURRENT_USER")
    ended = program.inside("db", "backup", NAME, code=SOME_FAILED)
    assert ended.stderr.startswith("Error: PostgreSQL refuses this: permission denied for table")
    assert names_in(program.folder) == []


def test_a_target_that_cannot_be_is_wrong_use(program: Program) -> None:
    for name in ("nowhere/one.tar", "/dev/null", "."):
        program.inside("db", "backup", name, code=WRONG_USE)
    assert names_in(program.folder) == []
    program.rows("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    ended = program.inside("db", "backup", NAME, code=3)
    assert "nothing to back up" in ended.stderr
    assert names_in(program.folder) == []


# --- Servers that go away -------------------------------------------------------------------------


@pytest.mark.parametrize("before", [before_database, before_store])
def test_a_server_that_goes_away_in_mid_backup(program: Program, before: Any) -> None:
    with before(program.settings, 1_500_000, "from_server") as (proxy, setting):
        ended = program("db", "backup", NAME, code=UNAVAILABLE, **setting)
    assert proxy.reached.is_set()
    assert ended.stderr == UNAVAILABLE_TEXT
    assert names_in(program.folder) == []
    program("db", "backup", NAME)
    program.inside("db", "restore", NAME, "--verify-only")


@pytest.mark.parametrize("before", [before_database, before_store])
def test_a_server_that_goes_away_in_mid_restore(
    program: Program, elsewhere: Program, before: Any
) -> None:
    expected, stored = rows(program.settings), objects(program.settings)
    program.inside("db", "backup", NAME)
    elsewhere.inside("db", "upgrade")
    elsewhere.inside("db", "seed")
    elsewhere.rows(f"{ALLOW_UPKEEP}; DELETE FROM audit_log")
    held = rows(elsewhere.settings)
    with before(elsewhere.settings, 2_000_000, "to_server") as (proxy, setting):
        ended = elsewhere("db", "restore", NAME, code=UNAVAILABLE, **setting)
    assert proxy.reached.is_set()
    assert ended.stderr.endswith(UNAVAILABLE_TEXT)
    assert rows(elsewhere.settings) == held
    elsewhere("db", "restore", NAME)
    assert without_restore(rows(elsewhere.settings)) == expected
    assert objects(elsewhere.settings) == stored


# --- Ctrl-C and kill -9 ---------------------------------------------------------------------------


def ended_by(
    program: Program, number: int, proxy: Any, setting: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    """Run a command until its server falls silent, send it a signal, and let it end."""
    process = subprocess.Popen(
        [*SATUPETA, *words],
        cwd=program.folder,
        env={**program.environment, **setting},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert proxy.reached.wait(20)
        process.send_signal(number)
        output, said = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    return subprocess.CompletedProcess(words, process.returncode, output, said.strip())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_a_backup_that_is_stopped_is_none(program: Program, number: int) -> None:
    with before_database(
        program.settings, 1_500_000, "from_server", is_silent=True
    ) as (proxy, setting):  # fmt: skip
        ended = ended_by(program, number, proxy, setting, "db", "backup", NAME)
    assert not (program.folder / NAME).exists()
    if number == signal.SIGINT:
        assert (ended.returncode, ended.stderr) == (INTERRUPTED, "Interrupted.")
        assert names_in(program.folder) == []
    program.inside("db", "backup", NAME)
    program.inside("db", "restore", NAME, "--verify-only")
    assert names_in(program.folder) == [NAME]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_a_restore_that_is_stopped_changes_no_row(program: Program, number: int) -> None:
    program.inside("db", "backup", NAME)
    program.rows("UPDATE news SET name = 'changed'")
    before, shape = rows(program.settings), structure(program.settings)
    words = ("db", "restore", NAME, "--yes")
    with before_database(
        program.settings, 2_000_000, "to_server", is_silent=True
    ) as (proxy, setting):  # fmt: skip
        ended = ended_by(program, number, proxy, setting, *words)
    if number == signal.SIGINT:
        assert (ended.returncode, ended.stderr) == (INTERRUPTED, "Interrupted.")
    assert (rows(program.settings), structure(program.settings)) == (before, shape)
    program.inside(*words)
    assert program.rows("SELECT DISTINCT name FROM news") == [("x",)]
    assert structure(program.settings) == shape


# --- Size -----------------------------------------------------------------------------------------


def test_a_large_table_goes_in_pieces(
    program: Program, elsewhere: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backing_up, "PIECE_BYTES", 300_000)
    expected = rows(program.settings)
    made = program.json("db", "backup", NAME, "--no-objects")
    assert made["rows"]["news"] == len(expected["news"])
    listed = subprocess.run(
        ["tar", "tf", NAME], cwd=program.folder, capture_output=True, text=True, check=True
    )
    assert listed.stderr == ""
    assert listed.stdout.count("tables/news.") > 3
    elsewhere.inside("db", "restore", NAME)
    assert without_restore(rows(elsewhere.settings)) == expected
