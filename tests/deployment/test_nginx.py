"""What deploy/nginx.conf does, by the real nginx before the real API."""

import contextlib
import gzip
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg2
import pytest
from pydantic import SecretStr

from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.deployment.proxies import Before, needs_nginx, nginx_before
from tests.serving import Start, wait_until

pytestmark = needs_nginx


@pytest.fixture
def before(
    start: Start, settings: Settings, store: ObjectStore, tmp_path: Path
) -> Iterator[Before]:
    served = start(settings, ALLOWED_ORIGINS='["https://localhost"]')
    with nginx_before(tmp_path / "nginx", served.port) as before:
        yield before


def test_plain_http_is_led_to_tls(before: Before) -> None:
    answer = httpx.get(f"http://127.0.0.1:{before.plain}/api/news?limit=1")
    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://127.0.0.1/api/news?limit=1"
    assert "max-age" in before.client.get("/news").headers["Strict-Transport-Security"]


def test_old_tls_is_refused(before: Before) -> None:
    old = ssl.create_default_context(cafile=str(before.folder / "tls.crt"))
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"https://localhost:{before.secure}/api/news", verify=old)


def test_what_is_kept_is_asked_for_anew_and_answered_with_304(before: Before) -> None:
    headers = before.token()
    first = before.client.get("/news")
    assert first.headers["Cache-Control"] == "public, no-cache"
    asked = {"If-None-Match": first.headers["ETag"]}
    assert before.client.get("/news", headers=asked).status_code == 304
    body = {"name": "Baru", "description": "<p>Berita</p>"}
    assert before.client.post("/news", json=body, headers=headers).status_code == 201
    wait_until(lambda: before.client.get("/news", headers=asked).status_code == 200)


def test_a_file_is_asked_for_once_and_a_large_one_passes(before: Before) -> None:
    headers = before.token()
    content = b"a,b\n" + b"1,2\n" * 500_000
    sent = before.client.post(
        "/files", files={"file": ("data.csv", content, "text/csv")}, headers=headers
    )
    assert sent.status_code == 201, sent.text
    address = f"/files/{sent.json()['id']}/download"
    for _ in range(3):
        assert before.client.get(address).content == content
    part = before.client.get(address, headers={"Range": "bytes=0-2"})
    assert (part.status_code, part.content) == (206, b"a,b")

    def states() -> list[str]:
        lines = (before.folder / "access.log").read_text().splitlines()
        return [line.split()[-1] for line in lines if "/download" in line]

    # A line is written once its answer has been sent.
    wait_until(lambda: len(states()) == 4)
    assert states() == ["MISS", "HIT", "HIT", "HIT"]


def test_the_limit_of_uploads_is_that_of_the_api(before: Before) -> None:
    largest = Settings.model_fields["max_upload_size"].default
    within, beyond = largest + 512 * 1024, largest + 2 * 1024 * 1024
    for size, status in ((within, 401), (beyond, 413)):
        assert before.announce(size) == status


def test_answers_are_compressed(before: Before) -> None:
    with before.client.stream("GET", "/openapi.json", headers={"Accept-Encoding": "gzip"}) as one:
        packed = b"".join(one.iter_raw())
        assert one.headers["Content-Encoding"] == "gzip"
    assert b'"3.1' in gzip.decompress(packed)


def test_the_request_has_one_id_and_a_claimed_address_counts_for_nothing(
    before: Before, settings: Settings
) -> None:
    claimed = {"X-Forwarded-For": "203.0.113.7", "X-Request-Id": "claimed"}
    before.client.headers.update(claimed)
    answer = before.client.get("/auth/me", headers=before.token())
    log = before.folder / "access.log"
    wait_until(lambda: answer.headers["X-Request-Id"] in log.read_text())
    assert answer.headers["X-Request-Id"] != "claimed"
    assert isinstance(settings.database_url, SecretStr)
    with (
        contextlib.closing(psycopg2.connect(settings.database_url.get_secret_value())) as one,
        one.cursor() as cursor,
    ):
        cursor.execute("SELECT DISTINCT host(address) FROM sessions")
        assert cursor.fetchall() == [("127.0.0.1",)]
