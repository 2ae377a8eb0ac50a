"""Administrative regions of Indonesia."""

import peewee

from satupeta_server.models.base import Record, reference
from satupeta_server.models.files import File


class Regional(Record):
    """A province, regency, district or village under its code of the Ministry of Home Affairs."""

    code = peewee.TextField()
    name = peewee.TextField()
    parent_id = reference("self", "parent_id", null=True)
    description = peewee.TextField(null=True)
    thumbnail = reference(File, "thumbnail", null=True)
    valid_from = peewee.DateField(null=True)
    valid_to = peewee.DateField(null=True)
    is_active = peewee.BooleanField(default=True)

    class Meta:
        table_name = "regionals"
