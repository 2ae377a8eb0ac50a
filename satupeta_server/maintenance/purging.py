"""Removing deleted records for good, once nothing that stays refers to them any more."""

import contextlib
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg2 import sql

from satupeta_server.errors import UnavailableError
from satupeta_server.maintenance.auditing import record
from satupeta_server.maintenance.catalog import qualified
from satupeta_server.maintenance.connections import transaction
from satupeta_server.security.callers import Caller
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore

ORDER = (
    "mapsets",
    "news",
    "map_sources",
    "credentials",
    "categories",
    "classifications",
    "map_projection_systems",
    "regionals",
    "users",
    "organizations",
    "files",
)
"""All subjects of the trash, what refers to others before these."""

_OWNED: Mapping[str, tuple[tuple[str, str], ...]] = {
    "mapsets": (
        ("mapset_sources", "mapset_id"),
        ("mapset_histories", "mapset_id"),
        ("mapset_revisions", "mapset_id"),
        ("mapset_hits", "mapset_id"),
    ),
    "users": (("sessions", "user_id"), ("password_resets", "user_id"), ("api_tokens", "user_id")),
}
"""What is part of a record, and goes with it."""
_BATCH = 500
_REFERENCES = """
SELECT class.relname::text, attribute.attname::text
FROM pg_constraint AS rule
JOIN pg_class AS class ON class.oid = rule.conrelid
JOIN pg_attribute AS attribute
    ON attribute.attrelid = class.oid AND attribute.attnum = rule.conkey[1]
WHERE rule.contype = 'f' AND rule.confrelid = %s::regclass AND rule.confdeltype IN ('a', 'r')
ORDER BY 1, 2
"""
# An article names the files in its text by their ids.
_IN_ARTICLES = sql.SQL(
    "SELECT FROM public.news WHERE description LIKE '%%' || one.id::text || '%%'"
)

Advance = Callable[[float], None]


@dataclass
class Purged:
    """How many records of a subject were removed, and what keeps how many of the others."""

    subject: str
    removed: int = 0
    kept: int = 0
    kept_by: dict[str, int] = field(default_factory=dict)
    objects_left: list[str] = field(default_factory=list)
    """Objects whose rows are gone, and which the store did not remove."""


class _DryRunError(Exception):
    """Carries a dry run out of its transaction."""


def count_old(settings: Settings, before: datetime.datetime) -> int:
    """Count the records that were deleted before a moment."""
    with transaction(settings) as cursor:
        return sum(_count_old(cursor, subject, before) for subject in ORDER)


def purge(
    settings: Settings,
    caller: Caller,
    before: datetime.datetime,
    *,
    is_dry_run: bool = False,
    advance: Advance = lambda _amount: None,
) -> list[Purged]:
    """Remove what was deleted before a moment and nothing refers to; tells of each subject.

    It is done in batches, each whole or not at all and with its audit record, so it can be
    interrupted at any time. Of a file first the row goes, then the object.
    """
    outcomes: list[Purged] = []
    with contextlib.suppress(_DryRunError), contextlib.ExitStack() as stack:
        cursors = _cursors(settings, stack, is_dry_run=is_dry_run)
        store = (
            None if is_dry_run else stack.enter_context(contextlib.closing(ObjectStore(settings)))
        )
        for subject in ORDER:
            outcome = Purged(subject)
            outcomes.append(outcome)
            for names in _batches(cursors, caller, outcome, before):
                advance(len(names))
                _remove_objects(store, names if subject == "files" else (), outcome)
        with cursors() as cursor:
            for outcome in outcomes:
                _explain(cursor, outcome, before)
        if is_dry_run:
            raise _DryRunError
    return outcomes


def _cursors(
    settings: Settings, stack: contextlib.ExitStack, *, is_dry_run: bool
) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    """Give what opens a transaction for each batch; a dry run has one for all of them."""
    if not is_dry_run:
        return lambda: transaction(settings)
    cursor = stack.enter_context(transaction(settings))
    return lambda: contextlib.nullcontext(cursor)


def _batches(
    cursors: Callable[[], contextlib.AbstractContextManager[Any]],
    caller: Caller,
    outcome: Purged,
    before: datetime.datetime,
) -> Iterator[Sequence[str]]:
    """Remove batch after batch; gives the names of the objects, or the ids, of each.

    What refers to another record of its own kind, as regions do, goes a round sooner.
    """
    while True:
        with cursors() as cursor:
            found = _lock(cursor, outcome.subject, before)
            if not found:
                return
            ids = [row_id for row_id, _ in found]
            _delete(cursor, outcome.subject, ids)
            record(cursor, caller, "purge", outcome.subject, ids=ids)
        outcome.removed += len(ids)
        yield [name for _, name in found]


def _lock(cursor: Any, subject: str, before: datetime.datetime) -> list[tuple[str, str]]:
    """Hold a batch of rows that can go: nobody restores them now, nor refers to them."""
    name = sql.SQL("one.object_name" if subject == "files" else "one.id::text")
    free = [
        sql.SQL("NOT EXISTS ({})").format(keeping) for keeping in _keepers(cursor, subject).values()
    ]
    query = sql.SQL(
        "SELECT one.id::text, {} FROM {} AS one WHERE {} AND one.deleted_at < %s"
        " ORDER BY one.deleted_at, one.id LIMIT %s FOR UPDATE OF one SKIP LOCKED"
    ).format(name, qualified(subject), sql.SQL(" AND ").join(free or [sql.SQL("true")]))
    cursor.execute(query, (before, _BATCH))
    rows: list[tuple[str, str]] = cursor.fetchall()
    return rows


def _keepers(cursor: Any, subject: str) -> dict[str, sql.Composable]:
    """Give the queries that find what keeps a row ``one``, by the name of what refers to it."""
    cursor.execute(_REFERENCES, (f"public.{subject}",))
    owned = _OWNED.get(subject, ())
    keepers: dict[str, sql.Composable] = {
        f"{table}.{column}": sql.SQL("SELECT FROM {} AS other WHERE other.{} = one.id").format(
            qualified(table), sql.Identifier(column)
        )
        for table, column in cursor.fetchall()
        if (table, column) not in owned
    }
    if subject == "files":
        keepers["news.description"] = _IN_ARTICLES
    return keepers


def _delete(cursor: Any, subject: str, ids: Sequence[str]) -> None:
    for table, column in (*_OWNED.get(subject, ()), (subject, "id")):
        query = sql.SQL("DELETE FROM {} WHERE {} = ANY(%s::uuid[])")
        cursor.execute(query.format(qualified(table), sql.Identifier(column)), (list(ids),))


def _remove_objects(store: ObjectStore | None, names: Sequence[str], outcome: Purged) -> None:
    if store is None:
        return
    for name in names:
        try:
            store.remove(name)
        except UnavailableError:
            outcome.objects_left.append(name)


def _explain(cursor: Any, outcome: Purged, before: datetime.datetime) -> None:
    """Count what is still there, and what refers to it."""
    outcome.kept = _count_old(cursor, outcome.subject, before)
    if not outcome.kept:
        return
    for name, keeping in _keepers(cursor, outcome.subject).items():
        query = sql.SQL(
            "SELECT count(*) FROM {} AS one WHERE one.deleted_at < %s AND EXISTS ({})"
        ).format(qualified(outcome.subject), keeping)
        cursor.execute(query, (before,))
        number = int(cursor.fetchone()[0])
        if number:
            outcome.kept_by[name] = number


def _count_old(cursor: Any, subject: str, before: datetime.datetime) -> int:
    query = sql.SQL("SELECT count(*) FROM {} WHERE deleted_at < %s").format(qualified(subject))
    cursor.execute(query, (before,))
    return int(cursor.fetchone()[0])
