"""What the tests of the embedded servers share: folders, a parent process, an ordinary user."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minio
import psutil
import psycopg2
import pytest
import urllib3

from satupeta_server.embedded import (
    Addresses,
    EmbeddedError,
    EmbeddedServers,
    binaries,
    cluster,
    home,
    processes,
)
from satupeta_server.embedded import servers as servers_module
from satupeta_server.embedded.account import Account, choose_account

REPOSITORY = Path(__file__).resolve().parents[2]

# A parent that starts the servers, tells their addresses, and waits to be killed.
PARENT = """
import json, os, signal, sys
from pathlib import Path
from satupeta_server.embedded import EmbeddedServers, DataFolderLock, cluster, processes
options = json.loads(sys.argv[2])
if options.get("without_death_signal"):
    processes._end_with_parent = lambda number: None
if options.get("die_in"):
    note = DataFolderLock.register_child
    def die(self, name, pid):
        note(self, name, pid)
        if name == options["die_in"]:
            os.kill(os.getpid(), signal.SIGKILL)
    DataFolderLock.register_child = die
cluster._command = lambda *paths, command=cluster._command: [*command(*paths), "--no-sync"]
servers = EmbeddedServers(Path(sys.argv[1]), object_store=options.get("object_store", True))
addresses = servers.start()
children = {child.name: child.pid for child in servers._children.values()}
print(json.dumps({**vars(addresses), "children": children}), flush=True)
sys.stdin.read()
"""


@dataclass
class Parent:
    """A process of its own that runs the servers."""

    process: "subprocess.Popen[str]"
    addresses: Addresses
    children: dict[str, int]

    def kill(self) -> None:
        """Kill the parent, and only it, as `kill -9` does."""
        self.process.kill()
        self.process.communicate()


class Tools:
    """What a test does again and again."""

    earlier: frozenset[psutil.Process] = frozenset()
    """The children of this process that were there before the test, such as another's servers."""

    @classmethod
    def children(cls, *, recursive: bool = False) -> list[psutil.Process]:
        """The children of this process that the test has made."""
        made = psutil.Process().children(recursive=recursive)
        return [process for process in made if process not in cls.earlier]

    @staticmethod
    def query(url: str | None, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of `statement`, in a transaction of its own."""
        assert url is not None
        connection = psycopg2.connect(url)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    @staticmethod
    @contextmanager
    def started(data_dir: Path, **options: Any) -> Iterator[Addresses]:
        """The addresses of servers on `data_dir`, which are ended in a hurry at the end."""
        servers = EmbeddedServers(data_dir, **options)
        try:
            yield servers.start()
        finally:
            stop_in_a_hurry(servers)

    @staticmethod
    def store(addresses: Addresses, **changes: str | None) -> minio.Minio:
        """A client of the store, with other keys where `changes` has them."""
        assert addresses.object_store_endpoint is not None
        keys: dict[str, Any] = {
            "access_key": addresses.object_store_access_key,
            "secret_key": addresses.object_store_secret_key,
            **changes,
        }
        return minio.Minio(
            addresses.object_store_endpoint.removeprefix("http://"),
            secure=False,
            http_client=urllib3.PoolManager(retries=False, timeout=10),
            **keys,
        )

    @staticmethod
    def running_in(folder: Path) -> list[psutil.Process]:
        """The processes that work in `folder`."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if Path(process.cwd()).is_relative_to(folder):
                    found.append(process)
        return [process for process in found if process.pid != os.getpid()]

    @staticmethod
    def wait_ended(watched: list[psutil.Process]) -> list[psutil.Process]:
        """Those of `watched` that do not end within a few seconds."""
        # Whoever reaps orphans here may take his time: one that waits for him has ended.
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            watched = [process for process in watched if processes.is_running(process)]
            if not watched:
                break
            time.sleep(0.01)
        return watched

    @staticmethod
    def modes_above(folder: Path) -> dict[str, tuple[int, int, int]]:
        """The mode and owner of every folder above `folder`, up to the root."""
        status = {str(parent): parent.stat() for parent in folder.parents}
        return {name: (one.st_mode, one.st_uid, one.st_gid) for name, one in status.items()}

    @staticmethod
    def assert_one_sentence(error: BaseException) -> str:
        """The text of `error`, which is for a person: one line, one sentence."""
        text = str(error)
        assert isinstance(error, EmbeddedError)
        assert text.endswith(".")
        assert "\n" not in text
        assert "Traceback" not in text
        return text


def stop_in_a_hurry(servers: EmbeddedServers) -> None:
    """Stop `servers` without the second that the store takes to end by itself."""
    store = servers._children.get("object store")
    if store is not None and store.is_running():
        os.kill(store.pid, signal.SIGKILL)
    servers.stop()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let initdb leave its files to the system's cache, for no test pulls the plug."""
    command = cluster._command
    monkeypatch.setattr(cluster, "_command", lambda *paths: [*command(*paths), "--no-sync"])


@pytest.fixture(autouse=True)
def tools() -> Tools:
    Tools.earlier = frozenset(psutil.Process().children(recursive=True))
    return Tools()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path that every account may pass through, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="sp-", dir="/tmp")).resolve()
    folder.chmod(0o755)
    monkeypatch.setattr(home, "SYSTEM_FOLDER", folder / "system")
    yield folder
    left = Tools.wait_ended(Tools.running_in(folder))
    for process in left:
        process.kill()
    shutil.rmtree(folder)
    assert not left, "a test left processes behind"


@pytest.fixture
def data_dir(place: Path) -> Path:
    return place / "var"


@pytest.fixture
def run(data_dir: Path) -> Iterator[Callable[..., EmbeddedServers]]:
    """Makes EmbeddedServers on the data folder of the test, stopped at the end."""
    made: list[EmbeddedServers] = []

    def make(folder: Path = data_dir, **options: Any) -> EmbeddedServers:
        made.append(EmbeddedServers(folder, **options))
        return made[-1]

    yield make
    for servers in made:
        stop_in_a_hurry(servers)


@pytest.fixture
def parent(data_dir: Path) -> Iterator[Callable[..., Parent | None]]:
    """Starts the servers in a process of its own; None when that one died at the start."""
    started: list[subprocess.Popen[str]] = []

    def start(**options: object) -> Parent | None:
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(data_dir), json.dumps(options)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.communicate()
            return None
        facts = json.loads(line)
        children = facts.pop("children")
        return Parent(process, Addresses(**facts), children)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def ordinary_user(place: Path) -> Callable[[Callable[[], Any]], Any]:
    """Runs a function in a forked process of an ordinary user and gives what it returns (JSON)."""
    account = choose_account(None)

    def call(function: Callable[[], Any]) -> Any:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _answer(function, account, writing)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as answer:
            text = answer.read()
        os.waitpid(child, 0)
        result = json.loads(text)
        assert "failure" not in result, result["failure"]
        return result["value"]

    return call


def _answer(function: Callable[[], Any], account: Account, writing: int) -> None:
    """The life of the forked process: it ends here, and never returns to the test runner."""
    try:
        _become_ordinary(account)
        result = {"value": function()}
    except BaseException:  # noqa: BLE001 -- told to the parent, whatever it is
        result = {"failure": traceback.format_exc()}
    os.write(writing, json.dumps(result).encode())
    os._exit(0)


def _become_ordinary(account: Account) -> None:
    if os.geteuid() != 0:
        return
    # Its own packages are in an ordinary user's reach; those of root may not be.
    postgres = binaries.postgres_binaries(account)
    store = binaries.object_store_binary(account)
    vars(servers_module).update(
        postgres_binaries=lambda _: postgres, object_store_binary=lambda _: store
    )
    # Loaded on first use, from a place that may be root's too.
    "localhost".encode("idna")
    os.setgroups([])
    os.setgid(account.gid)
    os.setuid(account.uid)
    assert pwd.getpwuid(os.geteuid()).pw_name == account.name
