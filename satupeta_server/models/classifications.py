"""Classifications of mapsets by who may see them."""

import peewee

from satupeta_server.models.base import Record


class Classification(Record):
    """How open a mapset is; a secret one is never public."""

    name = peewee.TextField()
    description = peewee.TextField(null=True)
    is_open = peewee.BooleanField(default=False)
    is_limited = peewee.BooleanField(default=False)
    is_secret = peewee.BooleanField(default=False)
    is_active = peewee.BooleanField(default=True)

    class Meta:
        table_name = "classifications"
