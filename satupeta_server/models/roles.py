"""The four roles."""

import peewee

from satupeta_server.models.base import Record


class Role(Record):
    """What a user may do, by one of the four names that the permission table knows."""

    name = peewee.TextField(unique=True)
    description = peewee.TextField(null=True)
    is_active = peewee.BooleanField(default=True)

    class Meta:
        table_name = "roles"
