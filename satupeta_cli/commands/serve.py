"""``satupeta serve``: the API on the servers that the settings name."""

import contextlib
import signal

import click

from satupeta_cli.context import Context


@click.command()
@click.pass_obj
def command(context: Context) -> None:
    """Serve the API on the PostgreSQL and the object store that are set.

    Example: satupeta serve
    """
    from satupeta_server.drivers import leave_out_psycopg

    leave_out_psycopg()
    from satupeta_server import server
    from satupeta_server.logs import configure_logging
    from satupeta_server.secrets_store import with_generated_secrets
    from satupeta_server.settings import load_settings, require_servers

    settings = with_generated_secrets(load_settings(context.env_file))
    require_servers(settings)
    configure_logging(settings)
    sockets = server.bind(settings)
    if settings.workers == 1:
        server.serve(settings, sockets)
        return
    workers = server.Workers(settings, sockets, server.parent_environment(settings))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        workers.keep()
