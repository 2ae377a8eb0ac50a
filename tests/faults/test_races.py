"""Two processes migrate, seed or rotate keys at once, and one of them dies."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg2
import pytest

from satupeta_server import migrating, migration_files
from satupeta_server.embedded import Addresses
from satupeta_server.seed import writing
from satupeta_server.services import key_rotation
from tests.cli.program import SATUPETA, Program
from tests.conftest import make_settings, own_database
from tests.serving import wait_until

NAMES = migration_files.migration_names()
WAITING = "Another process works on the tables"
REGIONS = 38 + 514 + 26


@pytest.fixture
def empty(addresses: Addresses, tmp_path: Path) -> Iterator[Program]:
    """A program on an empty database."""
    with own_database(addresses, "empty") as name:
        yield Program(make_settings(addresses, name, data_dir=tmp_path), tmp_path)


Process = subprocess.Popen[str]


def begin(program: Program, *arguments: str) -> Process:
    return subprocess.Popen(
        [*SATUPETA, *arguments],
        env=program.environment,
        cwd=program.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def both(program: Program, *arguments: str) -> Iterator[list[Process]]:
    """The same command twice; whatever becomes of the test, none stays."""
    with ExitStack() as stack:
        processes = [stack.enter_context(begin(program, *arguments)) for _ in range(2)]
        for one in processes:
            stack.callback(one.kill)
        yield processes


@contextmanager
def held(program: Program, key: int, waiters: int = 2) -> Iterator[None]:
    """A third process has the lock, until so many have asked for it."""
    with psycopg2.connect(program.environment["DATABASE_URL"]) as holder:
        holder.cursor().execute("SELECT pg_advisory_xact_lock(%s)", (key,))
        yield
        asked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until(lambda: program.rows(asked) == [(waiters,)], 30)
    holder.close()


def ended(processes: list[Process]) -> list[tuple[str, str]]:
    """What each has said: output and errors."""
    said = [one.communicate(timeout=60) for one in processes]
    assert [one.returncode for one in processes] == [0, 0], said
    assert "Traceback" not in str(said)
    return said


def test_of_two_that_migrate_one_does_it_and_the_other_says_that_it_waits(empty: Program) -> None:
    with psycopg2.connect(empty.environment["DATABASE_URL"]) as holder:
        holder.cursor().execute("SELECT pg_advisory_xact_lock(%s)", (migrating.LOCK_KEY,))
        with both(empty, "db", "upgrade") as processes:
            lines = [one.stderr.readline() for one in processes if one.stderr]
            assert all(WAITING in line for line in lines)
            holder.rollback()
            outputs = sorted(output for output, _ in ended(processes))
    holder.close()
    assert outputs == ["0 migrations applied\n", f"{len(NAMES)} migrations applied\n"]
    assert empty.rows("SELECT count(*) FROM _yoyo_migration") == [(len(NAMES),)]


def applied(program: Program) -> int:
    if program.rows("SELECT to_regclass('_yoyo_migration')") == [(None,)]:
        return 0
    ((count,),) = program.rows("SELECT count(*) FROM _yoyo_migration")
    return int(count)


def test_when_the_one_that_migrates_is_killed_the_other_goes_on(empty: Program) -> None:
    with begin(empty, "db", "upgrade") as first:
        wait_until(lambda: applied(empty) > 0, 30)
        with begin(empty, "db", "upgrade") as second:
            first.kill()
            _, said = second.communicate(timeout=60)
            assert second.returncode == 0, said
    assert applied(empty) == len(NAMES)
    assert empty.inside("db", "check").stdout == ""


def test_two_that_seed_at_once_seed_once(empty: Program) -> None:
    migrating.upgrade(empty.environment["DATABASE_URL"])
    with both(empty, "db", "seed") as processes:
        ended(processes)
    assert empty.rows("SELECT count(*) FROM regionals") == [(REGIONS,)]
    assert empty.rows("SELECT count(*) FROM roles") == [(4,)]


def test_when_the_one_that_seeds_is_killed_the_other_does_it_all(empty: Program) -> None:
    migrating.upgrade(empty.environment["DATABASE_URL"])
    with ExitStack() as stack:
        with held(empty, writing._LOCK):
            processes = stack.enter_context(both(empty, "db", "seed"))
        processes[0].kill()
        _, said = processes[1].communicate(timeout=60)
        assert processes[1].returncode == 0, said
    assert empty.rows("SELECT count(*) FROM regionals") == [(REGIONS,)]
    assert empty.rows("SELECT count(*) FROM roles") == [(4,)]


def test_when_the_one_that_rotates_is_killed_the_other_does_it_all(empty: Program) -> None:
    migrating.upgrade(empty.environment["DATABASE_URL"])
    empty.inside("db", "seed")
    with ExitStack() as stack:
        with held(empty, key_rotation._LOCK_KEY):
            processes = stack.enter_context(both(empty, "credential", "rotate-key"))
        processes[0].kill()
        output, said = processes[1].communicate(timeout=60)
        assert processes[1].returncode == 0, (output, said)
    assert "Another rotation is under way" in said


@pytest.mark.long
def test_a_database_that_is_killed_at_again_and_again_becomes_whole(empty: Program) -> None:
    for pause in range(20):
        with begin(empty, "db", "upgrade") as first, begin(empty, "db", "upgrade") as second:
            time.sleep(0.3 + pause / 20)
            first.kill()
            second.kill()
    empty.inside("db", "upgrade")
    assert applied(empty) == len(NAMES)
    empty.inside("db", "seed")
    assert empty.inside("db", "check").stdout == ""
