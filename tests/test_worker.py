"""The worker does each job, once, whatever happens to it."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from satupeta_server import jobs, worker
from satupeta_server.server import parent_environment
from satupeta_server.settings import Settings
from satupeta_server.worker import TASKS, Task, Work
from tests.conftest import Api, execute, with_two_roles
from tests.running import ROOT
from tests.serving import wait_until
from tests.test_jobs import rows

DEFERRED = "SELECT task_name, status::text, attempts FROM procrastinate_jobs {} ORDER BY id"
_PROGRAM = """
import asyncio, pathlib, sys, time
from satupeta_server.logs import configure_logging
from satupeta_server.settings import load_settings
from satupeta_server import worker

folder = pathlib.Path(sys.argv[1])

async def mark(_work, *, name, seconds=0):
    with (folder / f"{name}.begun").open("a") as file:
        file.write("x")
    await asyncio.sleep(seconds)
    with (folder / name).open("a") as file:
        file.write("x")

async def hang(_work, **_arguments):
    time.sleep(60)

settings = load_settings(env_file=None)
configure_logging(settings)
worker.STUCK_SECONDS = float(sys.argv[2])
worker.run(settings, {"mark": worker.Task(mark), "hang": worker.Task(hang)})
"""


def address(settings: Settings) -> str:
    assert settings.database_url
    return settings.database_url.get_secret_value()


def found(settings: Settings, where: str = "") -> list[Any]:
    return rows(address(settings), DEFERRED.format(where))


@contextmanager
def running(
    settings: Settings, folder: Path, stuck_seconds: float = worker.STUCK_SECONDS
) -> Iterator["subprocess.Popen[str]"]:
    """A worker that knows two tasks: one leaves a mark each time that it began and ended."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder), str(stuck_seconds)],
        env=parent_environment(settings) | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def times(folder: Path, name: str) -> int:
    path = folder / name
    return len(path.read_text()) if path.exists() else 0


async def work_off(settings: Settings, tasks: dict[str, Task]) -> None:
    """Do in this process all that waits."""
    queue = worker.make_queue(settings)
    threads = worker.Threads(1, "background")
    work = Work(settings, worker.make_services(settings, worker.Storage(settings)), queue, threads)
    worker.register(work, tasks)
    async with queue.open_async():
        await worker.work_through(work, is_waiting=False)
    threads.close()


async def test_a_job_is_done_with_what_it_was_given(api: Api, settings: Settings) -> None:
    given: list[object] = []

    async def note(_work: Work, *, name: str, count: int) -> None:
        given.append((name, count))

    await jobs.defer("note", name="ä", count=2)
    await work_off(settings, {"note": Task(note)})
    assert given == [("ä", 2)]
    assert found(settings) == [("note", "succeeded", 1)]


async def test_a_job_that_fails_is_tried_again_later_and_later(
    api: Api, settings: Settings
) -> None:
    async def fail(_work: Work) -> None:
        raise ZeroDivisionError

    await jobs.defer("fail")
    pauses = []
    for _ in range(worker.MOST_ATTEMPTS):
        await work_off(settings, {"fail": Task(fail)})
        ((pause,),) = rows(
            address(settings),
            "SELECT round(extract(epoch FROM scheduled_at - now()))::int FROM procrastinate_jobs",
        )
        pauses.append(pause)
        execute(address(settings), "UPDATE procrastinate_jobs SET scheduled_at = NULL")
    first = worker.FIRST_PAUSE_SECONDS
    assert pauses[-1] is None
    expected = [first * 2**n for n in range(worker.MOST_ATTEMPTS - 1)]
    assert all(abs(a - b) <= 2 for a, b in zip(pauses[:-1], expected, strict=True))
    assert found(settings) == [("fail", "failed", worker.MOST_ATTEMPTS)]


async def test_what_is_due_once_is_deferred_once_by_many_workers(
    api: Api, settings: Settings
) -> None:
    count = 0

    async def due(_work: Work) -> None:
        nonlocal count
        count += 1

    # At most once a year; whoever starts now catches up.
    moment = time.gmtime(time.time() - 3600)
    cron = f"{moment.tm_min} {moment.tm_hour} {moment.tm_mday} {moment.tm_mon} *"
    for _ in range(2):
        async with worker.working(settings) as work:
            worker.register(work, {"due": Task(due, cron)})
            async with work.queue.open_async():
                working = asyncio.ensure_future(worker.work_through(work))
                await asyncio.sleep(1.5)
                working.cancel()
                await asyncio.wait([working])
    assert count == 1


async def test_the_night_removes_what_has_expired(api: Api, settings: Settings) -> None:
    execute(
        address(settings),
        "INSERT INTO login_failures (account, failures, last_failed_at) VALUES "
        "('old', 1, now() - interval '40 days'), ('new', 1, now())",
    )
    for name in ("prune_expired", "purge_trash", "prune_audit_log", "prune_jobs"):
        await jobs.defer(name)
    await work_off(settings, {name: Task(task.run) for name, task in TASKS.items()})
    assert {status for _, status, _ in found(settings)} == {"succeeded"}
    assert rows(address(settings), "SELECT account FROM login_failures") == [("new",)]


@pytest.mark.parametrize("knows_owner", [True, False])
async def test_the_role_of_the_api_may_do_all_of_it(
    api: Api, settings: Settings, api_role: str, *, knows_owner: bool
) -> None:
    two = with_two_roles(settings, api_role)
    if not knows_owner:
        two = two.model_copy(update={"migration_database_url": None})
    connected = worker.database.connect(two)
    given = {"deliver": {"delivery_id": "01968b53-a910-7000-8000-00000000ffff"}}
    for name in TASKS:
        await jobs.defer(name, **given.get(name, {}))
    await work_off(two, {name: Task(task.run) for name, task in TASKS.items()})
    await connected.aio_close()
    assert {status for _, status, _ in found(settings)} == {"succeeded"}


async def test_the_job_of_a_dead_worker_is_put_back(api: Api, settings: Settings) -> None:
    execute(
        address(settings),
        "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour');"
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id, attempts)"
        f" SELECT 'default', 'x', 'doing', id, n FROM procrastinate_workers, "
        f"(VALUES (0), ({worker.MOST_ATTEMPTS - 1})) AS one (n);"
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id, attempts)"
        f" SELECT 'default', 'deliver', 'doing', id, {worker.MOST_ATTEMPTS}"
        " FROM procrastinate_workers",
    )
    async with worker.working(settings) as work, work.queue.open_async():
        await worker.rescue_stalled(work)
    assert found(settings) == [
        ("x", "todo", 1),
        ("x", "failed", worker.MOST_ATTEMPTS),
        ("deliver", "todo", worker.MOST_ATTEMPTS + 1),
    ]


def test_a_worker_that_is_asked_to_end_lets_a_job_finish(
    settings: Settings, tmp_path: Path
) -> None:
    with running(settings, tmp_path) as process:
        put(settings, "slow", 2)
        wait_until(lambda: times(tmp_path, "slow.begun") == 1, 30)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert times(tmp_path, "slow") == 1
    assert "mark done" in said
    assert "Traceback" not in said
    assert found(settings) == [("mark", "succeeded", 1)]


def test_a_job_whose_worker_is_killed_is_done_by_another(
    settings: Settings, tmp_path: Path
) -> None:
    with running(settings, tmp_path) as process:
        put(settings, "killed", 1)
        wait_until(lambda: times(tmp_path, "killed.begun") == 1, 30)
        process.kill()
        process.wait()
    assert found(settings) == [("mark", "doing", 0)]
    execute(
        address(settings),
        "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'",
    )
    with running(settings, tmp_path):
        wait_until(lambda: times(tmp_path, "killed") == 1, 30)
        wait_until(lambda: found(settings) == [("mark", "succeeded", 2)])
    assert times(tmp_path, "killed.begun") == 2


def test_a_worker_that_hangs_ends_itself(settings: Settings, tmp_path: Path) -> None:
    with running(settings, tmp_path, stuck_seconds=3) as process:
        put(settings, "first")
        wait_until(lambda: times(tmp_path, "first") == 1, 30)
        put(settings, "", task="hang")
        _, said = process.communicate(timeout=30)
    assert process.returncode == worker.STUCK_EXIT_CODE
    assert "the worker hangs" in said
    assert found(settings)[-1] == ("hang", "doing", 0)


def test_two_workers_do_each_job_once(settings: Settings, tmp_path: Path) -> None:
    for number in range(200):
        put(settings, f"job-{number}")
    with running(settings, tmp_path), running(settings, tmp_path):
        wait_until(lambda: not found(settings, "WHERE status <> 'succeeded'"), 60)
    assert [times(tmp_path, f"job-{number}") for number in range(200)] == [1] * 200
    assert not rows(address(settings), "SELECT 1 FROM procrastinate_jobs WHERE attempts <> 1")


def test_a_worker_bears_that_its_connections_are_cut(settings: Settings, tmp_path: Path) -> None:
    with running(settings, tmp_path) as process:
        put(settings, "before")
        wait_until(lambda: times(tmp_path, "before") == 1, 30)
        execute(
            address(settings),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'satupeta%' AND datname = current_database() "
            "AND pid <> pg_backend_pid()",
        )
        put(settings, "after")
        wait_until(lambda: times(tmp_path, "after") == 1, 30)
        assert process.poll() is None


def test_a_worker_waits_for_migrations_that_are_pending(settings: Settings, tmp_path: Path) -> None:
    execute(address(settings), "ALTER TABLE _yoyo_migration RENAME TO away")
    with running(settings, tmp_path) as process:
        assert process.stderr
        line = process.stderr.readline()
        assert "migrations are pending; run satupeta db upgrade" in line
        execute(address(settings), "ALTER TABLE away RENAME TO _yoyo_migration")
        put(settings, "then")
        wait_until(lambda: times(tmp_path, "then") == 1, 30)


def put(settings: Settings, name: str, seconds: float = 0, task: str = "mark") -> None:
    given = f"jsonb_build_object('name', '{name}', 'seconds', {seconds})"
    execute(
        address(settings),
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args) "
        f"VALUES ('default', '{task}', {given})",
    )
