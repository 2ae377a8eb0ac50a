"""What a command works with: the options of the whole line, the settings, the services."""

import asyncio
import contextlib
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    # Commands are found and explained without importing what they work with.
    from satupeta_server.security.callers import Caller
    from satupeta_server.services.container import Services
    from satupeta_server.settings import Settings

Result = TypeVar("Result")


@dataclass(frozen=True)
class Context:
    """The options of the whole command line."""

    env_file: Path = Path(".env")
    is_quiet: bool = False
    is_verbose: bool = False

    def settings(self) -> "Settings":
        """Read the settings; a server that is not set is the embedded one, while that runs.

        Commands go past a pooler. Raises StartError for settings that are not possible.
        """
        from satupeta_cli.running import command_settings

        self.hush()
        return command_settings(self.env_file).direct()

    def hush(self) -> None:
        """Keep the server's log lines away: a command says in its own sentence what is wrong."""
        import logging

        logger = logging.getLogger("satupeta_server")
        if self.is_verbose:
            logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        elif not logger.handlers:
            logger.addHandler(logging.NullHandler())

    def say(self, text: str) -> None:
        """Tell people something on standard error, unless they want it quiet."""
        if not self.is_quiet:
            click.echo(text, err=True)


class _DryRunError(Exception):
    """Carries a dry run out of its transaction."""


@dataclass(frozen=True)
class Administration:
    """The services of the API, called by an administrator at a terminal."""

    context: Context
    settings: "Settings"
    services: "Services"
    caller: "Caller"

    @contextlib.asynccontextmanager
    async def change(self, *, dry_run: bool = False) -> AsyncIterator[None]:
        """Do a change and its audit record whole or not at all; a dry run is undone at its end."""
        from satupeta_server.database import database

        with contextlib.suppress(_DryRunError):
            async with database.whole():
                yield
                if dry_run:
                    raise _DryRunError

    async def record(self, action: str, subject: str, *args: object, **details: object) -> None:
        """Write the audit record of a change, inside :meth:`change`."""
        from satupeta_server.services.audit import record_action

        await record_action(self.caller, action, subject, *args, **details)  # type: ignore[arg-type]


def administer(
    context: Context,
    work: Callable[[Administration], Awaitable[Result]],
    *,
    object_store: bool = False,
) -> Result:
    """Run ``work`` with the services, on an event loop of its own, and give its result.

    Raises StartError when the settings do not name the servers that are needed, AppError when
    a service refuses.
    """
    from satupeta_server import database
    from satupeta_server.services.container import make_services
    from satupeta_server.settings import require_servers
    from satupeta_server.storage import Storage

    settings = context.settings()
    require_servers(settings, object_store=object_store)

    async def run() -> Result:
        storage = Storage(settings)
        connected = database.connect(settings)
        try:
            services = make_services(settings, storage)
            with known_tables():
                return await work(Administration(context, settings, services, command_caller()))
        finally:
            await connected.aio_close()
            storage.close()

    return asyncio.run(run())


@contextlib.contextmanager
def known_tables() -> Iterator[None]:
    """Say in one sentence that the database lacks tables, or columns of this version."""
    import peewee
    import psycopg2.errors

    from satupeta_server.errors import StartError

    missing = (psycopg2.errors.UndefinedTable, psycopg2.errors.UndefinedColumn)
    try:
        yield
    except (peewee.ProgrammingError, psycopg2.ProgrammingError) as error:
        # Peewee raises an error of its own in place of the driver's.
        if not isinstance(error, missing) and not isinstance(error.__context__, missing):
            raise
        raise StartError(
            "DATABASE_URL has no tables of this version; run satupeta db upgrade."
        ) from None


def command_caller() -> "Caller":
    """Make the caller that a command is: the reserved user, with an administrator's rights."""
    from satupeta_server.models.users import SYSTEM_USER_ID
    from satupeta_server.security.callers import Caller
    from satupeta_server.security.permissions import ADMINISTRATOR

    return Caller(
        user_id=SYSTEM_USER_ID,
        role=ADMINISTRATOR,
        command=click.get_current_context().command_path,
        run_by=operating_user(),
    )


def operating_user() -> str:
    """Name the operating system's user, and whom sudo made it from."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    origin = os.environ.get("SUDO_USER")
    return f"{origin} as {name}" if origin and origin != name else name
