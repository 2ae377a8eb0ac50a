"""What stands in the database, by its own catalog: tables, columns, keys, triggers, sequences."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from satupeta_server.changes import CHANNEL
from satupeta_server.models.kept_counts import FORGET_COUNTS

_TABLES = """
SELECT class.relname::text, array_agg(attribute.attname::text ORDER BY attribute.attnum)
FROM pg_class AS class
JOIN pg_namespace AS space ON space.oid = class.relnamespace
JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid AND attribute.attnum > 0
    AND NOT attribute.attisdropped AND attribute.attgenerated = ''
WHERE space.nspname = 'public' AND class.relkind = 'r' AND class.relname !~ '^_?yoyo_'
    AND NOT EXISTS (
        SELECT FROM pg_depend AS owner WHERE owner.deptype = 'e'
        AND owner.classid = 'pg_class'::regclass AND owner.objid = class.oid
    )
GROUP BY class.relname ORDER BY class.relname
"""
_FOREIGN_KEYS = """
SELECT class.relname::text, rule.conname::text, pg_get_constraintdef(rule.oid)
FROM pg_constraint AS rule
JOIN pg_class AS class ON class.oid = rule.conrelid
JOIN pg_namespace AS space ON space.oid = rule.connamespace
WHERE rule.contype = 'f' AND rule.conparentid = 0 AND space.nspname = 'public'
ORDER BY class.relname, rule.conname
"""
_TRIGGERS = """
SELECT class.relname::text, trigger.tgname::text, trigger.tgenabled::text
FROM pg_trigger AS trigger
JOIN pg_class AS class ON class.oid = trigger.tgrelid
JOIN pg_namespace AS space ON space.oid = class.relnamespace
WHERE NOT trigger.tgisinternal AND trigger.tgenabled <> 'D' AND space.nspname = 'public'
ORDER BY class.relname, trigger.tgname
"""
_ENABLING = {"O": "ENABLE TRIGGER", "A": "ENABLE ALWAYS TRIGGER", "R": "ENABLE REPLICA TRIGGER"}
"""By what pg_trigger.tgenabled holds."""


@dataclass(frozen=True)
class Table:
    """A table with the columns that can be written."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """A foreign key or a trigger: how to take it away, and how to put it back."""

    away: sql.Composable
    back: sql.Composable


def tables(cursor: Any) -> list[Table]:
    """Give all tables of the system, without those that keep the migrations."""
    cursor.execute(_TABLES)
    return [Table(name, tuple(columns)) for name, columns in cursor.fetchall()]


def foreign_keys(cursor: Any) -> list[Rule]:
    """Give all foreign keys."""
    cursor.execute(_FOREIGN_KEYS)
    return [_foreign_key(*row) for row in cursor.fetchall()]


def triggers(cursor: Any) -> list[Rule]:
    """Give all triggers that are not turned off."""
    cursor.execute(_TRIGGERS)
    return [_trigger(*row) for row in cursor.fetchall()]


def notify(cursor: Any) -> None:
    """Tell the API processes of changes that were made while the triggers were away.

    What was counted before is forgotten.
    """
    cursor.execute("SELECT to_regclass('public.kept_counts') IS NOT NULL")
    # A backup may be older than the migration that keeps counts.
    if cursor.fetchone()[0]:
        for statement in FORGET_COUNTS:
            cursor.execute(statement)
    cursor.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


def sequences(cursor: Any) -> dict[str, int]:
    """Give the last value of each sequence that was ever used."""
    cursor.execute(
        "SELECT sequencename::text, last_value FROM pg_sequences "
        "WHERE schemaname = 'public' AND last_value IS NOT NULL ORDER BY sequencename"
    )
    return dict(cursor.fetchall())


def applied_migrations(cursor: Any) -> dict[str, Any]:
    """Give the time (UTC) at which each migration was applied, by name and in order."""
    cursor.execute("SELECT to_regclass('public._yoyo_migration') IS NOT NULL")
    if not cursor.fetchone()[0]:
        return {}
    cursor.execute(
        "SELECT migration_id, applied_at_utc FROM public._yoyo_migration ORDER BY migration_id"
    )
    return dict(cursor.fetchall())


def qualified(name: str) -> sql.Identifier:
    """Write a table's name so that no search path matters."""
    return sql.Identifier("public", name)


def listed(names: Iterable[str]) -> sql.Composed:
    """Write several tables' names."""
    return sql.SQL(", ").join(map(qualified, names))


def columns_of(table: Table) -> sql.Composed:
    """Write the columns of a table."""
    return sql.SQL(", ").join(map(sql.Identifier, table.columns))


def _foreign_key(table: str, name: str, definition: str) -> Rule:
    change = sql.SQL("ALTER TABLE {} ").format(qualified(table))
    constraint = sql.SQL("CONSTRAINT {}").format(sql.Identifier(name))
    return Rule(
        change + sql.SQL("DROP ") + constraint,
        change + sql.SQL("ADD ") + constraint + sql.SQL(f" {definition}"),
    )


def _trigger(table: str, name: str, mode: str) -> Rule:
    change = sql.SQL("ALTER TABLE {} ").format(qualified(table))
    return Rule(
        change + sql.SQL("DISABLE TRIGGER {}").format(sql.Identifier(name)),
        change + sql.SQL(f"{_ENABLING[mode]} {{}}").format(sql.Identifier(name)),
    )
