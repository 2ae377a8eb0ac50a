"""``satupeta version``: what runs here."""

import click

from satupeta_cli.context import Context
from satupeta_cli.output import listing_options, write_record

_PATIENCE_SECONDS = 2


@click.command()
@listing_options
@click.pass_obj
def command(context: Context, form: str | None) -> None:
    """Print the versions of Satu Peta, of Python, and of the database where it can be reached.

    Example: satupeta version --json
    """
    import platform

    from satupeta_server import __version__

    versions = {
        "satupeta": __version__,
        "python": platform.python_version(),
        "database": _database_version(context),
    }
    write_record(versions, form)


def _database_version(context: Context) -> str | None:
    """Ask the database; whatever is wrong with it is for doctor to tell."""
    import psycopg2

    from satupeta_server.errors import StartError
    from satupeta_server.settings import require_servers

    try:
        url = require_servers(context.settings(), object_store=False)
        connection = psycopg2.connect(url, connect_timeout=_PATIENCE_SECONDS)
    except (StartError, psycopg2.Error):
        return None
    try:
        version = str(connection.info.parameter_status("server_version"))
    finally:
        connection.close()
    return f"PostgreSQL {version}"
