"""Mails and webhooks: told with the change or not at all, to those whom it concerns, and once."""

import base64
import datetime
import email
import email.policy
import gc
import hashlib
import hmac
import json
import re
import ssl
import threading
import uuid
import warnings
from collections.abc import Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from satupeta_server import database, worker
from satupeta_server.errors import NotFoundError
from satupeta_server.models.outbox import Delivery
from satupeta_server.services.deliveries import (
    MOST_ATTEMPTS,
    DeliveryError,
    DeliveryService,
)
from satupeta_server.services.mapsets import MapsetService
from satupeta_server.settings import Settings
from satupeta_server.storage import Storage
from satupeta_server.tasks import Threads
from tests.conftest import Api, execute
from tests.connecting import eventually
from tests.running import ROOT, free_port

SECRET = "whsec_" + base64.b64encode(b"a key of thirty-two bytes or more").decode()
OLD = "whsec_" + base64.b64encode(b"the former key of this test 0123").decode()
NOTIFICATIONS = ROOT / "docs" / "notifications.md"
SMTP_SECRET = "Surat-Rahasia-77!"
APPROVED = {"status_validation": "approved", "notes": "Sesuai"}


class Mailbox:
    """A mail server that keeps what it is given, and may refuse."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.mails: list[EmailMessage] = []
        self.logins: list[bytes] = []
        self.refusal = ""
        self.refusal_of_receivers = ""
        mailbox = self

        class Server(Controller):
            def factory(self) -> SMTP:
                return SMTP(
                    mailbox,
                    hostname="mail.example.org",
                    tls_context=context,
                    require_starttls=context is not None,
                    authenticator=mailbox.login,
                    auth_required=context is not None,
                )

        self.port = free_port()
        self.server = Server(self, hostname="127.0.0.1", port=self.port)
        self.server.start()

    def login(
        self, _server: Any, _session: Any, _envelope: Any, _how: str, data: Any
    ) -> AuthResult:
        self.logins.append(data.password)
        return AuthResult(success=data.password == SMTP_SECRET.encode(), handled=False)

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.refusal_of_receivers:
            return self.refusal_of_receivers
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusal:
            return self.refusal
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def has_clients(self) -> bool:
        """Whether any has not closed yet: over TLS that goes on after they were told to."""
        connections = psutil.Process().net_connections()
        return any(one.raddr and one.raddr.port == self.port for one in connections)

    def stop(self) -> None:
        """End, and close what aiosmtpd leaves to the collector."""
        self.server.stop()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def receivers(self) -> list[str]:
        return sorted(str(mail["To"]) for mail in self.mails)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    one = Mailbox()
    yield one
    one.stop()


class Receiver(ThreadingHTTPServer):
    """Takes webhooks, and answers what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Hook(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.taken.append((headers, body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
        receiver.shutdown()


def notifying(api: Api, **changes: Any) -> Settings:
    """The settings of the application, which now tells of what happens."""
    settings = api.application.services.settings.model_copy(update=changes)
    api.application.services.mapsets.settings = settings
    return settings


def by_mail(mailbox: Mailbox, **changes: Any) -> dict[str, Any]:
    return {
        "smtp_host": "127.0.0.1",
        "smtp_port": mailbox.port,
        "smtp_security": "none",
        "mail_from": "Satu Peta <peta@example.org>",
        "portal_url": "https://peta.example.org",
        **changes,
    }


def by_webhook(receiver: Receiver) -> dict[str, Any]:
    return {"webhook_urls": [receiver.address], "webhook_secret": SecretStr(SECRET)}


async def deliver(settings: Settings) -> None:
    """Do once what the worker does with all that waits."""
    queue, threads = worker.make_queue(settings), Threads(1, "background")
    services = worker.make_services(settings, Storage(settings))
    work = worker.Work(settings, services, queue, threads)
    worker.register(work, {"deliver": worker.TASKS["deliver"]})
    async with queue.open_async():
        await worker.work_through(work, is_waiting=False)
    threads.close()


async def deliveries() -> list[Any]:
    return list(await Delivery.select().order_by(Delivery.created_at).aio_execute())


async def make_mapset(api: Api, **changes: Any) -> str:
    body = api.world.mapset(**changes)
    made = await api.post("/mapsets", user="pengelola", json_body=body)
    assert made.status == 201, made.body
    return str(made.json["id"])


async def verify(api: Api, mapset: str, **change: Any) -> None:
    answer = await api.patch(f"/mapsets/{mapset}", user="walidata", json_body=change)
    assert answer.status == 200, answer.body


async def test_each_step_is_told_to_those_whom_it_concerns(api: Api, mailbox: Mailbox) -> None:
    settings = notifying(api, **by_mail(mailbox))
    mapset = await make_mapset(api)
    await deliver(settings)
    assert mailbox.receivers() == ["walidata@example.org"]
    assert "menunggu verifikasi" in str(mailbox.mails[0]["Subject"])
    mailbox.mails.clear()
    await verify(api, mapset, status_validation="rejected", notes="Skala belum benar")
    await deliver(settings)
    assert mailbox.receivers() == ["pengelola@example.org"]
    text = mailbox.mails[0].get_content()
    assert "Catatan: Skala belum benar" in text
    assert f"https://peta.example.org/maps/{mapset}" in text
    mailbox.mails.clear()
    again = {"status_validation": "on_verification"}
    await api.patch(f"/mapsets/{mapset}", user="pengelola", json_body=again)
    await verify(api, mapset, **APPROVED)
    await deliver(settings)
    assert mailbox.receivers() == ["pengelola@example.org", "walidata@example.org"]
    assert [one.status for one in await deliveries()] == ["delivered"] * 4


async def test_nothing_is_told_of_what_was_not_kept_nor_where_it_is_off(
    api: Api, mailbox: Mailbox
) -> None:
    await make_mapset(api)
    assert await deliveries() == []
    settings = notifying(api, **by_mail(mailbox))
    mapset = await make_mapset(api, name="Kedua")
    service: MapsetService = api.application.services.mapsets

    async def change_in_vain() -> None:
        async with database.database.whole():
            await service.update(worker.Work.caller, uuid.UUID(mapset), APPROVED, expected={1})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_in_vain()
    await deliver(settings)
    assert [one.event for one in await deliveries()] == ["mapset.submitted"]
    assert len(mailbox.mails) == 1


async def test_a_mail_is_in_the_language_that_is_set_and_cannot_be_given_headers(
    api: Api, mailbox: Mailbox
) -> None:
    settings = notifying(api, **by_mail(mailbox, mail_language="en"))
    await make_mapset(api, name="Peta {0} Bcc: semua@example.org")
    execute(
        str(settings.database_url.get_secret_value() if settings.database_url else ""),
        r"UPDATE outbox SET payload = payload || "
        r"""'{"mapset": "Peta {0}\r\nBcc: semua@example.org"}'""",
    )
    await deliver(settings)
    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    expected = "A mapset waits for verification: Peta {0} Bcc: semua@example.org"
    assert str(mail["Subject"]) == expected


async def test_a_server_that_is_away_gets_it_once_when_it_is_back(
    api: Api, mailbox: Mailbox
) -> None:
    settings = notifying(api, **by_mail(mailbox))
    mailbox.refusal = "451 busy"
    await make_mapset(api)
    await deliver(settings)
    (waiting,) = await deliveries()
    assert (waiting.status, waiting.attempts) == ("waiting", 1)
    assert "451" in waiting.error
    mailbox.refusal = ""
    url = str(settings.database_url.get_secret_value() if settings.database_url else "")
    for _ in range(2):
        execute(url, "UPDATE procrastinate_jobs SET scheduled_at = NULL")
        await deliver(settings)
    assert len(mailbox.mails) == 1
    (done,) = await deliveries()
    assert (done.status, done.attempts, done.error) == ("delivered", 2, None)


@pytest.mark.parametrize(
    ("refusal", "status"), [("450 4.2.0 greylisted", "waiting"), ("550 5.1.1 unknown", "failed")]
)
async def test_a_receiver_who_is_refused_for_now_is_tried_again(
    api: Api, mailbox: Mailbox, refusal: str, status: str
) -> None:
    settings = notifying(api, **by_mail(mailbox))
    mailbox.refusal_of_receivers = refusal
    await make_mapset(api)
    await deliver(settings)
    (delivery,) = await deliveries()
    assert delivery.status == status
    assert refusal[:3] in delivery.error


async def test_who_is_not_active_any_more_gets_nothing(api: Api, mailbox: Mailbox) -> None:
    settings = notifying(api, **by_mail(mailbox))
    await make_mapset(api)
    url = str(settings.database_url.get_secret_value() if settings.database_url else "")
    execute(url, "UPDATE users SET is_active = false WHERE username = 'walidata'")
    await deliver(settings)
    assert mailbox.mails == []
    assert [one.status for one in await deliveries()] == ["failed"]


async def test_what_fails_for_good_is_given_up_and_can_be_tried_again(
    api: Api, mailbox: Mailbox
) -> None:
    settings = notifying(api, **by_mail(mailbox))
    await make_mapset(api)
    mailbox.refusal = "451 busy"
    await Delivery.update(attempts=MOST_ATTEMPTS - 1).aio_execute()
    await deliver(settings)
    (failed,) = await deliveries()
    assert failed.status == "failed"
    service = DeliveryService(settings)
    with pytest.raises(NotFoundError):
        await service.retry([uuid.uuid4()])
    assert await service.retry([failed.id]) == 1
    mailbox.refusal = ""
    await deliver(settings)
    assert len(mailbox.mails) == 1


async def test_what_waits_without_a_job_is_told_and_can_be_tried_again(
    api: Api, mailbox: Mailbox
) -> None:
    settings = notifying(api, **by_mail(mailbox))
    url = str(settings.database_url.get_secret_value() if settings.database_url else "")
    await make_mapset(api)
    service = DeliveryService(settings)
    await service.fail_lost()
    assert [one.status for one in await deliveries()] == ["waiting"]
    execute(url, "UPDATE procrastinate_jobs SET status = 'cancelled'")
    await service.fail_lost()
    (lost,) = await deliveries()
    assert lost.status == "failed"
    assert "cancelled" in lost.error
    await service.retry([lost.id])
    await deliver(settings)
    assert len(mailbox.mails) == 1


def certificate(folder: Path) -> ssl.SSLContext:
    """A certificate of its own for 127.0.0.1; ``ca.pem`` in the folder vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.org")])
    moment = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - datetime.timedelta(days=1))
        .not_valid_after(moment + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


async def test_mail_goes_by_tls_with_a_login_and_to_no_server_that_nobody_vouches_for(
    settings: Settings, tmp_path: Path
) -> None:
    mailbox = Mailbox(certificate(tmp_path))
    given = by_mail(
        mailbox,
        smtp_security="starttls",
        smtp_username="peta",
        smtp_password=SecretStr(SMTP_SECRET),
    )
    try:
        unknown = DeliveryService(settings.model_copy(update=given))
        with pytest.raises(DeliveryError) as refused:
            await unknown.send_test("siti@example.org")
        assert SMTP_SECRET not in str(refused.value)
        assert mailbox.logins == []
        known = settings.model_copy(update={**given, "smtp_ca_file": tmp_path / "ca.pem"})
        await DeliveryService(known).send_test("siti@example.org")
        assert mailbox.receivers() == ["siti@example.org"]
        assert mailbox.logins == [SMTP_SECRET.encode()]
        wrong = known.model_copy(update={"smtp_password": SecretStr("bukan")})
        with pytest.raises(DeliveryError, match="535"):
            await DeliveryService(wrong).send_test("siti@example.org")
        await eventually(lambda: not mailbox.has_clients())
    finally:
        mailbox.stop()


async def test_a_webhook_is_signed_and_its_id_stays_the_same(api: Api, receiver: Receiver) -> None:
    settings = notifying(api, **by_webhook(receiver), webhook_secret_old=SecretStr(OLD))
    mapset = await make_mapset(api)
    receiver.answers = [500]
    url = str(settings.database_url.get_secret_value() if settings.database_url else "")
    await deliver(settings)
    execute(url, "UPDATE procrastinate_jobs SET scheduled_at = NULL")
    await deliver(settings)
    assert len(receiver.taken) == 2
    (first, _), (second, body) = receiver.taken
    assert first["webhook-id"] == second["webhook-id"]
    told = json.loads(body)
    assert (told["type"], told["data"]["mapset_id"]) == ("mapset.submitted", mapset)
    content = f"{second['webhook-id']}.{second['webhook-timestamp']}.".encode() + body
    for secret, signature in zip((SECRET, OLD), second["webhook-signature"].split(), strict=True):
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        assert signature == f"v1,{expected}"
    # As the docs tell receivers to check it.
    (example,) = re.findall(r"```python\n(.*?)```", NOTIFICATIONS.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102
    assert names["is_genuine"](SECRET, second, body)
    assert names["is_genuine"](OLD, second, body)
    assert not names["is_genuine"](SECRET, second, body + b" ")
    assert [one.status for one in await deliveries()] == ["delivered"]


async def test_a_receiver_that_wants_no_more_is_left_alone(api: Api, receiver: Receiver) -> None:
    settings = notifying(api, **by_webhook(receiver))
    receiver.answers = [410]
    await make_mapset(api)
    await deliver(settings)
    (one,) = await deliveries()
    assert (one.status, one.attempts) == ("failed", 1)


async def test_an_address_that_is_no_longer_set_is_told_nothing(
    api: Api, receiver: Receiver
) -> None:
    settings = notifying(api, **by_webhook(receiver))
    await make_mapset(api)
    await deliver(settings.model_copy(update={"webhook_urls": []}))
    assert receiver.taken == []
    assert [one.status for one in await deliveries()] == ["failed"]


async def test_a_redirect_is_not_followed(api: Api, receiver: Receiver) -> None:
    settings = notifying(api, **by_webhook(receiver))
    receiver.answers = [302]
    await make_mapset(api)
    await deliver(settings)
    assert len(receiver.taken) == 1
    assert [one.status for one in await deliveries()] == ["waiting"]
