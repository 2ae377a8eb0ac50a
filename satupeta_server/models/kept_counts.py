"""Counts that are kept, and what changed since they were made."""

import peewee
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from satupeta_server.models.base import BaseModel, now
from satupeta_server.models.mapsets import Mapset

FORGET_COUNTS = (
    "DELETE FROM kept_counts",
    "DELETE FROM mapset_changes",
    # What was counted before this transaction ends cannot be kept any more.
    "UPDATE mapset_changes_pruned"
    " SET before = (pg_current_xact_id()::text::bigint + 1)::text::xid8,"
    " cluster = (SELECT system_identifier FROM pg_control_system())",
)
"""The statements after which all is counted anew, whatever happened while no trigger told of it."""


class KeptCount(BaseModel):
    """Counts that were once made, with the snapshot of the database that they were made in."""

    id = None  # type: ignore[assignment]
    key = peewee.TextField(primary_key=True)
    counts = BinaryJSONField()
    snapshot = peewee.TextField()
    kept_at = DateTimeTZField(default=now)

    class Meta:
        table_name = "kept_counts"


class MapsetChange(Mapset):
    """A row of the mapsets that came (1) or went (-1); 0 where all is to be counted anew.

    The database adds them. Those that no kept count needs are removed.
    """

    sign = peewee.SmallIntegerField()
    transaction_id = peewee.TextField()

    class Meta:
        table_name = "mapset_changes"


class MapsetChangesPruned(BaseModel):
    """Before which transaction of which cluster no change is known any more; one row."""

    id = None  # type: ignore[assignment]
    before = peewee.TextField()
    cluster = peewee.BigIntegerField()

    class Meta:
        table_name = "mapset_changes_pruned"
        primary_key = False
