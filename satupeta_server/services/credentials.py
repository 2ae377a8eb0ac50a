"""Stored credentials, encrypted at rest."""

import uuid
from typing import Any

import orjson

from satupeta_server.database import database
from satupeta_server.errors import UnavailableError
from satupeta_server.models.base import new_id, now
from satupeta_server.models.credentials import Credential, encryption_context
from satupeta_server.representations.credentials import CREDENTIAL, CREDENTIALS_LISTING
from satupeta_server.security.callers import Caller
from satupeta_server.security.encryption import Encryptor
from satupeta_server.services.audit import record_action
from satupeta_server.services.records import (
    Document,
    RecordService,
    Resource,
    Values,
    differing,
)
from satupeta_server.settings import Settings


class CredentialService(RecordService):
    """Access data of map servers; only administrators read and change it."""

    resource = Resource("credentials", CREDENTIAL, CREDENTIALS_LISTING)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.encryptor = Encryptor(settings.encryption_key_ring())

    async def prepared(self, caller: Caller, values: Values, row: Any) -> Values:
        """Encrypt the sensitive part, unless it is what is stored already."""
        prepared = dict(values)
        if row is None:
            prepared |= {"id": new_id(), "created_by": caller.user_id}
        sensitive = prepared.pop("sensitive_data", None if row is not None else {})
        if sensitive is not None and (row is None or self._differs(row, sensitive)):
            context = encryption_context(row.id if row is not None else prepared["id"])
            key_id, ciphertext = self.encryptor.encrypt(sensitive, context)
            prepared |= {"encryption_key_id": key_id, "sensitive_data": ciphertext}
        if row is None or differing(row, prepared):
            prepared["updated_by"] = caller.user_id
        return prepared

    async def get_decrypted(self, caller: Caller, credential_id: uuid.UUID) -> Document:
        """Give a credential with its sensitive part as ``decrypted_data``.

        Who read it and when is recorded, in the credential and in the audit log.
        """
        caller.scope("credentials:decrypt")
        async with database.whole():
            rows = await (
                Credential.select()
                .where((Credential.id == credential_id) & self.visible(caller, Credential))
                .for_update()
                .aio_execute()
            )
            if rows:
                await self._record_reading(caller, rows[0])
            document = await self.get(caller, credential_id)
        content = orjson.loads(document.json)
        content["decrypted_data"] = self._decrypted(rows[0])
        return Document(orjson.dumps(content).decode(), document.revision)

    def _differs(self, row: Any, sensitive: dict[str, str]) -> bool:
        try:
            return self._decrypted(row) != sensitive
        except UnavailableError:
            # What nobody can read any more can still be replaced.
            return True

    def _decrypted(self, row: Any) -> dict[str, str]:
        return self.encryptor.decrypt(
            row.encryption_key_id, bytes(row.sensitive_data), encryption_context(row.id)
        )

    @staticmethod
    async def _record_reading(caller: Caller, row: Any) -> None:
        used = {"last_used_by": caller.user_id, "last_used_at": now()}
        await Credential.update(used).where(Credential.id == row.id).aio_execute()
        await record_action(caller, "decrypt", "credentials", row.id)
