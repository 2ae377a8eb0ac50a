"""The worker: does in the background what stands in the queue, see :mod:`satupeta_server.jobs`.

procrastinate keeps the queue in PostgreSQL, so any number of workers on any number of machines
share it, and each job is done by one of them.
"""

import asyncio
import contextlib
import datetime
import functools
import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.errors
from procrastinate import App, RetryDecision
from procrastinate.contrib.aiopg import AiopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.retry import BaseRetryStrategy

from satupeta_server import database
from satupeta_server.errors import AppError
from satupeta_server.jobs import QUEUE
from satupeta_server.maintenance import audit_retention, purging
from satupeta_server.maintenance.expiry import remove_expired
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.observing import Spent, spent
from satupeta_server.security.callers import Caller
from satupeta_server.security.permissions import ADMINISTRATOR
from satupeta_server.services.container import Services, make_services
from satupeta_server.services.deliveries import MOST_ATTEMPTS as DELIVERY_ATTEMPTS
from satupeta_server.services.notifications import DELIVER
from satupeta_server.settings import Settings, require_servers
from satupeta_server.storage import Storage
from satupeta_server.tasks import Threads, spawn
from satupeta_server.tracing import Tracing, make_tracing

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20
"""How long jobs may still take once the end was asked for; then they are given back."""
MOST_ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 10
"""Before a job that failed is tried again; each further time it is twice as long."""
HEARTBEAT_SECONDS = 10
STALLED_SECONDS = 30
"""Who has not told for so long that it lives is dead, and its jobs are another one's."""
STUCK_SECONDS = 60.0
"""A worker that has done nothing at all for so long hangs, and ends itself to be started anew."""
STUCK_EXIT_CODE = 70
PAUSE_SECONDS = 2
"""Before the worker tries again what it cannot do without: the database, its tables."""
_CATCH_UP_SECONDS = 24 * 3600
"""What was due while no worker lived is done later, but not what is older than this."""
_DONE_HOURS = 7 * 24
_FAILED_HOURS = 90 * 24
# Of the worker itself: one listens, the others fetch jobs and note what came of them.
_CONNECTIONS = 4
_AWAY = (ConnectorException, psycopg2.Error, AppError, OSError, TimeoutError)


@dataclass(frozen=True)
class Work:
    """What tasks work with."""

    settings: Settings
    services: Services
    queue: App
    threads: Threads
    """For what blocks: maintenance over connections of its own."""
    tracing: Tracing | None = None

    caller = Caller(user_id=SYSTEM_USER_ID, role=ADMINISTRATOR, command="satupeta worker")


@dataclass(frozen=True)
class Task:
    """Something that is done in the background; it must bear being done twice."""

    run: Callable[..., Awaitable[object]]
    """Called with the Work, and with what :func:`satupeta_server.jobs.defer` was given."""
    cron: str | None = None
    """When it is due by itself, in UTC, once however many workers there are."""
    attempts: int = MOST_ATTEMPTS
    """How often it is tried at most."""


async def rescue_stalled(work: Work, *, seconds: float = STALLED_SECONDS) -> None:
    """Put the jobs of dead workers back; one that was under way too often is given up."""
    manager = work.queue.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=seconds):
        task = TASKS.get(job.task_name)
        is_last = job.attempts + 1 >= (task.attempts if task else MOST_ATTEMPTS)
        logger.info(
            "job %s %s: its worker died; %s",
            job.id,
            job.task_name,
            "given up" if is_last else "tried again",
        )
        # Another worker may be faster.
        with contextlib.suppress(ConnectorException):
            if is_last:
                await manager.finish_job(job=job, status=Status.FAILED, delete_job=False)
            else:
                await manager.retry_job(job)


async def purge_trash(work: Work) -> None:
    """Remove for good what was deleted more than TRASH_RETENTION_DAYS ago."""
    days = work.settings.trash_retention_days
    if days:
        before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
        await work.threads.run(purging.purge, work.settings.direct(), work.caller, before)


async def prune_audit_log(work: Work) -> None:
    """Remove what is older in the audit log than AUDIT_RETENTION_DAYS."""
    days = work.settings.audit_retention_days
    if not days:
        return
    try:
        await work.threads.run(audit_retention.prune, work.settings.owner(), work.caller, days)
    except psycopg2.errors.InsufficientPrivilege:
        logger.warning(
            "the audit log was not pruned: its owner does that, whom MIGRATION_DATABASE_URL names"
        )


async def prune_expired(work: Work) -> None:
    """Remove sessions, one-time links and idempotency keys that have expired."""
    await work.threads.run(remove_expired, work.settings.direct())


async def count_ahead(work: Work) -> None:
    """Count the mapsets that visitors ask for before they do."""
    await work.services.counting_ahead.run()


async def prune_jobs(work: Work) -> None:
    """Remove jobs that were done a week ago, and those that failed three months ago."""
    manager = work.queue.job_manager
    await manager.delete_old_jobs(
        nb_hours=_DONE_HOURS, include_cancelled=True, include_aborted=True
    )
    await manager.delete_old_jobs(nb_hours=_FAILED_HOURS, include_failed=True)


async def fail_lost_deliveries(work: Work) -> None:
    """Tell of mails and webhooks that wait for a job which was cancelled or given up."""
    await work.services.deliveries.fail_lost()


async def deliver(work: Work, *, delivery_id: str) -> None:
    """Send a mail or call a webhook of the outbox."""
    await work.services.deliveries.deliver(uuid.UUID(delivery_id), work.threads)


TASKS: Mapping[str, Task] = {
    DELIVER: Task(deliver, attempts=DELIVERY_ATTEMPTS),
    "rescue_stalled": Task(rescue_stalled, "* * * * *"),
    "fail_lost_deliveries": Task(fail_lost_deliveries, "* * * * *"),
    # In the night of Jakarta.
    "prune_expired": Task(prune_expired, "10 18 * * *"),
    "prune_audit_log": Task(prune_audit_log, "20 18 * * *"),
    "purge_trash": Task(purge_trash, "30 18 * * *"),
    "count_ahead": Task(count_ahead, "*/10 * * * *"),
    "prune_jobs": Task(prune_jobs, "50 * * * *"),
}
"""All tasks by the names that jobs carry; a name stays, as jobs of an older version wait."""


class _Retry(BaseRetryStrategy):
    """Later and later, up to a limit; what was interrupted by the worker's end, at once."""

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, asyncio.CancelledError):
            return RetryDecision()
        if job.attempts + 1 >= self.attempts:
            return None
        return RetryDecision(retry_in={"seconds": FIRST_PAUSE_SECONDS * 2**job.attempts})


def make_queue(settings: Settings) -> App:
    """Make procrastinate's App with no tasks yet, past a pooler: it listens."""
    connector = AiopgConnector(
        dsn=require_servers(settings.direct(), object_store=False),
        application_name="satupeta worker",
        minsize=1,
        maxsize=_CONNECTIONS,
        timeout=settings.database_timeout_seconds,
    )
    return App(connector=connector, periodic_defaults={"max_delay": _CATCH_UP_SECONDS})


def register(work: Work, tasks: Mapping[str, Task]) -> None:
    """Let the queue know what the names of tasks mean."""
    for name, task in tasks.items():
        registered = work.queue.task(
            name=name,
            queue=QUEUE,
            retry=_Retry(task.attempts),
            # One waits at most, however long no worker lives.
            queueing_lock=name if task.cron is not None else None,
        )(_doing(work, task))
        if task.cron is not None:
            work.queue.periodic(cron=task.cron)(registered)


def _doing(work: Work, task: Task) -> Callable[..., Awaitable[None]]:
    async def run(**arguments: Any) -> None:
        if task.cron is not None:
            # When it was due, which procrastinate tells each.
            arguments.pop("timestamp", None)
        await task.run(work, **arguments)

    return run


def run(settings: Settings, tasks: Mapping[str, Task] = TASKS) -> None:
    """Work in this process until SIGTERM or SIGINT.

    Jobs under way get GRACE_SECONDS then. Raises StartError when a server is not set.
    """
    require_servers(settings)
    # It tells of each job itself, with what the job was given.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    asyncio.run(_run(settings, tasks))


async def _run(settings: Settings, tasks: Mapping[str, Task]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    threading.Thread(target=_watch, args=(loop,), daemon=True).start()
    async with working(settings) as work:
        register(work, tasks)
        keeping = spawn(_keep(work, stop))
        asked = spawn(stop.wait())
        await asyncio.wait([keeping, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
    logger.info("the worker has ended")


def _watch(loop: asyncio.AbstractEventLoop) -> None:
    """End the process once its loop hangs; its jobs are then put back, as those of a dead one."""
    while True:
        is_alive = threading.Event()
        with contextlib.suppress(RuntimeError):
            # Of a loop that is closed by now, as the process ends.
            loop.call_soon_threadsafe(is_alive.set)
        if not is_alive.wait(STUCK_SECONDS) and not loop.is_closed():
            # Telling of it may hang, too: what the loop waits for may be the log.
            said = "the worker hangs, and ends; whoever keeps it starts it anew"
            telling = threading.Thread(target=logger.critical, args=(said,), daemon=True)
            telling.start()
            telling.join(1)
            os._exit(STUCK_EXIT_CODE)
        time.sleep(STUCK_SECONDS / 10)


@contextlib.asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Work]:
    """Give the Work of a process, and close its connections at the end."""
    connected = database.connect(settings)
    storage, threads = Storage(settings), Threads(2, "background")
    services, tracing = make_services(settings, storage), make_tracing(settings)
    try:
        yield Work(settings, services, make_queue(settings), threads, tracing)
    finally:
        if tracing is not None:
            tracing.close()
        threads.close()
        await connected.aio_close()
        storage.close()


async def _keep(work: Work, stop: asyncio.Event) -> None:
    """Work, and begin anew whenever the database went away."""
    # The end may come while it is away, and is then seen here only.
    while not stop.is_set():
        try:
            await _wait_for_tables(work)
            async with work.queue.open_async():
                await rescue_stalled(work)
                logger.info("the worker works, %d jobs at once", work.settings.worker_concurrency)
                await work_through(work)
        except _AWAY as error:
            logger.warning("the worker was interrupted: %s", type(error).__name__)
        await asyncio.sleep(PAUSE_SECONDS)


async def work_through(work: Work, *, is_waiting: bool = True) -> None:
    """Do all jobs, and wait for more unless told otherwise."""
    await work.queue.run_worker_async(
        queues=[QUEUE],
        concurrency=work.settings.worker_concurrency,
        wait=is_waiting,
        shutdown_graceful_timeout=GRACE_SECONDS,
        update_heartbeat_interval=HEARTBEAT_SECONDS,
        stalled_worker_timeout=STALLED_SECONDS,
        install_signal_handlers=False,
        worker_middleware=[functools.partial(_tell, work.tracing)],
    )


async def _tell(
    tracing: Tracing | None, call: Callable[[], Awaitable[Any]], context: Any, _worker: Any
) -> Any:
    """Write one line a job, without what it was given, and send its trace."""
    job, loop = context.job, asyncio.get_running_loop()
    begin, outcome, cost = loop.time(), "failed", Spent(f"job {job.id}")
    token = spent.set(cost)
    try:
        result = await call()
    except asyncio.CancelledError:
        outcome = "given back"
        raise
    else:
        outcome = "done"
        return result
    finally:
        spent.reset(token)
        level = logging.WARNING if outcome == "failed" else logging.INFO
        seconds = loop.time() - begin
        logger.log(
            level,
            "job %s %s %s %.1f ms, attempt %d",
            job.id,
            job.task_name,
            outcome,
            seconds * 1000,
            job.attempts + 1,
        )
        if tracing is not None:
            is_failed = outcome == "failed"
            tracing.tell_job(job.id, job.task_name, seconds, cost, is_failed=is_failed)


async def _wait_for_tables(work: Work) -> None:
    """Wait until the database answers and its tables are those of this version."""
    was_told = False
    while True:
        found = await work.services.health.check()
        if found["database"] and found["migrations"]:
            return
        if not was_told:
            reason = (
                "migrations are pending; run satupeta db upgrade"
                if found["database"]
                else "the database does not answer"
            )
            logger.warning("the worker waits: %s", reason)
        was_told = True
        await asyncio.sleep(PAUSE_SECONDS)
