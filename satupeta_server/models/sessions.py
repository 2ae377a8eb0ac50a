"""Logins: sessions, failures, one-time links for a new password."""

import peewee
from playhouse.postgres_ext import DateTimeTZField

from satupeta_server.models.base import BaseModel, now, reference
from satupeta_server.models.users import User


class Session(BaseModel):
    """What a login opens and what its tokens are bound to."""

    user_id = reference(User, "user_id")
    created_at = DateTimeTZField(default=now)
    expires_at = DateTimeTZField()
    last_used_at = DateTimeTZField(default=now)
    refresh_count = peewee.IntegerField(default=0)
    address = peewee.TextField(null=True)
    last_address = peewee.TextField(null=True)
    address_changes = peewee.IntegerField(default=0)
    """From how many addresses besides the first it was refreshed."""
    user_agent = peewee.TextField(null=True)
    ended_at = DateTimeTZField(null=True)
    end_reason = peewee.TextField(null=True)
    write_position = peewee.BigIntegerField()
    """What a standby must have replayed to show what the session has written or found."""

    class Meta:
        table_name = "sessions"


class LoginFailure(BaseModel):
    """How often logins to one account failed since its last success; known by a digest only."""

    id = None  # type: ignore[assignment]
    account = peewee.TextField(primary_key=True)
    failures = peewee.IntegerField()
    last_failed_at = DateTimeTZField(default=now)

    class Meta:
        table_name = "login_failures"


class PasswordReset(BaseModel):
    """A one-time link for a new password, kept as a digest."""

    user_id = reference(User, "user_id")
    token_hash = peewee.TextField(unique=True)
    created_at = DateTimeTZField(default=now)
    expires_at = DateTimeTZField()
    used_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "password_resets"
