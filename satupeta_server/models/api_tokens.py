"""Tokens with which machines call the API."""

import peewee
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from satupeta_server.models.base import BaseModel, now, reference
from satupeta_server.models.organizations import Organization
from satupeta_server.models.users import User


class ApiToken(BaseModel):
    """What a machine proves with whose machine it is; the secret is kept as a digest."""

    user_id = reference(User, "user_id")
    name = peewee.TextField()
    token_hash = peewee.TextField(unique=True)
    permissions = BinaryJSONField()
    """The names of the permissions that it is narrowed to."""
    organization_id = reference(Organization, "organization_id", null=True)
    """The one organization that it is narrowed to."""
    created_at = DateTimeTZField(default=now)
    expires_at = DateTimeTZField()
    last_used_at = DateTimeTZField(null=True)
    last_address = peewee.TextField(null=True)
    revoked_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "api_tokens"
