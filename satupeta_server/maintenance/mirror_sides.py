"""What objects are copied from and to: a bucket, or a folder that holds them as files."""

import contextlib
import datetime
import errno
import fcntl
import io
import mimetypes
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from satupeta_server.errors import InputError, NotFoundError
from satupeta_server.maintenance.bucket_store import AdministeredStore, Entry, RefusedError

PART_BYTES = 5 * 1024 * 1024
"""No more of an object is in the memory at once; S3 takes no smaller parts."""
_CHUNK = 1 << 18
_OWN_FOLDER = ".satupeta-mirror"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


class Source(Protocol):
    """Content on its way; ``read`` raises what makes it unfit to be kept."""

    def read(self, size: int = -1) -> bytes:
        """Give the next bytes, at most ``size``; none at the end."""
        ...


class Side(Protocol):
    """One end of a mirror."""

    keeps_times: bool

    def entries(self) -> Iterator[Entry]:
        """Give all objects."""
        ...

    def read(self, name: str) -> Iterator[bytes]:
        """Read an object in chunks; raises NotFoundError."""
        ...

    def write(self, entry: Entry, content: Source) -> None:
        """Keep an object: whole, or not at all when ``content`` raises."""
        ...

    def settle(self, entry: Entry) -> None:
        """Note that what is kept here is the same as ``entry``, so that it is not read again."""
        ...

    def drop(self, name: str) -> None:
        """Remove an object."""
        ...


class BucketSide:
    """A bucket."""

    keeps_times = False

    def __init__(self, store: AdministeredStore) -> None:
        self.store = store

    def __str__(self) -> str:
        """Name it for people."""
        return str(self.store.place)

    def entries(self) -> Iterator[Entry]:
        """Give all objects."""
        return self.store.entries()

    def read(self, name: str) -> Iterator[bytes]:
        """Read an object in chunks."""
        check_name(name)
        return self.store.read(name)

    def write(self, entry: Entry, content: Source) -> None:
        """Store an object."""
        check_name(entry.name)
        content_type = mimetypes.guess_type(entry.name)[0] or "application/octet-stream"
        if entry.size <= PART_BYTES:
            # Read whole before anything is sent, so an unfit content never gets there.
            content = io.BytesIO(_whole(content))
        self.store.write(entry.name, content, entry.size, content_type, PART_BYTES)

    def settle(self, entry: Entry) -> None:
        """Do nothing: the time of an object cannot be set."""

    def drop(self, name: str) -> None:
        """Remove an object."""
        check_name(name)
        self.store.drop(name)


class FolderSide:
    """A folder; a file has the time of its object, and gets its name once it is whole."""

    keeps_times = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def __str__(self) -> str:
        """Name it for people."""
        return str(self.folder)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder, and keep other mirrors away; raises InputError when that cannot be."""
        own = self.folder / _OWN_FOLDER
        with self._sentences(), contextlib.ExitStack() as stack:
            own.mkdir(parents=True, exist_ok=True)
            lock = os.open(own / "lock", os.O_CREAT | os.O_RDWR, 0o600)
            stack.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"Another mirror is at work in {self.folder}.") from None
            for left in own.glob("*.part"):
                left.unlink()
            yield

    def entries(self) -> Iterator[Entry]:
        """Give all files, of which links are none."""
        if not self.folder.is_dir():
            return
        with self._sentences():
            for path, folders, files in os.walk(self.folder, onerror=_raise):
                if Path(path) == self.folder and _OWN_FOLDER in folders:
                    folders.remove(_OWN_FOLDER)
                for file in files:
                    one = Path(path, file)
                    status = one.lstat()
                    if stat.S_ISREG(status.st_mode):
                        moment = datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC)
                        name = one.relative_to(self.folder).as_posix()
                        readable = os.fsencode(name).decode("utf-8", "replace")
                        yield Entry(readable, status.st_size, moment)

    def read(self, name: str) -> Iterator[bytes]:
        """Read a file in chunks."""
        path = self._path(name)
        if not path.exists():
            raise NotFoundError
        with self._sentences(), path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def write(self, entry: Entry, content: Source) -> None:
        """Write a file beside, and give it its name once it is whole."""
        path = self._path(entry.name)
        beside = self.folder / _OWN_FOLDER / f"{secrets.token_hex(8)}.part"
        with self._sentences():
            try:
                with beside.open("xb") as file:
                    while chunk := content.read(_CHUNK):
                        file.write(chunk)
                _set_time(beside, entry)
                self._require_inside(path)
                path.parent.mkdir(parents=True, exist_ok=True)
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)

    def settle(self, entry: Entry) -> None:
        """Give a file the time of its object."""
        with self._sentences():
            _set_time(self._path(entry.name), entry)

    def drop(self, name: str) -> None:
        """Remove a file; its folder stays."""
        path = self._path(name)
        with self._sentences():
            self._require_inside(path)
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        """Give the path of an object; raises RefusedError for one outside the folder."""
        check_name(name)
        if name.split("/", maxsplit=1)[0] == _OWN_FOLDER:
            raise RefusedError("its name is kept for the mirror's own files")
        return self.folder / name

    def _require_inside(self, path: Path) -> None:
        if not path.parent.resolve().is_relative_to(self.folder):
            raise RefusedError("a link would lead it out of the folder")

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            if error.errno in _FULL or error.errno in (errno.EACCES, errno.EPERM):
                raise InputError(f"{self.folder} cannot be used: {reason}.") from error
            raise RefusedError(reason) from error


def check_name(name: str) -> None:
    """Raise RefusedError for a name that, as a path, would be another one."""
    parts = name.split("/")
    if "\0" in name or "\ufffd" in name or any(part in ("", ".", "..") for part in parts):
        raise RefusedError("its name cannot be a path")


def _set_time(path: Path, entry: Entry) -> None:
    moment = entry.modified_at.timestamp()
    os.utime(path, (moment, moment))


def _whole(content: Source) -> bytes:
    pieces = []
    while piece := content.read(_CHUNK):
        pieces.append(piece)
    return b"".join(pieces)


def _raise(error: OSError) -> None:
    raise error
