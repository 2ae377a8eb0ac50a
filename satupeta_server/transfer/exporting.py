"""All living records of a kind, as rows that an import reads back unchanged."""

import datetime
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from satupeta_server import database
from satupeta_server.models.mapsets import BoundingBoxField, MapsetSource
from satupeta_server.transfer.kinds import Kind
from satupeta_server.transfer.references import References

_CHUNK_ROWS = 2000
_BOX = BoundingBoxField()


def export_rows(kind: Kind) -> Iterator[dict[str, Any]]:
    """Give the records in the order of their keys, from one snapshot, a few at a time.

    To be called where the models may be used synchronously. Raises UnavailableError when the
    database goes away.
    """
    reference_of = kind.references
    names = [name for name in kind.columns if name not in ("id", "sources")]
    columns = [reference_of[name].field if name in reference_of else name for name in names]
    model: Any = kind.model
    sources = "sources" in kind.columns
    condition = model.living()
    if kind.name == "users":
        condition &= ~model.is_system
    with database.translated(), database.database.atomic():
        database.database.execute_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        references = References(kind)
        fields = [model.id, *(getattr(model, one) for one in columns)]
        query = model.select(*fields).where(condition).order_by(model.id)
        for chunk in _chunks(query, [field.python_value for field in fields]):
            linked = _sources_of([row[0] for row in chunk], references) if sources else {}
            for record_id, *values in chunk:
                row = {"id": str(record_id)}
                for name, value in zip(names, values, strict=True):
                    is_reference = name in reference_of and value is not None
                    label = references.names(name).label(value) if is_reference else value
                    row[name] = _plain(label)
                if sources:
                    row["sources"] = ";".join(linked.get(record_id, ()))
                yield row


def _chunks(query: Any, converters: Sequence[Any]) -> Iterator[list[tuple[Any, ...]]]:
    """Read through a cursor of the server: what is not given yet stays there."""
    sql, parameters = query.sql()
    connection = database.database.connection()
    # The driver does not know of the transaction, which Peewee has begun by a statement.
    with connection.cursor(name="export", withhold=True) as cursor:
        cursor.itersize = _CHUNK_ROWS
        cursor.execute(sql, parameters)
        while rows := cursor.fetchmany(_CHUNK_ROWS):
            yield [
                tuple(convert(value) for convert, value in zip(converters, row, strict=True))
                for row in rows
            ]


def _sources_of(ids: list[uuid.UUID], references: References) -> dict[uuid.UUID, list[str]]:
    names = references.names("sources")
    model: Any = MapsetSource
    query = model.select(model.mapset_id, model.map_source_id).where(model.mapset_id.in_(ids))
    found: dict[uuid.UUID, list[str]] = {}
    for mapset_id, source_id in query.order_by(model.mapset_id, model.position).tuples():
        found.setdefault(mapset_id, []).append(names.label(source_id))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return ", ".join(map(repr, value))
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
