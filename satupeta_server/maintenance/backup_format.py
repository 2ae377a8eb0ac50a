"""The file of a backup: a tar of manifest, tables, objects, summary and checksums, and its seal.

All members are those of POSIX.1-2001 (pax), so any tar opens it. The last one, the seal, is the
SHA-256 of every byte before it: what was cut or altered is found before anything is restored.
"""

import contextlib
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from satupeta_server.errors import InputError

FORMAT = 1
MANIFEST, SUMMARY, CHECKSUMS, SEAL = (
    "manifest.json", "summary.json", "checksums.sha256", "seal.sha256",
)  # fmt: skip
TABLES, OBJECTS = "tables/", "objects/"
_HEADER = "comment"
"""The one keyword of pax that any tar passes over in silence; it holds what we say of a member."""
COPY_BYTES = 1 << 20
SPOOL_BYTES = 1 << 20
_BLOCK = 512
_TAIL_BYTES = 4 * _BLOCK
"""The seal's header, its content, and the two empty blocks that end a tar."""
_UNREADABLE = (
    tarfile.TarError, ValueError, KeyError, TypeError, EOFError, StopIteration, RecursionError,
)  # fmt: skip
_LARGEST_MANIFEST = 16 << 20
_MOST_NAMED = 100

Advance = Callable[[float], None]


class FailedError(InputError):
    """A backup is damaged, or could not be written or brought in; nothing was left half done."""


@dataclass(frozen=True)
class Manifest:
    """What a backup is of."""

    version: str
    """The version of the program that made it."""
    created_at: str
    postgresql: str
    migrations: list[str]
    tables: dict[str, list[str]]
    """The columns of each table."""
    sequences: dict[str, int]
    encryption_keys: list[str]
    """Ids of the keys without which the stored credentials cannot be read."""
    has_objects: bool
    format: int = FORMAT


@dataclass
class Summary:
    """What went into a backup."""

    rows: dict[str, int] = field(default_factory=dict)
    objects: int = 0
    object_bytes: int = 0
    missing: int = 0
    """Objects that were not in the store, or not what their rows say."""
    missing_names: list[str] = field(default_factory=list)
    """The first of them."""

    def miss(self, name: str) -> None:
        """Count an object that is missing."""
        self.missing += 1
        if len(self.missing_names) < _MOST_NAMED:
            self.missing_names.append(name)


def spool_file(folder: Path | None = None) -> BinaryIO:
    """Make a file without a name, in memory and, once it is large, in ``folder``."""
    where = str(folder) if folder else None
    return cast("BinaryIO", tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=where))


class BackupWriter:
    """Writes the members one after the other, to a file or a pipe."""

    def __init__(self, output: BinaryIO, moment: float) -> None:
        self._output = output
        self._moment = int(moment)
        self._digest = hashlib.sha256()
        self._checksums = spool_file()
        self.size = 0

    def add(self, name: str, content: BinaryIO, size: int, checksum: str, **more: str) -> None:
        """Write a member, of which size and SHA-256 are known already."""
        info = _member(name, size, self._moment)
        info.pax_headers = {_HEADER: json.dumps({"sha256": checksum, **more})}
        self._write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        while chunk := content.read(COPY_BYTES):
            self._write(chunk)
        self._write(_padding(size))
        self._checksums.write(f"{checksum}  {name}\n".encode())

    def add_bytes(self, name: str, content: bytes) -> None:
        """Write a member that is in memory."""
        checksum = hashlib.sha256(content).hexdigest()
        self.add(name, io.BytesIO(content), len(content), checksum)

    def add_json(self, name: str, content: Manifest | Summary) -> None:
        """Write what describes the rest."""
        self.add_bytes(name, json.dumps(asdict(content), indent=2).encode())

    def finish(self) -> None:
        """Write the checksums and the seal."""
        checksums, digest = self._checksums, hashlib.sha256()
        size = checksums.tell()
        checksums.seek(0)
        while chunk := checksums.read(COPY_BYTES):
            digest.update(chunk)
        checksums.seek(0)
        self.add(CHECKSUMS, checksums, size, digest.hexdigest())
        self._write(_tail(self._digest.hexdigest()))
        self._output.flush()

    def close(self) -> None:
        """Let go of what was kept for the end."""
        self._checksums.close()

    def _write(self, data: bytes) -> None:
        self._output.write(data)
        self._digest.update(data)
        self.size += len(data)


class Slice(io.RawIOBase):
    """A part of a file, which others may read at the same time."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._left = size

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Give the next bytes, at the end none."""
        wanted = self._left if size < 0 else min(size, self._left)
        data = os.pread(self._descriptor, wanted, self._offset)
        if wanted and not data:
            raise FailedError("The backup was changed while it was read.")
        self._offset += len(data)
        self._left -= len(data)
        return data


class BackupFile:
    """A backup to be read; ``file`` can be sought in."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.name = name
        self.size = os.fstat(file.fileno()).st_size
        self.manifest = self._read_manifest()

    def members(self) -> Iterator[tarfile.TarInfo]:
        """Give the members in their order; memory does not grow with their number."""
        self._file.seek(0)
        with tarfile.open(fileobj=self._file, mode="r:") as archive:
            while (info := archive.next()) is not None:
                yield info
                archive.members = []  # type: ignore[attr-defined]

    def open(self, info: tarfile.TarInfo) -> Slice:
        """Open the content of a member."""
        return Slice(self._file.fileno(), info.offset_data, info.size)

    def verify(self, advance: Advance) -> None:
        """Read the whole file and compare it with its seal; raises FailedError.

        ``advance`` is told how many more bytes are read.
        """
        body = self.size - _TAIL_BYTES
        tail = os.pread(self._file.fileno(), _TAIL_BYTES, max(body, 0))
        if body <= 0 or tail[:_BLOCK] != _tail("")[:_BLOCK]:
            raise FailedError(
                f"{self.name} has no end: it was cut, or is still being written. "
                "Nothing was restored; use another backup."
            )
        digest, content = hashlib.sha256(), Slice(self._file.fileno(), 0, body)
        while chunk := content.read(COPY_BYTES):
            digest.update(chunk)
            advance(len(chunk))
        if tail != _tail(digest.hexdigest()):
            raise FailedError(
                f"{self.name} was altered or damaged{self._where()}. "
                "Nothing was restored; use another backup."
            )

    def _where(self) -> str:
        """Name the first member whose own checksum is wrong."""
        with contextlib.suppress(tarfile.TarError, ValueError, OSError, FailedError):
            for info in self.members():
                expected = said_of(info).get("sha256")
                digest, content = hashlib.sha256(), self.open(info)
                while expected and (chunk := content.read(COPY_BYTES)):
                    digest.update(chunk)
                if expected and digest.hexdigest() != expected:
                    return f" (in {info.name})"
        return ""

    def _read_manifest(self) -> Manifest:
        stranger = InputError(f"{self.name} is no backup that satupeta db backup made.")
        try:
            info = next(self.members())
            if info.name != MANIFEST or info.size > _LARGEST_MANIFEST:
                raise stranger
            content = json.loads(self.open(info).read())
            number, version = int(content["format"]), content["version"]
        except _UNREADABLE:
            raise stranger from None
        if number > FORMAT:
            raise InputError(
                f"{self.name} was made by Satu Peta {version}, whose backups this version cannot "
                "read; install that version."
            )
        try:
            return Manifest(**content)
        except TypeError:
            raise stranger from None


@contextlib.contextmanager
def opened(path: Path | None, standard_input: BinaryIO | None) -> Iterator[BackupFile]:
    """Open a backup; what comes through a pipe (no path is standard input) is spooled first.

    Raises InputError for what is no backup.
    """
    name = str(path or "Standard input")
    with contextlib.ExitStack() as stack:
        try:
            file: Any = stack.enter_context(path.open("rb")) if path else standard_input
            if path is None or not path.is_file():
                file = stack.enter_context(_spooled(file))
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror}.") from None
        yield BackupFile(file, name)


def said_of(info: tarfile.TarInfo) -> dict[str, str]:
    """Give what the backup says of a member: its ``sha256``, and an object's ``content_type``."""
    said: dict[str, str] = json.loads(info.pax_headers.get(_HEADER, "{}"))
    return said


def _spooled(content: BinaryIO) -> Any:
    spool = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    while chunk := content.read(COPY_BYTES):
        spool.write(chunk)
    spool.flush()
    return spool


def _member(name: str, size: int, moment: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, moment, 0o600
    return info


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _tail(digest: str) -> bytes:
    """Make the seal and the end of the tar; always of the same size."""
    header = _member(SEAL, len(hashlib.sha256().hexdigest()) + 1, 0)
    content = f"{digest}\n".encode().ljust(_BLOCK, b"\0")
    return header.tobuf(tarfile.PAX_FORMAT) + content + bytes(2 * _BLOCK)
