"""Users."""

import uuid

import peewee
from playhouse.postgres_ext import DateTimeTZField

from satupeta_server.models.base import Record, reference
from satupeta_server.models.files import File
from satupeta_server.models.organizations import Organization
from satupeta_server.models.roles import Role

SYSTEM_USER_ID = uuid.UUID("01968b53-a910-7000-8000-000000000001")
"""The reserved user to whom belongs what no person did."""


class User(Record):
    """Somebody who can log in, or the system user, who cannot and acts for commands."""

    name = peewee.TextField()
    username = peewee.TextField()
    email = peewee.TextField()
    password_hash = peewee.TextField(null=True)
    password_changed_at = DateTimeTZField(null=True)
    employee_id = peewee.TextField(null=True)
    position = peewee.TextField(null=True)
    profile_picture = reference(File, "profile_picture", null=True)
    role_id = reference(Role, "role_id")
    organization_id = reference(Organization, "organization_id", null=True)
    is_active = peewee.BooleanField(default=True)
    is_system = peewee.BooleanField(default=False)
    erased_at = DateTimeTZField(null=True)
    """When the row ceased to tell of a person; such a user never comes back."""

    class Meta:
        table_name = "users"
