"""What an entry of the audit log looks like."""

from typing import Any

from peewee import fn

from satupeta_server.models.audit import AuditRecord
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.base import (
    Member,
    Representation,
    Schema,
    embedded,
    identifier,
    moment,
    text,
)
from satupeta_server.representations.users import USER

AUDIT_USER = USER.subset("AuditUser", "id", "name", "username")

_CHANGES: Schema = {
    "type": ["object", "null"],
    "additionalProperties": {"type": "array", "minItems": 2, "maxItems": 2, "items": {}},
    "description": "Of each field what it was before and is after; `***` stands for a secret.",
}
_DETAILS: Schema = {"type": ["object", "null"], "additionalProperties": True}


def _address(source: Any) -> Any:
    return fn.host(source.address)


AUDIT_RECORD = Representation(
    "AuditRecord",
    AuditRecord,
    {
        "id": identifier("id"),
        "occurred_at": moment("occurred_at"),
        "user_id": identifier("user_id", null=True),
        "user": embedded(AUDIT_USER, "user_id", null=True),
        "session_id": identifier("session_id", null=True),
        "token_id": identifier("token_id", null=True),
        "command": text("command", null=True),
        "run_by": text("run_by", null=True),
        "address": Member(_address, {"type": ["string", "null"]}),
        "request_id": text("request_id", null=True),
        "action": text("action"),
        "subject": text("subject"),
        "subject_id": identifier("subject_id", null=True),
        "changes": Member(lambda source: source.changes, _CHANGES),
        "details": Member(lambda source: source.details, _DETAILS),
    },
)

AUDIT_LISTING = Listing(
    AuditRecord,
    filters=(
        "id",
        "occurred_at",
        "user_id",
        "session_id",
        "token_id",
        "command",
        "request_id",
        "action",
        "subject",
        "subject_id",
    ),
    sorts=("occurred_at",),
    has_names=False,
    default_sort="occurred_at:desc",
    is_capped=True,
)
