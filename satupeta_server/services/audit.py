"""The record of what happened, written in the transaction of what happened."""

import uuid

from satupeta_server.models.audit import recording
from satupeta_server.security.callers import Caller


async def record_action(
    caller: Caller,
    action: str,
    subject: str,
    subject_id: uuid.UUID | None = None,
    **details: object,
) -> None:
    """Record that the caller did something to a record, or to several of a kind.

    ``details`` is for what the reader of the log needs, and never holds a secret.
    """
    await recording(caller, action, subject, subject_id, details).aio_execute()
