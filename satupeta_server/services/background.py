"""The queue of background work as administrators see it: procrastinate's tables."""

from collections.abc import Sequence
from typing import Any

from satupeta_server.database import database
from satupeta_server.errors import NotFoundError
from satupeta_server.jobs import LIVING_WORKERS, OLDEST_WAITING

STATUSES = ("todo", "doing", "succeeded", "failed", "cancelled", "aborted")

_JOBS = """
SELECT id, task_name AS task, status::text, attempts, scheduled_at, args AS arguments,
    (SELECT max(at) FROM procrastinate_events WHERE job_id = jobs.id) AS changed_at
FROM procrastinate_jobs AS jobs
WHERE (%(status)s::text IS NULL OR status::text = %(status)s)
    AND (%(task)s::text IS NULL OR task_name = %(task)s)
ORDER BY id DESC LIMIT %(limit)s
"""
_STATUS = """
SELECT status::text, count(*) FROM procrastinate_jobs GROUP BY status
"""


async def list_jobs(
    *, status: str | None = None, task: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Give jobs, the newest first."""
    values = {"status": status, "task": task, "limit": limit}
    return await _rows(_JOBS, values)


async def summarize() -> dict[str, Any]:
    """Count the jobs by status and the living workers.

    ``oldest_waiting_seconds`` is how long a job waits that could have begun; None for no job.
    """
    counts = {row["status"]: row["count"] for row in await _rows(_STATUS)}
    (waiting,) = await _rows(OLDEST_WAITING)
    (workers,) = await _rows(LIVING_WORKERS)
    return {
        **{status: counts.get(status, 0) for status in STATUSES},
        "oldest_waiting_seconds": waiting["seconds"],
        "workers": workers["count"],
    }


async def retry(ids: Sequence[int]) -> None:
    """Let jobs that failed be done again at once.

    Raises NotFoundError, before anything is changed, for one that is none that failed.
    """
    await _hold(ids, ("failed",))
    for job_id in ids:
        statement = "SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)"
        await database.aio_execute_sql(statement, [job_id])


async def cancel(ids: Sequence[int]) -> None:
    """Let jobs that wait never begin. One under way may be past stopping: a thread does it.

    Raises NotFoundError, before anything is changed, for one that does not wait.
    """
    await _hold(ids, ("todo",))
    for job_id in ids:
        await database.aio_execute_sql(
            "SELECT procrastinate_cancel_job_v1(%s, false, false)", [job_id]
        )


async def _hold(ids: Sequence[int], statuses: Sequence[str]) -> None:
    statement = """SELECT id FROM procrastinate_jobs
        WHERE id = ANY(%(ids)s) AND status::text = ANY(%(statuses)s) ORDER BY id FOR UPDATE"""
    found = await _rows(statement, {"ids": list(ids), "statuses": list(statuses)})
    if len(found) < len(set(ids)):
        raise NotFoundError


async def _rows(statement: str, values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    async def fetch(_database: Any, cursor: Any) -> list[dict[str, Any]]:
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    found: list[dict[str, Any]] = await database.aio_execute_sql(statement, values or {}, fetch)
    return found
