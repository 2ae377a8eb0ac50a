"""The pictures and other files that records of the other portal show."""

import mimetypes
import tempfile
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from satupeta_server.errors import AppError, UnavailableError
from satupeta_server.models.files import File
from satupeta_server.security.callers import Caller
from satupeta_server.services.files import FileService, Upload
from satupeta_server.transfer.converting import reasons
from satupeta_server.transfer.portal.client import Download, PortalClient, UnreadableError
from satupeta_server.transfer.portal.exchange import TooMuchError
from satupeta_server.transfer.portal.outcomes import Entry, Fate
from satupeta_server.transfer.portal.reading import SeenIds
from satupeta_server.transfer.portal.resolving import living_ids
from satupeta_server.transfer.portal.resources import FILES
from satupeta_server.transfer.portal.work import Work

_SIGNATURES = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"RIFF": "webp",
    b"%PDF": "pdf",
}


class Files:
    """Brings files here under their ids, each once."""

    def __init__(self, client: PortalClient, service: FileService, caller: Caller, work: Work):
        self._client = client
        self._service = service
        self._caller = caller
        self._work = work
        self._here = SeenIds()
        self._failed = SeenIds()

    def is_here(self, file_id: uuid.UUID) -> bool:
        """Tell whether a file that was to be brought is here."""
        return str(file_id) in self._here

    async def bring(self, ids: Iterable[uuid.UUID]) -> None:
        """Bring the files that are not here yet; raises UnreachableError, UnavailableError."""
        wanted = [
            one
            for one in dict.fromkeys(ids)
            if str(one) not in self._here and str(one) not in self._failed
        ]
        present = await living_ids(File, wanted)
        for file_id in wanted:
            if file_id in present:
                self._here.add(str(file_id))
                self._work.tell(Entry(FILES, file_id, None, Fate.UNCHANGED))
            else:
                await self._bring_one(file_id)

    async def _bring_one(self, file_id: uuid.UUID) -> None:
        limit = self._service.settings.max_upload_size
        with tempfile.TemporaryDirectory(prefix="satupeta-") as folder:
            try:
                target = Path(folder) / "file"
                download = await self._client.download(file_id, target, limit)
                row = await self._checked(file_id, download)
            except UnreadableError as error:
                self._fail(file_id, str(error))
                return
            except TooMuchError:
                self._fail(file_id, f"It is larger than {limit} bytes.")
                return
            except UnavailableError:
                raise
            except AppError as error:
                told = reasons(error, "en")
                self._fail(file_id, " ".join(text for texts in told.values() for text in texts))
                return
            await self._save(row)

    async def _save(self, row: File) -> None:
        async def save() -> list[Entry]:
            if await File.aio_get_or_none(File.id == row.id) is not None:
                return [Entry(FILES, row.id, row.name, Fate.FAILED, {"": ["It was deleted here."]})]
            await row.aio_save(force_insert=True)
            return [Entry(FILES, row.id, row.name, Fate.CREATED)]

        (entry,) = await self._work.commit(save)
        seen = self._here if entry.fate is Fate.CREATED else self._failed
        seen.add(str(row.id))

    async def _checked(self, file_id: uuid.UUID, download: Download) -> File:
        """Check and store a file as an upload, by the first of its endings that is true."""
        refusal: AppError | None = None
        stem = Path(download.name).stem or str(file_id)
        upload = Upload(download.path, download.name, download.size, download.checksum)
        for ending in self._endings(download):
            try:
                return await self._service.stored(
                    self._caller,
                    replace(upload, name=f"{stem}.{ending}" if ending else stem),
                    file_id,
                    is_trial=self._work.is_trial,
                )
            except UnavailableError:
                raise
            except AppError as error:
                refusal = refusal or error
        assert refusal is not None  # noqa: S101  there is one ending at least
        raise refusal

    def _endings(self, download: Download) -> list[str]:
        """The endings that name, type and first bytes give; others lie, or say nothing."""
        named = Path(download.name).suffix.lower().lstrip(".")
        guessed = (mimetypes.guess_extension(download.content_type) or "").lstrip(".")
        with download.path.open("rb") as content:
            head = content.read(4)
        signed = next((one for start, one in _SIGNATURES.items() if head.startswith(start)), "")
        given = [one for one in dict.fromkeys((named, guessed, signed)) if one]
        allowed = [one for one in given if one in self._service.settings.allowed_extensions]
        return allowed or given[:1] or [""]

    def _fail(self, file_id: uuid.UUID, text: str) -> None:
        self._failed.add(str(file_id))
        self._work.tell(Entry(FILES, file_id, None, Fate.FAILED, {"": [text]}))
