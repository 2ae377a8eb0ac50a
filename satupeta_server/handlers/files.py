"""Uploading, downloading and deleting files."""

import re
from typing import Any
from urllib.parse import quote

from tornado.iostream import StreamClosedError

from satupeta_server.errors import RangeNotSatisfiableError
from satupeta_server.handlers.base import BaseHandler
from satupeta_server.handlers.bodies import BodyReader, MultipartReader
from satupeta_server.handlers.repeating import attempt_of
from satupeta_server.handlers.waiting import give_up, in_turn
from satupeta_server.models.files import File
from satupeta_server.schemas.files import UPLOAD_FORM

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# Pictures that are nothing but pixels; all else is saved, never shown in our origin.
_SHOWN = {"image/jpeg", "image/png", "image/gif", "image/webp"}
_YEAR_SECONDS = 365 * 24 * 3600


class UploadHandler(BaseHandler):
    """``/files``."""

    def make_reader(self) -> BodyReader:
        """Spool the part ``file`` to the disk, up to the limit."""
        content_type = self.request.headers.get("Content-Type", "")
        limit = self.services.settings.max_upload_size
        return MultipartReader(content_type, limit, file_part="file")

    async def post(self) -> None:
        """Store the file."""
        reader = self.arrived(MultipartReader)
        values = UPLOAD_FORM.for_create(reader.form())
        upload = reader.upload(values.get("description"))
        attempt = attempt_of(self, reader)
        self.write_document(await self.services.files.upload(self.caller, upload, attempt), 201)


class FileHandler(BaseHandler):
    """``/files/{id}``."""

    @in_turn
    async def delete(self, record_id: str) -> None:
        """Delete a file that nothing uses."""
        key = self.record_id(record_id)
        await self.services.files.delete(self.caller, key, self.expected_revisions())
        self.set_status(204)


class DownloadHandler(BaseHandler):
    """``/files/{id}/download``: streamed, whole or one range of it (RFC 9110, 14)."""

    _unsatisfied_size: int | None = None

    async def get(self, record_id: str) -> None:
        """Answer the content of a file."""
        row = await self.services.files.find(self.caller, self.record_id(record_id))
        self._describe(row)
        if self.check_etag_header():
            self.set_status(304)
            return
        start, length = self._chosen_range(int(str(row.size)))
        self.set_header("Content-Length", str(length))
        if self.request.method == "HEAD":
            return
        content = self.services.files.read(row, start, length)
        try:
            # The first piece comes before the headers: until then the store may still fail.
            first = await anext(content, b"")
            self.write(first)
            await self.flush()
            async for chunk in content:
                self.write(chunk)
                await self.flush()
        except StreamClosedError:
            give_up(self)
        finally:
            await content.aclose()  # type: ignore[attr-defined]

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Tell the size of the file to who asked beyond it."""
        if self._unsatisfied_size is not None:
            self.set_header("Content-Range", f"bytes */{self._unsatisfied_size}")
        super().write_error(status_code, **kwargs)

    def compute_etag(self) -> str | None:
        """The tag is the checksum, set before the content is there."""
        return None

    def _describe(self, row: File) -> None:
        name = quote(str(row.name), safe="")
        disposition = "inline" if row.content_type in _SHOWN else "attachment"
        self.set_header("Content-Type", str(row.content_type))
        self.set_header("Content-Disposition", f"{disposition}; filename*=UTF-8''{name}")
        # A file never changes under its id, so it may be kept for as long as one likes.
        self.set_header("Cache-Control", f"public, max-age={_YEAR_SECONDS}, immutable")
        self.set_header("Content-Security-Policy", "default-src 'none'; sandbox")
        # The upload preview is an <img> of the portal, which is another origin (contract, 7).
        self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.set_header("Accept-Ranges", "bytes")
        # Packed, a part of it would be no part, and its tag would stand for two contents.
        self.set_header("Content-Encoding", "identity")
        self.set_header("Etag", f'"{row.checksum}"')

    def _chosen_range(self, size: int) -> tuple[int, int]:
        """Give the first byte and the number of bytes.

        Raises RangeNotSatisfiableError for a range outside the file; a header that asks for
        several ranges, or cannot be read, is answered with the whole file.
        """
        match = _RANGE.fullmatch(self.request.headers.get("Range", "").strip())
        condition = self.request.headers.get("If-Range")
        if match is None or match[0] == "bytes=-" or condition not in (None, self._headers["Etag"]):
            return 0, size
        if match[1]:
            start, end = int(match[1]), min(int(match[2] or size - 1), size - 1)
        else:
            start, end = max(size - int(match[2]), 0), size - 1
        if start > end:
            self._unsatisfied_size = size
            raise RangeNotSatisfiableError
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {start}-{end}/{size}")
        return start, end - start + 1
