"""What deploy/nginx.conf does, by the real nginx before the real API."""

import contextlib
import gzip
import http.client
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg2
import pytest
from pydantic import SecretStr

from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.running import ROOT, free_port
from tests.serving import Start, is_taken, wait_until
from tests.world import PASSWORD

NGINX = next(
    (one for one in map(Path, ("/usr/sbin/nginx", "/usr/bin/nginx")) if one.exists()), None
)

pytestmark = pytest.mark.skipif(
    NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx-light)"
)


class Before:
    """nginx before an API, and a client that trusts its throw-away certificate."""

    def __init__(self, folder: Path, api: int) -> None:
        self.folder, self.api = folder, api
        self.plain, self.secure = free_port(), free_port()
        self._make_certificate()
        (folder / "upstream.conf").write_text(f"server 127.0.0.1:{api};\n")
        (folder / "www").mkdir()
        (folder / "satupeta.conf").write_text(self._configuration())
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
            "events {}\n"
            f"http {{ client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
            f"fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;\n"
            f"scgi_temp_path {folder}/scgi; access_log off;\n"
            f"include {folder}/satupeta.conf; }}\n"
        )
        self.trust = ssl.create_default_context(cafile=str(folder / "tls.crt"))
        self.client = httpx.Client(
            base_url=f"https://localhost:{self.secure}/api", verify=self.trust
        )

    def _configuration(self) -> str:
        places = {
            "/etc/nginx/satupeta": str(self.folder),
            "/var/cache/nginx": str(self.folder),
            "/var/log/nginx": str(self.folder),
            "/var/www/html": str(self.folder / "www"),
            "listen 80 ": f"listen 127.0.0.1:{self.plain} ",
            "listen 443 ": f"listen 127.0.0.1:{self.secure} ",
        }
        text = (ROOT / "deploy/nginx.conf").read_text()
        for standing, here in places.items():
            assert standing in text
            text = text.replace(standing, here)
        return text

    def _make_certificate(self) -> None:
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        files = ["-keyout", self.folder / "tls.key", "-out", self.folder / "tls.crt"]
        command = ["openssl", "req", *kind, "-days", "1", *subject, *files]
        subprocess.run(command, check=True, capture_output=True)

    def announce(self, size: int) -> int:
        """The status for an upload of so many bytes, of which none is sent."""
        connection = http.client.HTTPSConnection("localhost", self.secure, context=self.trust)
        with contextlib.closing(connection):
            connection.putrequest("POST", "/api/files")
            connection.putheader("Content-Type", "multipart/form-data; boundary=x")
            connection.putheader("Content-Length", str(size))
            connection.endheaders()
            return connection.getresponse().status

    def token(self) -> dict[str, str]:
        """The header of a user who may publish."""
        answer = self.client.post(
            "/auth/login", json={"username": "walidata", "password": PASSWORD}
        ).json()
        return {"Authorization": f"Bearer {answer['access_token']}"}


@pytest.fixture
def before(
    start: Start, settings: Settings, store: ObjectStore, tmp_path: Path
) -> Iterator[Before]:
    served = start(settings, ALLOWED_ORIGINS='["https://localhost"]')
    folder = tmp_path / "nginx"
    folder.mkdir()
    before = Before(folder, served.port)
    assert NGINX is not None
    process = subprocess.Popen(
        [NGINX, "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"]
    )
    try:
        wait_until(lambda: process.poll() is not None or is_taken(before.secure))
        assert process.poll() is None, (folder / "error.log").read_text()
        yield before
    finally:
        before.client.close()
        process.terminate()
        process.wait(10)
    assert process.returncode == 0
    assert "[warn]" not in (folder / "error.log").read_text()


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
    states = [
        line.split()[-1]
        for line in (before.folder / "satupeta.log").read_text().splitlines()
        if "/download" in line
    ]
    assert states == ["MISS", "HIT", "HIT", "HIT"]


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
    assert answer.headers["X-Request-Id"] in (before.folder / "satupeta.log").read_text()
    assert answer.headers["X-Request-Id"] != "claimed"
    assert isinstance(settings.database_url, SecretStr)
    with (
        contextlib.closing(psycopg2.connect(settings.database_url.get_secret_value())) as one,
        one.cursor() as cursor,
    ):
        cursor.execute("SELECT DISTINCT host(address) FROM sessions")
        assert cursor.fetchall() == [("127.0.0.1",)]
