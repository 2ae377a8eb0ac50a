"""Organizations: the agencies that publish mapsets (produsen data)."""

import peewee

from satupeta_server.models.base import Record, reference
from satupeta_server.models.files import File


class Organization(Record):
    """An agency; of a mapset it is the producer."""

    name = peewee.TextField()
    description = peewee.TextField(null=True)
    thumbnail = reference(File, "thumbnail", null=True)
    address = peewee.TextField(null=True)
    phone_number = peewee.TextField(null=True)
    email = peewee.TextField(null=True)
    website = peewee.TextField(null=True)
    is_active = peewee.BooleanField(default=True)

    class Meta:
        table_name = "organizations"
