"""Logging in, being slowed down after failures, and one-time links for a new password."""

import asyncio
import dataclasses
import datetime
import hashlib
import hmac
import secrets
import unicodedata
import uuid

from peewee import Case, fn

from satupeta_server.database import database
from satupeta_server.errors import NotAuthenticatedError, NotFoundError
from satupeta_server.metrics import note_login
from satupeta_server.models.audit import HIDDEN
from satupeta_server.models.base import new_id, now
from satupeta_server.models.sessions import LoginFailure, PasswordReset
from satupeta_server.models.users import User
from satupeta_server.security.callers import Caller
from satupeta_server.security.passwords import check_password, in_thread
from satupeta_server.services.audit import record_action
from satupeta_server.services.sessions import SessionService, TokenPair
from satupeta_server.services.users import set_password
from satupeta_server.settings import Settings

FREE_FAILURES = 5
"""So many failures of one account cost no delay."""
FIRST_DELAY_SECONDS = 0.5
FORGOTTEN_AFTER = datetime.timedelta(minutes=15)
_MOST_FAILURES = 1000


class LoginService:
    """Proves who somebody is."""

    def __init__(self, settings: Settings, sessions: SessionService) -> None:
        self.settings = settings
        self.sessions = sessions

    async def login(
        self, caller: Caller, username: str, password: str, user_agent: str
    ) -> TokenPair:
        """Open a session for a username and its password.

        An unknown user costs the same time as a wrong password, and both are the same
        NotAuthenticatedError. Many failures slow an account's next tries down, up to a ceiling;
        they never lock it, or anybody could lock an administrator out.
        """
        account = self._account(username)
        # Each try counts as failed until it has not: many at once must not be free together.
        failures = await self._count_failure(account)
        await asyncio.sleep(delay_after(failures - 1, self.settings.login_delay_ceiling_seconds))
        user = await _find(username)
        rounds = self.settings.bcrypt_rounds
        known_hash = user.password_hash if user and user.is_active else None
        if not await in_thread(check_password, password, known_hash, rounds) or user is None:
            await self._record_failure(caller, user, account)
            note_login(is_done=False)
            raise NotAuthenticatedError("login_failed")
        async with database.whole():
            # While the password was checked, another may have been set, or the user ended.
            unchanged = (User.id == user.id) & (User.password_hash == user.password_hash)
            query = User.select(User.id).where(unchanged & User.is_active & User.living())
            if not await query.for_update("FOR SHARE").aio_execute():
                raise NotAuthenticatedError("login_failed")
            await LoginFailure.delete().where(LoginFailure.account == account).aio_execute()
            proven = dataclasses.replace(caller, user_id=user.id)
            await record_action(proven, "login", "users", user.id)
            opened = await self.sessions.open(user.id, caller.address, user_agent)
        note_login(is_done=True)
        return opened

    @staticmethod
    async def _record_failure(caller: Caller, user: User | None, account: str) -> None:
        """Record whose login failed; of an unknown user the digest of what was typed."""
        if user is not None:
            await record_action(caller, "fail_login", "users", user.id)
        else:
            await record_action(caller, "fail_login", "users", account=account)

    async def make_reset_token(self, username: str) -> str:
        """Make the secret of a one-time link with which a user sets a new password.

        Older links of the user end. Raises NotFoundError when there is no such active user.
        """
        user = await _find(username)
        if user is None or not user.is_active:
            raise NotFoundError
        token = secrets.token_urlsafe(32)
        lifetime = datetime.timedelta(hours=self.settings.password_reset_hours)
        async with database.whole():
            await _end_reset_tokens(user.id)
            await PasswordReset.insert(
                id=new_id(),
                user_id=user.id,
                token_hash=_digest(token),
                expires_at=now() + lifetime,
            ).aio_execute()
        return token

    async def reset_password(self, caller: Caller, token: str, password: str) -> None:
        """Set a new password by a one-time link and end the user's sessions.

        Raises InvalidError for a password that breaks the rule (the link stays good) and
        NotAuthenticatedError for a link that has been used, has ended or never was.
        """
        async with database.whole():
            rows = await (
                PasswordReset.update(used_at=now())
                .where(
                    (PasswordReset.token_hash == _digest(token))
                    & PasswordReset.used_at.is_null()
                    & (PasswordReset.expires_at > fn.now())
                )
                .returning(PasswordReset.user_id)
                .aio_execute()
            )
            if not rows:
                raise NotAuthenticatedError("reset_failed")
            user = await User.aio_get_or_none((User.id == rows[0].user_id) & User.living())
            if user is None or not user.is_active:
                raise NotAuthenticatedError("reset_failed")
            await set_password(user, password, self.settings.bcrypt_rounds)
            await self.forget_failures(user.username)
            proven = dataclasses.replace(caller, user_id=user.id)
            changes = {"password_hash": (user.password_hash, HIDDEN)}
            await record_action(proven, "reset_password", "users", user.id, changes=changes)

    async def forget_failures(self, username: str) -> bool:
        """Take the delay from an account; tells whether there were failures."""
        account = self._account(username)
        query = LoginFailure.delete().where(LoginFailure.account == account)
        deleted: int = await query.aio_execute()
        return deleted > 0

    async def failures(self, username: str) -> int:
        """Count the failed logins of an account since its last success."""
        account = self._account(username)
        row = await LoginFailure.aio_get_or_none(LoginFailure.account == account)
        return row.failures if row is not None else 0

    @staticmethod
    async def _count_failure(account: str) -> int:
        moment = now()
        again = Case(
            None,
            ((LoginFailure.last_failed_at < moment - FORGOTTEN_AFTER, 1),),
            fn.least(LoginFailure.failures + 1, _MOST_FAILURES),
        )
        rows = await (
            LoginFailure.insert(account=account, failures=1, last_failed_at=moment)
            .on_conflict(
                conflict_target=[LoginFailure.account],
                update={LoginFailure.failures: again, LoginFailure.last_failed_at: moment},
            )
            .returning(LoginFailure.failures)
            .aio_execute()
        )
        return int(rows[0].failures)

    def _account(self, username: str) -> str:
        return account_of(username, self.settings)


def account_of(username: str, settings: Settings) -> str:
    """Give the digest by which failed logins to a username are known."""
    # People type their password into the wrong field, so what is kept is a keyed digest.
    key = settings.secret_key.get_secret_value() if settings.secret_key else ""
    return hmac.new(key.encode(), _normal(username).encode(), hashlib.sha256).hexdigest()


def delay_after(failures: int, ceiling_seconds: float) -> float:
    """Seconds that a login waits after so many failures of its account."""
    if failures < FREE_FAILURES:
        return 0
    doublings = min(failures - FREE_FAILURES, 20)
    return min(ceiling_seconds, FIRST_DELAY_SECONDS * 2.0**doublings)


async def _find(username: str) -> User | None:
    condition = (fn.lower(User.username) == _normal(username)) & User.living()
    user: User | None = await User.aio_get_or_none(condition)
    return user


def _normal(username: str) -> str:
    return unicodedata.normalize("NFKC", username).strip().lower()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def _end_reset_tokens(user_id: uuid.UUID) -> None:
    living = (PasswordReset.user_id == user_id) & PasswordReset.used_at.is_null()
    await PasswordReset.update(used_at=now()).where(living).aio_execute()
