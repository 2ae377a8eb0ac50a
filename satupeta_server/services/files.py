"""Uploaded files: proven, stored, and only then recorded."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satupeta_server.database import database
from satupeta_server.errors import AppError, ConflictError, ForbiddenError, NotFoundError, invalid
from satupeta_server.models.base import new_id, now
from satupeta_server.models.categories import Category
from satupeta_server.models.files import File
from satupeta_server.models.news import News
from satupeta_server.models.organizations import Organization
from satupeta_server.models.regionals import Regional
from satupeta_server.models.users import User
from satupeta_server.queries.listing import Listing
from satupeta_server.representations.files import FILE
from satupeta_server.security.callers import Caller
from satupeta_server.services.records import Document, RecordService, Resource, added
from satupeta_server.services.repeats import Attempt, RepeatService
from satupeta_server.settings import Settings
from satupeta_server.storage import Storage
from satupeta_server.tasks import spawn

if TYPE_CHECKING:
    from satupeta_server.services.uploads import Inspection

_USERS_OF_FILES = (
    (Category, Category.thumbnail),
    (News, News.thumbnail),
    (Organization, Organization.thumbnail),
    (Regional, Regional.thumbnail),
    (User, User.profile_picture),
)

# One image at a time: a decoded one takes a hundred times the memory of its file.
_inspector = ThreadPoolExecutor(1, thread_name_prefix="inspector")


def _inspect(*arguments: Any) -> "Inspection":
    # What knows pictures takes 3 MB of a process, and most have never had an upload.
    from satupeta_server.services.uploads import inspect  # noqa: PLC0415

    return inspect(*arguments)


@dataclass(frozen=True)
class Upload:
    """A file that has arrived whole, in a spool file; size in bytes, SHA-256 in hexadecimal."""

    path: Path
    name: str
    size: int
    checksum: str
    description: str | None = None


class FileService(RecordService):
    """Files of the portal."""

    resource = Resource("files", FILE, Listing(File, filters=(), sorts=()))

    def __init__(self, settings: Settings, storage: Storage) -> None:
        super().__init__(settings)
        self.storage = storage
        self.repeats = RepeatService(settings)

    @property
    def write_permission(self) -> str:
        """All that can be done to a file later is to delete it."""
        return "files:delete"

    def visible(self, caller: Caller, source: Any) -> Any:
        """Whoever knows a file's id may read it."""
        caller.scope("files:download")
        return File.living(source)

    async def upload(
        self, caller: Caller, upload: Upload, attempt: Attempt | None = None
    ) -> Document:
        """Check, store and record a file, in this order, and once for all attempts with a key.

        A crash in between leaves an object without a row, never a row without its object.
        Raises UnsupportedTypeError or InvalidError for what the file is, and UnavailableError
        when the store or the database does not answer.
        """
        caller.scope("files:upload")
        found = await self.repeats.find(caller, attempt)
        if found is not None:
            return found
        row = await self.stored(caller, upload, new_id())
        document = await self.repeats.once(caller, attempt, lambda: self.recorded(caller, row))
        if str(row.id) not in document.json:
            # Another attempt came first; nobody waits for what cannot be removed now.
            with contextlib.suppress(AppError):
                await self.storage.remove(str(row.object_name))
        return document

    async def recorded(self, caller: Caller, row: File) -> Document:
        """Save the row of a file whose object is stored."""
        async with database.whole():
            await row.aio_save(force_insert=True)
            await self.record(caller, "create", row.id, added(row, {}))
            return await self.document(row.id)

    async def stored(
        self, caller: Caller, upload: Upload, file_id: uuid.UUID, *, is_trial: bool = False
    ) -> File:
        """Check a file, put it into the store, and make the row that is still to be saved.

        A trial only checks. Raises as :meth:`upload` does.
        """
        caller.scope("files:upload")
        if upload.size == 0:
            raise invalid("file", "file_empty")
        found = await asyncio.get_running_loop().run_in_executor(
            _inspector,
            _inspect,
            upload.path,
            upload.name,
            self.settings.allowed_extensions,
            self.settings.max_image_pixels,
        )
        moment = now()
        object_name = f"files/{moment:%Y/%m}/{file_id}.{found.extension}"
        if not is_trial:
            await self.storage.put_file(object_name, upload.path, found.content_type)
        return File(
            id=file_id,
            object_name=object_name,
            name=upload.name,
            description=upload.description,
            content_type=found.content_type,
            size=upload.size,
            checksum=upload.checksum,
            width=found.width,
            height=found.height,
            uploaded_by=caller.identity(),
            created_at=moment,
            updated_at=moment,
        )

    async def find(self, caller: Caller, file_id: uuid.UUID) -> File:
        """Give the row of a file; raises NotFoundError."""
        wanted = (File.id == file_id) & self.visible(caller, File)
        row: File | None = await File.aio_get_or_none(wanted)
        if row is None and await database.reads_replica():
            # A page shows at once what it has just uploaded, and asks for pictures without a token.
            row = await spawn(File.aio_get_or_none(wanted))
        if row is None:
            raise NotFoundError
        return row

    def read(self, row: File, start: int, length: int) -> AsyncIterator[bytes]:
        """Read a part of a file's object, in chunks."""
        return self.storage.open(str(row.object_name), start, length)

    async def locked(self, caller: Caller, record_id: uuid.UUID, expected: Any) -> Any:
        """Hold a file that is to be deleted; raises ForbiddenError for another's upload."""
        try:
            return await super().locked(caller, record_id, expected)
        except ForbiddenError as error:
            if caller.may("files:delete"):
                raise ForbiddenError("not_own_upload") from error
            raise

    async def before_delete(self, caller: Caller, row: Any) -> None:
        """Keep a file that any record shows, a deleted one too, since that may be restored."""
        del caller
        for model, column in _USERS_OF_FILES:
            if await model.aio_get_or_none(column == row.id) is not None:
                raise ConflictError("file_in_use")
        if await News.aio_get_or_none(News.description.contains(str(row.id))) is not None:
            raise ConflictError("file_in_use")
