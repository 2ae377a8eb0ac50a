"""Background work: jobs are put into procrastinate's queue here, and done by ``satupeta worker``.

What each task does stands in :mod:`satupeta_server.worker`, which may use all services; this is
below them, so that they can ask for work.
"""

import datetime
from typing import Any

import orjson
from peewee_async.databases import fetchone

from satupeta_server.database import database
from satupeta_server.errors import ConflictError

QUEUE = "default"
LIVING_SECONDS = 60
"""A worker that has not told for so long that it lives is taken for dead."""
OLDEST_WAITING = """
SELECT extract(epoch FROM now() - min(greatest(scheduled_at, deferred.at)))::float AS seconds
FROM procrastinate_jobs AS jobs
JOIN procrastinate_events AS deferred ON deferred.job_id = jobs.id AND deferred.type = 'deferred'
WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())
"""
"""For how many seconds a job waits that could have begun."""
LIVING_WORKERS = f"""
SELECT count(*) FROM procrastinate_workers
WHERE last_heartbeat > now() - interval '{LIVING_SECONDS} seconds'
"""  # noqa: S608
_DEFER = """SELECT procrastinate_defer_jobs_v1(ARRAY[
    ROW(%s, %s, 0, %s, %s, %s::jsonb, %s)::procrastinate_job_to_defer_v1
])"""


async def defer(
    task: str,
    *,
    lock: str | None = None,
    queueing_lock: str | None = None,
    schedule_at: datetime.datetime | None = None,
    **arguments: Any,
) -> int | None:
    """Ask for a task to be done in the background; gives the number of the job.

    It is part of the current transaction: the job exists exactly if that commits, and a worker
    takes it up only then (at once, as it is told by PostgreSQL). ``task`` is a name in the table
    of :mod:`satupeta_server.worker`, and ``arguments`` are what its function takes: they must be
    JSON, stand readable in the database, and hold ids rather than secrets or personal data.

    Of jobs with the same ``lock`` one is done at a time, in the order in which they came. With
    ``queueing_lock`` nothing is added, and None given, where one with the same still waits.
    ``schedule_at`` is the moment (with its zone) before which it is not done.

    A job may be done twice, when a worker is killed just before it was noted as done: tasks must
    bear that. Raises UnavailableError when the database does not answer.
    """
    text = orjson.dumps(arguments).decode()
    values = [QUEUE, task, lock, queueing_lock, text, schedule_at]
    if queueing_lock is None:
        return await _defer(values)
    try:
        # A savepoint: what is around goes on where one waits already.
        async with database.whole():
            return await _defer(values)
    except ConflictError:
        return None


async def _defer(values: list[Any]) -> int:
    ((job_id,),) = await database.aio_execute_sql(_DEFER, values, fetchone)
    return int(job_id)
