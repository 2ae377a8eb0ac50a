"""Uploaded files."""

import peewee

from satupeta_server.models.base import Record


class File(Record):
    """An object in the store; the row exists only once the object does."""

    object_name = peewee.TextField(unique=True)
    name = peewee.TextField()
    description = peewee.TextField(null=True)
    content_type = peewee.TextField()
    size = peewee.BigIntegerField()
    checksum = peewee.TextField()
    width = peewee.IntegerField(null=True)
    height = peewee.IntegerField(null=True)
    uploaded_by = peewee.DeferredForeignKey(
        "User", column_name="uploaded_by", object_id_name="uploaded_by_key", lazy_load=False
    )

    class Meta:
        table_name = "files"
