"""``satupeta shell``: Python with the models and services at hand."""

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Any

import click

from satupeta_cli.context import Context, command_caller

if TYPE_CHECKING:
    from satupeta_server.settings import Settings

_WELCOME = """\
Satu Peta {version}, Python {python}, database {database}
  User, Mapset, ...   the models; User.select().count()
  services, caller    the services; run(services.users.list(caller, ListRequest(search="budi")))
  settings, database  the settings and the database
  run(...)            waits for what a service gives
Ctrl-D ends. What is changed here is changed."""


@click.command()
@click.option("-c", "code", metavar="CODE", help="Run this and end; - is standard input.")
@click.pass_obj
def command(context: Context, code: str | None) -> None:
    """Open a Python shell with settings, database, models and services at hand.

    The models work at once; run() waits for what a service gives, as in
    run(services.users.list(caller, ListRequest())). That a shell was opened is recorded, what is
    done in it is not.

    Example: satupeta shell -c "print(User.select().count())"
    """
    from satupeta_server import database
    from satupeta_server.settings import require_servers
    from satupeta_server.storage import Storage

    settings = context.settings()
    require_servers(settings, object_store=False)
    storage = Storage(settings)
    connected = database.connect(settings)
    try:
        with asyncio.Runner() as runner, database.synchronous():
            try:
                names = _names(settings, storage, runner)
                _record(context, names)
                _run(names, code)
            finally:
                runner.run(connected.aio_close())
    finally:
        storage.close()


def _names(settings: "Settings", storage: Any, runner: asyncio.Runner) -> dict[str, Any]:
    import importlib
    import pkgutil

    from satupeta_server import database, models
    from satupeta_server.models.base import BaseModel
    from satupeta_server.queries.listing import ListRequest
    from satupeta_server.services.container import make_services

    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(models.__path__):
        members = vars(importlib.import_module(f"{models.__name__}.{module.name}")).values()
        tables = [one for one in members if isinstance(one, type) and issubclass(one, BaseModel)]
        found |= {table.__name__: table for table in tables}
    return found | {
        "ListRequest": ListRequest,
        "caller": command_caller(),
        "database": database.database,
        "run": runner.run,
        "services": make_services(settings, storage),
        "settings": settings,
        "storage": storage,
    }


def _record(context: Context, names: dict[str, Any]) -> None:
    """Record that a shell was opened; where that is not possible the shell opens all the same."""
    from peewee import PeeweeException

    from satupeta_server.errors import AppError
    from satupeta_server.services.audit import record_action

    try:
        names["run"](record_action(names["caller"], "open_shell", "database"))
    except (AppError, PeeweeException):
        context.say("The database does not answer as it should; nothing is recorded.")


def _run(names: dict[str, Any], code: str | None) -> None:
    if code is None and sys.stdin.isatty():
        _interact(names)
        return
    text = sys.stdin.read() if code in (None, "-") else code
    # What an administrator gives to the shell is meant to be run.
    exec(compile(text or "", "<satupeta shell>", "exec"), names)  # noqa: S102


def _interact(names: dict[str, Any]) -> None:
    import code
    import platform

    from satupeta_server import __version__

    with contextlib.suppress(ImportError):
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
    banner = _WELCOME.format(
        version=__version__,
        python=platform.python_version(),
        database=names["database"].database,
    )
    code.interact(banner, local=names, exitmsg="")
