"""Categories of mapsets."""

import peewee

from satupeta_server.models.base import Record, reference
from satupeta_server.models.files import File


class Category(Record):
    """A theme under which mapsets stand."""

    name = peewee.TextField()
    description = peewee.TextField(null=True)
    thumbnail = reference(File, "thumbnail", null=True)
    is_active = peewee.BooleanField(default=True)

    class Meta:
        table_name = "categories"
