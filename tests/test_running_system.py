"""How the running system bears what clients, signals and dying servers do to it."""

import hashlib
import http.client
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import passable_folder
from tests.running import ask, free_port, login, refused, running

MEGABYTE = 1024 * 1024
HEAD = (
    b"--edge\r\n"
    b'Content-Disposition: form-data; name="file"; filename="besar.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n"
)
TAIL = b"\r\n--edge--\r\n"


class System:
    """A running system, with the folder of its spool files and an access token."""

    def __init__(self, folder: Path, port: int, process: "subprocess.Popen[str]") -> None:
        self.folder, self.port, self.process = folder, port, process
        self.token = login(port, folder, "walidata")

    def upload_headers(self, **others: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "multipart/form-data; boundary=edge",
            **others,
        }

    def spools(self) -> list[Path]:
        return list((self.folder.parent / "spool").glob("satupeta-upload-*"))

    def begin_upload(self, size: int) -> socket.socket:
        """Send an upload up to its middle."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        length = len(HEAD) + size + len(TAIL)
        headers = self.upload_headers(Host="127.0.0.1", **{"Content-Length": str(length)})
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        client.sendall(f"POST /api/files HTTP/1.1\r\n{lines}\r\n".encode())
        client.sendall(HEAD + b"x" * (size // 2))
        wait_until(lambda: bool(self.spools()))
        return client


def wait_until(holds: Any, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def start(folder: Path, **others: str) -> Any:
    spool = folder.parent / "spool"
    spool.mkdir(exist_ok=True)
    environment = {"BCRYPT_ROUNDS": "4", "TMPDIR": str(spool), **others}
    return running(folder, free_port_of(folder), "--no-sample", **environment)


def free_port_of(folder: Path) -> int:
    port = free_port()
    (folder.parent / "port").write_text(str(port), encoding="utf-8")
    return port


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with passable_folder() as place, start(place / "var") as process:
        port = int((place / "port").read_text(encoding="utf-8"))
        yield System(place / "var", port, process)


def test_the_largest_upload_takes_no_memory_and_comes_back_whole(system: System) -> None:
    chunk = bytes(range(32, 127)) * 1000
    count = 100 * MEGABYTE // len(chunk)
    digest = hashlib.sha256()
    server = psutil.Process(system.process.pid)
    before = server.memory_info().rss
    peaks = [before]

    def body() -> Iterator[bytes]:
        yield HEAD
        for number in range(count):
            digest.update(chunk)
            if number % 50 == 0:
                peaks.append(server.memory_info().rss)
            yield chunk
        yield TAIL

    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=60)
    length = str(len(HEAD) + count * len(chunk) + len(TAIL))
    headers = system.upload_headers(**{"Content-Length": length})
    connection.request("POST", "/api/files", body(), headers)
    answer = connection.getresponse()
    file = json.load(answer)
    assert answer.status == 201, file
    assert file["checksum"] == digest.hexdigest()
    connection.request("GET", f"/api/files/{file['id']}/download")
    answer, served = connection.getresponse(), hashlib.sha256()
    while piece := answer.read(MEGABYTE):
        served.update(piece)
        peaks.append(server.memory_info().rss)
    connection.close()
    assert served.hexdigest() == digest.hexdigest()
    assert max(peaks) - before < 40 * MEGABYTE
    assert system.spools() == []


def test_an_upload_without_an_end_is_stopped_at_the_limit(system: System) -> None:
    client = socket.create_connection(("127.0.0.1", system.port), timeout=10)
    headers = system.upload_headers(Host="127.0.0.1", **{"Transfer-Encoding": "chunked"})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    client.sendall(f"POST /api/files HTTP/1.1\r\n{lines}\r\n".encode())
    sent, piece = 0, HEAD
    answer = b""
    client.settimeout(0.001)
    while sent < 400 * MEGABYTE:
        try:
            client.settimeout(10)
            client.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            sent += len(piece)
            client.settimeout(0.0001)
            answer += client.recv(65536)
            break
        except TimeoutError:
            piece = b"x" * MEGABYTE
        except OSError:
            break
    client.close()
    assert answer.startswith(b"HTTP/1.1 413")
    assert sent < 120 * MEGABYTE
    wait_until(lambda: system.spools() == [])


def test_who_may_not_upload_gets_to_know_it_in_the_middle_of_the_body(system: System) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=10)
    body = HEAD + b"x" * 20 * MEGABYTE + TAIL
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    connection.request("POST", "/api/files", body, headers)
    answer = connection.getresponse()
    assert answer.status == 401
    assert json.load(answer)["code"] == "not_authenticated"
    connection.close()


def test_a_client_that_goes_away_leaves_nothing_behind(system: System) -> None:
    client = system.begin_upload(10 * MEGABYTE)
    client.close()
    wait_until(lambda: system.spools() == [])
    assert ask(system.port, "/health/ready")["status"] == "ok"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_under_way_is_answered_before_the_end(tmp_path: Path, workers: str) -> None:
    folder = tmp_path / "var"
    with start(folder, WORKERS=workers) as process:
        port = int((tmp_path / "port").read_text(encoding="utf-8"))
        system = System(folder, port, process)
        children = psutil.Process(process.pid).children(recursive=True)
        client = system.begin_upload(2 * MEGABYTE)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        client.sendall(b"x" * MEGABYTE + TAIL)
        assert client.recv(12) == b"HTTP/1.1 201"
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        client.close()
        process.communicate(timeout=15)
        assert time.monotonic() - begin < 10
        assert process.returncode == 0
        assert not psutil.wait_procs(children, timeout=2)[1]


def test_load_does_not_hold_up_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    with start(folder) as process:
        port = int((tmp_path / "port").read_text(encoding="utf-8"))
        statuses: list[int] = []
        stopping = threading.Event()

        def ask_again_and_again() -> None:
            while not stopping.is_set():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                try:
                    connection.request("GET", "/api/map_projection_systems")
                    statuses.append(connection.getresponse().status)
                except (OSError, http.client.HTTPException):
                    stopping.wait(0.05)
                finally:
                    connection.close()

        clients = [threading.Thread(target=ask_again_and_again) for _ in range(8)]
        for client in clients:
            client.start()
        wait_until(lambda: len(statuses) > 50)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)
        stopping.set()
        for client in clients:
            client.join()
    assert time.monotonic() - begin < 10
    assert process.returncode == 0
    assert set(statuses) == {200}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_when_an_embedded_server_dies_all_ends_with_a_sentence(
    tmp_path: Path, workers: str
) -> None:
    with start(tmp_path / "var", WORKERS=workers) as process:
        children = psutil.Process(process.pid).children(recursive=True)
        store = next(one for one in children if "mini" in one.cmdline())
        store.kill()
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 3, output
        assert "object store" in output.splitlines()[-1]
        assert "Traceback" not in output
        assert not psutil.wait_procs(children, timeout=2)[1]


def test_two_systems_run_side_by_side_and_change_no_folder_outside(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    parents = list((tmp_path / "x").parents)
    before = [one.stat().st_mode for one in parents]
    (tmp_path / ".env").write_text("PROJECT_NAME=Peta Uji\nPORT=1\n", encoding="utf-8")
    with start(tmp_path / "a"):
        first = int((tmp_path / "port").read_text(encoding="utf-8"))
        with start(tmp_path / "b", PROJECT_NAME="Peta Lain"):
            second = int((tmp_path / "port").read_text(encoding="utf-8"))
            pages = []
            for port in (first, second):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/api")
                pages.append(connection.getresponse().read().decode())
                connection.close()
    assert "Peta Uji" in pages[0]
    assert "Peta Lain" in pages[1]
    assert [one.stat().st_mode for one in parents] == before


def test_no_room_on_the_disk_is_one_sentence(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        assert "MB free" in refused(small / "var", free_port())
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("", encoding="utf-8")
    assert "var" in refused(tmp_path / "var", free_port())
