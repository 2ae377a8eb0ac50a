"""Accounts: what administrators do for those of others, and the sessions of everybody."""

import uuid
from typing import Any

from peewee import JOIN, fn

from satupeta_server.database import database
from satupeta_server.errors import ConflictError, NotFoundError
from satupeta_server.messages import Message
from satupeta_server.models.sessions import Session
from satupeta_server.models.users import User
from satupeta_server.security.callers import Caller
from satupeta_server.services.audit import record_action
from satupeta_server.services.finding import find, none_named
from satupeta_server.services.records import RecordService, Values, differing
from satupeta_server.services.sessions import end_sessions
from satupeta_server.services.users import UserService

_SESSION_COLUMNS = (
    "id",
    "created_at",
    "last_used_at",
    "expires_at",
    "address",
    "last_address",
    "refresh_count",
    "address_changes",
    "user_agent",
)


async def already_there(
    service: RecordService, caller: Caller, values: Values, *, by: str
) -> uuid.UUID | None:
    """Give the id of a living record with all these values; None when none has the one of ``by``.

    A password is not compared: whoever has changed theirs since keeps it. Raises ConflictError
    that names what differs.
    """
    called = str(values[by])
    try:
        row = await find(service, caller, called, by=by)
    except NotFoundError:
        return None
    compared = {name: value for name, value in values.items() if name != "password"}
    others = sorted(differing(row, compared))
    if others:
        noun = Message(f"kind_{service.resource.subject.removesuffix('s')}")
        named = {"kind": noun, "name": called, "fields": ", ".join(others)}
        raise ConflictError(Message("exists_differently", named))
    found: uuid.UUID = row.id
    return found


class AccountService:
    """The open sessions of oneself, and of whom one may see or change."""

    def __init__(self, users: UserService) -> None:
        self.users = users

    async def own(self, caller: Caller) -> list[dict[str, Any]]:
        """Give the caller's open sessions, the last used first; the calling one is marked."""
        caller.scope("me:read")
        rows = await _listed(caller.identity())
        return [{**row, "is_current": row["id"] == caller.session_id} for row in rows]

    async def end_own(
        self,
        caller: Caller,
        session_id: uuid.UUID | None = None,
        *,
        keep_current: bool = False,
    ) -> None:
        """End the named session of the caller, or all; raises NotFoundError for a wrong name."""
        caller.scope("me:write")
        condition = _are_open(caller.identity())
        if keep_current:
            condition &= Session.id != caller.session_id
        await _end(caller, caller.identity(), condition, session_id)

    async def of_user(self, caller: Caller, user_id: uuid.UUID) -> list[dict[str, Any]]:
        """Give a user's open sessions; raises NotFoundError for one whom the caller cannot see."""
        await self.users.get(caller, user_id)
        return await open_sessions(caller, user_id)

    async def end_of_user(
        self, caller: Caller, user_id: uuid.UUID, session_id: uuid.UUID | None = None
    ) -> None:
        """End the named session of a user, or all; raises NotFoundError as :meth:`of_user`."""
        caller.scope("users:write")
        await self.users.get(caller, user_id)
        await _end(caller, user_id, _are_open(user_id), session_id)


async def _end(
    caller: Caller, user_id: uuid.UUID, condition: Any, session_id: uuid.UUID | None
) -> None:
    if session_id is not None:
        condition &= Session.id == session_id
    async with database.whole():
        ended = await end_sessions("revocation", condition)
        if session_id is not None and not ended:
            raise NotFoundError
        if ended:
            await record_action(caller, "revoke_sessions", "users", user_id, sessions=ended)


async def open_sessions(caller: Caller, user_id: uuid.UUID | None = None) -> list[dict[str, Any]]:
    """Give the sessions, of one user or of all, that have neither ended nor expired."""
    caller.scope("users:read")
    return await _listed(user_id)


async def _listed(user_id: uuid.UUID | None) -> list[dict[str, Any]]:
    columns = [getattr(Session, name) for name in _SESSION_COLUMNS]
    query = (
        Session.select(*columns, User.username)
        .join(User, JOIN.INNER, on=(User.id == Session.user_id))
        .where(_are_open(user_id))
        .order_by(Session.last_used_at.desc(), Session.id)
        .dicts()
    )
    return [dict(row) for row in await query.aio_execute()]


async def revoke_sessions(
    caller: Caller, user_id: uuid.UUID, session_id: uuid.UUID | None = None
) -> int:
    """End the open sessions of a user, or the one that is named; gives how many.

    Raises NotFoundError when the named one is not open, or another user's.
    """
    caller.scope("users:write")
    condition = _are_open(user_id)
    if session_id is not None:
        condition &= Session.id == session_id
    ended = await end_sessions("command", condition)
    if session_id is not None and not ended:
        raise none_named("kind_session", str(session_id))
    return ended


def _are_open(user_id: uuid.UUID | None) -> Any:
    condition = Session.ended_at.is_null() & (Session.expires_at > fn.now())
    return condition if user_id is None else condition & (Session.user_id == user_id)
