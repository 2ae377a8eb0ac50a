"""Encrypting all stored credentials anew, under the first of the encryption keys.

Each batch is a transaction of its own, so a rotation that was interrupted goes on where it
stopped. A new ciphertext is decrypted and compared before it takes the place of the old one.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from peewee import fn

from satupeta_server.database import database
from satupeta_server.errors import UnavailableError
from satupeta_server.models.credentials import Credential, encryption_context
from satupeta_server.security.callers import Caller
from satupeta_server.security.encryption import Encryptor
from satupeta_server.services.audit import record_action
from satupeta_server.settings import Settings

BATCH = 100
_LOCK_KEY = 0x5A70C4ED

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unopened:
    """A credential that no key of the ring opens."""

    id: uuid.UUID
    name: str
    key_id: str


@dataclass
class Rotation:
    """What a rotation did."""

    key_id: str
    """The id of the key under which everything is encrypted now."""
    rotated: int = 0
    failed: list[Unopened] = field(default_factory=list)
    needed: dict[str, int] = field(default_factory=dict)
    """How many credentials need which other key still."""
    unused: list[str] = field(default_factory=list)
    """Ids of keys in the ring that no credential needs any longer."""


class KeyRotation:
    """Moves stored credentials, deleted ones included, to the first key of the ring."""

    def __init__(self, settings: Settings) -> None:
        self.key_ids = list(settings.encryption_key_ring())
        self.encryptor = Encryptor(settings.encryption_key_ring())

    async def pending(self) -> int:
        """Count the credentials that are encrypted with another key than the first."""
        query = Credential.select().where(Credential.encryption_key_id != self.encryptor.key_id)
        number: int = await query.aio_count()
        return number

    async def run(
        self,
        caller: Caller,
        *,
        dry_run: bool = False,
        advance: Callable[[float], None] = lambda _amount: None,
        wait: Callable[[], None] = lambda: None,
    ) -> Rotation:
        """Encrypt everything anew; a dry run only proves that it can.

        ``advance`` is told how many more are done, ``wait`` that another rotation goes first.
        What no key opens is reported and stays as it is.
        """
        caller.scope("credentials:write")
        caller.scope("credentials:decrypt")
        rotation = Rotation(self.encryptor.key_id)
        after: uuid.UUID | None = None
        while True:
            async with database.whole():
                await _take_turn(wait)
                rows = await self._batch(after)
                await self._rotate(caller, rows, rotation, dry_run=dry_run)
            if not rows:
                break
            advance(len(rows))
            after = rows[-1].id
        await self._conclude(rotation, dry_run=dry_run)
        return rotation

    async def _batch(self, after: uuid.UUID | None) -> list[Any]:
        query = Credential.select().where(Credential.encryption_key_id != self.encryptor.key_id)
        if after is not None:
            query = query.where(Credential.id > after)
        rows = await query.order_by(Credential.id).limit(BATCH).for_update().aio_execute()
        return list(rows)

    async def _rotate(
        self, caller: Caller, rows: list[Any], rotation: Rotation, *, dry_run: bool
    ) -> None:
        before = rotation.rotated
        for row in rows:
            try:
                key_id, ciphertext = self._encrypted_anew(row)
            except UnavailableError:
                rotation.failed.append(Unopened(row.id, row.name, row.encryption_key_id))
                continue
            rotation.rotated += 1
            if not dry_run:
                # Neither the revision nor updated_at: for its readers nothing has changed.
                anew = {"encryption_key_id": key_id, "sensitive_data": ciphertext}
                await Credential.update(anew).where(Credential.id == row.id).aio_execute()
        if rotation.rotated > before and not dry_run:
            count = rotation.rotated - before
            key_id = rotation.key_id
            await record_action(caller, "rotate_key", "credentials", key_id=key_id, count=count)

    def _encrypted_anew(self, row: Any) -> tuple[str, bytes]:
        context = encryption_context(row.id)
        values = self.encryptor.decrypt(row.encryption_key_id, bytes(row.sensitive_data), context)
        key_id, ciphertext = self.encryptor.encrypt(values, context)
        if self.encryptor.decrypt(key_id, ciphertext, context) != values:
            logger.error("the new ciphertext of %s does not give its values back", context)
            raise UnavailableError
        return key_id, ciphertext

    async def _conclude(self, rotation: Rotation, *, dry_run: bool) -> None:
        failed = Counter(one.key_id for one in rotation.failed)
        # An API process that still has the older ring may have written with it meanwhile.
        used = dict(failed) if dry_run else await key_usage()
        used.pop(rotation.key_id, None)
        rotation.needed = used
        others = [key_id for key_id in self.key_ids if key_id != rotation.key_id]
        rotation.unused = [key_id for key_id in others if key_id not in used]


async def key_usage() -> dict[str, int]:
    """Count the credentials, deleted ones included, by the id of the key that opens them."""
    column = Credential.encryption_key_id
    query = Credential.select(column, fn.count(Credential.id)).group_by(column).tuples()
    return dict(list(await query.aio_execute()))


async def _take_turn(wait: Callable[[], None]) -> None:
    """Let one rotation at a time work, until the end of the transaction."""

    async def value(_database: Any, cursor: Any) -> bool:
        (is_ours,) = await cursor.fetchone()
        return bool(is_ours)

    is_ours = await database.aio_execute_sql(
        "SELECT pg_try_advisory_xact_lock(%s)", (_LOCK_KEY,), fetch_results=value
    )
    if not is_ours:
        wait()
        await database.aio_execute_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
