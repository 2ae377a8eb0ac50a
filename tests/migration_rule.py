"""Whether the old version can go on beside a migration: the rule of docs/deployment.md.

Each migration is applied to a real database, a statement after the other, and what it did to what
was there before is read from PostgreSQL's own catalog. What it removes although the rule forbids
it, since nothing reads it any more, it names itself, with the reason:
``-- contract: mapsets.old_name: no version since 1.3.0 reads it``.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
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
_INDEXES = """SELECT indexrelid::regclass::text, indrelid::bigint FROM pg_index
JOIN pg_class ON pg_class.oid = indrelid
WHERE relnamespace = 'public'::regnamespace AND indisunique"""
_UNIQUE = """SELECT conname::text, conrelid::bigint, conindid::regclass::text FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'x')"""
_FILLED = """SELECT class.relname || '.' || attname, attrelid::bigint,
    NOT attnotnull OR atthasdef OR attidentity <> '', atthasdef
FROM pg_attribute JOIN pg_class AS class ON class.oid = attrelid
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0
    AND NOT attisdropped AND relname !~ 'yoyo'"""
_RULES = """SELECT conname::text, conrelid::bigint FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f') AND convalidated"""
# What takes as long as the table is large.
_LONG = re.compile(
    r"\s*(CREATE (UNIQUE )?INDEX|UPDATE|DELETE|INSERT\b.*\bSELECT|REINDEX|REFRESH|"
    r"ALTER TABLE\b.*\bVALIDATE)\b",
    re.IGNORECASE | re.DOTALL,
)
_CHANGED = re.compile(
    r"\s*(?:WITH\b.*?\b)?(?:UPDATE|DELETE\s+FROM)\s+(?:ONLY\s+)?\"?(\w+)",
    re.IGNORECASE | re.DOTALL,
)
_BESIDE = re.compile(r"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(\w+)", re.IGNORECASE)
_EXCEPTION = re.compile(r"^-- contract: ([\w.(), ]+): \S.*$", re.MULTILINE)

Tables = Mapping[int, tuple[str, int]]
"""Names and files of tables."""


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
    rules, unique = _names(cursor, _RULES), _names(cursor, _INDEXES)
    filled = {name: has_default for name, _, _, has_default in _rows(cursor, _FILLED)}
    tables = {oid: (name, node) for oid, name, node in _rows(cursor, _TABLES)}
    for before, statement in zip(["", *statements], statements, strict=False):
        yield from _said(cursor, tables, before, statement)
        indexes = _names(cursor, _INDEXES)
        cursor.execute(statement)
        yield from _made(cursor, tables, indexes)
    for name, table in _rows(cursor, _RULES):
        if name not in rules and table in tables:
            yield name, "a new rule reads the whole table while writers wait; make it NOT VALID"
    for name, table in _rows(cursor, _INDEXES):
        if name not in unique and table in tables:
            yield name, "the old version may write the same value twice"
    for name, table, may_be_left_out, has_default in _rows(cursor, _FILLED):
        is_known = name in filled
        if table in tables and not may_be_left_out and filled.get(name, True):
            yield name, "the old version writes rows without it"
        elif is_known and filled[name] and not has_default:
            yield name, "the old version knows its default"
    yield from _lost(columns, _read(cursor, _COLUMNS))
    yield from _lost(functions, _read(cursor, _FUNCTIONS))


def _said(cursor: Any, tables: Tables, before: str, statement: str) -> Iterator[tuple[str, str]]:
    """What a statement is going to do, as it says."""
    held = {oid for (oid,) in _rows(cursor, _LOCKED)} & tables.keys()
    if held and _LONG.match(statement):
        yield tables[min(held)][0], "readers wait while something long is done"
    changed = _CHANGED.match(statement)
    if changed and changed[1] in {name for name, _ in tables.values()}:
        yield changed[1], "a table that is in use is changed in one statement"
    index = _BESIDE.match(statement)
    if index and not re.search(rf"DROP INDEX CONCURRENTLY IF EXISTS {index[1]}\b", before):
        yield index[1], "what a failure left goes first: DROP INDEX CONCURRENTLY IF EXISTS"


def _made(cursor: Any, tables: Tables, indexes: set[str]) -> Iterator[tuple[str, str]]:
    """What a statement has done."""
    nodes = {oid: node for oid, _, node in _rows(cursor, _TABLES)}
    for oid, (name, node) in tables.items():
        if oid in nodes and nodes[oid] != node:
            yield name, "the whole table is written anew while readers wait"
    for name, table, index in _rows(cursor, _UNIQUE):
        if table in tables and index not in indexes:
            yield name, "readers wait while its index is made; make that before, CONCURRENTLY"


def _names(cursor: Any, statement: str) -> set[str]:
    return {name for name, *_ in _rows(cursor, statement)}


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
