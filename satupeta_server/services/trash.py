"""The trash: deleted records, until they are restored or purged."""

import uuid
from dataclasses import replace
from typing import Any

from satupeta_server.database import database
from satupeta_server.errors import ConflictError, NotFoundError, PreconditionFailedError
from satupeta_server.queries.scopes import within
from satupeta_server.representations.trash import TRASH
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import Document, ReadService, RecordService, Revisions


class TrashService(ReadService):
    """The deleted records of one resource, for whoever may write them."""

    def __init__(self, service: RecordService) -> None:
        super().__init__(service.settings)
        self.service = service
        deleted = TRASH[service.resource.subject]
        self.resource = replace(
            service.resource, representation=deleted.representation, listing=deleted.listing
        )

    def visible(self, caller: Caller, source: Any) -> Any:
        """What the caller could have deleted, and may bring back."""
        scope = caller.scope(self.service.write_permission)
        return self.service.restorable(source) & within(scope, caller, source)

    async def restore(
        self, caller: Caller, record_id: uuid.UUID, expected: Revisions = None
    ) -> Document:
        """Bring a record back as it was, by a change like any other.

        Raises NotFoundError, PreconditionFailedError, and ConflictError that names each value
        that another record has taken meanwhile, or each reference to what is deleted itself.
        """
        async with database.whole():
            row = await self._locked(caller, record_id, expected)
            errors = await self.service.reference_errors(await self.service.referred(row), None)
            if errors:
                raise ConflictError("references_deleted", errors=errors)
            await self.service.apply(caller, row, {"deleted_at": None})
            return await self.service.document(record_id)

    async def _locked(self, caller: Caller, record_id: uuid.UUID, expected: Revisions) -> Any:
        source = self.resource.model
        query = source.select().where((source.id == record_id) & self.visible(caller, source))
        rows = await query.for_update().aio_execute()
        if not rows:
            raise NotFoundError
        if expected is not None and rows[0].revision not in expected:
            raise PreconditionFailedError
        return rows[0]
