"""A real pgbouncer in transaction mode, where the machine has one."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from satupeta_server.embedded.account import Account, choose_account, minimal_environment
from tests.running import free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")

_CONFIGURATION = """
[databases]
* = host={host} port={port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/userlist.txt
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 200
"""


@contextmanager
def pooled(address: str, folder: Path, size: int = 4) -> Iterator[str]:
    """The address of the same database behind a pooler with ``size`` connections."""
    parts = parse_dsn(address)
    port = free_port()
    configuration = _CONFIGURATION.format(
        host=parts["host"],
        port=parts.get("port", 5432),
        own_port=port,
        folder=folder / "pgbouncer",
        size=size,
    )
    login = f"{parts['user']}:{parts['password']}"
    url = f"postgresql://{login}@127.0.0.1:{port}/{parts['dbname']}"
    with pooler(configuration, url, folder / "pgbouncer"):
        yield url


@contextmanager
def pooler(configuration: str, address: str, folder: Path) -> Iterator[None]:
    """A pooler with a configuration, which answers at an address and has its login."""
    folder.mkdir()
    parts = parse_dsn(address)
    (folder / "pgbouncer.ini").write_text(configuration, encoding="utf-8")
    login = f'"{parts["user"]}" "{parts["password"]}"\n'
    (folder / "userlist.txt").write_text(login, encoding="ascii")
    process = _start(folder, choose_account(None))
    try:
        _wait(address, process)
        yield
    finally:
        process.kill()
        process.wait()


def _start(folder: Path, account: Account) -> "subprocess.Popen[bytes]":
    for path in (folder, *folder.iterdir()):
        if account.changes:
            os.chown(path, account.uid, account.gid)
        path.chmod(0o700)
    identity: dict[str, Any] = {
        "user": account.user, "group": account.group, "extra_groups": account.extra_groups
    }  # fmt: skip
    return subprocess.Popen(
        [str(PROGRAM), "--quiet", str(folder / "pgbouncer.ini")],
        cwd=folder,
        env=minimal_environment(folder),
        stderr=subprocess.DEVNULL,
        **identity,
    )


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return psycopg2.connect(address).close()
        except psycopg2.OperationalError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
