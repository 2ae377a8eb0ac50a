"""Both embedded servers together: started side by side, watched, ended in order."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from satupeta_server.embedded.binaries import object_store_binary, postgres_binaries
from satupeta_server.embedded.cluster import Cluster
from satupeta_server.embedded.credentials import Credentials, load_credentials, make_credentials
from satupeta_server.embedded.errors import EmbeddedError, folder_error
from satupeta_server.embedded.files import require_room
from satupeta_server.embedded.home import prepare_home, prepare_socket_folder, remove_socket_folder
from satupeta_server.embedded.lock import DataFolderLock, read_lock_record
from satupeta_server.embedded.object_store import ObjectStore, remove_sockets_of_killed_run
from satupeta_server.embedded.postgres import Postgres, database_url
from satupeta_server.embedded.processes import Child, end_all
from satupeta_server.embedded.state import State
from satupeta_server.embedded.strays import end_strays

FIRST_START_MEGABYTES = 300
LATER_START_MEGABYTES = 50

_POLL_SECONDS = 0.02
_SAY_STILL_WAITING_SECONDS = 5.0
# Recovery after a power cut is work, not a fault: it gets time.
_READY_WITHIN_SECONDS = 600.0


@dataclass(frozen=True)
class Addresses:
    """Where the embedded servers answer, and the keys to them; None for one that is not run."""

    database_url: str | None
    object_store_endpoint: str | None
    object_store_access_key: str | None
    object_store_secret_key: str | None

    def __repr__(self) -> str:
        return f"Addresses(object_store_endpoint={self.object_store_endpoint!r}, ...)"


class EmbeddedServers:
    """PostgreSQL and an S3 store as children of this process, their data in `data_dir`.

    `lock`, when given, is used instead of an own one, and stays the caller's to release.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres: bool = True,
        object_store: bool = True,
        say: Callable[[str], None] = lambda _: None,
        lock: DataFolderLock | None = None,
    ) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.lock = lock or DataFolderLock(self.data_dir, say=say)
        self._owns_lock = lock is None
        self._wants_postgres = postgres
        self._wants_object_store = object_store
        self._say = say
        self._owner_pid = 0
        self._children: dict[str, Child] = {}
        self._postgres: Postgres | None = None
        self._object_store: ObjectStore | None = None
        self._sockets: Path | None = None

    def start(self) -> Addresses:
        """Start what is wanted and return once it can be used.

        To be called by the main thread, before other threads are started, for the children to
        end with it. Raises EmbeddedError; nothing is left running then.
        """
        self._owner_pid = os.getpid()
        try:
            self.lock.acquire()
            return self._start()
        except OSError as error:
            self.stop()
            raise folder_error(error, self.data_dir) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End what runs, in under 8 seconds, and give the lock back; can be called again.

        A forked child of ours does nothing here.
        """
        if self._owner_pid != os.getpid():
            return
        running = [child for child in self._children.values() if child.is_running()]
        for child in running:
            self._say(f"Stopping the embedded {child.name}")
        end_all([child.target() for child in running])
        self._children.clear()
        self._remove_sockets()
        if self._owns_lock:
            self.lock.release()

    def check(self) -> str | None:
        """A sentence when a server has ended by itself, else None."""
        for child in self._children.values():
            death = child.death()
            if death is not None:
                return death
        return None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> Addresses:
        if not (self._wants_postgres or self._wants_object_store):
            return Addresses(None, None, None, None)
        state = State(self.data_dir)
        megabytes = FIRST_START_MEGABYTES if state.home is None else LATER_START_MEGABYTES
        require_room(self.data_dir, megabytes)
        home = prepare_home(self.data_dir, state, self._say)
        require_room(home.folder, megabytes)
        cluster = Cluster(home)
        credentials = self._credentials(cluster)
        self._tidy_up_after_kill(cluster, state)
        self._build(cluster, credentials, state)
        self._spawn_all(cluster)
        self._wait_until_ready()
        return self._publish(credentials)

    def _build(self, cluster: Cluster, credentials: Credentials, state: State) -> None:
        home = cluster.home
        sockets = self._sockets = prepare_socket_folder(home, self.lock.register_folder)
        if self._wants_object_store:
            binary = object_store_binary(home.account)
            self._object_store = ObjectStore(binary, home, credentials, sockets, state)
        if self._wants_postgres:
            binaries = postgres_binaries(home.account)
            self._postgres = Postgres(binaries, cluster, credentials, sockets)

    def _spawn_all(self, cluster: Cluster) -> None:
        # The store first: it comes up while initdb is at work.
        if self._object_store is not None:
            self._spawn(self._object_store)
        if self._postgres is not None:
            if not cluster.exists():
                self._say("Making a database: this is the first start on this folder")
            self._postgres.prepare(self.lock.register_child)
            self._spawn(self._postgres)

    def _credentials(self, cluster: Cluster) -> Credentials:
        credentials = load_credentials(self.data_dir)
        if credentials is not None:
            return credentials
        if cluster.exists():
            raise EmbeddedError(
                f"The passwords of the data in {cluster.folder} are missing: restore"
                f" {self.data_dir / 'secrets' / 'embedded.json'} from a backup."
            )
        return make_credentials(self.data_dir)

    def _tidy_up_after_kill(self, cluster: Cluster, state: State) -> None:
        postmaster = cluster.postmaster_pid()
        if not self.lock.unclean and postmaster is None:
            return
        count = end_strays(cluster.home.folder, postmaster)
        if count:
            self._say(f"Ended {count} processes that a killed run left behind")
        remove_sockets_of_killed_run(state, cluster.home.account)

    def _spawn(self, server: Postgres | ObjectStore) -> None:
        self._say(f"Starting the embedded {server.name}")
        log = self.data_dir / f"{server.log_name}.log"
        child = self._children[server.name] = server.spawn(log)
        self.lock.register_child(child.name, child.pid)

    def _wait_until_ready(self) -> None:
        begin = time.monotonic()
        said = False
        pending = [server for server in (self._postgres, self._object_store) if server is not None]
        while pending := [server for server in pending if not self._is_ready(server)]:
            elapsed = time.monotonic() - begin
            names = " and ".join(server.name for server in pending)
            if elapsed > _READY_WITHIN_SECONDS:
                raise EmbeddedError(
                    f"The embedded {names} did not become ready: see the log in {self.data_dir}."
                )
            if elapsed > _SAY_STILL_WAITING_SECONDS and not said:
                said = True
                self._say(f"Still waiting for the embedded {names}")
            time.sleep(_POLL_SECONDS)

    def _is_ready(self, server: Postgres | ObjectStore) -> bool:
        if isinstance(server, ObjectStore) and server.may_try_other_ports():
            self.lock.forget_child(self._children[server.name].pid)
            self._spawn(server)
        return server.is_ready()

    def _publish(self, credentials: Credentials) -> Addresses:
        facts = {
            "sockets": str(self._sockets) if self._postgres else None,
            "object_store_endpoint": self._object_store.endpoint if self._object_store else None,
        }
        self.lock.publish(facts)
        return _addresses(facts, credentials)

    def _remove_sockets(self) -> None:
        if self._object_store is not None:
            self._object_store.remove_sockets()
        self._postgres = self._object_store = None
        if self._sockets is not None:
            remove_socket_folder(self._sockets)
        self._sockets = None


def running_addresses(data_dir: Path) -> Addresses | None:
    """The addresses of the servers that another process of this account runs on `data_dir`.

    None when nobody does, or they are not ready yet.
    """
    data_dir = Path(data_dir).resolve()
    record = read_lock_record(data_dir)
    credentials = load_credentials(data_dir) if record.facts else None
    if credentials is None or not record.parent_is_alive():
        return None
    return _addresses(record.facts, credentials)


def _addresses(facts: Mapping[str, str | None], credentials: Credentials) -> Addresses:
    sockets, endpoint = facts.get("sockets"), facts.get("object_store_endpoint")
    return Addresses(
        database_url=database_url(credentials, Path(sockets)) if sockets else None,
        object_store_endpoint=endpoint,
        object_store_access_key=credentials.object_store_access_key if endpoint else None,
        object_store_secret_key=credentials.object_store_secret_key if endpoint else None,
    )
