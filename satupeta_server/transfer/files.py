"""Files of the portal: a line that says what each is, and its content in a folder beside."""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from satupeta_server import database
from satupeta_server.errors import InputError, NotFoundError, invalid
from satupeta_server.messages import Language
from satupeta_server.models.base import new_id
from satupeta_server.models.files import File
from satupeta_server.security.callers import Caller
from satupeta_server.security.passwords import in_thread
from satupeta_server.services.files import FileService, Upload
from satupeta_server.storage import ObjectStore
from satupeta_server.transfer.converting import Prepared
from satupeta_server.transfer.outcomes import Outcome, Rules, State
from satupeta_server.transfer.singly import each_whole

_CHANGEABLE: tuple[str, ...] = ("name", "description")


@dataclass(frozen=True)
class FileStore:
    """Stores the files of prepared rows, as uploads are stored; paths lie in ``folder``."""

    service: FileService
    caller: Caller
    rules: Rules
    language: Language
    folder: Path
    is_trial: bool = False

    async def store(self, rows: Sequence[Prepared]) -> list[Outcome]:
        """Give what became of each row; raises UnavailableError."""
        return await each_whole(rows, self.language, self._stored)

    async def _stored(self, row: Prepared) -> Outcome:
        return Outcome(row.line, await self._state(row))

    async def _state(self, row: Prepared) -> State:
        upload = await self._upload(row)
        found = await self._find(row.record_id, upload)
        if found is None:
            state = self.rules.state(is_known=False, differs=True)
            if state is State.CREATED:
                file_id = row.record_id or new_id()
                made = await self.service.stored(
                    self.caller, upload, file_id, is_trial=self.is_trial
                )
                await made.aio_save(force_insert=True)
            return state
        if found.checksum != upload.checksum:
            raise invalid("path", "file_never_changes")
        given = {name: row.values[name] for name in _CHANGEABLE if name in row.values}
        changes = {name: value for name, value in given.items() if getattr(found, name) != value}
        state = self.rules.state(is_known=True, differs=bool(changes))
        if state is State.UPDATED:
            await self.service.update(self.caller, found.id, changes)
        return state

    async def _upload(self, row: Prepared) -> Upload:
        if row.missing:
            raise invalid("path", "required")
        path = (self.folder / row.values["path"]).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise invalid("path", "path_outside", folder=self.folder)
        if path.exists() and not path.is_file():
            raise invalid("path", "file_unreadable", reason="it is no file")
        try:
            size = path.stat().st_size
            if size > self.service.settings.max_upload_size:
                raise invalid("path", "too_large", limit=self.service.settings.max_upload_size)
            checksum = await in_thread(_checksum, path)
        except OSError as error:
            raise invalid("path", "file_unreadable", reason=error.strerror) from None
        expected = row.values.get("checksum")
        if expected is not None and expected.lower() != checksum:
            raise invalid("checksum", "checksum_differs")
        name = row.values.get("name") or path.name
        return Upload(path, name, size, checksum, row.values.get("description"))

    async def _find(self, record_id: uuid.UUID | None, upload: Upload) -> File | None:
        """The file of the id, or one with the same name and content."""
        if record_id is not None:
            row: File | None = await File.aio_get_or_none(File.id == record_id)
            if row is not None and row.deleted_at is not None:
                raise invalid("id", "id_taken")
            if row is not None:
                return row
        same = (File.checksum == upload.checksum) & (File.name == upload.name) & File.living()
        rows = await File.select().where(same).order_by(File.id).limit(1).aio_execute()
        return rows[0] if rows else None


def export_files(
    store: ObjectStore, folder: Path, beside: Path, lost: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Give a row for each living file and write its content into ``folder``.

    Paths begin in the folder ``beside`` where the contents lie in that, else in ``folder``. What
    is there already is not fetched again. ``lost`` is told of files whose object is missing or
    has other content than its row says. Raises UnavailableError, and InputError where nothing
    can be written.
    """
    query = File.select().where(File.living()).order_by(File.id)
    start = beside if folder.resolve().is_relative_to(beside.resolve()) else folder
    with database.translated():
        rows = list(query.execute())
    for row in rows:
        path = folder / Path(str(row.object_name)).name
        try:
            _fetch(store, row, path)
        except NotFoundError:
            lost(f"{row.name} ({row.id}): its object is missing or damaged")
            continue
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from None
        yield {
            "id": str(row.id),
            "path": str(path.resolve().relative_to(start.resolve())),
            "name": row.name,
            "description": row.description,
            "checksum": row.checksum,
        }


def _fetch(store: ObjectStore, row: Any, path: Path) -> None:
    if path.is_file() and path.stat().st_size == row.size and _checksum(path) == row.checksum:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    digest = hashlib.sha256()
    with partial.open("wb") as file:
        for chunk in store.open(str(row.object_name)):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != row.checksum:
        partial.unlink()
        raise NotFoundError
    partial.replace(path)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
