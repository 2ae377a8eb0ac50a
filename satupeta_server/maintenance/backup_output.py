"""Where a backup is written: under a temporary name until it is whole."""

import contextlib
import errno
import fcntl
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from satupeta_server.errors import InputError
from satupeta_server.maintenance.backup_format import FailedError

_REFUSALS = {
    errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EROFS, errno.ELOOP,
    errno.ENAMETOOLONG,
}  # fmt: skip
"""What is wrong with the name, whatever would be written there."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file that takes the name ``path`` once it is whole and on the disk.

    Only its owner can read it. What a killed process left behind is written over. Raises
    InputError when there can be no such file.
    """
    draft = path.with_name(f".{path.name}.part")
    with writing(str(path)):
        file = _locked(path, draft)
    with file, writing(str(path)):
        try:
            file.truncate()
            yield file
            file.flush()
            os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        _sync_folder(path.parent)


class Pipe(io.RawIOBase):
    """Standard output, or another descriptor, that takes each write whole or raises OSError."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def write(self, data: Any, /) -> int:
        """Write all of it: nothing waits in a buffer that could fail unseen."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        return len(data)


@contextlib.contextmanager
def writing(name: str) -> Iterator[None]:
    """Say in a sentence why something could not be written."""
    try:
        yield
    except OSError as error:
        kind = InputError if error.errno in _REFUSALS else FailedError
        raise kind(f"{name} cannot be written: {error.strerror}.") from error


def _locked(path: Path, draft: Path) -> BinaryIO:
    """Open the draft for this process alone, until the file is closed."""
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no ordinary file; use - to write to standard output.")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.fdopen(os.open(draft, flags, 0o600), "w+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had the lock before may have given the file its final name meanwhile.
        status = os.fstat(file.fileno())
        is_ours = os.path.samestat(status, draft.stat()) and status.st_uid == os.geteuid()
        # It may have been there, for others to read.
        os.fchmod(file.fileno(), 0o600)
    except (BlockingIOError, FileNotFoundError, PermissionError):
        is_ours = False
    if not is_ours:
        file.close()
        raise InputError(f"Another process is writing {path} just now.")
    return file


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
