"""The audit log as rows of a file, read through a cursor: it may have millions."""

from collections.abc import Iterator
from typing import Any

import orjson

from satupeta_server.maintenance.connections import transaction
from satupeta_server.queries.listing import ListRequest
from satupeta_server.representations.audit import AUDIT_LISTING, AUDIT_RECORD
from satupeta_server.settings import Settings

COLUMNS = tuple(AUDIT_RECORD.members)
_CHUNK_ROWS = 2000


def export_audit(settings: Settings, request: ListRequest) -> Iterator[dict[str, Any]]:
    """Give all records that a request finds as the API gives them, from one snapshot.

    Raises InvalidError for a filter that the list does not know, and what
    :func:`satupeta_server.maintenance.connections.transaction` raises.
    """
    source = AUDIT_RECORD.model.alias()
    query = (
        source.select(AUDIT_RECORD.json(source).cast("text"))
        .where(AUDIT_LISTING.condition(source, request))
        .order_by(*AUDIT_LISTING.order(source, request))
    )
    with transaction(settings, is_snapshot=True) as cursor:
        # Times are written as the API writes them.
        cursor.execute("SELECT set_config('timezone', %s, true)", (settings.timezone,))
        with cursor.connection.cursor(name="audit") as rows:
            rows.itersize = _CHUNK_ROWS
            rows.execute(*query.sql())
            for (text,) in rows:
                yield orjson.loads(text)
