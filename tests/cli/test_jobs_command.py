"""``satupeta jobs``: the queue is seen, and jobs are done again or cancelled."""

import json
from pathlib import Path

import pytest

from satupeta_cli.commands import jobs as commands
from satupeta_server.services import background
from satupeta_server.settings import Settings
from tests.cli.program import WRONG_USE, Program

STATES = "SELECT id, status::text FROM procrastinate_jobs ORDER BY id"


@pytest.fixture
def program(settings: Settings, tmp_path: Path) -> Program:
    program = Program(settings, tmp_path)
    program.rows(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, attempts) VALUES "
        "('default', 'mail', 'todo', 0), ('default', 'mail', 'failed', 8), "
        "('default', 'purge_trash', 'doing', 0)"
    )
    return program


def test_the_statuses_are_those_of_the_service() -> None:
    assert commands._STATUSES == background.STATUSES


def test_jobs_are_listed_and_counted(program: Program) -> None:
    rows = json.loads(program.inside("jobs", "list", "--json").stdout)
    assert [(row["id"], row["task"], row["status"]) for row in rows] == [
        (3, "purge_trash", "doing"), (2, "mail", "failed"), (1, "mail", "todo"),
    ]  # fmt: skip
    failed = program.inside("jobs", "list", "--status", "failed", "--task", "mail", "--json")
    assert [row["id"] for row in json.loads(failed.stdout)] == [2]
    status = json.loads(program.inside("jobs", "status", "--json").stdout)
    assert (status["todo"], status["doing"], status["failed"], status["workers"]) == (1, 1, 1, 0)
    assert 0 <= status["oldest_waiting_seconds"] < 60


def test_what_failed_is_done_again(program: Program) -> None:
    assert program.inside("jobs", "retry", "2", "--dry-run").stdout == "2: would be waiting again\n"
    assert program.rows(STATES)[1] == (2, "failed")
    assert program.inside("jobs", "retry", "2").stdout == "2: waiting again\n"
    assert program.rows(STATES)[1] == (2, "todo")
    assert [action for action, *_ in program.audit()] == ["retry"]


def test_of_several_all_or_none_change(program: Program) -> None:
    before = program.rows(STATES)
    program.inside("jobs", "retry", "2", "1", code=WRONG_USE)
    program.inside("jobs", "cancel", "1", "2", "--yes", code=WRONG_USE)
    assert program.rows(STATES) == before
    assert program.audit() == []


def test_jobs_are_cancelled_after_a_question(program: Program) -> None:
    program.inside("jobs", "cancel", "1", code=WRONG_USE)
    program.inside("jobs", "cancel", "1", "--dry-run")
    assert program.rows(STATES)[0] == (1, "todo")
    program.inside("jobs", "cancel", "1", "3", "--yes", code=WRONG_USE)
    assert program.rows(STATES)[0] == (1, "todo")
    program.inside("jobs", "cancel", "1", "--yes")
    assert program.rows(STATES)[0] == (1, "cancelled")
    assert [action for action, *_ in program.audit()] == ["cancel"]
