"""``satupeta dev`` for somebody who is not root; root tries it as an account without rights."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from satupeta_server.embedded.account import choose_account
from tests.running import ask, environment, free_port, login

# Becomes the account once all is loaded: Python itself may stand where only root can read.
PROGRAM = """
import importlib, os, pkgutil, sys
import satupeta_cli.commands, satupeta_server
from satupeta_server.embedded import binaries, servers
from satupeta_server.embedded.account import choose_account
for package in (satupeta_server, satupeta_cli):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from satupeta_cli.__main__ import main
if os.geteuid() == 0:
    account = choose_account(None)
    postgres = binaries.postgres_binaries(account)
    store = binaries.object_store_binary(account)
    servers.postgres_binaries = lambda _: postgres
    servers.object_store_binary = lambda _: store
    "localhost".encode("idna")
    os.setgroups([])
    os.setgid(account.gid)
    os.setuid(account.uid)
sys.argv = ["satupeta", "dev", "--no-sample"]
main()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every account may pass through, and that belongs to the ordinary user."""
    account = choose_account(None)
    folder = Path(tempfile.mkdtemp(prefix="sp-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    if account.changes:
        os.chown(folder, account.uid, account.gid)
    yield folder
    shutil.rmtree(folder)


def without_coverage(environment: dict[str, str]) -> dict[str, str]:
    """The account may not write where the coverage of the tests is collected."""
    return {name: value for name, value in environment.items() if "COVERAGE" not in name}


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Starts the system as the ordinary user; at the end nothing of it stays."""
    started: list[subprocess.Popen[str]] = []

    def begin(folder: Path, port: int) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=without_coverage(environment(folder, port, BCRYPT_ROUNDS="4", HOME=str(place))),
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            for one in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.kill()
        process.communicate()


def modes_above(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """The mode and the owner of each folder above `folder`, up to the root."""
    found = {parent: parent.stat() for parent in folder.parents}
    return {parent: (one.st_mode, one.st_uid, one.st_gid) for parent, one in found.items()}


def test_it_serves_an_ordinary_user_and_changes_no_folder_but_its_own(
    start: Start, place: Path
) -> None:
    folder, port = place / "var", free_port()
    before = modes_above(folder)
    process = start(folder, port)
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError):
            ask(port, "/health/ready")
            break
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    token = login(port, folder, "administrator")
    assert ask(port, "/me", Authorization=f"Bearer {token}")["username"] == "administrator"
    account = choose_account(None)
    everything = psutil.Process(process.pid).children(recursive=True)
    assert len(everything) > 1
    users = {one.uids().effective for one in [psutil.Process(process.pid), *everything]}
    assert users == {account.uid}
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=15)
    assert process.returncode == 0, errors
    assert "Traceback" not in output + errors
    assert not psutil.wait_procs(everything, timeout=2)[1]
    assert modes_above(folder) == before
    assert not [one for one in folder.rglob("*") if one.lstat().st_uid != account.uid]
    secret = [folder / "accounts.json", folder / "secrets.json"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in secret} == {0o600}


@pytest.mark.parametrize("name", ["closed", "closed/var"])
def test_a_folder_that_may_not_be_written_is_one_sentence(
    start: Start, place: Path, name: str
) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o555)
    closed.chmod(0o555)
    process = start(place / name, free_port())
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 3
    assert output == ""
    assert errors.startswith(f"satupeta: The data folder {place / name} may not be written")
    assert len(errors.splitlines()) == 1
    assert list(closed.iterdir()) == []
