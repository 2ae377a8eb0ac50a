"""Regions and mapsets by the thousand: staged by COPY, compared and stored in a few statements.

The rules are those of the services: the same forms, the same history and revisions.
"""

import csv
import datetime
import io
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import peewee
import psycopg2

from satupeta_server.database import broken_rule, database
from satupeta_server.messages import Language, Message
from satupeta_server.models.base import new_id
from satupeta_server.models.mapsets import BoundingBoxField
from satupeta_server.models.regionals import Regional
from satupeta_server.models.users import SYSTEM_USER_ID
from satupeta_server.services.layers import bounding_box_of
from satupeta_server.transfer.converting import Prepared, reasons, texts
from satupeta_server.transfer.kinds import Kind, parent_code
from satupeta_server.transfer.outcomes import Outcome, Rules, State

_BOX = BoundingBoxField()
_BROKEN = (psycopg2.IntegrityError, psycopg2.DataError, peewee.IntegrityError, peewee.DataError)
_STAGED = "staged_rows"


class BulkStore:
    """Stores batches of prepared rows of one kind, each whole or not at all."""

    def __init__(self, kind: Kind, rules: Rules, language: Language) -> None:
        self.kind = kind
        self.rules = rules
        self.language = language
        self.table = str(kind.model._meta.table_name)

    def store(self, rows: Sequence[Prepared]) -> list[Outcome]:
        """Store rows inside a transaction of the caller's; gives what became of each.

        A row that breaks a rule of the database is found by halving, and fails alone.
        """
        if not rows:
            return []
        try:
            with database.atomic():
                return [
                    outcome for group in self._by_fields(rows) for outcome in self._group(*group)
                ]
        except _BROKEN as error:
            if len(rows) == 1:
                told = reasons(broken_rule(error), self.language)
                return [Outcome(rows[0].line, State.FAILED, told)]
        middle = len(rows) // 2
        return self.store(rows[:middle]) + self.store(rows[middle:])

    def _group(self, fields: tuple[str, ...], rows: Sequence[Prepared]) -> Iterator[Outcome]:
        columns = [name for name in fields if name != "source_id"]
        with self._staged(columns, rows):
            found = self._classified(columns, has_sources="source_id" in fields)
            by_line = {row.line: row for row in rows}
            outcomes = {line: self._outcome(by_line[line], facts) for line, facts in found}
            lines = {
                state: [line for line, one in outcomes.items() if one.state is state]
                for state in (State.CREATED, State.UPDATED)
            }
            self._create(columns, lines[State.CREATED])
            met = {line: known for line, (known, *_) in found}
            self._update(columns, {line: met[line] for line in lines[State.UPDATED]})
            self._follow(fields, lines[State.CREATED], lines[State.UPDATED])
        yield from outcomes.values()

    def _by_fields(
        self, rows: Sequence[Prepared]
    ) -> Iterator[tuple[tuple[str, ...], Sequence[Prepared]]]:
        """Part rows by the fields that they give: those that a row lacks stay as they are."""
        groups: dict[frozenset[str], list[Prepared]] = {}
        for row in rows:
            groups.setdefault(frozenset(row.values), []).append(row)
        for given, alike in groups.items():
            stored = (name for name in self.kind.form.fields if name != "parent_id")
            yield tuple(name for name in stored if name in given), alike

    def _outcome(self, row: Prepared, facts: tuple[Any, int, bool, bool]) -> Outcome:
        known, matches, differs, taken = facts
        state = self.rules.state(is_known=known is not None, differs=differs)
        problem: Message | None = None
        if known is None and matches > 1:
            problem = Message("row_ambiguous")
        elif state is State.CREATED and row.missing:
            required = {name: [Message("required")] for name in row.missing}
            return Outcome(row.line, State.FAILED, texts(required, self.language))
        elif state is State.CREATED and taken:
            problem = Message("id_taken")
        elif state is State.CREATED and self.table == "regionals" and not row.values["has_parent"]:
            problem = Message("parent_missing", {"code": parent_code(row.values["code"])})
        if problem is not None:
            return Outcome(row.line, State.FAILED, {"": [problem.text(self.language)]})
        return Outcome(row.line, state)

    @contextmanager
    def _staged(self, columns: Sequence[str], rows: Sequence[Prepared]) -> Iterator[None]:
        """Bring rows into a temporary table beside those that they meet."""
        extra = ", NULL::box AS derived_box, NULL::uuid[] AS sources" if self._is_mapsets else ""
        listed = "".join(f", {name}" for name in columns)
        # Of the table's own types, without its rules: those are for the table to hold.
        database.execute_sql(
            f"CREATE TEMP TABLE {_STAGED} ON COMMIT DROP AS SELECT 0 AS line, id AS given_id,"
            f" id AS new_id, id AS history_id{listed}{extra} FROM {self.table} WHERE false"
        )
        try:
            self._copy(columns, rows)
            yield
        finally:
            if database.in_transaction() and not _is_broken():
                database.execute_sql(f"DROP TABLE IF EXISTS {_STAGED}")

    @property
    def _is_mapsets(self) -> bool:
        return self.table == "mapsets"

    def _copy(self, columns: Sequence[str], rows: Sequence[Prepared]) -> None:
        lines = io.StringIO()
        write = csv.writer(lines).writerow
        names = ["line", "given_id", "new_id", "history_id", *columns]
        if self._is_mapsets:
            names += ["derived_box", "sources"]
        for row in rows:
            cells: list[Any] = [row.line, row.record_id, new_id(), new_id()]
            cells += [_cell(row.values.get(name)) for name in columns]
            if self._is_mapsets:
                cells += [
                    _BOX.db_value(bounding_box_of(row.values.get("layer_url"))),
                    _array(row.values.get("source_id")),
                ]
            write(cells)
        lines.seek(0)
        with database.connection().cursor() as cursor:
            cursor.copy_expert(
                f"COPY {_STAGED} ({', '.join(names)}) FROM STDIN (FORMAT csv)", lines
            )

    def _classified(
        self, columns: Sequence[str], *, has_sources: bool
    ) -> list[tuple[int, tuple[Any, int, bool, bool]]]:
        """Give of each staged row the line, the id that it meets, how many it might meet,
        whether it differs from that, and whether its own id is another's."""
        compared = [name for name in columns if name not in self.kind.only_on_creation]
        differs = " OR ".join(_differs(name) for name in compared) or "false"
        if has_sources:
            differs += (
                " OR s.sources IS DISTINCT FROM coalesce((SELECT array_agg(map_source_id ORDER BY"
                " position) FROM mapset_sources WHERE mapset_id = t.id), '{}')"
            )
        if self.table == "regionals" and "code" in columns:
            differs += f" OR t.parent_id IS DISTINCT FROM {_PARENT_ID}"
        keys = [key for key in self.kind.key if key in columns]
        condition = " AND ".join(_same(key) for key in keys) or "false"
        if len(keys) < len(self.kind.key):
            condition = "false"
        cursor = database.execute_sql(
            f"SELECT s.line, t.id, coalesce(k.matches, 0), t.id IS NOT NULL AND ({differs}),"
            f" s.given_id IS NOT NULL AND t.id IS NULL"
            f" AND EXISTS (SELECT FROM {self.table} o WHERE o.id = s.given_id)"
            f" FROM {_STAGED} s"
            f" LEFT JOIN {self.table} i ON i.id = s.given_id AND i.deleted_at IS NULL"
            f" LEFT JOIN LATERAL (SELECT (array_agg(t.id))[1] AS id, count(*) AS matches"
            f" FROM {self.table} t WHERE {condition} AND t.deleted_at IS NULL)"
            f" k ON i.id IS NULL"
            f" LEFT JOIN {self.table} t"
            f" ON t.id = coalesce(i.id, CASE WHEN k.matches = 1 THEN k.id END) ORDER BY s.line"
        )
        return [(line, (known, *facts)) for line, known, *facts in cursor.fetchall()]

    def _create(self, columns: Sequence[str], lines: list[int]) -> None:
        if not lines:
            return
        targets, values = list(columns), [f"s.{name}" for name in columns]
        if self._is_mapsets:
            targets += ["created_by", "updated_by"]
            values += ["%(user)s", "%(user)s"]
            if "bounding_box" in targets:
                values[targets.index("bounding_box")] = "coalesce(s.bounding_box, s.derived_box)"
            else:
                targets, values = [*targets, "bounding_box"], [*values, "s.derived_box"]
        if self.table == "regionals":
            targets, values = [*targets, "parent_id"], [*values, _PARENT_ID]
        # What is not given is what the table's own defaults say.
        given = [
            f"coalesce({value}, {_DEFAULTS[name]})" if name in _DEFAULTS else value
            for name, value in zip(targets, values, strict=True)
        ]
        database.execute_sql(
            f"INSERT INTO {self.table} (id, {', '.join(targets)})"
            f" SELECT coalesce(s.given_id, s.new_id), {', '.join(given)} FROM {_STAGED} s"
            " WHERE s.line = ANY(%(lines)s)",
            {"user": str(SYSTEM_USER_ID), "lines": lines},
        )
        database.execute_sql(
            f"UPDATE {_STAGED} SET new_id = coalesce(given_id, new_id) WHERE given_id IS NOT NULL"
        )

    def _update(self, columns: Sequence[str], met: dict[int, uuid.UUID]) -> None:
        """Change the records that rows, by their lines, have met."""
        if not met:
            return
        changed = [name for name in columns if name not in self.kind.only_on_creation]
        sets = [f"{name} = s.{name}" for name in changed]
        sets += ["revision = t.revision + 1", "updated_at = now()"]
        if self._is_mapsets:
            sets.append("updated_by = %(user)s")
        if self.table == "regionals" and "code" in columns:
            sets.append(f"parent_id = {_PARENT_ID}")
        ids = list(map(str, met.values()))
        database.execute_sql(
            f"WITH met AS (UPDATE {_STAGED} s SET new_id = m.id"
            " FROM unnest(%(lines)s, %(ids)s::uuid[]) AS m (line, id) WHERE s.line = m.line"
            " RETURNING s.*)"
            f" UPDATE {self.table} t SET {', '.join(sets)} FROM met s WHERE t.id = s.new_id",
            {"user": str(SYSTEM_USER_ID), "lines": list(met), "ids": ids},
        )

    def _follow(self, fields: Sequence[str], created: list[int], updated: list[int]) -> None:
        """Write what belongs to new and changed mapsets: sources, history, revisions.

        What lies in a new region, and lay in the one above it for want of this, moves there.
        """
        if self.table == "regionals" and created:
            database.execute_sql(_MOVE_INTO_NEW_REGIONS, {"created": created})
        if not self._is_mapsets or not created + updated:
            return
        parameters = {
            "user": str(SYSTEM_USER_ID),
            "created": created,
            "changed": created + updated,
        }
        if "source_id" in fields:
            database.execute_sql(_DROP_SOURCES, parameters)
            database.execute_sql(_LINK_SOURCES, parameters)
        database.execute_sql(_HISTORY, parameters)
        database.execute_sql(_REVISIONS, parameters)


_DEFAULTS = {
    "is_active": "true",
    "is_popular": "false",
    "status_validation": "'on_verification'",
    "data_status": "'sementara'",
}
# The nearest region that its code lies in: the official list leaves a few districts out.
_PARENT_ID = (
    "(SELECT p.id FROM regionals p WHERE p.deleted_at IS NULL AND length(p.code) < length(s.code)"
    " AND p.code IN (left(s.code, 8), left(s.code, 5), left(s.code, 2))"
    " ORDER BY length(p.code) DESC LIMIT 1)"
)
_MOVE_INTO_NEW_REGIONS = (
    "UPDATE regionals t SET parent_id = m.id, revision = t.revision + 1, updated_at = now()"
    f" FROM {_STAGED} s JOIN regionals m ON m.id = s.new_id"
    " WHERE s.line = ANY(%(created)s) AND length(m.code) < 13 AND t.parent_id = m.parent_id"
    " AND t.deleted_at IS NULL AND length(t.code) > length(m.code)"
    " AND left(t.code, length(m.code)) = m.code"
)
_DROP_SOURCES = (
    f"DELETE FROM mapset_sources m USING {_STAGED} s"
    " WHERE m.mapset_id = s.new_id AND s.line = ANY(%(changed)s)"
)
_LINK_SOURCES = (
    "INSERT INTO mapset_sources (mapset_id, map_source_id, position)"
    f" SELECT s.new_id, u.id, u.place - 1 FROM {_STAGED} s,"
    " unnest(s.sources) WITH ORDINALITY AS u (id, place) WHERE s.line = ANY(%(changed)s)"
)
_HISTORY = (
    "INSERT INTO mapset_histories (id, mapset_id, validation_type, notes, user_id)"
    " SELECT s.history_id, m.id, m.status_validation, m.notes, %(user)s"
    f" FROM {_STAGED} s JOIN mapsets m ON m.id = s.new_id WHERE s.line = ANY(%(changed)s)"
    " AND m.status_validation IS DISTINCT FROM CASE WHEN s.line <> ALL(%(created)s) THEN"
    " (SELECT h.validation_type FROM mapset_histories h WHERE h.mapset_id = m.id"
    " ORDER BY h.created_at DESC, h.id DESC LIMIT 1) END"
)
_REVISIONS = (
    "INSERT INTO mapset_revisions (mapset_id, revision, user_id, state)"
    " SELECT m.id, m.revision, %(user)s, to_jsonb(m) - 'search_text'"
    " || jsonb_build_object('source_id', coalesce("
    "(SELECT json_agg(l.map_source_id ORDER BY l.position) FROM mapset_sources l"
    " WHERE l.mapset_id = m.id), '[]'::json))"
    f" FROM {_STAGED} s JOIN mapsets m ON m.id = s.new_id WHERE s.line = ANY(%(changed)s)"
)


def with_parents(rows: Sequence[Prepared]) -> None:
    """Note of each region whether one that its code lies in is there."""
    wanted = {above for row in rows for above in _codes_above(row.values.get("code") or "")}
    model: Any = Regional
    query = model.select(model.code).where(model.code.in_(list(wanted)) & model.living())
    known = {code for (code,) in query.tuples()}
    for row in rows:
        above = _codes_above(row.values.get("code") or "")
        row.values["has_parent"] = not above or bool(known & above)


def _codes_above(code: str) -> set[str]:
    return {code[:length] for length in (2, 5, 8) if length < len(code)}


def _differs(name: str) -> str:
    if name == "bounding_box":
        # PostgreSQL's = of boxes compares their areas.
        return "s.bounding_box::text IS DISTINCT FROM t.bounding_box::text"
    return f"s.{name} IS DISTINCT FROM t.{name}"


def _same(key: str) -> str:
    # As the unique indexes have it: names without regard to case, codes and ids as they are.
    if key == "name":
        return f"lower(t.{key}) = lower(s.{key})"
    # Of a reference no index is to be used: a producer has too many mapsets.
    return f"t.{key} IS NOT DISTINCT FROM s.{key}" if key.endswith("_id") else f"t.{key} = s.{key}"


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return _BOX.db_value(value)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    return value


def _array(ids: Sequence[uuid.UUID] | None) -> str:
    return "{" + ",".join(map(str, dict.fromkeys(ids or ()))) + "}"


def _is_broken() -> bool:
    status = database.connection().info.transaction_status
    return bool(status == psycopg2.extensions.TRANSACTION_STATUS_INERROR)
