"""Imports that are interrupted in the middle: nothing is half there, and the rest can follow."""

import contextlib
import gzip
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg2
import pytest

from satupeta_server.embedded import Addresses
from satupeta_server.settings import Settings
from tests.cli.program import (
    DONE,
    INTERRUPTED,
    SATUPETA,
    SOME_FAILED,
    UNAVAILABLE,
    WRONG_USE,
    Program,
)
from tests.cli.test_import import REGIONS
from tests.conftest import execute

ROWS = 24_000


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    return Program(settings, tmp_path)


@pytest.fixture
def regions(tmp_path: Path) -> Path:
    """The first regions of the official list: those of Sumatra."""
    path = tmp_path / "regions.csv"
    with gzip.open(REGIONS, "rt", encoding="utf-8") as file:
        path.write_text("".join(next(file) for _ in range(ROWS)), encoding="utf-8")
    return path


@contextlib.contextmanager
def in_the_middle(
    program: Program, path: Path, kind: str = "regions", table: str = "regionals"
) -> Iterator["subprocess.Popen[str]"]:
    """An import that has stored some batches and waits for a lock that we hold."""
    process = subprocess.Popen(
        [*SATUPETA, "import", kind, str(path), "--json"],
        cwd=program.folder,
        env=program.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    url = program.settings.database_url
    holder = psycopg2.connect(url.get_secret_value() if url else "")
    try:
        deadline = time.monotonic() + 60
        while program.rows("SELECT count(*) < 2 FROM import_batches") == [(True,)]:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with holder.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        assert process.poll() is None, "it was over before it could be interrupted"
        yield process
    finally:
        with contextlib.suppress(psycopg2.Error):
            holder.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def kill(program: Program, process: "subprocess.Popen[str]", server: str) -> int:
    del program, server
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive, "processes of the import outlive it"
    return -signal.SIGKILL


def interrupt(program: Program, process: "subprocess.Popen[str]", server: str) -> int:
    del server
    # Ctrl-C reaches the whole group of the terminal.
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)
    end_statements(program)
    return INTERRUPTED


def end_statements(program: Program) -> None:
    """End the sessions that wait for us, as a restart of PostgreSQL would."""
    program.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


def take_the_database_away(program: Program, process: "subprocess.Popen[str]", server: str) -> int:
    del process
    name = urlsplit(program.settings.database_url.get_secret_value()).path[1:]  # type: ignore[union-attr]
    execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        execute(
            server,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND application_name LIKE 'satupeta%'",
        )
        time.sleep(2)
    finally:
        execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    return UNAVAILABLE


@pytest.mark.parametrize("cut", [kill, interrupt, take_the_database_away])
def test_what_is_interrupted_goes_on_with_resume(
    program: Program, regions: Path, addresses: Addresses, cut: Any
) -> None:
    before = program.rows("SELECT count(*) FROM regionals")[0][0]
    with in_the_middle(program, regions) as process:
        second = program("import", "regions", str(regions), "--resume", code=WRONG_USE)
        assert "is running" in second.stderr
        expected = cut(program, process, addresses.database_url or "")
        _, told = process.communicate(timeout=30)
    assert process.returncode == expected, told
    if expected > 0:
        assert "--resume" in told
        assert "Traceback" not in told
    stored = program.rows("SELECT place, length(replace(states, '-', '')) FROM import_batches")
    kept = sum(created for _, created in stored)
    # Whole batches are there, each with its record, and nothing else.
    (revisions,) = program.rows("SELECT count(*) FROM regionals")[0]
    assert 0 < kept < ROWS
    assert revisions - before <= kept
    report = program.folder / "report.jsonl"
    arguments = ("import", "regions", str(regions), "--resume", "--json", "--report", str(report))
    totals = json.loads(program(*arguments).stdout)
    assert sum(totals.values()) == ROWS
    assert totals["failed"] == 0
    assert totals["created"] > ROWS * 0.95
    assert {row["line"] for row in map(json.loads, report.read_text().splitlines())} == set(
        range(1, ROWS + 1)
    )
    # One import, one audit record, and what was stored before was not stored again.
    assert [one[:2] for one in program.audit()] == [("import", "regionals")]
    finished = program.rows(
        "SELECT (SELECT count(*) FROM imports), (SELECT count(*) FROM imports WHERE finished_at IS"
        " NOT NULL), (SELECT count(*) FROM regionals WHERE revision > 2)"
    )
    assert finished == [(1, 1, 0)]
    again = json.loads(program("import", "regions", str(regions), "--resume", "--json").stdout)
    assert again["unchanged"] == ROWS


def test_kinds_that_are_stored_row_by_row_go_on_too(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "organizations.csv"
    lines = "".join(f"Uji {number},\n" for number in range(900))
    path.write_text(f"name,email\n{lines}Dinas Akhir,bukan surel\n", encoding="utf-8")
    with in_the_middle(program, path, "organizations", "organizations") as process:
        kill(program, process, "")
    stored = program.rows("SELECT count(*) FROM organizations WHERE name LIKE 'Uji %'")[0][0]
    assert 0 < stored < 900
    assert stored % 200 == 0
    arguments = ("import", "organizations", str(path), "--resume", "--json")
    totals = json.loads(program(*arguments, code=SOME_FAILED).stdout)
    assert totals["created"] == 900
    assert totals["failed"] == 1


@pytest.mark.long
def test_a_line_of_two_gigabytes_is_refused_with_little_memory(
    program: Program, tmp_path: Path
) -> None:
    path = tmp_path / "huge.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b'{"name": "Dinas Satu"}\n{"name": "')
        for _ in range(2048):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n')
    limited = 'ulimit -v 3000000; exec "$@"'
    ended = subprocess.run(
        ["bash", "-c", limited, "-", *SATUPETA, "import", "organizations", str(path), "--json"],
        cwd=program.folder,
        env=program.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == SOME_FAILED, ended
    assert "line 2 is longer than" in ended.stderr
    assert json.loads(ended.stdout)["created"] == 1


def test_a_file_that_ends_early_keeps_what_stood_before(program: Program, regions: Path) -> None:
    whole = gzip.compress(regions.read_bytes(), 1)
    cut = program.folder / "cut.csv.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    ended = program("import", "regions", str(cut), "--json", code=SOME_FAILED)
    assert "ends early" in ended.stderr
    assert "The rows before it are imported." in ended.stderr
    assert json.loads(ended.stdout)["created"] > 0
    atomic = program("import", "regions", str(cut), "--atomic", code=WRONG_USE)
    assert "ends early" in atomic.stderr
    cut.write_bytes(whole)
    totals = json.loads(program("import", "regions", str(cut), "--json", code=DONE).stdout)
    assert totals["created"] > 0
    assert totals["unchanged"] > 0
    assert sum(totals.values()) == ROWS
