"""The record of what happened."""

import uuid
from typing import Any

import peewee
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from satupeta_server.models.base import BaseModel, now, reference
from satupeta_server.models.users import User
from satupeta_server.security.callers import Caller


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


def recording(
    caller: Caller, action: str, subject: str, subject_id: uuid.UUID | None, details: dict[str, Any]
) -> Any:
    """Make the statement that records what the caller did to a record, or to several of a kind.

    ``details`` is for what the reader of the log needs, and never holds a secret.
    """
    return AuditRecord.insert(
        user_id=caller.identity(),
        action=action,
        subject=subject,
        subject_id=subject_id,
        address=caller.address,
        request_id=caller.request_id,
        command=caller.command,
        run_by=caller.run_by,
        details=details or None,
    )
