"""Where the data of the embedded servers stand, and where their sockets do.

Normally in the data folder. When root hands the servers to an account that cannot reach it (a
checkout under /root, say), in a folder of the system that this account can reach: the modes of
folders that are not ours never change.
"""

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from satupeta_server.embedded.account import Account, choose_account
from satupeta_server.embedded.errors import EmbeddedError
from satupeta_server.embedded.files import empty_folder, make_folder
from satupeta_server.embedded.lock import TEMPORARY_FOLDER_PREFIX
from satupeta_server.embedded.state import State

SYSTEM_FOLDER = Path("/var/lib/satupeta")

_INSIDE = "embedded"
# The shortest limit for the path of a socket is 103 bytes (macOS), and a file name follows.
_LONGEST_SOCKET_FOLDER_BYTES = 80


@dataclass(frozen=True)
class Home:
    """The folder of the servers' data, and the account that owns what is in it."""

    folder: Path
    account: Account

    @property
    def database(self) -> Path:
        """The folder of PostgreSQL."""
        return self.folder / "database"

    @property
    def object_store(self) -> Path:
        """The folder of the object store."""
        return self.folder / "object_store"

    @property
    def sockets(self) -> Path:
        """The folder for sockets, if its path is short enough."""
        return self.folder / "run"


def prepare_home(data_dir: Path, state: State, say: Callable[[str], None]) -> Home:
    """The home of `data_dir`, made if it is not there yet.

    Raises EmbeddedError when no account can run the servers, or when the home of an earlier
    start is gone, out of reach, or another data folder's.
    """
    folder = _recorded_home(data_dir, state)
    account = choose_account(folder / "database" if folder else None)
    if folder is None:
        folder = _new_home(data_dir, account, say)
        state.home = _INSIDE if folder.parent == data_dir else str(folder)
    elif not account.can_enter(folder):
        raise EmbeddedError(
            f"The account {account.name}, which owns the data in {folder}, cannot reach that"
            " folder: let it pass through the folders above, or choose another DATA_DIR."
        )
    if folder.parent != data_dir:
        _claim(folder, data_dir)
    return Home(folder, account)


def _recorded_home(data_dir: Path, state: State) -> Path | None:
    if state.home is None:
        return None
    folder = data_dir / state.home
    if not (folder / "database").is_dir():
        raise EmbeddedError(
            f"The data of {data_dir} stood in {folder} and are not there: put them back, or remove"
            f" {state.path} to start with empty servers."
        )
    return folder


def _new_home(data_dir: Path, account: Account, say: Callable[[str], None]) -> Path:
    if account.can_enter(data_dir):
        folder = data_dir / _INSIDE
    else:
        folder = SYSTEM_FOLDER / hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
        make_system_folder()
        _set_aside(folder, say)
        say(f"The account {account.name} cannot reach {data_dir}: its data stand in {folder}")
    make_folder(folder, 0o711 if account.changes else 0o700)
    for part in ("object_store", "run", "database"):
        make_folder(folder / part, 0o700, account)
    return folder


def make_system_folder() -> None:
    """Make the folder of the system; raises EmbeddedError when that cannot be."""
    try:
        make_folder(SYSTEM_FOLDER, 0o755)
    except OSError as error:
        raise EmbeddedError(
            f"The folder {SYSTEM_FOLDER}, for data that the servers' account can reach, cannot be"
            f" made ({error.strerror}): start as an ordinary user, or choose another DATA_DIR."
        ) from error


def _set_aside(folder: Path, say: Callable[[str], None]) -> None:
    """A data folder that was removed and made anew starts empty; the old data are kept."""
    if not folder.exists():
        return
    kept = folder.with_name(f"{folder.name}.removed-{time.time_ns()}")
    folder.rename(kept)
    say(f"Data of a folder of this name that was removed are kept in {kept}")


def _claim(folder: Path, data_dir: Path) -> None:
    """Note whose data these are; a copied data folder must not share them with its original."""
    owner_file = folder / "data-folder"
    owner = Path(owner_file.read_text(encoding="utf-8")) if owner_file.exists() else data_dir
    if owner != data_dir and owner.exists():
        raise EmbeddedError(
            f"The folder {data_dir} is a copy of {owner}, whose data stand in {folder}:"
            " start the original, or an empty DATA_DIR."
        )
    if owner != data_dir or not owner_file.exists():
        owner_file.write_text(str(data_dir), encoding="utf-8")


def prepare_socket_folder(home: Home, register: Callable[[Path], None]) -> Path:
    """An empty folder (0700) with a short path for the servers' sockets.

    One outside the home is temporary and `register`ed. Raises EmbeddedError when there is no
    place for one.
    """
    if _is_fit_for_sockets(home.sockets):
        empty_folder(home.sockets)
        return home.sockets
    for parent in _places_for_sockets():
        if not _is_usable(parent, home.account):
            continue
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_FOLDER_PREFIX, dir=parent))
        register(folder)
        if home.account.changes:
            os.chown(folder, home.account.uid, home.account.gid, follow_symlinks=False)
        return folder
    raise EmbeddedError(
        f"The path {home.sockets} is too long for a socket and there is no temporary folder with a"
        " short one: choose a DATA_DIR with a shorter path."
    )


def remove_socket_folder(folder: Path) -> None:
    """Remove the sockets in `folder`, and itself when it is a temporary one."""
    empty_folder(folder)
    if folder.name.startswith(TEMPORARY_FOLDER_PREFIX):
        folder.rmdir()


def _is_fit_for_sockets(folder: Path) -> bool:
    # libpq reads a comma as the end of a host, PostgreSQL as the end of a folder.
    short = len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER_BYTES
    return short and not set(str(folder)) & set(',"\\')


def _places_for_sockets() -> Iterator[Path]:
    if os.geteuid() != 0:
        yield Path(f"/run/user/{os.geteuid()}")
    yield Path(tempfile.gettempdir())
    yield Path("/tmp")  # noqa: S108 -- only as the parent of a folder by mkdtemp


def _is_usable(parent: Path, account: Account) -> bool:
    """Whether nobody but us, and root, could replace a folder of ours in `parent`."""
    try:
        status = parent.stat()
    except OSError:
        return False
    shared = bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    safe = bool(status.st_mode & stat.S_ISVTX) if shared else status.st_uid in {0, os.geteuid()}
    fits = _is_fit_for_sockets(parent / f"{TEMPORARY_FOLDER_PREFIX}12345678")
    return safe and fits and os.access(parent, os.W_OK) and account.can_enter(parent)
