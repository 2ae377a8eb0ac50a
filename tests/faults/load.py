"""A load of readers and writers that remembers every request and what it was answered."""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import httpx

from tests.faults.stored import Acknowledged, Known
from tests.world import World

KINDS = ("read", "write", "upload", "download", "ready")
MOST_REQUESTS = 20_000
MOST_SECONDS = 120.0
PAUSE_SECONDS = 0.03
PATIENCE_SECONDS = 40.0
"""After which a request counts as one that hangs."""


@dataclass(frozen=True)
class Request:
    """One request: what it was, when it began, how long it took, and its answer."""

    kind: str
    begun: float
    seconds: float
    status: int
    """0 where there was none, or only a part of one."""
    retry_after: str | None = None
    down: tuple[str, ...] = ()
    """What an answer about readiness says to be down."""
    error: str = ""
    """Why there was no whole answer."""

    @property
    def is_served(self) -> bool:
        """Whether it was answered as without any fault."""
        return 200 <= self.status < 500

    @property
    def ended(self) -> float:
        """When its answer was there."""
        return self.begun + self.seconds


class Load:
    """Readers, writers, uploads, downloads and a prober, each a thread, from ``with`` to its end.

    Bounded in number and time, whatever becomes of the server.
    """

    def __init__(self, port: int, world: World, tokens: dict[str, str]) -> None:
        self.base = f"http://127.0.0.1:{port}/api"
        self.world = world
        self.tokens = tokens
        self.requests: list[Request] = []
        self.acknowledged = Acknowledged()
        self.wrong: list[str] = []
        """Answers that were not true."""
        self._ending = threading.Event()
        self._begun = time.monotonic()
        works = (
            *(self._write, self._write, self._upload),
            *(self._read, self._read, self._download, self._probe),
        )
        self._threads = [
            threading.Thread(target=self._repeat, args=(work,), daemon=True) for work in works
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS + 5)
            if thread.is_alive():
                self.wrong.append("a request hangs")

    def since(self, moment: float) -> list[Request]:
        """The requests that began after a moment and have been answered."""
        return [one for one in list(self.requests) if one.begun >= moment]

    def wait_for_full_service(self, moment: float, seconds: float) -> bool:
        """Wait until each kind of request that began after ``moment`` was served.

        Tells whether that came true within so many seconds.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            served = {one.kind for one in self.since(moment) if one.is_served}
            if served.issuperset(KINDS):
                return True
            time.sleep(0.05)
        return False

    def _repeat(self, work: Callable[["Client", int], None]) -> None:
        client, number = Client(self), 0
        while not self._ending.is_set() and len(self.requests) < MOST_REQUESTS:
            if time.monotonic() - self._begun > MOST_SECONDS:
                break
            work(client, number)
            number += 1
            self._ending.wait(PAUSE_SECONDS)
        client.close()

    # What each of them does, once

    def _write(self, client: "Client", number: int) -> None:
        name = secrets.token_hex(8)
        known = self._create(client, "mapsets", self.world.mapset(name=f"Peta {name}"))
        if known is not None:
            self._rename(client, known, f"Peta {name} diubah")
            if number % 4 == 3:
                self._delete(client, known)
        self._create(client, "categories", {"name": f"Kategori {name}"})
        if number % 4 == 0:
            # Refused by its last part, when all before it might be written already.
            wrong = self.world.mapset(name=f"Ditolak {name}", source_id=[self.world.credential_id])
            answer = client.send("write", "POST", "/mapsets", user="pengelola", json=wrong)
            if answer is not None and answer.status_code not in (422, 503):
                self.wrong.append(f"a wrong mapset was answered {answer.status_code}")

    def _create(self, client: "Client", subject: str, body: dict[str, Any]) -> Known | None:
        user = "pengelola" if subject == "mapsets" else "administrator"
        answer = client.send("write", "POST", f"/{subject}", user=user, json=body)
        if answer is None or answer.status_code != 201:
            return None
        known = Known(answer.json()["id"], {body["name"]}, 1)
        getattr(self.acknowledged, subject).append(known)
        self.acknowledged.writes += 1
        return known

    def _rename(self, client: "Client", known: Known, name: str) -> None:
        known.names = {*known.names, name}
        path = f"/mapsets/{known.id}"
        answer = client.send("write", "PATCH", path, user="pengelola", json={"name": name})
        if answer is not None and answer.status_code == 200:
            known.names, known.revision = {name}, 2
            self.acknowledged.writes += 1

    def _delete(self, client: "Client", known: Known) -> None:
        known.may_be_deleted = True
        answer = client.send("write", "DELETE", f"/mapsets/{known.id}", user="pengelola")
        if answer is not None and answer.status_code == 204:
            known.is_deleted, known.may_be_deleted = True, False
            self.acknowledged.writes += 1

    def _upload(self, client: "Client", number: int) -> None:
        content = secrets.token_hex(200_000 if number % 4 == 3 else 5_000).encode()
        files = {"file": (f"berkas-{number}.txt", content, "text/plain")}
        answer = client.send("upload", "POST", "/files", user="walidata", files=files)
        if answer is None or answer.status_code != 201:
            return
        file, checksum = answer.json(), hashlib.sha256(content).hexdigest()
        if file["checksum"] != checksum:
            self.wrong.append(f"file {file['id']} was acknowledged with another checksum")
        self.acknowledged.files[file["id"]] = checksum
        self.acknowledged.writes += 1

    def _read(self, client: "Client", number: int) -> None:
        mapsets = self.acknowledged.mapsets
        if number % 3 == 0 or not mapsets:
            answer = client.send("read", "GET", "/categories?limit=20")
            if answer is not None and answer.status_code == 200 and not answer.json()["items"]:
                self.wrong.append("a list without its records")
            return
        known = mapsets[-1 - number % min(len(mapsets), 20)]
        least, was_deleted = known.revision, known.is_deleted
        answer = client.send("read", "GET", f"/mapsets/{known.id}", user="pengelola")
        if answer is None or answer.status_code not in (200, 404):
            return
        if answer.status_code == 404:
            if not (known.may_be_deleted or known.is_deleted):
                self.wrong.append(f"mapset {known.id} was acknowledged, and is not found")
        elif was_deleted or answer.json()["id"] != known.id or _revision(answer) < least:
            self.wrong.append(f"mapset {known.id} is read as it was before")

    def _download(self, client: "Client", number: int) -> None:
        files = list(self.acknowledged.files.items())
        if not files:
            return
        key, checksum = files[-1 - number % min(len(files), 8)]
        answer = client.send("download", "GET", f"/files/{key}/download")
        if answer is None or answer.status_code == 503:
            return
        if answer.status_code != 200:
            self.wrong.append(f"file {key} was acknowledged, and answers {answer.status_code}")
        elif hashlib.sha256(answer.content).hexdigest() != checksum:
            self.wrong.append(f"file {key} is downloaded with another content")

    def _probe(self, client: "Client", _number: int) -> None:
        client.send("ready", "GET", "/health/ready")


class Client:
    """Sends the requests of one thread over a connection of its own, and records them."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._http = httpx.Client(base_url=load.base, timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def send(
        self, kind: str, method: str, path: str, user: str | None = None, **content: Any
    ) -> httpx.Response | None:
        """Send a request; gives None where no whole answer came."""
        headers = {"Authorization": f"Bearer {self._load.tokens[user]}"} if user else {}
        begun = time.monotonic()
        try:
            answer = self._http.request(method, path, headers=headers, **content)
        except httpx.TransportError as error:
            seconds = time.monotonic() - begun
            self._load.requests.append(Request(kind, begun, seconds, 0, error=repr(error)))
            return None
        self._load.requests.append(_recorded(kind, begun, time.monotonic() - begun, answer))
        return answer


def _recorded(kind: str, begun: float, seconds: float, answer: httpx.Response) -> Request:
    down: tuple[str, ...] = ()
    if kind == "ready" and answer.status_code in (200, 503):
        down = tuple(name for name, state in answer.json()["checks"].items() if state == "down")
    return Request(
        kind, begun, seconds, answer.status_code, answer.headers.get("Retry-After"), down
    )


def _revision(answer: httpx.Response) -> int:
    """The revision that an ETag begins with."""
    return int(answer.headers["ETag"].removeprefix('W/"').partition("-")[0])
