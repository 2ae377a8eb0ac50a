"""What was answered to creations that may be asked for again."""

import peewee
from playhouse.postgres_ext import DateTimeTZField

from satupeta_server.models.base import BaseModel, now, reference
from satupeta_server.models.users import User


class IdempotencyKey(BaseModel):
    """One creation of one user, by the key that the client gave it.

    Its document is null only for the transaction that makes it.
    """

    id = None  # type: ignore[assignment]
    user_id = reference(User, "user_id")
    key = peewee.TextField()
    fingerprint = peewee.TextField()
    document = peewee.TextField(null=True)
    revision = peewee.IntegerField(null=True)
    created_at = DateTimeTZField(default=now)
    expires_at = DateTimeTZField()

    class Meta:
        table_name = "idempotency_keys"
        primary_key = peewee.CompositeKey("user_id", "key")
