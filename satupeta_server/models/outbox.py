"""What is to be told to somebody outside, by mail or by webhook."""

import peewee
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from satupeta_server.models.base import BaseModel, now, reference
from satupeta_server.models.users import User

STATUSES = ("waiting", "delivered", "failed")


class Delivery(BaseModel):
    """One message to one receiver; its id stays the same however often it is tried."""

    channel = peewee.TextField()
    event = peewee.TextField()
    user_id = reference(User, "user_id", null=True)
    """To whom a mail goes."""
    address = peewee.TextField(null=True)
    """Where a webhook goes."""
    payload = BinaryJSONField()
    status = peewee.TextField(default="waiting")
    attempts = peewee.IntegerField(default=0)
    error = peewee.TextField(null=True)
    """Why the last attempt failed."""
    created_at = DateTimeTZField(default=now)
    delivered_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "outbox"
