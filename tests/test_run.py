"""``satupeta dev``, which ``make run`` starts, and ``satupeta serve``, as real processes."""

import json
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
import pytest

from tests.running import ROOT, SATUPETA, ask, environment, free_port, login, refused, running
from tests.serving import wait_until


def test_the_system_starts_serves_keeps_and_ends(tmp_path: Path) -> None:
    folder, port = tmp_path / "var", free_port()
    with running(folder, port) as process:
        assert (folder / "accounts.json").stat().st_mode & 0o777 == 0o600
        for username in ("administrator", "walidata", "pengelola", "viewer"):
            token = login(port, folder, username)
            assert ask(port, "/me", Authorization=f"Bearer {token}")["username"] == username
        assert ask(port, "/mapsets?limit=1")["total"]
        token = login(port, folder, "administrator")
        body = json.dumps({"name": "Yang diakui"}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        urlopen(
            Request(f"http://127.0.0.1:{port}/api/categories", body, headers), timeout=5
        ).close()
        assert str(folder) in refused(folder, free_port())
        children = psutil.Process(process.pid).children(recursive=True)
        for one in [psutil.Process(process.pid), *children]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(children, timeout=10)
    with running(folder, port) as process:
        listed = ask(port, "/categories?search=yang+diakui")
        assert listed["total"] == 1
        link = subprocess.run(
            [*SATUPETA, "user", "reset-link", "pengelola"],
            env=environment(folder, port),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert link.startswith(f"http://127.0.0.1:{port}/api/auth/password-reset/page#")
        children = psutil.Process(process.pid).children(recursive=True)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=15)
        assert time.monotonic() - begin < 10
        assert process.returncode == 0
        assert not psutil.wait_procs(children, timeout=2)[1]
        assert f"http://127.0.0.1:{port}/api/docs" in output
        assert "administrator" in output
        # After the kill, too, there was nothing to complain of.
        assert not [one for one in ("Traceback", "ERROR", "WARNING") if one in output], output


def test_two_processes_share_a_port_and_end_together(tmp_path: Path) -> None:
    folder, port = tmp_path / "var", free_port()
    with running(folder, port, "--no-sample", WORKERS="2", BCRYPT_ROUNDS="4") as process:
        children = psutil.Process(process.pid).children(recursive=True)
        told = []
        for one in children:
            # The servers' own helpers come and go.
            with suppress(psutil.NoSuchProcess):
                told.append(one.cmdline())
        ours = [one for one in told if "satupeta_server" in one]
        assert len([one for one in ours if "worker" not in one]) == 2
        secrets = (folder / "secrets.json").read_text(encoding="utf-8")
        secret_key = json.loads(secrets)["secret_key"]
        accounts = json.loads((folder / "accounts.json").read_text(encoding="utf-8"))
        hidden = [secret_key, *[one["password"] for one in accounts]]
        lines = " ".join(" ".join(one) for one in told)
        assert not [one for one in hidden if one in lines]
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=15)
        assert process.returncode == 0, output
        assert not psutil.wait_procs(children, timeout=2)[1]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_one_sentence(tmp_path: Path, workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in refused(tmp_path / "var", port, WORKERS=workers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("WORKERS", "0"),
        ("ENVIRONMENT", "staging"),
        ("SECRET_KEY", "secret"),
        ("ALLOWED_ORIGINS", "localhost"),
        ("ALLOWED_ORIGINS", '["localhost"]'),
        ("ENCRYPTION_KEYS", "{}"),
        ("DATABASE_URL", "mysql://x/y"),
        ("TIMEZONE", "Mars"),
        ("ALGORITHM", "none"),
        ("MINIO_ENDPOINT_URL", "http://127.0.0.1:9000"),
    ],
)
def test_an_impossible_setting_is_named(tmp_path: Path, name: str, value: str) -> None:
    assert name in refused(tmp_path / "var", free_port(), **{name: value})


def test_production_starts_with_no_secret_missing(tmp_path: Path) -> None:
    ended = subprocess.run(
        [*SATUPETA, "serve"],
        env=environment(tmp_path / "var", free_port(), ENVIRONMENT="production"),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 3
    assert "SECRET_KEY must be set in production" in ended.stderr


@pytest.mark.parametrize("command", ["permissions", "routes", "--help", "db --help"])
def test_a_command_prints(command: str) -> None:
    ended = subprocess.run(
        [*SATUPETA, *command.split()], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ended.stdout


def test_the_worker_works_and_ends_with_the_rest(tmp_path: Path) -> None:
    folder, port = tmp_path / "var", free_port()

    def status() -> dict[str, int]:
        told = subprocess.run(
            [*SATUPETA, "jobs", "status", "--json"],
            env=environment(folder, port),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found: dict[str, int] = json.loads(told)
        return found

    with running(folder, port, "--no-sample", BCRYPT_ROUNDS="4") as process:
        wait_until(lambda: status()["workers"] == 1, 20)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=15)
        assert process.returncode == 0, output
        assert "the worker has ended" in output
        assert "Traceback" not in output
        assert not psutil.wait_procs(children, timeout=2)[1]
