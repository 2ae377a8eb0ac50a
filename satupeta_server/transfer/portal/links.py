"""One-time links for users who have come without a password."""

import contextlib
import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from satupeta_server.database import database
from satupeta_server.errors import InputError
from satupeta_server.security.callers import Caller
from satupeta_server.services.audit import record_action
from satupeta_server.services.container import Services

_COLUMNS = ("username", "email", "link")


@dataclass(frozen=True)
class NewUser:
    """An active user who has come and has no password."""

    username: str
    email: str


class LinkFile:
    """A file that only its owner reads, for links that open accounts."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    async def write(self, services: Services, caller: Caller, users: Sequence[NewUser]) -> None:
        """Make a link for each user and write them; older links of theirs end."""
        rows: list[tuple[str, str, str]] = []
        page = f"{services.settings.base_url}/api/auth/password-reset/page"
        async with database.whole():
            for user in users:
                token = await services.logins.make_reset_token(user.username)
                rows.append((user.username, user.email, f"{page}#{token}"))
            if rows:
                await record_action(caller, "make_reset_links", "users", count=len(rows))
        writer = csv.writer(self._file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(rows)
        self._file.flush()


@contextlib.contextmanager
def link_file(path: Path | None) -> Iterator[LinkFile | None]:
    """Open a new file, before anything is done; one into which nothing was written is removed.

    Raises InputError where there is one already, or it cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(f"{path} cannot be made: {error.strerror}.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        try:
            yield LinkFile(file)
        finally:
            if file.tell() == 0:
                path.unlink(missing_ok=True)
