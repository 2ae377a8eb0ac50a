"""Stored credentials of map servers."""

import uuid

import peewee
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from satupeta_server.models.base import Record, reference
from satupeta_server.models.users import User


class Credential(Record):
    """Access data of a map or metadata server; the sensitive part is encrypted."""

    name = peewee.TextField()
    description = peewee.TextField(null=True)
    credential_type = peewee.TextField(default="")
    credential_metadata = BinaryJSONField(default=dict)
    encryption_key_id = peewee.TextField()
    sensitive_data = peewee.BlobField()
    is_default = peewee.BooleanField(default=False)
    is_active = peewee.BooleanField(default=True)
    created_by = reference(User, "created_by", null=True)
    updated_by = reference(User, "updated_by", null=True)
    last_used_by = reference(User, "last_used_by", null=True)
    last_used_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "credentials"


def encryption_context(credential_id: uuid.UUID) -> str:
    """What the ciphertext of one credential is bound to."""
    return f"credentials:{credential_id}"
