"""Sessions: opened by a login, used by refreshes, ended by logout and by what ends a user."""

import dataclasses
import datetime
import functools
import logging
import uuid
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from peewee import SQL, fn
from peewee_async.databases import fetchone

from satupeta_server.database import database
from satupeta_server.errors import NotAuthenticatedError
from satupeta_server.models.audit import AuditRecord
from satupeta_server.models.base import new_id, now
from satupeta_server.models.roles import Role
from satupeta_server.models.sessions import Session
from satupeta_server.models.users import User
from satupeta_server.replica import WRITTEN, Reader, reader
from satupeta_server.security.callers import Caller
from satupeta_server.security.tokens import Claims, Tokens
from satupeta_server.services.audit import record_action
from satupeta_server.services.records import compiled
from satupeta_server.settings import Settings
from satupeta_server.statements import Slot, Statement, parameter

logger = logging.getLogger(__name__)

EndReason = Literal["logout", "password", "deactivation", "deletion", "command", "revocation"]
NEW_ADDRESS = "session_address_changed"
"""The audit log's name of what may be a theft."""
_LONGEST_USER_AGENT = 300


@dataclass(frozen=True)
class TokenPair:
    """What a login and a refresh give; ``expires_at`` is in Unix seconds."""

    access_token: str
    refresh_token: str
    expires_at: int
    token_type: str = "bearer"  # noqa: S105


class SessionService:
    """Opens, checks, prolongs and ends sessions."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tokens = Tokens(settings)

    async def open(self, user_id: uuid.UUID, address: str | None, user_agent: str) -> TokenPair:
        """Open a session for a user who has proven to be one."""
        session = Session(
            id=new_id(),
            user_id=user_id,
            expires_at=now() + datetime.timedelta(days=self.settings.session_lifetime_days),
            address=address,
            last_address=address,
            user_agent=user_agent[:_LONGEST_USER_AGENT],
        )
        await session.aio_save(force_insert=True)
        return self._pair(Claims(user_id, session.id), session.expires_at)

    async def refresh(
        self, refresh_token: str, address: str | None, request_id: str | None = None
    ) -> TokenPair:
        """Give a new pair of tokens and record the use, and each new address that it comes from.

        The same refresh token serves again, also at the same time: the portal asks twice with
        one token (contract, 3.2). Raises NotAuthenticatedError when the token or its session
        has ended.
        """
        try:
            claims = self.tokens.read("refresh", refresh_token)
        except NotAuthenticatedError:
            raise NotAuthenticatedError("refresh_failed") from None
        async with database.whole():
            session = await _living_session(claims, for_update=True)
            if session is None:
                raise NotAuthenticatedError("refresh_failed")
            caller = Caller(
                user_id=claims.user_id,
                session_id=claims.session_id,
                address=address,
                request_id=request_id,
            )
            is_new = await _record_new_address(caller, session)
            use = {
                "last_used_at": now(),
                "last_address": address,
                "refresh_count": Session.refresh_count + 1,
                "address_changes": Session.address_changes + int(is_new),
            }
            await Session.update(use).where(Session.id == claims.session_id).aio_execute()
        return self._pair(claims, session.expires_at)

    async def authenticate(
        self, access_token: str, address: str | None, request_id: str | None
    ) -> Caller:
        """Find out who calls, as the database knows them now, with one statement.

        Raises NotAuthenticatedError when the token or its session has ended.
        """
        claims = self.tokens.read("access", access_token)
        session = await _living_session(claims)
        if session is None:
            raise NotAuthenticatedError
        return Caller(
            user_id=claims.user_id,
            role=session.role_name,
            organization_id=session.organization_id,
            session_id=claims.session_id,
            write_position=session.write_position,
            address=address,
            request_id=request_id,
        )

    def follow(self, caller: Caller, *, is_read: bool) -> None:
        """Let the request of a known caller read from a standby that has what he wrote.

        Where he writes, it is remembered how far a standby must be from then on.
        """
        if self.settings.database_replica_url is None:
            return
        note = functools.partial(_note_write, caller.session_id) if caller.session_id else None
        # Of a machine's token it is not known what it wrote, so it asks the primary.
        is_from_standby = is_read and caller.token_id is None
        reader.set(Reader(caller.write_position if is_from_standby else None, note))

    async def logout(self, caller: Caller, access_token: str) -> None:
        """End the session of a token, expired or not; a token that is none ends nothing."""
        try:
            claims = self.tokens.read("access", access_token, expired_too=True)
        except NotAuthenticatedError:
            return
        known = dataclasses.replace(caller, user_id=claims.user_id, session_id=claims.session_id)
        async with database.whole():
            if await end_sessions("logout", Session.id == claims.session_id):
                await record_action(known, "logout", "sessions", claims.session_id)

    def _pair(self, claims: Claims, session_ends: datetime.datetime) -> TokenPair:
        settings, moment = self.settings, now()
        access_ends = moment + datetime.timedelta(minutes=settings.access_token_expire_minutes)
        refresh_ends = moment + datetime.timedelta(days=settings.refresh_token_expire_days)
        access_ends = min(access_ends, session_ends)
        return TokenPair(
            self.tokens.sign("access", claims, access_ends),
            self.tokens.sign("refresh", claims, min(refresh_ends, session_ends)),
            int(access_ends.timestamp()),
        )


class _LivingSession(NamedTuple):
    expires_at: datetime.datetime
    write_position: int
    address: str | None
    last_address: str | None
    role_name: str
    organization_id: uuid.UUID | None


async def _living_session(claims: Claims, *, for_update: bool = False) -> _LivingSession | None:
    values = {"session_id": claims.session_id, "user_id": claims.user_id}
    statement = _session_statement(for_update=for_update)
    row = await database.aio_execute_sql(statement, values, fetchone)
    return _LivingSession(*row) if row else None


@functools.cache
def _session_statement(*, for_update: bool) -> Statement:
    """What every request of somebody known asks first."""
    query = (
        Session.select(
            Session.expires_at,
            Session.write_position,
            Session.address,
            Session.last_address,
            Role.name,
            User.organization_id,
        )
        .join(User, on=(User.id == Session.user_id))
        .join(Role, on=(Role.id == User.role_id))
        .where(
            (Session.id == parameter(Slot("session_id"), "uuid"))
            & (Session.user_id == parameter(Slot("user_id"), "uuid"))
            & Session.ended_at.is_null()
            & (Session.expires_at > fn.now())
            & User.is_active
            & User.living()
            & Role.is_active
        )
    )
    return compiled(query.for_update(of=Session) if for_update else query)


async def _record_new_address(caller: Caller, session: _LivingSession) -> bool:
    """Record that a session is used from an address that it never was; tells whether it is so.

    All refreshes come from the portal's own address, so another one may be a thief's.
    """
    address, session_id = caller.address, caller.session_id
    if address is None or address in (session.address, session.last_address):
        return False
    known = (
        (AuditRecord.subject == "sessions")
        & (AuditRecord.subject_id == session_id)
        & (AuditRecord.action == NEW_ADDRESS)
        & (AuditRecord.address == address)
    )
    if await AuditRecord.select(AuditRecord.id).where(known).aio_execute():
        return False
    await record_action(caller, NEW_ADDRESS, "sessions", session_id)
    # The address stands in the audit log.
    logger.warning("session %s is refreshed from a new address", session_id)
    return True


async def _note_write(session_id: uuid.UUID) -> None:
    note = Session.update({"write_position": SQL(WRITTEN)})
    await note.where(Session.id == session_id).aio_execute()


async def end_sessions(reason: EndReason, condition: Any) -> int:
    """End the living sessions that meet a condition; gives how many.

    Every request asks the database for its session, so they end at once in every process.
    """
    query = Session.update({"ended_at": now(), "end_reason": reason})
    ended: int = await query.where(condition & Session.ended_at.is_null()).aio_execute()
    return ended
