"""Running ``satupeta serve`` as administrators do."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from satupeta_server.server import parent_environment
from satupeta_server.settings import Settings
from tests import leaks
from tests.running import SATUPETA, ask, free_port

END_SECONDS = 10

Start = Callable[..., "Served"]


@dataclass
class Served:
    """A running ``satupeta serve``; ``said`` is what it writes."""

    process: "subprocess.Popen[bytes]"
    port: int
    said: Path
    clients: list[socket.socket] = field(default_factory=list)

    def all(self) -> list[psutil.Process]:
        """It and its workers."""
        mine = psutil.Process(self.process.pid)
        return [mine, *mine.children(recursive=True)]

    def send(self, path: str) -> socket.socket:
        """Ask, and do not wait for the answer."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.clients.append(client)
        client.sendall(f"GET /api{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return client

    def kill(self) -> None:
        """Leave nothing of it."""
        if self.process.poll() is None:
            for process in reversed(self.all()):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait()
        for client in self.clients:
            client.close()

    def end(self) -> float:
        """The seconds that an orderly end takes; nothing of it stays."""
        watched, begin = self.all(), time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(3 * END_SECONDS)
        seconds = time.monotonic() - begin
        assert self.process.returncode == 0, self.said.read_text()
        assert not psutil.wait_procs(watched, timeout=2)[1]
        assert "Traceback" not in self.said.read_text()
        return seconds


def wait_until_ready(served: Served) -> None:
    def is_ready() -> bool:
        with contextlib.suppress(OSError):
            return ask(served.port, "/health/ready")["status"] == "ok"
        assert served.process.poll() is None, served.said.read_text()
        return False

    wait_until(is_ready, 30)


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def is_taken(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Starts ``satupeta serve`` on settings; at the end none of it stays."""
    started: list[Served] = []

    def begin(settings: Settings, **others: str) -> Served:
        said, port = folder / f"said-{len(started)}", int(others.pop("PORT", free_port()))
        with said.open("wb") as output:
            process = subprocess.Popen(
                [*SATUPETA, "serve"],
                env={**parent_environment(settings), "PORT": str(port), **others},
                cwd=folder,
                stdout=output,
                stderr=output,
            )
        started.append(Served(process, port, said))
        wait_until_ready(started[-1])
        return started[-1]

    try:
        yield begin
    finally:
        for one in started:
            one.kill()
            leaks.look(one.said.read_text(errors="replace"), "the log of satupeta serve")
