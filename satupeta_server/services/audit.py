"""The record of what happened, written in the transaction of what happened."""

import uuid
from typing import Any

from peewee import SQL

from satupeta_server.models.audit import Changes, recording
from satupeta_server.representations.audit import AUDIT_LISTING, AUDIT_RECORD
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import ReadService, Resource


class AuditService(ReadService):
    """Who did what, to which record; administrators read it, and nobody writes it over the API."""

    resource = Resource("audit", AUDIT_RECORD, AUDIT_LISTING)

    def visible(self, caller: Caller, source: Any) -> Any:
        """Whoever may read the log reads all of it."""
        del source
        caller.scope("audit:read")
        return SQL("true")


async def record_action(
    caller: Caller,
    action: str,
    subject: str,
    subject_id: uuid.UUID | None = None,
    *,
    changes: Changes | None = None,
    **details: object,
) -> None:
    """Record that the caller did something to a record, or to several of a kind.

    ``changes`` are fields as they were before and are after; secrets among them are hidden.
    ``details`` is for what the reader of the log needs, and never holds a secret.
    """
    await recording(caller, action, subject, subject_id, details, changes).aio_execute()
