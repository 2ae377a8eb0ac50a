"""Whether the old version can go on beside a migration: the rule of docs/deployment.md.

Each migration is applied to a real database, a statement after the other, and what it did to what
was there before is read from PostgreSQL's own catalog. What it removes although the rule forbids
it, since nothing reads it any more, it names itself, with the reason:
``-- contract: mapsets.old_name: no version since 1.3.0 reads it``.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg2
from yoyo.migrations import read_sql_migration

BASELINE = "0018.erasure"
"""The last migration from before there was a version beside which another one had to go on."""

_COLUMNS = """SELECT class.relname || '.' || attname,
    format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
FROM pg_attribute JOIN pg_class AS class ON class.oid = attrelid
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm') AND attnum > 0
    AND NOT attisdropped AND relname !~ 'yoyo'"""
_FUNCTIONS = """SELECT oid::regprocedure::text, pg_get_function_result(oid) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_depend
    WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e'
)"""
_TABLES = """SELECT oid::bigint, relname::text, relfilenode::bigint FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname !~ 'yoyo'"""
_LOCKED = """SELECT relation::bigint FROM pg_locks WHERE pid = pg_backend_pid()
AND mode = 'AccessExclusiveLock' AND relation IS NOT NULL"""
_RULES = """SELECT conname::text, conrelid::bigint FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f') AND convalidated"""
# What takes as long as the table is large.
_LONG = re.compile(
    r"\s*(CREATE (UNIQUE )?INDEX|UPDATE|DELETE|INSERT\b.*\bSELECT|REINDEX|REFRESH|"
    r"ALTER TABLE\b.*\bVALIDATE)\b",
    re.IGNORECASE | re.DOTALL,
)
_CHANGED = re.compile(r"\s*(?:UPDATE|DELETE FROM)\s+(?:ONLY\s+)?\"?(\w+)", re.IGNORECASE)
_EXCEPTION = re.compile(r"^-- contract: ([\w.(), ]+): \S.*$", re.MULTILINE)


def problems(address: str, paths: Sequence[Path]) -> Iterator[str]:
    """Apply migrations in their order and tell what breaks the rule, a sentence each."""
    with contextlib.closing(psycopg2.connect(address)) as connection:
        for path in paths:
            allowed = _EXCEPTION.findall(path.read_text(encoding="utf-8"))
            directives, _, statements = read_sql_migration(str(path))
            connection.autocommit = directives.get("transactional") == "false"
            with connection.cursor() as cursor:
                is_new = path.stem > BASELINE
                for name, problem in _apply(cursor, statements):
                    if is_new and name not in allowed:
                        yield f"{path.stem}: {name}: {problem}"
            if not connection.autocommit:
                connection.commit()


def _apply(cursor: Any, statements: Sequence[str]) -> Iterator[tuple[str, str]]:
    columns, functions = _read(cursor, _COLUMNS), _read(cursor, _FUNCTIONS)
    rules = {name for name, _ in _rows(cursor, _RULES)}
    tables = {oid: (name, node) for oid, name, node in _rows(cursor, _TABLES)}
    for statement in statements:
        held = {oid for (oid,) in _rows(cursor, _LOCKED)} & tables.keys()
        if held and _LONG.match(statement):
            yield tables[min(held)][0], "readers wait while something long is done"
        changed = _CHANGED.match(statement)
        if changed and changed[1] in {name for name, _ in tables.values()}:
            yield changed[1], "a table that is in use is changed in one statement"
        cursor.execute(statement)
        nodes = {oid: node for oid, _, node in _rows(cursor, _TABLES)}
        for oid, (name, node) in tables.items():
            if oid in nodes and nodes[oid] != node:
                yield name, "the whole table is written anew while readers wait"
    for name, table in _rows(cursor, _RULES):
        if name not in rules and table in tables:
            yield name, "a new rule reads the whole table while writers wait; make it NOT VALID"
    yield from _lost(columns, _read(cursor, _COLUMNS))
    yield from _lost(functions, _read(cursor, _FUNCTIONS))


def _lost(before: dict[str, str], after: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, kind in before.items():
        if name not in after:
            yield name, "the old version still reads it"
        elif after[name] != kind:
            yield name, f"the old version knows it as {kind}, not as {after[name]}"


def _read(cursor: Any, statement: str) -> dict[str, str]:
    return dict(_rows(cursor, statement))


def _rows(cursor: Any, statement: str) -> list[Any]:
    cursor.execute(statement)
    found: list[Any] = cursor.fetchall()
    return found
