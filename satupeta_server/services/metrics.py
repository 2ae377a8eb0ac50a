"""What the database tells Prometheus."""

import time

from peewee_async.databases import fetchall

from satupeta_server.database import database
from satupeta_server.errors import AppError
from satupeta_server.jobs import LIVING_WORKERS, OLDEST_WAITING
from satupeta_server.metrics import Figures
from satupeta_server.models import mapsets, outbox
from satupeta_server.services import background

FRESH_SECONDS = 10.0
"""How long figures are given again: asking often must not load the database."""

# Counting the mapsets by their status reads an index alone. What there is none of is told, too:
# of a figure that appears only with the first failure nobody sees that it rose.
_ASKED = f"""SELECT * FROM (WITH statuses (name, status) AS (
    SELECT 'satupeta_mapsets', unnest(%(mapsets)s)
    UNION ALL SELECT 'satupeta_jobs', unnest(%(jobs)s)
    UNION ALL SELECT 'satupeta_deliveries', unnest(%(deliveries)s)
), counted (name, status, number) AS (
    SELECT 'satupeta_mapsets', status_validation, count(*) FROM mapsets
    WHERE deleted_at IS NULL GROUP BY status_validation
    UNION ALL
    SELECT 'satupeta_jobs', status::text, count(*) FROM procrastinate_jobs GROUP BY status
    UNION ALL SELECT 'satupeta_deliveries', status, count(*) FROM outbox GROUP BY status
)
SELECT name, status, coalesce(number, 0)::float8 FROM statuses LEFT JOIN counted
USING (name, status)
UNION ALL SELECT 'satupeta_jobs_oldest_waiting_seconds', NULL, coalesce(({OLDEST_WAITING}), 0)
UNION ALL SELECT 'satupeta_workers', NULL, ({LIVING_WORKERS})
UNION ALL SELECT 'satupeta_sessions', NULL, count(*) FROM sessions
WHERE ended_at IS NULL AND expires_at > now()) AS figures"""  # noqa: S608
_STATUSES = {
    "mapsets": list(mapsets.STATUSES),
    "jobs": list(background.STATUSES),
    "deliveries": list(outbox.STATUSES),
}
_HELP = {
    "satupeta_mapsets": "Mapsets by their status of validation.",
    "satupeta_jobs": "Jobs of the background work, by status.",
    "satupeta_jobs_oldest_waiting_seconds": "How long a job waits that could have begun.",
    "satupeta_workers": "Workers that live.",
    "satupeta_deliveries": "Mails and webhooks of the last month, by status.",
    "satupeta_sessions": "Sessions that are open.",
}
_UP = "Whether the database answered when it was asked for these figures."


class MetricsService:
    """Asks the database for figures, at most every few seconds."""

    def __init__(self) -> None:
        self._figures = Figures(())
        self._asked_at = float("-inf")

    async def figures(self) -> Figures:
        """Give the figures; without the database there is one, which says so."""
        if time.monotonic() - self._asked_at < FRESH_SECONDS:
            return self._figures
        try:
            rows = await database.aio_execute_sql(_ASKED, _STATUSES, fetchall)
        except AppError:
            self._figures = Figures([("satupeta_database_up", _UP, {}, 0.0)])
            self._asked_at = time.monotonic()
            return self._figures
        found = [
            (name, _HELP[name], {} if status is None else {"status": status}, value)
            for name, status, value in rows
        ]
        self._figures = Figures([*found, ("satupeta_database_up", _UP, {}, 1.0)])
        self._asked_at = time.monotonic()
        return self._figures
