"""The account that the servers run under.

PostgreSQL refuses to run as root, and a store whose inner ports ask for no key should not: so
root hands both to an account without rights. That account needs an entry in the user database,
for initdb and postgres look up the name of their own user.
"""

import os
import pwd
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from satupeta_server.embedded.errors import EmbeddedError

# One that an administrator made for us comes first; `nobody` exists on every system.
_UNPRIVILEGED_NAMES = ("satupeta", "nobody", "daemon")


@dataclass(frozen=True)
class Account:
    """Whom the servers run as; `changes` tells whether that is another account than our own."""

    name: str
    uid: int
    gid: int
    changes: bool

    @property
    def user(self) -> int | None:
        """The `user` argument of `subprocess.Popen`."""
        return self.uid if self.changes else None

    @property
    def group(self) -> int | None:
        """The `group` argument of `subprocess.Popen`."""
        return self.gid if self.changes else None

    @property
    def extra_groups(self) -> Iterable[int] | None:
        """The `extra_groups` argument of `subprocess.Popen`."""
        return () if self.changes else None

    def can_run(self, *command: str | Path) -> bool:
        """Whether `command` ends well under this account; raises EmbeddedError if none can."""
        try:
            finished = subprocess.run(  # noqa: S603 -- the callers name fixed programs
                [str(part) for part in command],
                user=self.user,
                group=self.group,
                extra_groups=self.extra_groups,
                cwd="/",
                env=minimal_environment(Path("/")),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return self._explain(error)
        return finished.returncode == 0

    def can_enter(self, folder: Path) -> bool:
        """Whether this account reaches what stands in `folder`; raises EmbeddedError as above."""
        return self._passes("-x", folder)

    def can_execute(self, program: Path) -> bool:
        """Whether this account may run `program`; raises EmbeddedError as above."""
        return self._passes("-x", program)

    def can_read(self, path: Path) -> bool:
        """Whether this account can read `path`; raises EmbeddedError as above."""
        return self._passes("-r", path)

    def _passes(self, test: str, path: Path) -> bool:
        # Asked of the system under that very account: modes alone do not tell of access lists.
        return not self.changes or self.can_run("/bin/sh", "-c", f'test {test} "$1"', "sh", path)

    def _explain(self, error: Exception) -> bool:
        """False when only the program is out of reach; else no process can have this account."""
        # The system shell is in everybody's reach: its failure means that setuid failed.
        shell = ["/bin/sh", "-c", ":"]
        try:
            subprocess.run(  # noqa: S603 -- a fixed program
                shell,
                user=self.user,
                group=self.group,
                extra_groups=self.extra_groups,
                cwd="/",
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            raise EmbeddedError(
                f"Root may not start processes as the account {self.name} here, and PostgreSQL"
                " refuses to run as root: start as an ordinary user."
            ) from error
        return False


def minimal_environment(home: Path) -> dict[str, str]:
    """The environment of a server: nothing of ours goes in, least of all our secrets."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LC_ALL": "C",
        "TZ": "UTC",
    }


def choose_account(data: Path | None) -> Account:
    """The account for the servers; the owner of `data`, of an earlier start, when root starts.

    Raises EmbeddedError when there is none.
    """
    if os.geteuid() != 0:
        return _own_account()
    if data is not None:
        owner = data.stat().st_uid
        if owner != 0:
            return _account_of_owner(data, owner)
    for name in _UNPRIVILEGED_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, changes=True)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root and this system has no account 'nobody' that it could"
        " use: add an account 'satupeta', or start as an ordinary user."
    )


def _own_account() -> Account:
    uid = os.geteuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedError(
            f"The user id {uid} has no name on this system and PostgreSQL needs one: add it to"
            " /etc/passwd, or set DATABASE_URL."
        ) from None
    return Account(entry.pw_name, uid, os.getegid(), changes=False)


def _account_of_owner(data: Path, owner: int) -> Account:
    try:
        entry = pwd.getpwuid(owner)
    except KeyError:
        raise EmbeddedError(
            f"The folder {data} belongs to the user id {owner}, which has no name on this system:"
            " add it to /etc/passwd, or give the folder to another account."
        ) from None
    return Account(entry.pw_name, owner, entry.pw_gid, changes=True)
