"""Users, and what everybody may change of oneself."""

import uuid
from typing import Any

from satupeta_server.database import database
from satupeta_server.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    invalid,
)
from satupeta_server.models.base import now
from satupeta_server.models.files import File
from satupeta_server.models.organizations import Organization
from satupeta_server.models.roles import Role
from satupeta_server.models.sessions import Session
from satupeta_server.models.users import User
from satupeta_server.representations.users import ME, USER, USERS_LISTING
from satupeta_server.security.callers import Caller
from satupeta_server.security.passwords import (
    broken_password_rule,
    check_password,
    hash_password,
    in_thread,
)
from satupeta_server.security.permissions import ADMINISTRATOR, MANAGER, Scope
from satupeta_server.services.records import (
    Document,
    RecordService,
    Resource,
    Revisions,
    Values,
)
from satupeta_server.services.sessions import EndReason, end_sessions

_OWN_NAMES = ("name", "username", "email")
_LOCK_KEY = 0x5A705E25
_REFERENCES = {"profile_picture": File, "organization_id": Organization, "role_id": Role}


class UserService(RecordService):
    """Users; a validator never sees, makes or changes an administrator."""

    resource = Resource("users", USER, USERS_LISTING, references=_REFERENCES)

    def visible(self, caller: Caller, source: Any) -> Any:
        """Nobody sees the system user."""
        return super().visible(caller, source) & ~source.is_system

    def restorable(self, source: Any) -> Any:
        """Of whom all was erased nobody can come back."""
        return super().restorable(source) & source.erased_at.is_null()

    async def create(self, caller: Caller, values: Values) -> Document:
        """Store a new user; raises InvalidError for a weak password."""
        caller.scope("users:write")
        return await super().create(caller, await self._hashed(values, values))

    async def update(
        self, caller: Caller, record_id: uuid.UUID, values: Values, expected: Revisions = None
    ) -> Document:
        """Change a user; raises InvalidError for a weak password."""
        caller.scope("users:write")
        own = values
        if values.get("password") is not None:
            row = await User.aio_get_or_none(User.id == record_id)
            own = {**_names_of(row), **values} if row is not None else values
        hashed = await self._hashed(values, own)
        return await super().update(caller, record_id, hashed, expected)

    async def locked(self, caller: Caller, record_id: uuid.UUID, expected: Revisions) -> Any:
        """Hold a user; changes of users go one by one, for the sake of the last administrator."""
        await take_turn()
        return await super().locked(caller, record_id, expected)

    async def prepared(self, caller: Caller, values: Values, row: Any) -> Values:
        """Check what role and organization allow."""
        role_id = values.get("role_id") or getattr(row, "role_id", None)
        role = await Role.aio_get_or_none(Role.id == role_id)
        if role is not None:
            await self._check_role(caller, role.name, values, row)
        return values

    async def updated(self, caller: Caller, row: Any, changes: Values) -> None:
        """End the sessions that must not go on."""
        del caller
        for column, ends, reason in _ENDINGS:
            if column in changes and ends(changes[column]):
                await end_sessions(reason, Session.user_id == row.id)
                return

    async def before_delete(self, caller: Caller, row: Any) -> None:
        """Keep the last administrator; raises ConflictError."""
        del caller
        await keep_an_administrator(row)

    async def _check_role(self, caller: Caller, role: str, values: Values, row: Any) -> None:
        scope = caller.scope("users:write")
        if role == ADMINISTRATOR and scope is Scope.NOT_ADMINISTRATORS:
            raise ForbiddenError("administrator_protected")
        organization = values.get("organization_id", getattr(row, "organization_id", None))
        if role == MANAGER and organization is None:
            raise invalid("organization_id", "organization_required")
        demoted = role != ADMINISTRATOR or values.get("is_active") is False
        if row is not None and demoted:
            await keep_an_administrator(row)

    async def _hashed(self, values: Values, own: Values) -> Values:
        if values.get("password") is None:
            return {name: value for name, value in values.items() if name != "password"}
        values = dict(values)
        password = values.pop("password")
        rounds = self.settings.bcrypt_rounds
        return {**values, **await _password_columns(password, rounds, own)}


class MeService(RecordService):
    """What everybody sees and may change of oneself: name, picture and password."""

    resource = Resource("me", ME, USERS_LISTING, references={"profile_picture": File})

    async def change(self, caller: Caller, values: Values, expected: Revisions) -> Document:
        """Change oneself; a new password ends all sessions, this one included.

        Raises InvalidError for a weak password, or when the current one is wrong.
        """
        values = dict(values)
        current, password = values.pop("current_password", None), values.pop("password", None)
        if password is not None:
            user = await User.aio_get(User.id == caller.identity())
            rounds = self.settings.bcrypt_rounds
            if not current:
                raise invalid("current_password", "required")
            if not await in_thread(check_password, current, user.password_hash, rounds):
                raise invalid("current_password", "password_wrong")
            values |= await _password_columns(password, rounds, {**_names_of(user), **values})
        return await self.update(caller, caller.identity(), values, expected)

    async def updated(self, caller: Caller, row: Any, changes: Values) -> None:
        """End the user's sessions after a change of the password."""
        del caller
        if "password_hash" in changes:
            await end_sessions("password", Session.user_id == row.id)


async def take_turn() -> None:
    """Wait until no other transaction changes a user."""
    await database.aio_execute_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))


async def set_password(user: User, password: str, rounds: int) -> None:
    """Give a user a new password and end all sessions, in a transaction of the caller's.

    Raises InvalidError for a password that breaks the rule.
    """
    columns = await _password_columns(password, rounds, _names_of(user))
    counted = {**columns, "revision": User.revision + 1, "updated_at": now()}
    async with database.whole():
        await User.update(counted).where(User.id == user.id).aio_execute()
        await end_sessions("password", Session.user_id == user.id)


def _names_of(user: User) -> Values:
    return {name: getattr(user, name) for name in _OWN_NAMES}


async def _password_columns(password: str, rounds: int, own: Values) -> Values:
    names = [own[name] for name in _OWN_NAMES if own.get(name)]
    problem = broken_password_rule(password, names)
    if problem is not None:
        raise InvalidError(errors={"password": [problem]})
    password_hash = await in_thread(hash_password, password, rounds)
    return {"password_hash": password_hash, "password_changed_at": now()}


async def keep_an_administrator(row: Any) -> None:
    """Raise ConflictError when a user is the last active administrator."""
    administrators = await (
        User.select(User.id)
        .join(Role, on=(Role.id == User.role_id))
        .where(
            (Role.name == ADMINISTRATOR)
            & User.is_active
            & User.living()
            # Who has no password cannot log in, and so is of no help.
            & User.password_hash.is_null(is_null=False)
        )
        .aio_execute()
    )
    if [user.id for user in administrators] == [row.id]:
        raise ConflictError("last_administrator")


_ENDINGS: tuple[tuple[str, Any, EndReason], ...] = (
    ("deleted_at", bool, "deletion"),
    ("is_active", lambda active: not active, "deactivation"),
    ("password_hash", bool, "password"),
)
