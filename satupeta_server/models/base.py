"""What all tables have in common."""

import datetime
import uuid
from typing import Any

import peewee
import peewee_async
from playhouse.postgres_ext import DateTimeTZField
from uuid6 import uuid7

from satupeta_server.database import database


def new_id() -> uuid.UUID:
    """Make a key: a UUID version 7 (RFC 9562, 5.7), which sorts by its time of creation."""
    return uuid.UUID(bytes=uuid7().bytes)


def now() -> datetime.datetime:
    """The present moment, with its offset."""
    return datetime.datetime.now(datetime.UTC)


class BaseModel(peewee_async.AioModel):  # type: ignore[misc]
    """A table of the one database, keyed by UUIDv7."""

    id = peewee.UUIDField(primary_key=True, default=new_id)

    class Meta:
        database = database
        legacy_table_names = False


class Record(BaseModel):
    """A record that people create, change and delete.

    Each change counts ``revision`` up. A deleted record stays, with its ``deleted_at`` set:
    what embeds it goes on showing it.
    """

    revision = peewee.IntegerField(default=1)
    created_at = DateTimeTZField(default=now)
    updated_at = DateTimeTZField(default=now)
    deleted_at = DateTimeTZField(null=True)

    @classmethod
    def living(cls, source: Any = None) -> Any:
        """The condition that a row, of this table or of its alias, is not deleted."""
        return (source or cls).deleted_at.is_null()


def reference(model: Any, name: str, *, null: bool = False) -> Any:
    """A foreign key column that is read as the plain id: nothing is ever loaded in passing."""
    return peewee.ForeignKeyField(
        model, column_name=name, object_id_name=f"{name}_key", null=null, lazy_load=False
    )
