"""Tokens with which machines call the API for the user who made them."""

import contextlib
import datetime
import hashlib
import logging
import secrets
import uuid
from typing import Any

from peewee import JOIN, fn

from satupeta_server.database import database
from satupeta_server.errors import (
    InvalidError,
    NotAuthenticatedError,
    NotFoundError,
    UnavailableError,
    invalid,
)
from satupeta_server.messages import Message
from satupeta_server.models.api_tokens import ApiToken
from satupeta_server.models.base import new_id, now
from satupeta_server.models.organizations import Organization
from satupeta_server.models.roles import Role
from satupeta_server.models.users import User
from satupeta_server.security.callers import Caller
from satupeta_server.security.permissions import GRANTS, NEVER_BY_TOKEN, Scope, granted_scope
from satupeta_server.services.audit import record_action

PREFIX = "sp_"
"""Begins every token, so that one which leaked can be found by searching for it."""
DEFAULT_LIFETIME = datetime.timedelta(days=90)
LONGEST_LIFETIME = datetime.timedelta(days=366)
_NOTED_EVERY = datetime.timedelta(minutes=1)
_SHOWN = (
    "id",
    "user_id",
    "name",
    "permissions",
    "organization_id",
    "created_at",
    "expires_at",
    "last_used_at",
    "last_address",
    "revoked_at",
)

logger = logging.getLogger(__name__)

Values = dict[str, Any]


class ApiTokenService:
    """Makes, knows, lists and revokes tokens."""

    async def authenticate(self, token: str, address: str | None, request_id: str | None) -> Caller:
        """Find out whose machine calls, as the database knows them now, with one statement.

        A second one notes the use, at most once a minute. Raises NotAuthenticatedError when the
        token, or its owner, is no longer good.
        """
        found = await self._living(token)
        if found is None:
            raise NotAuthenticatedError
        organization = found.organization_key
        if organization and _is_of_another(
            found.role_name, found.owners_organization, organization
        ):
            raise NotAuthenticatedError
        # A database that takes no writes still answers those who read.
        with contextlib.suppress(UnavailableError):
            await _note_use(found, address)
        return Caller(
            user_id=found.user_id_key,
            role=found.role_name,
            organization_id=organization or found.owners_organization,
            address=address,
            request_id=request_id,
            token_id=found.id,
            permissions=frozenset(found.permissions),
            is_of_one_organization=organization is not None,
        )

    async def create(
        self, caller: Caller, values: Values, owner_id: uuid.UUID | None = None
    ) -> Values:
        """Make a token for the caller, or for another user; its secret is given only here.

        Raises InvalidError for a permission that the owner lacks or no token may have, for an
        organization beyond the owner's, and for a time that has passed or is too far away.
        """
        scope = caller.scope("tokens:write")
        owner_id = owner_id or caller.identity()
        if scope is not Scope.ALL and owner_id != caller.identity():
            raise NotFoundError
        token = PREFIX + secrets.token_urlsafe(32)
        async with database.whole():
            owner = await _owner(owner_id)
            checked = await _checked(owner, values)
            row = {"id": new_id(), "user_id": owner_id, "created_at": now(), **checked}
            await ApiToken.insert(**row, token_hash=_digest(token)).aio_execute()
            details = {"permissions": checked["permissions"]}
            await record_action(caller, "create_token", "api_tokens", row["id"], **details)
        return {name: row.get(name) for name in _SHOWN} | {"token": token}

    async def list(self, caller: Caller, user_id: uuid.UUID | None = None) -> list[Values]:
        """Give the tokens that the caller may see, of one user or of all, the newest first."""
        columns = [getattr(ApiToken, name) for name in _SHOWN]
        condition = _within(caller, "tokens:read")
        if user_id is not None:
            condition &= ApiToken.user_id == user_id
        query = (
            ApiToken.select(*columns, User.username)
            .join(User, JOIN.INNER, on=(User.id == ApiToken.user_id))
            .where(condition)
            .order_by(ApiToken.created_at.desc(), ApiToken.id.desc())
            .dicts()
        )
        return [dict(row) for row in await query.aio_execute()]

    async def revoke(self, caller: Caller, token_id: uuid.UUID) -> None:
        """End a token for good; raises NotFoundError when it has ended or is not the caller's."""
        condition = (
            _within(caller, "tokens:write")
            & (ApiToken.id == token_id)
            & ApiToken.revoked_at.is_null()
        )
        async with database.whole():
            query = ApiToken.update(revoked_at=now()).where(condition)
            if not await query.aio_execute():
                raise NotFoundError
            await record_action(caller, "revoke_token", "api_tokens", token_id)

    @staticmethod
    async def _living(token: str) -> Any:
        query = (
            ApiToken.select(
                ApiToken,
                Role.name.alias("role_name"),
                User.organization_id.alias("owners_organization"),
                ApiToken.user_id.alias("user_id_key"),
                ApiToken.organization_id.alias("organization_key"),
            )
            .join(User, on=(User.id == ApiToken.user_id))
            .join(Role, on=(Role.id == User.role_id))
            .where(
                (ApiToken.token_hash == _digest(token))
                & ApiToken.revoked_at.is_null()
                & (ApiToken.expires_at > fn.now())
                & User.is_active
                & User.living()
                & Role.is_active
            )
            .objects()
        )
        rows = await query.aio_execute()
        return rows[0] if rows else None


def _digest(token: str) -> str:
    # The secret has 256 random bits: nobody can try them all, so a plain digest serves.
    return hashlib.sha256(token.encode()).hexdigest()


def _within(caller: Caller, permission: str) -> Any:
    if caller.scope(permission) is Scope.ALL:
        return ApiToken.id.is_null(is_null=False)
    return ApiToken.user_id == caller.identity()


def _is_of_another(role: str, own: uuid.UUID | None, organization: uuid.UUID) -> bool:
    """Whether a token would reach an organization that its owner does not."""
    return granted_scope(role, "mapsets:read") is not Scope.ALL and own != organization


async def _note_use(found: Any, address: str | None) -> None:
    moment = now()
    if found.last_used_at is not None and found.last_used_at > moment - _NOTED_EVERY:
        return
    unnoted = ApiToken.last_used_at.is_null() | (ApiToken.last_used_at <= moment - _NOTED_EVERY)
    use = {"last_used_at": moment, "last_address": address}
    await ApiToken.update(use).where((ApiToken.id == found.id) & unnoted).aio_execute()


async def _owner(user_id: uuid.UUID) -> Any:
    query = (
        User.select(User.organization_id, Role.name.alias("role_name"))
        .join(Role, on=(Role.id == User.role_id))
        .where((User.id == user_id) & User.living() & User.is_active & ~User.is_system)
        .objects()
    )
    rows = await query.aio_execute()
    if not rows:
        raise NotFoundError
    return rows[0]


async def _checked(owner: Any, values: Values) -> Values:
    role, moment = owner.role_name, now()
    permissions = sorted(set(values["permissions"]))
    wrong = [
        one
        for one in permissions
        if one not in GRANTS or one in NEVER_BY_TOKEN or granted_scope(role, one) is None
    ]
    if wrong:
        problem = Message("permission_not_granted", {"permissions": ", ".join(wrong)[:200]})
        raise InvalidError(errors={"permissions": [problem]})
    organization = values.get("organization_id")
    if organization is not None:
        living = (Organization.id == organization) & Organization.living()
        own = owner.organization_id_key
        if not await Organization.aio_get_or_none(living) or _is_of_another(
            role, own, organization
        ):
            raise invalid("organization_id", "unknown_reference")
    expires_at = values.get("expires_at") or moment + DEFAULT_LIFETIME
    if not moment < expires_at <= moment + LONGEST_LIFETIME:
        limit = Message("token_lifetime", {"limit": LONGEST_LIFETIME.days})
        raise InvalidError(errors={"expires_at": [limit]})
    return {
        "name": values["name"],
        "permissions": permissions,
        "organization_id": organization,
        "expires_at": expires_at,
    }
