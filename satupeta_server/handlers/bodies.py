"""Reading bodies while they arrive, each up to its own limit.

Tornado would answer a body that is too large, or a broken multipart one, by itself and before
any handler runs; so every body is streamed into one of these readers.
"""

import contextlib
import hashlib
import re
import tempfile
from pathlib import Path
from typing import IO, Any, Protocol

import orjson
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from satupeta_server.errors import (
    BadRequestError,
    InvalidError,
    TooLargeError,
    UnavailableError,
    UnsupportedTypeError,
    invalid,
)
from satupeta_server.messages import Message
from satupeta_server.services.files import Upload

# What Windows lets no file be called.
_FOREIGN = re.compile(r'[<>:"|?*]')
_DEVICE = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\.|$)", re.IGNORECASE)
_LONGEST_FIELD = 64 * 1024
_MOST_PARTS = 50


class BodyReader(Protocol):
    """Takes a body piece by piece; every method raises AppError for a bad body."""

    def check_length(self, length: int) -> None:
        """Refuse a body by its announced length."""

    def feed(self, chunk: bytes) -> None:
        """Take the next piece."""

    def close(self) -> None:
        """Let go of what was kept."""


class _Limited:
    """Counts what arrives."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.received = 0

    def check_length(self, length: int) -> None:
        """Raise TooLargeError for an announced length over the limit."""
        if length > self.limit:
            raise TooLargeError(Message("too_large", {"limit": self.limit}))

    def count(self, chunk: bytes) -> None:
        """Raise TooLargeError once more than the limit has arrived."""
        self.received += len(chunk)
        self.check_length(self.received)

    def close(self) -> None:
        """Nothing is kept outside memory."""


class IgnoringReader(_Limited):
    """A body that nobody asks for; it may be anything, and nothing of it is kept."""

    def feed(self, chunk: bytes) -> None:
        """Let a piece go by; raises TooLargeError."""
        self.count(chunk)


class JsonReader(_Limited):
    """A JSON object; the content type is not asked for, since some requests have none."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._content = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Keep a piece; raises TooLargeError."""
        self.count(chunk)
        self._content += chunk

    @property
    def digest(self) -> bytes:
        """Tell one body from another (SHA-256)."""
        return hashlib.sha256(self._content).digest()

    def value(self) -> dict[str, Any]:
        """Parse it all; raises BadRequestError for what is no JSON, InvalidError for no object."""
        try:
            value = orjson.loads(bytes(self._content))
        except orjson.JSONDecodeError:
            raise BadRequestError("malformed_json") from None
        if not isinstance(value, dict):
            raise InvalidError("json_object_expected")
        return value


class MultipartReader(_Limited):
    """multipart/form-data (RFC 7578): fields in memory, the one file in a spool file.

    The limit is that of the file; fields have a small one of their own. Raises
    UnsupportedTypeError when the content type is another one.
    """

    def __init__(self, content_type: str, limit: int, *, file_part: str | None = None) -> None:
        super().__init__(limit)
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            expected = Message("unsupported_type", {"expected": "multipart/form-data"})
            raise UnsupportedTypeError(expected)
        boundary = options.get(b"boundary", b"")
        if not 1 <= len(boundary) <= 200:
            raise BadRequestError("malformed_multipart")
        self.fields: dict[str, str] = {}
        self._file_part = file_part
        self._parser = MultipartParser(boundary, self._callbacks())  # type: ignore[arg-type]
        self._parts = 0
        self._is_complete = False
        self._reset_part()
        self._spool: IO[bytes] | None = None
        self._file_name = ""
        self._size = 0
        self._digest = hashlib.sha256()

    def check_length(self, length: int) -> None:
        """Allow for the envelope around the file."""
        if length > self.limit + _MOST_PARTS * _LONGEST_FIELD:
            raise self._too_large()

    def feed(self, chunk: bytes) -> None:
        """Parse a piece; raises BadRequestError, TooLargeError or UnavailableError."""
        self.count(chunk)
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise BadRequestError("malformed_multipart") from None
        except OSError:
            raise UnavailableError from None

    @property
    def digest(self) -> bytes:
        """Tell one form from another (SHA-256), whatever its boundary is."""
        parts = [sorted(self.fields.items()), self._file_name, self._digest.hexdigest()]
        return hashlib.sha256(orjson.dumps(parts)).digest()

    def form(self) -> dict[str, str]:
        """Give the fields; raises BadRequestError when the body ended too early."""
        if not self._is_complete:
            raise BadRequestError("malformed_multipart")
        return self.fields

    def upload(self, description: str | None) -> Upload:
        """Give the file; raises InvalidError when there was none."""
        if self._spool is None:
            raise invalid("file", "file_missing")
        try:
            self._spool.flush()
        except OSError:
            raise UnavailableError from None
        path = Path(self._spool.name)
        return Upload(path, self._file_name, self._size, self._digest.hexdigest(), description)

    def close(self) -> None:
        """Remove the spool file."""
        if self._spool is not None:
            with contextlib.suppress(OSError):
                self._spool.close()

    def _callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._take_header_name,
            "on_header_value": self._take_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _reset_part(self) -> None:
        self._header_name = b""
        self._header_value = b""
        self._disposition: dict[bytes, bytes] = {}
        self._field = bytearray()
        self._is_file = False

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise self._too_large()
        self._reset_part()

    def _take_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = parse_options_header(self._header_value)[1]
        self._header_name = self._header_value = b""

    def _end_headers(self) -> None:
        name = self._disposition.get(b"name", b"")
        is_file = b"filename" in self._disposition and name.decode("utf-8", "replace") == (
            self._file_part or ""
        )
        self._is_file = is_file and self._spool is None
        if self._is_file:
            self._file_name = safe_file_name(self._disposition[b"filename"])
            self._spool = tempfile.NamedTemporaryFile(prefix="satupeta-upload-")  # noqa: SIM115

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if not self._is_file:
            self._field += piece
            if len(self._field) > _LONGEST_FIELD:
                raise self._too_large()
            return
        self._size += len(piece)
        if self._size > self.limit:
            raise self._too_large()
        self._digest.update(piece)
        if self._spool is not None:
            self._spool.write(piece)

    def _end_part(self) -> None:
        if b"filename" in self._disposition:
            return
        name = self._disposition.get(b"name", b"")
        try:
            self.fields[name.decode()] = self._field.decode()
        except UnicodeDecodeError:
            raise BadRequestError("malformed_multipart") from None

    def _end(self) -> None:
        self._is_complete = True

    def _too_large(self) -> TooLargeError:
        return TooLargeError(Message("too_large", {"limit": self.limit}))


def safe_file_name(raw: bytes) -> str:
    """Keep the last part of a client's file name, as every system may store it, 200 at most."""
    text = raw.decode("utf-8", "replace").replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(character for character in text if character.isprintable())
    stem, dot, suffix = _FOREIGN.sub("", printable).strip(" .").rpartition(".")
    name = f"{stem[:179]}{dot}{suffix[:19]}".rstrip() if dot else suffix[:199].rstrip() or "file"
    return f"_{name}" if _DEVICE.match(name) else name
