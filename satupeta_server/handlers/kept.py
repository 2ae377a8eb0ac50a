"""Answering from what is kept, before anything else of a request is looked at."""

import gzip
import re
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus

from tornado import httputil
from tornado.httputil import HTTPHeaders, RequestStartLine, ResponseStartLine

from satupeta_server.caching import Cache
from satupeta_server.handlers.headers import origin_headers, request_id_of
from satupeta_server.observing import Finished

LEAST_PACKED_BYTES = 1024
"""Tornado packs no smaller answer either."""
_ANSWER_BYTES = 1500
"""About what an answer takes besides its content."""
_PACKING_LEVEL = 6
# What belongs to the one request for which the answer was made.
_OF_A_REQUEST = {
    "X-Request-Id",
    "Date",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
}
OF_CONTENT = {"Content-Type", "Link"}
"""What differs from answer to answer."""
_TAGS = re.compile(r'\*|(?:W/)?"[^"]*"')

Tell = Callable[[Finished], None]


class Answer:
    """A public answer, as everybody gets it."""

    __slots__ = ("body", "headers", "packed", "route", "tag")

    def __init__(self, headers: HTTPHeaders, body: bytes, tag: str, route: str) -> None:
        self.headers = {name: value for name, value in headers.items() if name not in _OF_A_REQUEST}
        self.headers["Etag"] = tag
        # As Tornado adds it to all that it could pack.
        self.headers["Vary"] += ", Accept-Encoding"
        self.body = body
        self.tag = tag
        self.route = route
        self.packed: bytes | None = None
        """The body compressed by gzip, once somebody asked for that."""

    @property
    def size(self) -> int:
        """The bytes of memory that it takes."""
        return _ANSWER_BYTES + len(self.body) + len(self.packed or b"")


class Front(httputil.HTTPMessageDelegate):
    """Takes each request first: answers it from what is kept, or passes it on."""

    def __init__(
        self,
        connection: httputil.HTTPConnection,
        behind: httputil.HTTPMessageDelegate,
        cache: Cache[Answer],
        origins: frozenset[str],
        tell: Tell,
    ) -> None:
        self._connection = connection
        self._behind = behind
        self._cache = cache
        self._origins = origins
        self._tell = tell
        self._answer: Answer | None = None

    def headers_received(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
    ) -> Awaitable[None] | None:
        """Look whether the answer is kept; only reads of everybody without a body are."""
        assert isinstance(start_line, RequestStartLine)  # noqa: S101  as Tornado's own
        if (
            start_line.method in ("GET", "HEAD")
            and "Authorization" not in headers
            and "Content-Length" not in headers
            and "Transfer-Encoding" not in headers
            and "Host" in headers
        ):
            self._answer = self._cache.get(start_line.path)
        if self._answer is None:
            return self._behind.headers_received(start_line, headers)
        self._begun = time.perf_counter()
        self._address: str = self._connection.context.remote_ip  # type: ignore[attr-defined]
        self._method, self._uri, self._headers = start_line.method, start_line.path, headers
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Pass a piece of the body on."""
        return self._behind.data_received(chunk)

    def on_connection_close(self) -> None:
        """Pass on that the client has gone."""
        if self._answer is None:
            self._behind.on_connection_close()

    def finish(self) -> None:
        """Answer, or let those behind do so."""
        if self._answer is None:
            self._behind.finish()
            return
        request_id = request_id_of(self._headers)
        headers = HTTPHeaders(self._answer.headers)
        headers["X-Request-Id"] = request_id
        headers["Date"] = _date(int(time.time()))
        for name, value in origin_headers(self._headers, self._origins).items():
            headers[name] = value
        status, body = self._content(self._answer, headers)
        self._connection.write_headers(ResponseStartLine("", status, status.phrase), headers, body)
        self._connection.finish()
        self._tell(
            Finished(
                self._method,
                self._answer.route,
                self._uri.partition("?")[0],
                status,
                time.perf_counter() - self._begun,
                request_id,
                address=self._address,
                is_kept=True,
                agent=self._headers.get("User-Agent", ""),
                traceparent=self._headers.get("traceparent", ""),
            )
        )

    def _content(self, answer: Answer, headers: HTTPHeaders) -> tuple[HTTPStatus, bytes]:
        """Give the status and the content, and set the headers that belong to them."""
        if matches(answer.tag, self._headers.get("If-None-Match")):
            del headers["Content-Type"]
            return HTTPStatus.NOT_MODIFIED, b""
        body = answer.body
        if "gzip" in self._headers.get("Accept-Encoding", ""):
            body = self._packed(answer, headers)
        headers["Content-Length"] = str(len(body))
        return HTTPStatus.OK, b"" if self._method == "HEAD" else body

    def _packed(self, answer: Answer, headers: HTTPHeaders) -> bytes:
        if len(answer.body) < LEAST_PACKED_BYTES:
            return answer.body
        headers["Content-Encoding"] = "gzip"
        if answer.packed is None:
            answer.packed = gzip.compress(answer.body, _PACKING_LEVEL)
            self._cache.keep(self._uri, answer)
        return answer.packed


def matches(tag: str, header: str | None) -> bool:
    """Tell whether If-None-Match names a tag, compared weakly (RFC 9110, 13.1.2)."""
    if header is None:
        return False
    if header == tag:
        return True
    named = _TAGS.findall(header)
    return "*" in named[:1] or tag.removeprefix("W/") in [one.removeprefix("W/") for one in named]


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return httputil.format_timestamp(second)
