"""The record of what happened."""

import peewee
from playhouse.postgres_ext import DateTimeTZField

from satupeta_server.models.base import BaseModel, now, reference
from satupeta_server.models.users import User


class AuditRecord(BaseModel):
    """Who did what to which record."""

    occurred_at = DateTimeTZField(default=now)
    user_id = reference(User, "user_id")
    action = peewee.TextField()
    subject = peewee.TextField()
    subject_id = peewee.UUIDField()
    address = peewee.TextField(null=True)
    request_id = peewee.TextField(null=True)

    class Meta:
        table_name = "audit_log"
