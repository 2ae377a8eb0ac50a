"""Running the system as the processes that people start."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil

SATUPETA = [sys.executable, "-m", "satupeta_cli"]
ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def environment(folder: Path, port: int, **others: str) -> dict[str, str]:
    return {
        **os.environ,
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "PYTHONPATH": str(ROOT),
        **others,
    }


def ask(port: int, path: str, **headers: str) -> dict[str, object]:
    with urlopen(Request(f"http://127.0.0.1:{port}/api{path}", headers=headers), timeout=5) as one:
        answer: dict[str, object] = json.load(one)
        return answer


@contextmanager
def running(
    folder: Path, port: int, *options: str, program: Sequence[str] = SATUPETA, **others: str
) -> Iterator[subprocess.Popen[str]]:
    """A running system; whatever the test does, nothing of it stays."""
    process = subprocess.Popen(
        [*program, "dev", *options],
        env=environment(folder, port, **others),
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                ask(port, "/health/ready")
                break
            except (URLError, OSError):
                assert process.poll() is None, process.stdout and process.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield process
    finally:
        alive = process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True) if alive else []
        for one in children:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def login(port: int, folder: Path, username: str) -> str:
    accounts = json.loads((folder / "accounts.json").read_text(encoding="utf-8"))
    password = next(one["password"] for one in accounts if one["username"] == username)
    body = json.dumps({"username": username, "password": password}).encode()
    headers = {"Content-Type": "application/json"}
    address = f"http://127.0.0.1:{port}/api/auth/login"
    with urlopen(Request(address, body, headers), timeout=10) as answer:
        token: str = json.load(answer)["access_token"]
        return token


def refused(folder: Path, port: int, **others: str) -> str:
    """What a start that cannot be says: one sentence and exit code 3."""
    ended = subprocess.run(
        [*SATUPETA, "dev"],
        env=environment(folder, port, **others),
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 3, ended
    assert ended.stderr.startswith("satupeta: ")
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
    return ended.stderr
