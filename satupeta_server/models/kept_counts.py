"""Counts that are kept, and what changed since they were made."""

import peewee
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from satupeta_server.models.base import BaseModel, now
from satupeta_server.models.mapsets import Mapset


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
    """Before which transaction no change is known any more; the one row of its table."""

    id = None  # type: ignore[assignment]
    before = peewee.TextField()

    class Meta:
        table_name = "mapset_changes_pruned"
        primary_key = False
