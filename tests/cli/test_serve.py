"""``satupeta serve``, and what every command says of settings with which nothing starts."""

import base64
import json
import signal
import socket
import subprocess
import time

import httpx
import psutil
import pytest

from tests.cli.conftest import PROGRAM, USAGE, Satupeta

READY = "http://127.0.0.1:{port}/api/health/ready"
SERVERS = {
    "DATABASE_URL": "postgresql://u:p@127.0.0.1:9/x",
    "MINIO_ENDPOINT_URL": "127.0.0.1:9",
    "MINIO_ROOT_USER": "u",
    "MINIO_ROOT_PASSWORD": "p",
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def wait_until_ready(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if httpx.get(READY.format(port=port), timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2])
def test_it_serves_and_ends_in_order(configured: Satupeta, workers: int) -> None:
    port = free_port()
    with subprocess.Popen(
        [PROGRAM, "serve"],
        cwd=configured.folder,
        env={**configured.environment, "PORT": str(port), "WORKERS": str(workers)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until_ready(process, port)
            children = psutil.Process(process.pid).children(recursive=True)
            assert len(children) == (0 if workers == 1 else workers)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert not psutil.wait_procs(children, timeout=2)[1]


@pytest.mark.parametrize("missing", ["DATABASE_URL", "MINIO_ENDPOINT_URL"])
def test_it_needs_its_servers(satupeta: Satupeta, missing: str) -> None:
    servers = {name: value for name, value in SERVERS.items() if name != missing}
    assert f"{missing} is not set" in satupeta.refusal("serve", **servers)


def test_a_port_in_use_is_one_sentence(satupeta: Satupeta) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert port in satupeta.refusal("serve", **SERVERS, PORT=port, WORKERS="2")


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("serve", "PORT", "99999"),
        ("serve", "ALLOWED_ORIGINS", "x"),
        ("serve", "DATABASE_URL", "postgresql://u:geheim%zz@h/x"),
        ("db upgrade", "ENVIRONMENT", "staging"),
        ("db seed", "ENCRYPTION_KEYS", "geheim"),
        ("user reset-link budi", "SECRET_KEY", "geheim"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(
    satupeta: Satupeta, command: str, name: str, value: str
) -> None:
    said = satupeta.refusal(*command.split(), **{**SERVERS, name: value})
    assert said.startswith(f"satupeta: {name} ")
    assert "geheim" not in said


def test_production_makes_no_secret_and_names_those_that_are_missing(satupeta: Satupeta) -> None:
    said = satupeta.refusal("serve", **SERVERS, ENVIRONMENT="production")
    assert "SECRET_KEY must be set in production." in said
    assert "ENCRYPTION_KEYS must be set in production." in said
    keys = json.dumps({"1": base64.b64encode(bytes(range(32))).decode()})
    strong = {"SECRET_KEY": "Zeu8Ohth-aeKie0ie-Xoo9Quai-Ahng6xie", "ENCRYPTION_KEYS": keys}
    said = satupeta.refusal("serve", **SERVERS, **strong, ENVIRONMENT="production")
    assert "MINIO_ROOT_PASSWORD" in said
    assert not (satupeta.folder / "var").exists()


def test_a_file_of_settings_is_chosen_and_must_be_there(satupeta: Satupeta) -> None:
    (satupeta.folder / ".env").write_text("PORT=x\n", encoding="utf-8")
    (satupeta.folder / "other.env").write_text("WORKERS=x\n", encoding="utf-8")
    assert "PORT" in satupeta.refusal("db", "seed")
    assert "WORKERS" in satupeta.refusal("--env-file", "other.env", "db", "seed")
    ended = satupeta("--env-file", "missing.env", "db", "seed")
    assert ended.returncode == USAGE
    assert "missing.env does not exist" in ended.stderr


def test_a_data_folder_that_cannot_be_written_is_one_sentence(satupeta: Satupeta) -> None:
    (satupeta.folder / "file").touch()
    said = satupeta.refusal("db", "seed", DATA_DIR=str(satupeta.folder / "file" / "var"))
    assert "cannot be" in said
