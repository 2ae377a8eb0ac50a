"""Refusing a request while its body still arrives, in such a way that the client gets to know.

Whoever answers early and closes at once loses the answer: the system resets a connection on
which something arrives that nobody reads. So an early answer is sent, what arrives after it is
thrown away for a while, and only then is the connection closed (RFC 9112, 9.6).
"""

import asyncio
from typing import Any

from tornado import iostream
from tornado.web import RequestHandler

LINGER_SECONDS = 2
_MOST_DIGITS = 25


class RefusingHandler(RequestHandler):
    """Finishes an error only once its client has had time to read it."""

    _received = 0
    _linger: asyncio.TimerHandle | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the answer is on its way, although the body may still arrive."""
        return self._finished or self._linger is not None

    def content_length(self) -> int:
        """Give the announced length of the body in bytes, 0 where there is none."""
        length = self.request.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return 0
        # Python reads no number of thousands of digits.
        return int(length.lstrip("0")[:_MOST_DIGITS] or 0)

    def data_received(self, chunk: bytes) -> None:
        """Count what has arrived."""
        self._received += len(chunk)

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> "asyncio.Future[None]":
        """Send what was written; an early refusal goes out at once and is closed later."""
        if self._linger is not None:
            self._linger.cancel()
            finished = super().finish(chunk)
            self._close_connection()
            return finished
        if self.get_status() < 400 or not self._is_body_arriving():
            if not self._has_arrived():
                # Tornado closes then, and a client that is not told sends its next request there.
                self.set_header("Connection", "close")
            return super().finish(chunk)
        if chunk is not None:
            self.write(chunk)
        self.set_header("Connection", "close")
        # Its length tells the client that it is whole; packing it would change that length.
        self.set_header("Content-Encoding", "identity")
        self.set_header("Content-Length", str(sum(map(len, self._write_buffer))))
        self._linger = asyncio.get_running_loop().call_later(LINGER_SECONDS, self.finish)
        return self.flush()

    def on_connection_close(self) -> None:
        """Stop waiting for a client that has gone, and for the rest of its body."""
        if self._linger is not None:
            self._linger.cancel()
        # Tornado itself would wait for that for ever, and keep the handler alive.
        body = getattr(self.request, "_body_future", None)
        if body is not None:
            body.cancel()

    def _is_body_arriving(self) -> bool:
        is_chunked = "Transfer-Encoding" in self.request.headers
        return is_chunked or self._received < self.content_length()

    def _has_arrived(self) -> bool:
        body = getattr(self.request, "_body_future", None)
        return body is None or body.done()

    def _close_connection(self) -> None:
        stream = getattr(self.request.connection, "stream", None)
        if isinstance(stream, iostream.IOStream):
            stream.close()
