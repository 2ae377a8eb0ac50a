"""Map servers and metadata servers."""

import peewee

from satupeta_server.models.base import Record, reference
from satupeta_server.models.credentials import Credential


class MapSource(Record):
    """A GeoServer, GeoNetwork or other server that mapsets come from."""

    name = peewee.TextField()
    description = peewee.TextField(null=True)
    url = peewee.TextField()
    credential_id = reference(Credential, "credential_id", null=True)
    is_active = peewee.BooleanField(default=True)

    class Meta:
        table_name = "map_sources"
