"""Telling people and other systems of the verification of mapsets.

What is to be told is written into the outbox in the transaction of the change, with a job for the
worker: there are both or neither.
"""

import uuid
from collections.abc import Iterable
from typing import Any

from satupeta_server.jobs import defer
from satupeta_server.models.base import new_id, now
from satupeta_server.models.mapsets import Mapset
from satupeta_server.models.organizations import Organization
from satupeta_server.models.outbox import Delivery
from satupeta_server.models.roles import Role
from satupeta_server.models.users import User
from satupeta_server.security.callers import Caller
from satupeta_server.security.permissions import MANAGER, VALIDATOR
from satupeta_server.services.verification import APPROVED, IN_VERIFICATION, REJECTED
from satupeta_server.settings import Settings

DELIVER = "deliver"
"""The worker's task."""
_DECIDED = {APPROVED: "mapset.approved", REJECTED: "mapset.rejected"}


def event_of(before: str | None, status: str) -> str:
    """Name what happened to a mapset whose status became another; None before is a new one."""
    if status == IN_VERIFICATION:
        return "mapset.returned" if before == APPROVED else "mapset.submitted"
    return _DECIDED[status]


async def announce(settings: Settings, caller: Caller, row: Mapset, before: str | None) -> None:
    """Put what a change of a status is to tell into the outbox; must be in its transaction."""
    if settings.smtp_host is None and not settings.webhook_urls:
        return
    event = event_of(before, str(row.status_validation))
    producer = await Organization.aio_get_or_none(Organization.id == row.producer_id)
    payload = {
        "mapset_id": str(row.id),
        "mapset": row.name,
        "producer_id": str(row.producer_id),
        "producer": producer.name if producer is not None else "",
        "status": row.status_validation,
        "notes": row.notes,
        "happened_at": now().isoformat(),
    }
    if settings.smtp_host is not None:
        for user_id in await _receivers(caller, row, event):
            await _put("mail", event, payload, user_id=user_id)
    for address in settings.webhook_urls:
        await _put("webhook", event, payload, address=address)


async def _put(channel: str, event: str, payload: dict[str, Any], **receiver: Any) -> None:
    delivery_id = new_id()
    values = {"id": delivery_id, "channel": channel, "event": event, "payload": payload}
    await Delivery.insert(**values, **receiver).aio_execute()
    # Of one delivery no two attempts are made at the same time.
    await defer(DELIVER, lock=str(delivery_id), delivery_id=str(delivery_id))


async def _receivers(caller: Caller, row: Mapset, event: str) -> Iterable[uuid.UUID]:
    """The active users whom it concerns, without the one who did it."""
    validators = Role.name == VALIDATOR
    own = (User.id == row.created_by) | (
        (Role.name == MANAGER) & (User.organization_id == row.producer_id)
    )
    concerned = {"mapset.submitted": validators, "mapset.returned": validators | own}
    query = (
        User.select(User.id)
        .join(Role, on=(User.role_id == Role.id))
        .where(concerned.get(event, own) & User.is_active & User.living() & ~User.is_system)
        .order_by(User.id)
    )
    return [one.id for one in await query.aio_execute() if one.id != caller.user_id]
