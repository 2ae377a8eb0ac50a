"""Single requests to the other portal: bounded in time and size, and tried again where it helps."""

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from satupeta_server.errors import UnreachableError
from satupeta_server.fetching import Fetcher, Guard
from satupeta_server.tasks import Threads
from satupeta_server.transfer.portal.addresses import origin_of

TRIES = 5
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
CONNECT_SECONDS = 10
READ_SECONDS = 60
ANSWER_SECONDS = 300
"""For one whole answer, however slowly it drips."""
LARGEST_JSON = 32 * 1024 * 1024
_CHUNK = 256 * 1024
_PASSING = {429, 502, 503, 504}


class TooMuchError(Exception):
    """An answer is larger than what is taken."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; of a download the content is in its file."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    size: int = 0
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent; ``form`` goes as multipart/form-data."""

    method: str
    address: str
    headers: Mapping[str, str]
    form: Mapping[str, str] | None = None
    target: Path | None = None
    """Where a download goes."""
    largest: int = LARGEST_JSON


class Exchange:
    """Sends requests one after the other, over connections that stay open."""

    def __init__(self, guard: Guard) -> None:
        self._threads = Threads(1, "portal")
        self._fetcher = Fetcher(
            guard,
            connect_seconds=CONNECT_SECONDS,
            read_seconds=READ_SECONDS,
            answer_seconds=ANSWER_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.close()
        self._fetcher.close()

    def trust(self, address: str) -> None:
        """Allow the host of an address that an administrator has named himself."""
        self._fetcher.guard.trust(address)

    async def send(self, request: Request, *, tries: int | None = None) -> Answer:
        """Send a request until it has an answer that stands.

        Raises UnreachableError when there is none, TooMuchError for one that is too large, and
        ForbiddenAddressError for a host that we must not be led to.
        """
        most = tries or TRIES
        for attempt in range(1, most + 1):
            is_last = attempt == most
            pause = FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1)
            try:
                answer = await self._threads.run(self._send, request)
            except (HTTPError, ConnectionError, TimeoutError) as error:
                if is_last or isinstance(error, SSLError):
                    raise unreachable(request.address, error) from None
            else:
                if answer.status not in _PASSING:
                    return answer
                if is_last:
                    raise unreachable(request.address, answer.status)
                pause = max(pause, _asked_pause(answer.headers))
            await asyncio.sleep(pause)
        raise AssertionError  # the last try returns or raises

    def _send(self, request: Request) -> Answer:
        sent = (request.method, request.address, request.headers, request.form)
        with self._fetcher.opened(*sent) as response:
            return _read(response, request)


def _read(response: urllib3.BaseHTTPResponse, request: Request) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if request.target is not None and response.status == 200:
        with request.target.open("wb") as file:
            size, checksum = _copy(response, file, request.largest)
        return Answer(200, headers, b"", size, checksum)
    with tempfile.SpooledTemporaryFile(max_size=request.largest) as spool:
        size, _ = _copy(response, spool, min(request.largest, LARGEST_JSON))
        spool.seek(0)
        return Answer(response.status, headers, spool.read(), size)


def _copy(response: urllib3.BaseHTTPResponse, target: "IO[bytes]", largest: int) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    while chunk := response.read(_CHUNK):
        size += len(chunk)
        if size > largest:
            raise TooMuchError
        digest.update(chunk)
        target.write(chunk)
    return size, digest.hexdigest()


def _asked_pause(headers: Mapping[str, str]) -> float:
    """Seconds that the other side asks to wait; a date instead of a number is not read."""
    text = headers.get("retry-after", "")
    seconds = float(text) if text.isascii() and text.isdigit() else 0.0
    return min(seconds, LONGEST_PAUSE_SECONDS)


def unreachable(address: str, cause: Exception | int) -> UnreachableError:
    """Make the error of a portal that does not answer, ready to be raised."""
    place = "://".join(origin_of(address))
    if isinstance(cause, int):
        return UnreachableError(f"{place} is disturbed: it answers {cause}. Run it again later.")
    if isinstance(cause, SSLError):
        reason = f"{place} has no encryption that can be trusted: {cause.args[0]}."
        return UnreachableError(f"{reason} An address without any begins with http://.")
    kind = type(cause).__name__
    return UnreachableError(f"{place} does not answer ({kind}). Run it again once it does.")
