"""The embedded object store: SeaweedFS with its S3 face, on loopback only, as a child of ours."""

import contextlib
import signal
import stat
from http import HTTPStatus
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import MinioException

from satupeta_server.embedded.account import Account, minimal_environment
from satupeta_server.embedded.credentials import Credentials
from satupeta_server.embedded.errors import EmbeddedError
from satupeta_server.embedded.home import Home
from satupeta_server.embedded.ports import GRPC_OFFSET, LOOPBACK, choose_ports, is_free_pair
from satupeta_server.embedded.processes import Child, Program, Steps, spawn
from satupeta_server.embedded.state import State

_SERVICES = ("master", "volume", "filer", "s3", "admin")
# A graceful end can take half a minute; a killed store loses nothing.
_STOP: Steps = ((0, signal.SIGTERM), (5, signal.SIGKILL))
_MOST_ATTEMPTS = 3
_PROBE_TIMEOUT_SECONDS = 2.0

_FLAGS = (
    # Relative, for the flag is a list with commas, which a path may hold.
    "-dir=.",
    f"-ip={LOOPBACK}",
    f"-ip.bind={LOOPBACK}",
    "-admin.ui=false",
    "-webdav=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
    # A master that resumes its state may miss the volumes' first report, and then knows none of
    # them for 5 s. Without it there is nothing to resume: the volumes report all that it needs.
    "-master.resumeState=false",
    "-s3.allowDeleteBucketNotEmpty=false",
    # As with MinIO, a bucket has to be made before it is written to.
    "-s3.autoCreateBucket=false",
    "-volume.preStopSeconds=0",
)


class ObjectStore:
    """One SeaweedFS server with all its parts in one process."""

    name = "object store"
    log_name = "object_store"

    def __init__(
        self, binary: Path, home: Home, credentials: Credentials, sockets: Path, state: State
    ) -> None:
        self._binary = binary
        self._home = home
        self._credentials = credentials
        self._sockets = sockets
        self._state = state
        self._ports: dict[str, int] = {}
        self._child: Child | None = None
        self._attempts = 0

    @property
    def endpoint(self) -> str:
        """The address of its S3 face."""
        return f"http://{LOOPBACK}:{self._ports['s3']}"

    def spawn(self, log: Path) -> Child:
        """Choose the ports and start the server; raises EmbeddedError when the system cannot."""
        self._attempts += 1
        self.remove_sockets()
        self._ports = choose_ports(_SERVICES, self._state.ports)
        self._state.ports = self._ports
        program = Program(
            name=self.name,
            command=[str(self._binary), "-logtostderr=true", "mini", *_FLAGS, *self._port_flags()],
            folder=self._home.object_store,
            environment={
                **minimal_environment(self._home.object_store),
                "TMPDIR": str(self._home.object_store),
                "AWS_ACCESS_KEY_ID": self._credentials.object_store_access_key,
                "AWS_SECRET_ACCESS_KEY": self._credentials.object_store_secret_key,
            },
            steps=_STOP,
            parent_death_signal=signal.SIGKILL,
        )
        self._child = spawn(program, self._home.account, log)
        return self._child

    def may_try_other_ports(self) -> bool:
        """Whether it ended because another process took a port between our look and its own."""
        if self._child is None or self._child.is_running() or self._attempts >= _MOST_ATTEMPTS:
            return False
        return not all(is_free_pair(port) for port in self._ports.values())

    def is_ready(self) -> bool:
        """Whether S3 answers a request that is signed with our key, and all data can be read.

        Raises EmbeddedError when the server has ended.
        """
        if self._child is None or not self._child.is_running():
            log = f": see {self._child.log}" if self._child else ""
            raise EmbeddedError(f"The embedded object store could not start{log}.")
        pool = urllib3.PoolManager(retries=False, timeout=_PROBE_TIMEOUT_SECONDS)
        try:
            client = Minio(
                f"{LOOPBACK}:{self._ports['s3']}",
                access_key=self._credentials.object_store_access_key,
                secret_key=self._credentials.object_store_secret_key,
                secure=False,
                region="us-east-1",
                http_client=pool,
            )
            client.list_buckets()
            return self._knows_all_volumes(pool)
        except (MinioException, urllib3.exceptions.HTTPError):
            return False
        finally:
            pool.clear()

    def _knows_all_volumes(self, pool: urllib3.PoolManager) -> bool:
        # S3 answers before the volumes have reported to the master; until then what they hold
        # seems to be missing.
        answer = pool.request("GET", f"http://{LOOPBACK}:{self._ports['master']}/dir/status")
        if answer.status != HTTPStatus.OK:
            return False
        centers = answer.json()["Topology"].get("DataCenters") or ()
        racks = [rack for center in centers for rack in center.get("Racks") or ()]
        nodes = [node for rack in racks for node in rack.get("DataNodes") or ()]
        known = sum(int(node["Volumes"]) for node in nodes)
        return known >= sum(1 for _ in self._home.object_store.glob("*.dat"))

    def remove_sockets(self) -> None:
        """Remove the sockets that it made outside our folder and did not remove at its end."""
        for port in self._ports.values():
            _remove_sockets(port, self._home.account)

    def _port_flags(self) -> list[str]:
        flags = [
            f"-filer.localSocket={self._sockets / 'filer.sock'}",
            f"-s3.localSocket={self._sockets / 's3.sock'}",
        ]
        for name, port in self._ports.items():
            flags += [f"-{name}.port={port}", f"-{name}.port.grpc={port + GRPC_OFFSET}"]
        return flags


def remove_sockets_of_killed_run(state: State, account: Account) -> None:
    """Remove the sockets that a killed store has left outside our folder."""
    for port in state.ports.values():
        # A port that is not free may be another folder's by now, and the socket with it.
        if isinstance(port, int) and is_free_pair(port):
            _remove_sockets(port, account)


def _remove_sockets(port: int, account: Account) -> None:
    # The server has no flag for this path. Whoever holds the port owns what is named after it,
    # also what another folder's killed store has left there.
    for number in (port, port + GRPC_OFFSET):
        for path in Path("/", "tmp").glob(f"seaweedfs-*-grpc-{number}.sock"):
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISSOCK(status.st_mode) and status.st_uid == account.uid:
                    path.unlink()
