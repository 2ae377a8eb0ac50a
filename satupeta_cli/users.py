"""What the commands of users share: finding, making and showing one."""

import json
import uuid
from typing import TYPE_CHECKING

from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.records import Values

if TYPE_CHECKING:
    from satupeta_server.models.users import User

_KEPT = ("id", "username", "name", "email", "employee_id", "position", "organization_id")
_STATE = ("is_active", "revision", "created_at", "updated_at")


async def find_user(administration: Administration, called: str) -> "User":
    """Find a user by username, email address or id; raises NotFoundError."""
    from satupeta_server.services.finding import find

    found: User = await find(administration.services.users, administration.caller, called)
    return found


async def with_ids(administration: Administration, values: Values) -> Values:
    """Turn the names of a role and of an organization into their ids.

    Raises NotFoundError for one that is not there, StartError where no roles are.
    """
    from satupeta_server.errors import NotFoundError, StartError
    from satupeta_server.services.finding import find

    services, caller = administration.services, administration.caller
    checked = dict(values)
    organization = checked.pop("organization", None)
    if organization is not None:
        found = await find(services.organizations, caller, organization) if organization else None
        checked["organization_id"] = found.id if found else None
    role = checked.pop("role", None)
    if role is not None:
        try:
            checked["role_id"] = (await find(services.roles, caller, role)).id
        except NotFoundError:
            # The four names are fixed, so it is the seed that is missing.
            raise StartError("The database has no roles; run satupeta db seed.") from None
    return checked


async def checked_for_create(administration: Administration, values: Values) -> Values:
    """Check a new user's values; unlike the form of the API, an organization may be missing."""
    from satupeta_server.schemas.users import USER_CHANGE_FORM

    checked: Values = USER_CHANGE_FORM.for_create(await with_ids(administration, values))
    return checked


async def checked_for_update(administration: Administration, values: Values) -> Values:
    """Check what is to change of a user."""
    from satupeta_server.schemas.users import USER_CHANGE_FORM

    checked: Values = USER_CHANGE_FORM.for_update(await with_ids(administration, values))
    return checked


async def make_user(
    administration: Administration, values: Values, *, dry_run: bool = False
) -> uuid.UUID:
    """Create a user, and give the id."""
    checked = await checked_for_create(administration, values)
    async with administration.change(dry_run=dry_run):
        document = await administration.services.users.create(administration.caller, checked)
        return uuid.UUID(json.loads(document.json)["id"])


def make_link(context: Context, user: str, *, dry_run: bool = False) -> str:
    """Make the one-time link with which an active user sets a new password."""

    async def work(administration: Administration) -> str:
        from satupeta_server.services.finding import none_named

        found = await find_user(administration, user)
        if not found.is_active:
            raise none_named("kind_active_user", user)
        async with administration.change(dry_run=dry_run):
            token = await administration.services.logins.make_reset_token(found.username)
            await administration.record("make_reset_link", "users", found.id)
        return f"{administration.settings.base_url}/api/auth/password-reset/page#{token}"

    return administer(context, work)


async def shown_user(administration: Administration, user: str) -> Values:
    """Give what an administrator wants to know of a user."""
    from satupeta_server.services.accounts import open_sessions

    found = await find_user(administration, user)
    caller, services = administration.caller, administration.services
    row = flat(json.loads((await services.users.get(caller, found.id)).json))
    sessions = await open_sessions(caller, found.id)
    return row | {
        "has_password": found.password_hash is not None,
        "password_changed_at": found.password_changed_at,
        "open_sessions": len(sessions),
        "last_used_at": sessions[0]["last_used_at"] if sessions else None,
        "failed_logins": await services.logins.failures(found.username),
    }


def flat(user: Values) -> Values:
    """Write role and organization by their names, as people know them."""
    names = {
        "role": user["role"]["name"],
        "organization": (user["organization"] or {}).get("name"),
    }
    kept = {name: user[name] for name in _KEPT}
    return kept | names | {name: user[name] for name in _STATE}
