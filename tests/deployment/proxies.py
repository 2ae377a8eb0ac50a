"""The real nginx with deploy/nginx.conf, on ports and in folders of its own."""

import contextlib
import http.client
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running import ROOT, free_port
from tests.serving import is_taken, wait_until
from tests.world import PASSWORD

NGINX = next(
    (one for one in map(Path, ("/usr/sbin/nginx", "/usr/bin/nginx")) if one.exists()), None
)

needs_nginx = pytest.mark.skipif(
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


@contextlib.contextmanager
def nginx_before(folder: Path, api: int) -> Iterator[Before]:
    """nginx, until the end; it must end well and have warned of nothing."""
    folder.mkdir()
    before = Before(folder, api)
    assert NGINX is not None
    command = [NGINX, "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"]
    process = subprocess.Popen(command)
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
