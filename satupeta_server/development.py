"""The whole system in one command: embedded servers where none are set, data, and the API."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import SecretStr

from satupeta_server import database
from satupeta_server.embedded import DataFolderLock, EmbeddedError, EmbeddedServers
from satupeta_server.errors import StartError
from satupeta_server.logs import configure_logging
from satupeta_server.maintenance.grants import grant_to_api
from satupeta_server.migrating import upgrade
from satupeta_server.secrets_store import with_generated_secrets
from satupeta_server.seed.accounts import make_accounts
from satupeta_server.seed.reference import seed_reference
from satupeta_server.seed.sample import load_sample
from satupeta_server.server import Workers, bind, ignore_signals, parent_environment, serve
from satupeta_server.settings import Settings
from satupeta_server.storage import ObjectStore

logger = logging.getLogger(__name__)

Say = Callable[[str], None]

WATCH_SECONDS = 0.5
WORKER_SECONDS = 2
_SAMPLE_MARK = "sample-loaded"


class _Stop(BaseException):
    """Somebody asked for the end before the API served."""


def run(settings: Settings, say: Say, *, with_sample: bool | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then end all that was started.

    The sample catalogue is loaded into an embedded database, and into one that is set only
    where ``with_sample`` says so. Raises StartError in one sentence when it cannot start.
    """
    with _stopping_on_signals(), contextlib.suppress(_Stop):
        try:
            _run(settings, say, with_sample=with_sample)
        except EmbeddedError as error:
            raise StartError(str(error)) from error


def _run(settings: Settings, say: Say, *, with_sample: bool | None) -> None:
    is_embedded = settings.database_url is None
    with contextlib.ExitStack() as stack:
        lock = DataFolderLock(settings.data_dir.resolve(), say=say)
        lock.acquire()
        stack.callback(lock.release)
        sockets = bind(settings)
        stack.callback(_close, sockets)
        settings, servers = _start_servers(with_generated_secrets(settings), lock, say)
        stack.callback(servers.stop)
        worker = _Worker(settings, lock)
        stack.callback(worker.stop)
        stack.callback(ignore_signals)
        accounts = prepare_data(
            settings, say, with_sample=is_embedded if with_sample is None else with_sample
        )

        def ready() -> None:
            _announce(settings, accounts, say)
            # Only now, so that people do not wait for it.
            worker.start()

        _serve(settings, sockets, servers, lock, ready)


class _Worker:
    """The process that does the background work; it ends with this one."""

    def __init__(self, settings: Settings, lock: DataFolderLock) -> None:
        self._settings, self._lock = settings, lock
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; where that cannot be, the API serves all the same."""
        try:
            self._process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-m", "satupeta_server", "worker", str(os.getpid())],
                env=parent_environment(self._settings),
                start_new_session=True,
            )
        except OSError as error:
            logger.warning("no background work, its process cannot start: %s", error.strerror)
            return
        self._lock.register_child("background", self._process.pid)

    def stop(self) -> None:
        """End it; a job that takes longer than WORKER_SECONDS is done again after a new start."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(WORKER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _start_servers(
    settings: Settings, lock: DataFolderLock, say: Say
) -> tuple[Settings, EmbeddedServers]:
    servers = EmbeddedServers(
        settings.data_dir,
        postgres=settings.database_url is None,
        object_store=settings.minio_endpoint_url is None,
        say=say,
        lock=lock,
    )
    found = servers.start()
    addresses: dict[str, Any] = {}
    if found.database_url is not None:
        addresses["database_url"] = SecretStr(found.database_url)
    if found.object_store_endpoint is not None:
        addresses |= {
            "minio_endpoint_url": found.object_store_endpoint,
            "minio_root_user": found.object_store_access_key,
            "minio_root_password": SecretStr(found.object_store_secret_key or ""),
        }
    return settings.model_copy(update=addresses), servers


def prepare_data(settings: Settings, say: Say, *, with_sample: bool) -> list[dict[str, str]]:
    """Migrate, seed and make the accounts; gives the accounts.

    Raises StartError when the database or the store cannot be used.
    """
    owner = settings.owner()
    if owner.database_url is None:
        raise StartError("DATABASE_URL is not set.")
    upgrade(owner.database_url.get_secret_value(), say)
    grant_to_api(owner)
    database.connect(owner)
    store = ObjectStore(settings)
    store.ensure_bucket()
    is_development = settings.environment == "development"
    with database.synchronous():
        seed_reference()
        mark = settings.data_dir / _SAMPLE_MARK
        if with_sample and is_development and not mark.exists():
            say("Loading the sample catalogue")
            load_sample(settings, store)
            mark.touch()
        accounts = make_accounts(settings) if is_development else []
    store.close()
    return accounts


def _serve(
    settings: Settings,
    sockets: list[socket.socket],
    servers: EmbeddedServers,
    lock: DataFolderLock,
    ready: Callable[[], None],
) -> None:
    configure_logging(settings)
    if settings.workers == 1:
        _watch(servers)
        serve(settings, sockets, ready)
        _end_if_dead(servers)
        return
    environment = parent_environment(settings)
    workers = Workers(settings, sockets, environment, lock.register_child)
    workers.keep(ready, lambda: _end_if_dead(servers))


def _watch(servers: EmbeddedServers) -> None:
    """End the process in order when one of its servers has died."""

    def watch() -> None:
        while servers.check() is None:
            time.sleep(WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watch", daemon=True).start()


def _end_if_dead(servers: EmbeddedServers) -> None:
    death = servers.check()
    if death is not None:
        raise StartError(death)


def _announce(settings: Settings, accounts: list[dict[str, str]], say: Say) -> None:
    say("")
    say(f"Satu Peta serves at {settings.base_url}/api")
    say(f"Its documentation is at {settings.base_url}/api/docs")
    if accounts:
        say(f"Accounts, also in {settings.data_dir / 'accounts.json'}:")
        for account in accounts:
            say(f"  {account['username']:<14} {account['password']}   {account['role']}")
    say("Press Ctrl-C to end.")


@contextlib.contextmanager
def _stopping_on_signals() -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise _Stop

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    yield


def _close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()
