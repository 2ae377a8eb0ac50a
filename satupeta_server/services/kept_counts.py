"""Keeping counts for those who ask next, and forgetting what nobody needs."""

import asyncio
import hashlib
import logging
from collections.abc import Mapping

import orjson
from peewee_async.databases import fetchone

from satupeta_server.database import database
from satupeta_server.errors import AppError
from satupeta_server.models.kept_counts import FORGET_COUNTS
from satupeta_server.statements import Statement, Values
from satupeta_server.tasks import spawn

logger = logging.getLogger(__name__)

WORTH_KEEPING = 1000
"""Rows: fewer are counted as quickly as a kept count is found."""
_LOCK_KEY = 0x5A705E26

_keepings: set[asyncio.Task[None]] = set()

_IS_HERE = """SELECT cluster = (SELECT system_identifier FROM pg_control_system())
FROM mapset_changes_pruned"""
# One at a time: what is kept must not need a change that is just being removed.
_LOCK = f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY})"
_KEEP = """INSERT INTO kept_counts (key, counts, snapshot)
SELECT %(key)s, %(counts)s::jsonb, %(snapshot)s::pg_snapshot FROM mapset_changes_pruned
WHERE pg_snapshot_xmin(%(snapshot)s::pg_snapshot) >= before
ON CONFLICT (key) DO UPDATE
SET counts = excluded.counts, snapshot = excluded.snapshot, kept_at = now()
WHERE pg_snapshot_xmin(kept_counts.snapshot) <= pg_snapshot_xmin(excluded.snapshot)"""
# Those 5,000 are kept that were asked for last, and none from more than 20,000 transactions ago.
_FORGET = """DELETE FROM kept_counts WHERE key IN (
    SELECT key FROM kept_counts ORDER BY kept_at DESC OFFSET 5000
) OR pg_snapshot_xmin(snapshot)::text::bigint
    < pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 20000"""
_PRUNE = """WITH needed AS (
    SELECT coalesce(min(pg_snapshot_xmin(snapshot)::text::bigint),
        pg_snapshot_xmin(pg_current_snapshot())::text::bigint)::text::xid8 AS first FROM kept_counts
), pruned AS (
    DELETE FROM mapset_changes USING needed WHERE transaction_id < needed.first RETURNING 1
)
UPDATE mapset_changes_pruned SET before = needed.first FROM needed
WHERE before < needed.first AND EXISTS (SELECT FROM pruned)"""


def count_key(statement: Statement, values: Values, timezone: str) -> str:
    """The key of a count: two with the same one count the same; in which year depends on a zone."""
    asked = orjson.dumps([statement, statement.bound(values), timezone], default=str)
    return hashlib.blake2b(asked, digest_size=16).hexdigest()


def keep_counts(counts: Mapping[str, str], snapshot: str) -> None:
    """Keep counts, as JSON by their keys, that were made in a snapshot, in the background."""
    keeping = spawn(_keep(counts, snapshot))
    _keepings.add(keeping)
    keeping.add_done_callback(_keepings.discard)


async def settled() -> None:
    """Wait until all is kept that was to be."""
    await asyncio.gather(*_keepings)


async def forget_other_cluster() -> None:
    """Forget what was counted in another cluster, of which a dump was loaded here."""
    (is_here,) = await database.aio_execute_sql(_IS_HERE, (), fetchone)
    if is_here:
        return
    async with database.whole():
        for statement in FORGET_COUNTS:
            await database.aio_execute_sql(statement)


async def tidy(counts: Mapping[str, str] | None = None, snapshot: str = "") -> None:
    """Keep counts, if any are given, and forget what is old and changes that no kept one needs."""
    async with database.whole():
        (is_free,) = await database.aio_execute_sql(_LOCK, (), fetchone)
        if not is_free:
            return
        for key, text in (counts or {}).items():
            values = {"key": key, "counts": text, "snapshot": snapshot}
            await database.aio_execute_sql(_KEEP, values)
        await database.aio_execute_sql(_FORGET)
        await database.aio_execute_sql(_PRUNE)


async def _keep(counts: Mapping[str, str], snapshot: str) -> None:
    try:
        await tidy(counts, snapshot)
    except AppError as error:
        # Whoever asked has the answer; the next one counts again.
        logger.debug("counts were not kept: %s", type(error).__name__)
