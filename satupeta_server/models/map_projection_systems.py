"""Coordinate reference systems."""

import peewee

from satupeta_server.models.base import Record


class MapProjectionSystem(Record):
    """A coordinate reference system, with its authority's code, such as EPSG:9470."""

    name = peewee.TextField()
    authority_code = peewee.TextField(null=True)
    area = peewee.TextField(null=True)
    epoch = peewee.DecimalField(max_digits=6, decimal_places=2, null=True)
    description = peewee.TextField(null=True)
    is_active = peewee.BooleanField(default=True)

    class Meta:
        table_name = "map_projection_systems"
