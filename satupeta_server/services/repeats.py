"""Creations that a client may ask for again and again, and that happen once.

After draft-ietf-httpapi-idempotency-key-header-07: the answer is kept under the client's key in
the transaction of the creation, so there are both or neither, whichever process was asked.
"""

import datetime
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import psycopg2.errors
from peewee import fn

from satupeta_server.database import database
from satupeta_server.errors import BadRequestError, ConflictError, InvalidError, UnavailableError
from satupeta_server.models.base import now
from satupeta_server.models.idempotency_keys import IdempotencyKey
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import Document
from satupeta_server.settings import Settings

_KEY = re.compile(r"[!-~]{1,255}")
# More than each creation adds, so that there are never many.
_PRUNE = """DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE expires_at <= now()
    ORDER BY expires_at LIMIT 20 FOR UPDATE SKIP LOCKED
))"""


@dataclass(frozen=True)
class Attempt:
    """A request to create something: the client's key, and a digest of all that is asked."""

    key: str
    fingerprints: tuple[str, ...]
    """Under the present key, then under the former ones."""


class RepeatService:
    """Keeps what was created under which key."""

    def __init__(self, settings: Settings) -> None:
        self.lifetime = datetime.timedelta(hours=settings.idempotency_hours)
        ring = settings.secret_key_ring() if settings.secret_key else [""]
        self._keys = [key.encode() for key in ring]

    def attempt(self, key: str, *content: bytes) -> Attempt:
        """Make an attempt from the client's key and all that decides what is created.

        The digest is a keyed one, as there may be a password in the content. Raises
        BadRequestError for a key that is none.
        """
        if not _KEY.fullmatch(key):
            raise BadRequestError("idempotency_key_malformed")
        # Of each part the length, too: two parts never look like two others.
        whole = b"".join(b"%d:%b" % (len(part), part) for part in content)
        digests = (hmac.new(one, whole, hashlib.sha256).hexdigest() for one in self._keys)
        return Attempt(key, tuple(digests))

    async def once(
        self, caller: Caller, attempt: Attempt | None, create: Callable[[], Awaitable[Document]]
    ) -> Document:
        """Create, or give what an earlier attempt with the same key has created.

        A second attempt waits for a first one that is under way. What ``create`` raises is
        raised, and nothing is kept then. Raises ConflictError when the first one takes too long
        and InvalidError when it asked for something else.
        """
        if attempt is None:
            return await create()
        async with database.whole():
            if not await self._claim(caller, attempt):
                found = await self.find(caller, attempt)
                if found is None:
                    raise ConflictError("request_under_way")
                return found
            document = await create()
            kept = {"document": document.json, "revision": document.revision}
            await IdempotencyKey.update(kept).where(_of(caller, attempt)).aio_execute()
            await database.aio_execute_sql(_PRUNE)
            return document

    async def find(self, caller: Caller, attempt: Attempt | None) -> Document | None:
        """Give what an attempt has created; raises InvalidError when it asked for another thing."""
        if attempt is None:
            return None
        living = IdempotencyKey.expires_at > fn.now()
        row: Any = await IdempotencyKey.aio_get_or_none(_of(caller, attempt) & living)
        if row is None:
            return None
        if row.fingerprint not in attempt.fingerprints:
            raise InvalidError("idempotency_key_reused")
        return Document(row.document, row.revision)

    async def _claim(self, caller: Caller, attempt: Attempt) -> bool:
        """Take the key, as long as nobody has it; waits for whoever is about to take it."""
        moment = now()
        taken = {
            "fingerprint": attempt.fingerprints[0],
            "created_at": moment,
            "expires_at": moment + self.lifetime,
        }
        query = (
            IdempotencyKey.insert(user_id=caller.identity(), key=attempt.key, **taken)
            .on_conflict(
                conflict_target=[IdempotencyKey.user_id, IdempotencyKey.key],
                update=taken,
                where=IdempotencyKey.expires_at <= fn.now(),
            )
            .returning(IdempotencyKey.key)
        )
        try:
            return bool(await query.aio_execute())
        except UnavailableError as error:
            if _is_lock_timeout(error):
                raise ConflictError("request_under_way") from error
            raise


def _of(caller: Caller, attempt: Attempt) -> Any:
    return (IdempotencyKey.user_id == caller.identity()) & (IdempotencyKey.key == attempt.key)


def _is_lock_timeout(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, psycopg2.errors.LockNotAvailable):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
