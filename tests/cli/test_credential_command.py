"""``satupeta credential``, and what happens to what is encrypted."""

import base64
import json
import subprocess
import threading
import time
import uuid
from pathlib import Path

import psycopg2
import pytest
from pydantic import SecretStr

from satupeta_server.models.credentials import encryption_context
from satupeta_server.security.encryption import Encryptor
from satupeta_server.services.key_rotation import _LOCK_KEY, BATCH
from satupeta_server.settings import Settings
from tests.cli.program import SATUPETA, SOME_FAILED, WRONG_USE, Program
from tests.world import CREDENTIAL_SECRET, World

OLD, NEW = bytes(32), bytes(range(32))
INSERT = (
    "INSERT INTO credentials (id, name, encryption_key_id, sensitive_data, deleted_at) "
    "VALUES (%s, %s, %s, %s, %s)"
)
ROWS = "SELECT id, encryption_key_id, sensitive_data, revision, updated_at FROM credentials"


def ring(**keys: bytes) -> str:
    return json.dumps(
        {name.strip("_"): base64.b64encode(key).decode() for name, key in keys.items()}
    )


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


@pytest.fixture
def rotated(settings: Settings, tmp_path: Path) -> Program:
    """A program whose ring has a new key before the one that everything is encrypted with."""
    keys = SecretStr(ring(new=NEW, _1=OLD))
    return Program(settings.model_copy(update={"encryption_keys": keys}), tmp_path)


def add(program: Program, count: int, key_id: str = "1", key: bytes = OLD) -> None:
    connection = psycopg2.connect(program.environment["DATABASE_URL"])
    with connection, connection.cursor() as cursor:
        for number in range(count):
            credential_id = uuid.uuid4()
            _, sealed = Encryptor({key_id: key}).encrypt(
                {"number": str(number)}, encryption_context(credential_id)
            )
            deleted = "2026-01-01" if number % 7 == 0 else None
            name = f"Akun {number}"
            cursor.execute(INSERT, (str(credential_id), name, key_id, sealed, deleted))
    connection.close()


def opened(program: Program, key_id: str, key: bytes) -> list[dict[str, str]]:
    """What all credentials hold, once all are under one key."""
    encryptor = Encryptor({key_id: key})
    return [
        encryptor.decrypt(found_id, bytes(sealed), encryption_context(uuid.UUID(str(row_id))))
        for row_id, found_id, sealed, *_ in program.rows(ROWS)
    ]


def test_a_credential_never_shows_its_secret(program: Program, world: World) -> None:
    texts = [
        program("credential", "list").stdout,
        program.inside("credential", "list", "--json").stdout,
        program.inside("credential", "show", "GeoServer", "--json").stdout,
        program.inside("credential", "show", world.credential_id).stdout,
    ]
    for text in texts:
        assert "GeoServer" in text
        assert CREDENTIAL_SECRET["password"] not in text
    shown = program.json("credential", "show", "geoserver")
    assert (shown["key"], shown["key_is_known"]) == ("1", True)
    assert shown["map_sources"] == ["GeoServer Provinsi"]
    assert program.audit() == []


def test_a_name_that_several_have_is_not_guessed(program: Program) -> None:
    add(program, 2)
    program.rows("UPDATE credentials SET name = 'GeoServer', deleted_at = NULL")
    ended = program.inside("credential", "show", "GeoServer", code=WRONG_USE)
    assert "More than one credential is called “GeoServer”" in ended.stderr


def test_all_credentials_move_to_the_new_key(rotated: Program) -> None:
    add(rotated, 2 * BATCH + 3)
    before = {row[0]: row[3:] for row in rotated.rows(ROWS)}
    tried = rotated("credential", "rotate-key", "--dry-run")
    assert tried.stdout.startswith(f"{2 * BATCH + 4} credentials would be encrypted")
    assert {row[1] for row in rotated.rows(ROWS)} == {"1"}
    assert rotated.audit() == []
    done = rotated.json("credential", "rotate-key")
    assert (done["rotated"], done["failed"], done["may_be_removed"]) == (2 * BATCH + 4, [], ["1"])
    values = opened(rotated, "new", NEW)
    assert CREDENTIAL_SECRET in values
    assert len({json.dumps(one) for one in values}) == 2 * BATCH + 4
    assert {row[0]: row[3:] for row in rotated.rows(ROWS)} == before
    counts = [one for (one,) in rotated.rows("SELECT details ->> 'count' FROM audit_log")]
    assert sum(map(int, counts)) == 2 * BATCH + 4
    again = rotated.inside("credential", "rotate-key")
    assert again.stdout.startswith("0 credentials encrypted")
    assert "“1” is needed by none" in again.stdout


def test_what_no_key_opens_stays_and_is_named(rotated: Program) -> None:
    add(rotated, 1, "lost", bytes(reversed(range(32))))
    add(rotated, 2)
    rotated.rows("UPDATE credentials SET sensitive_data = 'x' WHERE name = 'Akun 1'")
    ended = rotated("credential", "rotate-key", code=SOME_FAILED)
    assert ended.stdout.startswith("2 credentials encrypted")
    assert "its key “lost”" in ended.stderr
    assert "1 credentials still need the key “1”: keep it" in ended.stderr
    assert "may leave" not in ended.stdout
    assert sorted(row[1] for row in rotated.rows(ROWS)) == ["1", "lost", "new", "new"]


def test_a_rotation_that_was_killed_goes_on(rotated: Program) -> None:
    add(rotated, 6 * BATCH)
    process = subprocess.Popen(
        [*SATUPETA, "credential", "rotate-key"],
        env=rotated.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    moved = "SELECT count(*) FROM credentials WHERE encryption_key_id = 'new'"
    while process.poll() is None and rotated.rows(moved) == [(0,)]:
        time.sleep(0.005)
    process.kill()
    process.wait()
    # Whatever it left behind can be read, by one key or the other.
    encryptor = Encryptor({"new": NEW, "1": OLD})
    for row_id, key_id, sealed, *_ in rotated.rows(ROWS):
        assert encryptor.decrypt(key_id, bytes(sealed), encryption_context(uuid.UUID(str(row_id))))
    rotated.inside("credential", "rotate-key")
    assert len(opened(rotated, "new", NEW)) == 6 * BATCH + 1


def test_a_second_rotation_says_that_it_waits(rotated: Program) -> None:
    holder = psycopg2.connect(rotated.environment["DATABASE_URL"])
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
    release = threading.Timer(1.5, holder.rollback)
    release.start()
    ended = rotated("credential", "rotate-key")
    release.join()
    holder.close()
    assert "Another rotation is under way" in ended.stderr
    assert ended.stdout.startswith("1 credentials encrypted")


def test_two_rotations_at_once_do_the_work_once(rotated: Program) -> None:
    add(rotated, 3 * BATCH)
    both = [
        subprocess.Popen(
            [*SATUPETA, "credential", "rotate-key", "--jsonl"],
            env=rotated.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    reports = [json.loads(one.communicate(timeout=60)[0]) for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sum(one["rotated"] for one in reports) == 3 * BATCH + 1
    assert len(opened(rotated, "new", NEW)) == 3 * BATCH + 1
