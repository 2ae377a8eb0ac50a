"""deploy/deploy.sh brings a new version in, and goes back, while people write.

ssh and docker are stand-ins; the API, nginx, the database and the load are real.
"""

import http.client
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from satupeta_server.server import parent_environment
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore
from tests.deployment.proxies import NGINX, Before, needs_nginx, nginx_before
from tests.faults.test_processes import AFTER, BEFORE, wait_for
from tests.faults.writers import Writers, writing
from tests.running import ROOT, free_port

STAND_INS = Path(__file__).parent / "stand_ins"
pytestmark = [needs_nginx, pytest.mark.long]


class Server:
    """What stands in for the server that is deployed to."""

    def __init__(self, folder: Path, settings: Settings, before: Before) -> None:
        self.folder, self.before = folder, before
        for name in ("built", "images", "containers"):
            (folder / name).mkdir(parents=True)
        names = {name.upper() for name in Settings.model_fields}
        everything = parent_environment(settings)
        lines = [f"{name}={value}\n" for name, value in everything.items() if name in names]
        (folder / "satupeta.env").write_text("".join(lines))
        self.upstream = before.folder / "upstream.conf"
        self.ports = f"{free_port()} {free_port()}"

    def deploy(self, version: str, **others: str) -> "subprocess.CompletedProcess[str]":
        """Deploy, and give the whole of what was said."""
        nginx = f"{NGINX} -c {self.before.folder}/nginx.conf -p {self.before.folder} -e stderr"
        scripts = ROOT / ".venv/bin"
        environment = {
            "PATH": f"{STAND_INS}:{scripts}:{os.environ['PATH']}",
            "STAND_IN": str(self.folder),
            "DEPLOY_HOST": "deploy@server",
            "DEPLOY_VERSION": version,
            "DEPLOY_ENV_FILE": str(self.folder / "satupeta.env"),
            "DEPLOY_PORTS": self.ports,
            "DEPLOY_UPSTREAM": str(self.upstream),
            "DEPLOY_RELOAD": f"{nginx} -t -q && {nginx} -s reload",
            "DEPLOY_VERIFY": f"https://localhost:{self.before.secure}",
            "DEPLOY_WAIT": "30",
            "DEPLOY_DRAIN": "20",
            "CURL_CA_BUNDLE": str(self.before.folder / "tls.crt"),
            **others,
        }
        return subprocess.run(
            [ROOT / "deploy/deploy.sh"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def versions(self) -> set[str]:
        """The images that lie on the server."""
        return {one.name.partition("=")[2] for one in (self.folder / "images").iterdir()}

    def containers(self) -> list[dict[str, Any]]:
        """What runs there: its pid, its image and its command."""
        return [json.loads(one.read_text()) for one in (self.folder / "containers").iterdir()]

    def running(self) -> dict[str, str]:
        """The image of what serves and of what works; each runs once."""
        found = {one["runs"]: one["image"] for one in self.containers()}
        assert len(found) == len(self.containers())
        assert all(psutil.pid_exists(one["pid"]) for one in self.containers())
        return found

    def kill(self) -> None:
        """Leave nothing of it."""
        for one in self.containers():
            if psutil.pid_exists(one["pid"]):
                psutil.Process(one["pid"]).kill()


@pytest.fixture
def server(settings: Settings, store: ObjectStore, tmp_path: Path) -> Iterator[Server]:
    with nginx_before(tmp_path / "nginx", free_port()) as before:
        server = Server(tmp_path / "server", settings, before)
        try:
            first = server.deploy("first")
            assert first.returncode == 0, first
            yield server
        finally:
            server.kill()


@pytest.fixture
def writers_through_nginx(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(writers: Writers) -> http.client.HTTPConnection:
        trust = server.before.trust
        return http.client.HTTPSConnection("localhost", writers.port, timeout=20, context=trust)

    monkeypatch.setattr(Writers, "_connect", connect)


@pytest.mark.usefixtures("writers_through_nginx")
def test_versions_follow_each_other_without_a_request_that_fails(
    server: Server, settings: Settings
) -> None:
    with writing("a new version is deployed", settings, server.before.secure) as writers:
        wait_for(writers, BEFORE)
        for version in ("second", "third"):
            done = server.deploy(version)
            assert done.returncode == 0, done
            image = f"satupeta:{version}"
            assert server.running() == {"serve": image, "worker": image}
            writers.fault_is_over()
            wait_for(writers, AFTER)
    assert set(writers.statuses) == {201}
    # Each reload closes connections that are kept alive, which a client may meet while it asks.
    assert writers.failures.keys() <= {"RemoteDisconnected", "ConnectionResetError", "SSLEOFError"}
    assert server.versions() == {"second", "third"}
    assert set((server.folder / "ssh-hosts").read_text().split()) == {"deploy@server"}
    options = set((server.folder / "ssh-options").read_text().split())
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes"} <= options
    assert not list(server.before.folder.glob("upstream.conf.*"))


@pytest.mark.usefixtures("writers_through_nginx")
@pytest.mark.parametrize(
    ("version", "changes"),
    [
        ("broken", {"DEPLOY_WAIT": "3"}),
        ("unmigratable", {}),
        ("idle", {}),
        ("refused-by-nginx", {"DEPLOY_RELOAD": "false"}),
        ("out-of-reach", {"DEPLOY_VERIFY": "https://localhost:1"}),
    ],
)
def test_the_old_version_goes_on_when_the_new_one_fails(
    server: Server, settings: Settings, version: str, changes: dict[str, str]
) -> None:
    upstream = server.upstream.read_text()
    with writing(f"a deployment fails: {version}", settings, server.before.secure) as writers:
        wait_for(writers, BEFORE)
        failed = server.deploy(version, **changes)
        assert failed.returncode == 1, failed
        assert "going back" in failed.stderr
        writers.fault_is_over()
        wait_for(writers, AFTER)
    assert set(writers.statuses) == {201}
    assert server.upstream.read_text() == upstream
    assert server.running() == {"serve": "satupeta:first", "worker": "satupeta:first"}
    if version in ("broken", "idle"):
        assert version in failed.stderr


def test_only_the_owner_changes_tables_and_the_hosts_network_shows_nothing(
    server: Server, settings: Settings
) -> None:
    assert settings.database_url is not None
    owner = server.folder / "owner.env"
    owner.write_text(f"MIGRATION_DATABASE_URL={settings.database_url.get_secret_value()}\n")
    done = server.deploy("second", DEPLOY_RUN="--network host", DEPLOY_OWNER_ENV_FILE=str(owner))
    assert done.returncode == 0, done
    found = {one["runs"]: one for one in server.containers()}
    assert "MIGRATION_DATABASE_URL" in found["worker"]["environment"]
    assert "MIGRATION_DATABASE_URL" not in found["serve"]["environment"]
    assert found["serve"]["environment"]["HOST"] == "127.0.0.1"
    assert "--publish" not in found["serve"]["options"]
