"""The bodies of a user, of oneself, and of a new password by a one-time link."""

from satupeta_server.schemas.base import Form
from satupeta_server.schemas.fields import (
    email,
    identifier,
    name,
    password,
    switch,
    text,
    username,
)

_PERSON = {
    "name": name(example="Budi Santoso"),
    "username": username(),
    "email": email(required=True, example="budi@example.org"),
    "employee_id": text(longest=50, description="NIP."),
    "position": text(longest=255),
    "profile_picture": identifier(description="Id of an uploaded file."),
    "role_id": identifier(required=True),
    "is_active": switch(default=True),
}

USER_FORM = Form(
    {
        **_PERSON,
        "organization_id": identifier(required=True),
        "password": password(required=True),
    }
)
# A user whom a command made may have no organization; the edit form then sends it blank.
USER_CHANGE_FORM = Form({**_PERSON, "organization_id": identifier(), "password": password()})
ME_FORM = Form(
    {
        "name": name(example="Budi Santoso"),
        "profile_picture": identifier(description="Id of an uploaded file."),
        "password": password(),
        "current_password": password(),
    }
)
