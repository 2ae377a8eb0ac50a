"""How often mapsets were seen and downloaded."""

import peewee

from satupeta_server.models.base import BaseModel
from satupeta_server.models.mapsets import Mapset


class MapsetHits(BaseModel):
    """What happened to a mapset on a day, in TIMEZONE; approximate, and nothing of who it was."""

    id = None  # type: ignore[assignment]
    mapset_id = peewee.ForeignKeyField(
        Mapset, column_name="mapset_id", object_id_name="mapset_id_key", lazy_load=False
    )
    day = peewee.DateField()
    views = peewee.IntegerField(default=0)
    downloads = peewee.IntegerField(default=0)

    class Meta:
        table_name = "mapset_hits"
        primary_key = peewee.CompositeKey("mapset_id", "day")
