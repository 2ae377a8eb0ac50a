"""News (berita)."""

import peewee

from satupeta_server.models.base import Record, reference
from satupeta_server.models.files import File


class News(Record):
    """An article; its description is sanitised HTML."""

    name = peewee.TextField()
    description = peewee.TextField(null=True)
    thumbnail = reference(File, "thumbnail", null=True)
    is_active = peewee.BooleanField(default=True)

    class Meta:
        table_name = "news"
