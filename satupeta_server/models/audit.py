"""The record of what happened."""

import uuid
from collections.abc import Mapping
from typing import Any

import orjson
import peewee
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from satupeta_server.models.base import BaseModel, now, reference
from satupeta_server.models.users import User
from satupeta_server.security.callers import Caller

Changes = Mapping[str, tuple[Any, Any]]
"""What a field was before and is after, by the field's name."""

HIDDEN = "***"
SECRET_FIELDS = frozenset({"password_hash", "sensitive_data", "token_hash"})
"""Of these it is recorded that they changed, never what they hold."""
_BOOKKEEPING = frozenset({"id", "revision", "created_at", "updated_at", "created_by", "updated_by"})


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


class AuditRecord(BaseModel):
    """Who did what to which record; rows are only ever added, which the database holds."""

    occurred_at = DateTimeTZField(default=now)
    user_id = reference(User, "user_id", null=True)
    session_id = peewee.UUIDField(null=True)
    token_id = peewee.UUIDField(null=True)
    action = peewee.TextField()
    subject = peewee.TextField()
    subject_id = peewee.UUIDField(null=True)
    address = peewee.TextField(null=True)
    request_id = peewee.TextField(null=True)
    command = peewee.TextField(null=True)
    run_by = peewee.TextField(null=True)
    changes = BinaryJSONField(null=True, dumps=_json)
    details = BinaryJSONField(null=True, dumps=_json)

    class Meta:
        table_name = "audit_log"


def recording(
    caller: Caller,
    action: str,
    subject: str,
    subject_id: uuid.UUID | None,
    details: dict[str, Any],
    changes: Changes | None = None,
) -> Any:
    """Make the statement that records what the caller did to a record, or to several of a kind.

    ``details`` is for what the reader of the log needs, and never holds a secret; those among
    ``changes`` are hidden here.
    """
    return AuditRecord.insert(
        user_id=caller.user_id,
        session_id=caller.session_id,
        token_id=caller.token_id,
        action=action,
        subject=subject,
        subject_id=subject_id,
        address=caller.address,
        request_id=caller.request_id,
        command=caller.command,
        run_by=caller.run_by,
        changes=_shown(changes or {}) or None,
        details=details or None,
    )


def _shown(changes: Changes) -> dict[str, list[Any]]:
    """Leave out what every change counts up, and hide secrets."""
    return {
        name: [_hidden(value) if name in SECRET_FIELDS else value for value in both]
        for name, both in changes.items()
        if name not in _BOOKKEEPING
    }


def _hidden(value: Any) -> str | None:
    return None if value is None else HIDDEN
