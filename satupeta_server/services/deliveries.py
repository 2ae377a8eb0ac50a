"""Delivering what stands in the outbox: mails by SMTP, webhooks by signed requests."""

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import orjson
import urllib3

from satupeta_server import __version__
from satupeta_server.database import database
from satupeta_server.errors import NotFoundError
from satupeta_server.fetching import Fetcher, ForbiddenAddressError, Guard
from satupeta_server.jobs import defer
from satupeta_server.mail_server import MAIL_ERRORS, mail_server, what_failed
from satupeta_server.mail_texts import make_mail
from satupeta_server.models.base import now
from satupeta_server.models.outbox import Delivery
from satupeta_server.models.users import User
from satupeta_server.services.notifications import DELIVER
from satupeta_server.settings import Settings
from satupeta_server.tasks import Threads

MOST_ATTEMPTS = 14
"""With pauses that double from ten seconds on, the last one comes after a day."""
_SECONDS = 20.0
_FOR_GOOD = 500
"""What a mail server refuses for good has this code or a higher one (RFC 5321, 4.2.1)."""
_LONGEST_REASON = 300
_MOST_BYTES = 65536

_FAIL_LOST = """
UPDATE outbox SET status = 'failed', error = 'its job was cancelled, or its worker died each time'
WHERE status = 'waiting' AND NOT EXISTS (
    SELECT FROM procrastinate_jobs AS jobs
    WHERE jobs.lock = outbox.id::text AND jobs.status IN ('todo', 'doing'))
"""


class DeliveryError(Exception):
    """It was not delivered; the text is a reason without anything secret."""

    is_final = False
    """Whether trying again is of no use."""


class DeliveryService:
    """Sends what the outbox holds, and tells what became of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def deliver(self, delivery_id: uuid.UUID, threads: Threads) -> None:
        """Try one delivery, unless it is done; its row says what came of it.

        Raises DeliveryError when it should be tried again.
        """
        delivery = await Delivery.aio_get_or_none(Delivery.id == delivery_id)
        if delivery is None or delivery.status != "waiting":
            return
        try:
            if delivery.channel == "mail":
                await self._mail(delivery)
            else:
                await threads.run(self._call, delivery)
        except DeliveryError as error:
            is_over = error.is_final or delivery.attempts + 1 >= MOST_ATTEMPTS
            status = "failed" if is_over else "waiting"
            await _note(delivery_id, error=str(error)[:_LONGEST_REASON], status=status)
            if not is_over:
                raise
        else:
            await _note(delivery_id, status="delivered", delivered_at=now(), error=None)

    async def fail_lost(self) -> None:
        """Note as failed what waits though no job for it is left, so that it can be retried."""
        await database.aio_execute_sql(_FAIL_LOST)

    async def list(self, *, status: str | None, limit: int) -> Sequence[Any]:
        """Give deliveries, the newest first."""
        query = Delivery.select().order_by(Delivery.created_at.desc()).limit(limit)
        if status is not None:
            query = query.where(Delivery.status == status)
        found: Sequence[Any] = await query.aio_execute()
        return found

    async def retry(self, ids: Sequence[uuid.UUID] | None) -> int:
        """Let failed deliveries be tried again from the beginning: these, or all of them.

        Raises NotFoundError, before anything is changed, for one that has not failed.
        """
        condition = Delivery.status == "failed"
        if ids is not None:
            condition &= Delivery.id.in_(list(ids))
        async with database.whole():
            rows = await Delivery.select(Delivery.id).where(condition).for_update().aio_execute()
            if ids is not None and len(rows) < len(set(ids)):
                raise NotFoundError
            for row in rows:
                await _note(row.id, count=0, status="waiting", attempts=0)
                await defer(DELIVER, lock=str(row.id), delivery_id=str(row.id))
        return len(rows)

    async def send_test(self, address: str) -> None:
        """Send a mail to an address at once; raises DeliveryError."""
        await self._send(self._made("test", {"name": address}, address))

    async def _mail(self, delivery: Any) -> None:
        user = await User.aio_get_or_none(
            (User.id == delivery.user_id) & User.is_active & User.living()
        )
        if user is None:
            raise _final("the user is not active any more")
        payload = delivery.payload
        link = f"{self.settings.portal_url}/maps/{payload['mapset_id']}"
        values = {
            "name": user.name,
            "mapset": payload["mapset"],
            "producer": payload["producer"],
            "notes": payload["notes"] or "",
            "link": link if self.settings.portal_url else "",
        }
        mail = self._made(delivery.event, values, user.email)
        # The same however often it is sent, so that a mail system can drop doubles.
        mail["Message-ID"] = f"<{delivery.id}@{self._domain}>"
        await self._send(mail)

    def _made(self, event: str, values: dict[str, str], receiver: str) -> EmailMessage:
        settings = self.settings
        values = {**values, "project": settings.project_name}
        return make_mail(event, settings.mail_language, values, settings.mail_from or "", receiver)

    @property
    def _domain(self) -> str:
        return (self.settings.mail_from or "").rpartition("@")[2].rstrip(">")

    async def _send(self, mail: EmailMessage) -> None:
        if self.settings.smtp_host is None:
            raise _final("SMTP_HOST is not set")
        try:
            async with mail_server(self.settings, _SECONDS) as server:
                await server.send_message(mail)
        except aiosmtplib.SMTPRecipientsRefused as error:
            code = max(one.code for one in error.recipients)
            refused = DeliveryError(f"the mail server refused the receiver: {code}")
            # Below 500 it may take the same mail later, as one does that uses greylists.
            refused.is_final = code >= _FOR_GOOD
            raise refused from error
        except MAIL_ERRORS as error:
            raise DeliveryError(f"the mail server did not take it: {what_failed(error)}") from error

    def _call(self, delivery: Any) -> None:
        if delivery.address not in self.settings.webhook_urls:
            raise _final("the address does not stand in WEBHOOK_URLS any more")
        body = orjson.dumps(
            {
                "type": delivery.event,
                "timestamp": delivery.payload["happened_at"],
                "data": delivery.payload,
            }
        )
        headers = signed(self.settings, str(delivery.id), int(time.time()), body)
        guard = Guard(self.settings.fetch_allowed_networks)
        guard.trust(delivery.address)
        fetcher = Fetcher(
            guard, connect_seconds=_SECONDS, read_seconds=_SECONDS, answer_seconds=_SECONDS
        )
        try:
            with fetcher.opened("POST", delivery.address, headers, body=body) as response:
                response.read(_MOST_BYTES)
                _judge(response.status)
        except (urllib3.exceptions.HTTPError, ForbiddenAddressError, OSError) as error:
            raise DeliveryError(f"no answer: {type(error).__name__}") from error
        finally:
            fetcher.close()


def signed(settings: Settings, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Give the headers of a webhook: id, time and signatures (Standard Webhooks 1.0).

    It is signed with each key, so that a receiver may know either while they change.
    """
    content = b".".join([message_id.encode(), str(timestamp).encode(), body])
    signatures = [
        "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        for key in settings.webhook_keys()
    ]
    return {
        "Content-Type": "application/json",
        "User-Agent": f"satupeta/{__version__}",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _judge(status: int) -> None:
    if 200 <= status < 300:
        return
    if status == 410:
        raise _final("the receiver wants no more (410)")
    raise DeliveryError(f"the receiver answered {status}")


def _final(reason: str) -> DeliveryError:
    error = DeliveryError(reason)
    error.is_final = True
    return error


async def _note(delivery_id: uuid.UUID, *, count: int = 1, **values: Any) -> None:
    changes = {"attempts": Delivery.attempts + count, **values}
    await Delivery.update(changes).where(Delivery.id == delivery_id).aio_execute()
