"""The load: clients in a closed loop, each on a connection that it keeps, in a process of its own.

It reads a plan as JSON from its input and writes a report as JSON. Of an answer it reads the
status and the length and no more, so that it takes little from the cores that it shares.
"""

import contextlib
import json
import math
import os
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle

READ = "read"
WRITE = "write"
PATIENCE_SECONDS = 15.0
"""How long answers may be late after the last request was sent."""
_PIECE = 1 << 18


def processors() -> tuple[list[int], list[int]]:
    """The processors of the servers and those of the load, apart where there are two."""
    own = sorted(os.sched_getaffinity(0))
    return (own[:-1], own[-1:]) if len(own) > 1 else (own, own)


@dataclass(frozen=True)
class Request:
    """What is sent, and the status that is expected."""

    path: str
    status: int = 200
    kind: str = READ
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    def content(self) -> bytes:
        """The bytes that go over the wire."""
        headers = {"Host": "127.0.0.1", **self.headers}
        if self.body:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", self.body]).encode()


@dataclass(frozen=True)
class Plan:
    """How many clients send which requests, in turn; the bounds of time and count both hold."""

    port: int
    clients: int
    seconds: float
    requests: Sequence[Request]
    most: int = 1_000_000


@dataclass(frozen=True)
class Figures:
    """What came back of one kind of requests; times in milliseconds."""

    count: int = 0
    errors: int = 0
    octets: int = 0
    p50: float = math.nan
    p95: float = math.nan
    p99: float = math.nan
    worst: float = math.nan


@dataclass(frozen=True)
class Report:
    """What came back in all; ``seconds`` are from the first connection to the last answer."""

    seconds: float
    kinds: dict[str, Figures]
    statuses: dict[str, int]
    """How many of each status that was not expected; 0 is a connection that broke."""

    def of(self, kind: str = READ) -> Figures:
        """The figures of one kind."""
        return self.kinds.get(kind, Figures())

    def rate(self, kind: str = READ) -> float:
        """Answers a second."""
        return self.of(kind).count / self.seconds

    @property
    def errors(self) -> int:
        """All that went wrong."""
        return sum(figures.errors for figures in self.kinds.values())


def percentile(ordered: Sequence[float], part: float) -> float:
    """The nearest-rank percentile of ordered values."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else math.nan


class Client:
    """One connection, and the answer that arrives on it."""

    __slots__ = ("begun", "got", "head", "request", "socket", "status", "wanted")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)  # noqa: FBT003

    def send(self, request: Request, content: bytes) -> None:
        """Begin a request."""
        self.request, self.status, self.head = request, 0, b""
        self.got = self.wanted = 0
        self.begun = time.perf_counter()
        self.socket.sendall(content)

    def is_answered_by(self, piece: bytes) -> bool:
        """Take a piece of the answer and tell whether it was the last."""
        self.got += len(piece)
        if not self.wanted:
            self.head += piece
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.status = int(self.head[9:12])
            self.wanted = end + 4 + self._length(end)
        return self.got >= self.wanted

    def _length(self, end: int) -> int:
        if self.status in (204, 304):
            return 0
        head = self.head[:end].lower()
        start = head.find(b"\r\ncontent-length:") + 17
        return int(head[start : head.find(b"\r\n", start) if b"\r\n" in head[start:] else end])


class Load:
    """Runs a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.times: dict[str, list[float]] = {request.kind: [] for request in plan.requests}
        self.errors: Counter[str] = Counter()
        self.octets: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.poll = select.epoll()
        self.waiting: dict[int, Client] = {}
        self.following: Iterator[tuple[Request, bytes]] = cycle(
            [(request, request.content()) for request in plan.requests]
        )
        self.left = plan.most
        self.deadline = math.inf

    def run(self) -> Report:
        """Send, receive and count until time or count are over and all has been answered."""
        begin = time.perf_counter()
        self.deadline = begin + self.plan.seconds
        for _ in range(min(self.plan.clients, self.plan.most)):
            self._connect()
        end = begin
        while self.waiting and time.perf_counter() < self.deadline + PATIENCE_SECONDS:
            for descriptor, _event in self.poll.poll(1):
                self._receive(self.waiting[descriptor])
                end = time.perf_counter()
        for client in self.waiting.values():
            self._failed(client)
        kinds = {kind: self._figures(kind) for kind in self.times}
        return Report(max(end - begin, 1e-9), kinds, dict(self.statuses))

    def _connect(self) -> None:
        client = Client(self.plan.port)
        self.poll.register(client.socket, select.EPOLLIN)
        self.waiting[client.socket.fileno()] = client
        self._send(client)

    def _send(self, client: Client) -> None:
        if not self.left or time.perf_counter() > self.deadline:
            self._close(client)
            return
        self.left -= 1
        client.send(*next(self.following))

    def _close(self, client: Client) -> None:
        del self.waiting[client.socket.fileno()]
        self.poll.unregister(client.socket)
        client.socket.close()

    def _receive(self, client: Client) -> None:
        try:
            piece = client.socket.recv(_PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            client.status = 0
            self._failed(client)
            self._close(client)
            with contextlib.suppress(OSError):
                self._connect()
            return
        if not client.is_answered_by(piece):
            return
        kind = client.request.kind
        self.times[kind].append(time.perf_counter() - client.begun)
        self.octets[kind] += client.got
        if client.status != client.request.status:
            self._failed(client)
        self._send(client)

    def _failed(self, client: Client) -> None:
        self.errors[client.request.kind] += 1
        self.statuses[str(client.status)] += 1

    def _figures(self, kind: str) -> Figures:
        ordered = sorted(1000 * seconds for seconds in self.times[kind])
        parts = [percentile(ordered, part) for part in (0.5, 0.95, 0.99, 1)]
        return Figures(len(ordered), self.errors[kind], self.octets[kind], *parts)


def load(plan: Plan) -> Report:
    """Run a plan in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name],
        input=json.dumps(asdict(plan)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=plan.seconds + 3 * PATIENCE_SECONDS,
    )
    report = json.loads(done.stdout)
    kinds = {kind: Figures(**figures) for kind, figures in report["kinds"].items()}
    return Report(report["seconds"], kinds, report["statuses"])


def main() -> None:
    """Read the plan, run it, write the report."""
    read = json.load(sys.stdin)
    plan = Plan(**{**read, "requests": [Request(**one) for one in read["requests"]]})
    os.sched_setaffinity(0, processors()[1])
    json.dump(asdict(Load(plan).run()), sys.stdout)


if __name__ == "__main__":
    main()
