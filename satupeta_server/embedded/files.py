"""Small, careful file work: private files, private folders, bounded logs, free space."""

import json
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import Any, BinaryIO

from satupeta_server.embedded.account import Account
from satupeta_server.embedded.errors import EmbeddedError

LOG_LIMIT_BYTES = 10 * 1024 * 1024
_MEGABYTE = 1024 * 1024


def write_new_private(path: Path, content: str, account: Account | None = None) -> None:
    """Make the file `path` (0600), owned by `account` or as its folder is; it must not exist.

    O_EXCL never follows a link that another process of a shared account may have planted.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if account is None:
            give_to_owner(file.fileno(), path.parent)
        elif account.changes:
            os.fchown(file.fileno(), account.uid, account.gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def give_to_owner(descriptor: int, folder: Path) -> None:
    """As root, give a new file to the owner of its folder, who may start without root next."""
    if os.geteuid() == 0:
        status = folder.stat()
        os.fchown(descriptor, status.st_uid, status.st_gid)


def replace_private_json(path: Path, value: dict[str, Any]) -> None:
    """Write `value` as JSON to `path` (0600): all or nothing, on the disk at the end."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_new_private(temporary, json.dumps(value, indent=2) + "\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; empty when there is no such file.

    Raises EmbeddedError when the file holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EmbeddedError(f"The file {path} is damaged: restore it from a backup.")
    return value


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, mode: int, account: Account | None = None) -> None:
    """Make `folder` with exactly `mode`, owned by `account`; one that exists stays as it is.

    The parent must be writable by this process alone.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise
        # Still ours though meant for another account: a start was killed between two steps.
        unfinished = account is not None and account.changes and status.st_uid == os.geteuid()
        if not unfinished:
            return
    if account is not None and account.changes:
        os.chown(folder, account.uid, account.gid, follow_symlinks=False)
    # The umask may have taken bits away.
    folder.chmod(mode)


def empty_folder(folder: Path) -> None:
    """Remove all that stands in `folder`; links in it are removed, never followed."""
    for entry in folder.iterdir():
        if stat.S_ISDIR(entry.lstat().st_mode):
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def open_log(path: Path) -> BinaryIO:
    """`path` opened for appending (0600); one over 10 MB first becomes `<name>.1`."""
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    give_to_owner(descriptor, path.parent)
    return os.fdopen(descriptor, "ab")


def read_from(path: Path, offset: int) -> str:
    """The text of `path` from `offset` bytes on."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(_MEGABYTE).decode("utf-8", errors="replace")


def require_room(folder: Path, megabytes: int) -> None:
    """Raise EmbeddedError when the disk of `folder` has less than `megabytes` free."""
    free = shutil.disk_usage(folder).free // _MEGABYTE
    if free < megabytes:
        raise EmbeddedError(
            f"The disk of {folder} has {free} MB free and the embedded servers need {megabytes} MB:"
            " free some space, or choose another DATA_DIR."
        )
