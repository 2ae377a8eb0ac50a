"""The record of what happened."""

import peewee
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from satupeta_server.models.base import BaseModel, now, reference
from satupeta_server.models.users import User


class AuditRecord(BaseModel):
    """Who did what to which record."""

    occurred_at = DateTimeTZField(default=now)
    user_id = reference(User, "user_id")
    action = peewee.TextField()
    subject = peewee.TextField()
    subject_id = peewee.UUIDField(null=True)
    address = peewee.TextField(null=True)
    request_id = peewee.TextField(null=True)
    command = peewee.TextField(null=True)
    run_by = peewee.TextField(null=True)
    details = BinaryJSONField(null=True)

    class Meta:
        table_name = "audit_log"
