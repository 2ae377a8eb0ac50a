"""What is kept of one person: given out whole, and erased (Law 27/2022 on personal data)."""

import logging
import uuid
from collections.abc import Collection, Mapping
from typing import Any

import peewee
from peewee import fn

from satupeta_server.database import database
from satupeta_server.errors import ConflictError, NotFoundError, UnavailableError
from satupeta_server.models.api_tokens import ApiToken
from satupeta_server.models.audit import AuditRecord
from satupeta_server.models.base import now
from satupeta_server.models.credentials import Credential
from satupeta_server.models.files import File
from satupeta_server.models.idempotency_keys import IdempotencyKey
from satupeta_server.models.imports import Import
from satupeta_server.models.mapsets import Mapset, MapsetHistory, MapsetRevision
from satupeta_server.models.organizations import Organization
from satupeta_server.models.outbox import Delivery
from satupeta_server.models.roles import Role
from satupeta_server.models.sessions import LoginFailure, PasswordReset, Session
from satupeta_server.models.users import User
from satupeta_server.representations.users import USER, USERS_LISTING
from satupeta_server.security.callers import Caller
from satupeta_server.services.audit import record_action
from satupeta_server.services.files import FileService
from satupeta_server.services.logins import account_of
from satupeta_server.services.records import ReadService, Resource
from satupeta_server.services.sessions import end_sessions
from satupeta_server.services.users import keep_an_administrator, take_turn
from satupeta_server.settings import Settings
from satupeta_server.storage import Storage

logger = logging.getLogger(__name__)

ERASED_NAME = "Pengguna dihapus"
"""What stands where the name of a person stood; end users of the portal read it."""

_SECRET = {"password_hash", "token_hash", "sensitive_data", "encryption_key_id"}
_BULKY = {"state", "write_position"}
# What a person did to others' records is theirs, and where others stood when they acted, too.
_OF_ACTIONS = (
    "id", "occurred_at", "session_id", "token_id", "action", "subject", "subject_id",
    "address", "request_id", "command",
)  # fmt: skip
_OF_ACTIONS_ON_THE_ACCOUNT = ("id", "occurred_at", "action", "changes")
MOST_ROWS = 10_000
"""Of each kind, the newest: a machine's token can make more records than an answer may hold."""
Rows = list[dict[str, Any]]


class PersonalDataService(ReadService):
    """All that tells of a person, of deleted users too."""

    resource = Resource("users", USER, USERS_LISTING)

    def __init__(self, settings: Settings, storage: Storage) -> None:
        super().__init__(settings)
        self.storage = storage
        self.files = FileService(settings, storage)

    def visible(self, caller: Caller, source: Any) -> Any:
        """Everybody but the system user, who is no person; for administrators only."""
        caller.scope("users:export")
        return ~source.is_system

    async def own(self, caller: Caller) -> dict[str, object]:
        """Give what is kept of the caller."""
        caller.scope("me:read")
        return await self._collected(caller.identity())

    async def export(self, caller: Caller, user_id: uuid.UUID) -> dict[str, object]:
        """Give what is kept of a user; that it was given out is recorded.

        Raises NotFoundError.
        """
        caller.scope("users:export")
        async with database.whole():
            found = await self._collected(user_id)
            await record_action(caller, "export_data", "users", user_id)
        return found

    async def erase(self, caller: Caller, user_id: uuid.UUID, *, is_trial: bool = False) -> bool:
        """Erase what tells of a user as a person; tells whether there was anything to erase.

        The row stays, without a name, deleted and never to be restored, so that the records of
        what was done go on pointing at it. A trial is undone by its caller's transaction, and so
        leaves the object of the picture alone. Raises NotFoundError, and ConflictError for the last
        active administrator.
        """
        caller.scope("users:erase")
        async with database.whole():
            await take_turn()
            query = User.select().where((User.id == user_id) & self.visible(caller, User))
            rows = await query.for_update().aio_execute()
            if not rows:
                raise NotFoundError
            if rows[0].erased_at is not None:
                return False
            await keep_an_administrator(rows[0])
            await self._erase_logins(rows[0])
            picture = await self._erase_row(rows[0])
            await database.aio_execute_sql("SELECT erase_from_audit_log(%s)", [str(user_id)])
            await record_action(caller, "erase", "users", user_id)
        if picture is not None and not is_trial:
            await self._remove_object(picture)
        return True

    async def _erase_logins(self, row: User) -> None:
        await end_sessions("deletion", Session.user_id == row.id)
        blank = {"address": None, "last_address": None, "user_agent": None}
        await Session.update(blank).where(Session.user_id == row.id).aio_execute()
        await PasswordReset.delete().where(PasswordReset.user_id == row.id).aio_execute()
        # The kept answer to a creation may be this very person.
        about = (IdempotencyKey.user_id == row.id) | (IdempotencyKey.document.contains(str(row.id)))
        await IdempotencyKey.delete().where(about).aio_execute()
        ended = {
            "name": ERASED_NAME,
            "last_address": None,
            "revoked_at": fn.coalesce(ApiToken.revoked_at, now()),
        }
        await ApiToken.update(ended).where(ApiToken.user_id == row.id).aio_execute()
        account = account_of(str(row.username), self.settings)
        await LoginFailure.delete().where(LoginFailure.account == account).aio_execute()

    async def _erase_row(self, row: User) -> str | None:
        """Blank the row; gives the name of the object of a picture that nothing shows any more."""
        moment = now()
        blank = {
            "name": ERASED_NAME,
            "username": f"dihapus-{row.id}",
            "email": f"{row.id}@dihapus.invalid",
            "employee_id": None,
            "position": None,
            "profile_picture": None,
            "password_hash": None,
            "password_changed_at": None,
            "is_active": False,
            "revision": User.revision + 1,
            "updated_at": moment,
            "deleted_at": row.deleted_at or moment,
            "erased_at": moment,
        }
        await User.update(blank).where(User.id == row.id).aio_execute()
        return await self._erase_picture(row.profile_picture)

    async def _erase_picture(self, file_id: Any) -> str | None:
        picture = await File.aio_get_or_none(File.id == file_id) if file_id else None
        if picture is None:
            return None
        try:
            await self.files.before_delete(Caller(), picture)
        except ConflictError:
            # Something else shows it, which is for its keepers to decide on.
            return None
        await File.delete().where(File.id == picture.id).aio_execute()
        return str(picture.object_name)

    async def _remove_object(self, name: str) -> None:
        try:
            await self.storage.remove(name)
        except UnavailableError:
            # Its row is gone, so satupeta bucket orphans finds it.
            logger.warning("the object %s of an erased picture is still in the store", name)

    async def _collected(self, user_id: uuid.UUID) -> dict[str, object]:
        account = await _rows(User, (User.id == user_id) & ~User.is_system)
        if not account:
            raise NotFoundError
        row = account[0]
        failures = LoginFailure.account == account_of(row["username"], self.settings)
        return {
            "exported_at": now(),
            "account": {**row, **await _named(row)},
            "login_failures": await _rows(LoginFailure, failures),
            **{name: await _rows(*one) for name, one in _parts(user_id).items()},
        }


def _parts(user_id: uuid.UUID) -> Mapping[str, tuple[Any, ...]]:
    """Tables and conditions of all rows that tell of a user, by what they are called."""
    by_user = AuditRecord.user_id == user_id
    on_account = (AuditRecord.subject == "users") & (AuditRecord.subject_id == user_id)
    imports = AuditRecord.select(AuditRecord.subject_id).where(
        by_user & (AuditRecord.action == "import")
    )
    credentials = (
        (Credential.created_by == user_id)
        | (Credential.updated_by == user_id)
        | (Credential.last_used_by == user_id)
    )
    return {
        "sessions": (Session, Session.user_id == user_id),
        "password_resets": (PasswordReset, PasswordReset.user_id == user_id),
        "deliveries": (Delivery, Delivery.user_id == user_id),
        "api_tokens": (ApiToken, ApiToken.user_id == user_id),
        "actions": (AuditRecord, by_user, _OF_ACTIONS),
        "actions_on_the_account": (AuditRecord, on_account, _OF_ACTIONS_ON_THE_ACCOUNT),
        "histories": (MapsetHistory, MapsetHistory.user_id == user_id),
        "revisions": (MapsetRevision, MapsetRevision.user_id == user_id),
        "mapsets": (Mapset, (Mapset.created_by == user_id) | (Mapset.updated_by == user_id)),
        "credentials": (Credential, credentials),
        "uploads": (File, File.uploaded_by == user_id),
        "imports": (Import, Import.id.in_(imports)),
    }


async def _rows(model: Any, condition: Any, names: Collection[str] = ()) -> Rows:
    """Read the newest rows without what is secret, and without whole states of mapsets."""
    known = model._meta.fields
    columns = [known[name] for name in names or known.keys() - _SECRET - _BULKY]
    order = [key.desc() for key in _order(model)]
    query = model.select(*columns).where(condition).order_by(*order).limit(MOST_ROWS)
    return [dict(row) for row in await query.dicts().aio_execute()]


def _order(model: Any) -> tuple[Any, ...]:
    key = model._meta.primary_key
    if isinstance(key, peewee.CompositeKey):
        return tuple(model._meta.fields[name] for name in key.field_names)
    return (key,)


async def _named(row: Mapping[str, Any]) -> dict[str, object]:
    role = await Role.aio_get_or_none(Role.id == row["role_id"])
    organization = await Organization.aio_get_or_none(Organization.id == row["organization_id"])
    return {
        "role": role and role.name,
        "organization": organization and organization.name,
    }
