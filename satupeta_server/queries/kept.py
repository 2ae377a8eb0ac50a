"""Counting with the help of counts that are kept.

A kept count is right for the snapshot that it was made in. What became visible since, by
PostgreSQL's own rule for snapshots, stands in the log of changes with its sign; the sum of both is
exact. Where too much changed, the log says that all is to be counted anew.
"""

import functools
import operator
from typing import Any

import peewee
from peewee import SQL, NodeList, fn

from satupeta_server.models.kept_counts import KeptCount
from satupeta_server.statements import Slot, parameter

REFRESHED_AFTER = 1000
"""Transactions after which a kept count is written anew, so that few changes are to be added."""
USED_MINUTES = 15
"""After so long one that is used is written anew, too: those go first that nobody asks for."""
TOTAL = SQL("(SELECT total FROM counted)")
"""The number of rows, from the table ``counted``."""
NEWEST = SQL("(SELECT newest FROM counted)")
"""A time that no row is younger than; none where there are no rows."""
_COUNTED = SQL(
    "(counts ->> 'total')::bigint AS total, (counts ->> 'newest')::timestamptz AS newest"
)


def kept_count(name: str, changes: Any) -> Any:
    """The kept counts under the key in the slot of this name, as a table of that name."""
    kept, change = KeptCount.alias(), changes.alias()
    begun_anew = change.select(SQL("1")).where((change.sign == 0) & since(change, kept.snapshot))
    query = kept.select(kept.counts, kept.snapshot, kept.kept_at).where(
        (kept.key == parameter(Slot(name))) & ~fn.EXISTS(begun_anew)
    )
    return query.cte(name, materialized=True)


def since(change: Any, snapshot: Any) -> Any:
    """The condition that a change is not part of a snapshot."""
    is_part = fn.pg_visible_in_snapshot(change.transaction_id, snapshot)
    return (change.transaction_id >= fn.pg_snapshot_xmin(snapshot)) & ~is_part


def is_missing(kept: Any) -> Any:
    """The condition that nothing is kept."""
    return ~fn.EXISTS(peewee.Select([kept], [SQL("1")]))


def is_to_be_kept(kept: Any) -> Any:
    """The expression of whether the present counts should be kept; a standby cannot tell."""
    is_old = SQL(
        "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        f" - pg_snapshot_xmin(snapshot)::text::bigint > {REFRESHED_AFTER}"
        f" OR kept_at < now() - interval '{USED_MINUTES} minutes'"
    )
    old = fn.coalesce(peewee.Select([kept], [is_old]), SQL("true"))
    return SQL("NOT pg_is_in_recovery()") & old


def count_of(source: Any, condition: Any) -> Any:
    """The statement of the number of rows, and of the time of the youngest."""
    columns = [fn.count(SQL("*")).alias("total"), fn.max(source.created_at).alias("newest")]
    return source.select(*columns).where(condition)


def counted(kept: Any, changes: Any, source: Any, condition: Any) -> Any:
    """The table ``counted`` of one row: the number of rows, and a time that none is younger than.

    ``condition`` makes a condition of a source. The time is that of the youngest row, or of one
    that has gone since it was counted.
    """
    change = changes.alias()
    snapshot = NodeList((SQL("("), peewee.Select([kept], [kept.c.snapshot]), SQL(")")))
    # Outside: a count that is not needed is not even begun.
    fresh = count_of(source, condition(source)).alias("fresh")
    parts = [
        peewee.Select([kept], [_COUNTED]),
        change.select(fn.sum(change.sign), fn.max(change.created_at).filter(change.sign > 0)).where(
            since(change, snapshot) & condition(change)
        ),
        peewee.Select([fresh], [SQL("fresh.*")]).where(is_missing(kept)),
    ]
    united = functools.reduce(operator.add, parts).alias("counts")
    columns = SQL("coalesce(sum(total), 0)::bigint AS total, max(newest) AS newest")
    return peewee.Select([united], [columns]).cte("counted", materialized=True)


def counted_to_keep() -> Any:
    """The expression of the JSON object of what was counted."""
    return SQL("(SELECT row_to_json(counted)::text FROM counted)")
