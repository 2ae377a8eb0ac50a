"""The lock of a data folder: one parent at a time, and what a killed one has left behind."""

import fcntl
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from satupeta_server.embedded.errors import EmbeddedError, folder_error
from satupeta_server.embedded.files import give_to_owner
from satupeta_server.embedded.processes import ProcessIdentity, Steps, Target, end_all

LOCK_FILE_NAME = "satupeta.lock"
TEMPORARY_FOLDER_PREFIX = "satupeta-"

_FREED_WITHIN_SECONDS = 2.0
_POLL_SECONDS = 0.02

_DEFAULT_STEPS: Steps = ((0, signal.SIGTERM), (3, signal.SIGKILL))
# How an orphan ends. The store loses nothing by SIGKILL; PostgreSQL gets the time for a
# checkpoint, without which its next start would have to recover.
_ORPHAN_STEPS: dict[str, Steps] = {
    "PostgreSQL": ((0, signal.SIGINT), (10, signal.SIGKILL)),
    "object store": ((0, signal.SIGKILL),),
    "initdb": ((0, signal.SIGKILL),),
}


@dataclass
class LockRecord:
    """What the lock file says: who holds it, its children, its temporary folders, its facts."""

    parent: ProcessIdentity | None = None
    children: list[tuple[str, ProcessIdentity]] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The record in `text`; empty when there is none or a damaged one."""
        try:
            # A shorter record written over a longer one may, for a moment, leave its tail.
            raw, _ = json.JSONDecoder().raw_decode(text)
        except ValueError:
            return cls()
        if not isinstance(raw, dict):
            return cls()
        children = [
            (str(child.get("name")), identity)
            for child in raw.get("children", [])
            if (identity := ProcessIdentity.from_record(child)) is not None
        ]
        folders = [Path(str(folder)) for folder in raw.get("folders", [])]
        parent = ProcessIdentity.from_record(raw.get("parent"))
        return cls(parent, children, folders, dict(raw.get("facts", {})))

    def to_text(self) -> str:
        """The record as `from_text` reads it."""
        return json.dumps(
            {
                "parent": self.parent.as_record() if self.parent else None,
                "children": [
                    {"name": name, **identity.as_record()} for name, identity in self.children
                ],
                "folders": [str(folder) for folder in self.folders],
                "facts": self.facts,
            }
        )

    def parent_is_alive(self) -> bool:
        """Whether the process that wrote this record still runs."""
        return self.parent is not None and self.parent.process() is not None


def read_lock_record(data_dir: Path) -> LockRecord:
    """What the lock file of `data_dir` says; empty when it is free or not for us to read."""
    try:
        return LockRecord.from_text((data_dir / LOCK_FILE_NAME).read_text(encoding="utf-8"))
    except OSError:
        return LockRecord()


class DataFolderLock:
    """The lock of one data folder, held from `acquire` until `release` or the process's death.

    The kernel frees it with the process, so a `kill -9` leaves no stale lock, only a record of
    the children that may have stayed behind: the next `acquire` ends those.
    """

    def __init__(self, data_dir: Path, *, say: Callable[[str], None] = lambda _: None) -> None:
        self.data_dir = Path(data_dir).resolve()
        self.unclean = False
        self._say = say
        self._file: int | None = None
        self._owner_pid = 0
        self._record = LockRecord()
        self._guard = threading.Lock()

    @property
    def held(self) -> bool:
        """Whether this process holds it; a forked child of the holder does not."""
        return self._file is not None and self._owner_pid == os.getpid()

    def acquire(self) -> None:
        """Make the data folder, take its lock, end the orphans of a killed holder.

        Afterwards `unclean` tells whether the last holder was killed. Raises EmbeddedError when
        the folder is in use or cannot be written.
        """
        if self.held:
            return
        try:
            self._file = self._take()
            self._owner_pid = os.getpid()
            leftover = self._read()
            self.unclean = leftover != LockRecord()
            self._end_orphans(leftover)
            for folder in leftover.folders:
                _remove_temporary_folder(folder)
            self._record = LockRecord(parent=ProcessIdentity.of(os.getpid()))
            self._write()
        except OSError as error:
            self._close()
            raise folder_error(error, self.data_dir) from error
        except BaseException:
            self._close()
            raise

    def release(self) -> None:
        """Give the lock back; does nothing when this process does not hold it."""
        if not self.held:
            return
        with self._guard:
            self._record = LockRecord()
            if self._file is not None:
                os.ftruncate(self._file, 0)
        self._close()

    def register_child(self, name: str, pid: int) -> None:
        """Note the child `pid`, so that a later start ends it if we are killed.

        Raises psutil.NoSuchProcess when there is no such process, EmbeddedError when the record
        cannot be written.
        """
        identity = ProcessIdentity.of(pid)
        with self._changing() as record:
            record.children.append((name, identity))

    def forget_child(self, pid: int) -> None:
        """Strike the child `pid` out again, after its end."""
        with self._changing() as record:
            record.children = [child for child in record.children if child[1].pid != pid]

    def register_folder(self, folder: Path) -> None:
        """Note a temporary folder of ours, so that a later start removes it if we are killed."""
        with self._changing() as record:
            record.folders.append(folder)

    def publish(self, facts: dict[str, Any]) -> None:
        """Let other processes of this account read `facts` while we run."""
        with self._changing() as record:
            record.facts = facts

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @contextmanager
    def _changing(self) -> Iterator[LockRecord]:
        with self._guard:
            yield self._record
            self._write()

    def _take(self) -> int:
        # Private from the start; with root, the servers' account must be able to pass through.
        mode = 0o711 if os.geteuid() == 0 else 0o700
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self.data_dir.mkdir(mode=mode, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.data_dir / LOCK_FILE_NAME, flags, 0o600)
        try:
            give_to_owner(descriptor, self.data_dir)
            self._lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _lock(self, descriptor: int) -> None:
        if _try_lock(descriptor):
            return
        record = read_lock_record(self.data_dir)
        if not record.parent_is_alive():
            # Forked children inherit the lock: those of a killed parent hold it for nobody.
            self._end_orphans(record)
            deadline = time.monotonic() + _FREED_WITHIN_SECONDS
            while time.monotonic() < deadline:
                if _try_lock(descriptor):
                    return
                time.sleep(_POLL_SECONDS)
        alive = record.parent if record.parent_is_alive() else None
        holder = f"process {alive.pid}" if alive else "another process"
        raise EmbeddedError(
            f"The data folder {self.data_dir} is already in use by {holder}:"
            " stop that one first, or choose another DATA_DIR."
        )

    def _end_orphans(self, record: LockRecord) -> None:
        orphans = [
            (name, process)
            for name, identity in record.children
            if (process := identity.process()) is not None
        ]
        for name, process in orphans:
            self._say(f"Ending the {name} (process {process.pid}) that a killed run left behind")
        end_all(
            [
                Target.of(process, _ORPHAN_STEPS.get(name, _DEFAULT_STEPS))
                for name, process in orphans
            ]
        )

    def _read(self) -> LockRecord:
        if self._file is None:
            return LockRecord()
        text = os.pread(self._file, os.fstat(self._file).st_size, 0)
        return LockRecord.from_text(text.decode("utf-8", errors="replace"))

    def _write(self) -> None:
        if not self.held or self._file is None:
            return
        content = self._record.to_text().encode()
        try:
            os.pwrite(self._file, content, 0)
            os.ftruncate(self._file, len(content))
        except OSError as error:
            raise folder_error(error, self.data_dir) from error

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_temporary_folder(folder: Path) -> None:
    # The name is ours, but after a reboot the folder may be someone's: rmtree follows no link.
    if folder.name.startswith(TEMPORARY_FOLDER_PREFIX) and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
