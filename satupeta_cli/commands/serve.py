"""``satupeta serve``: the API on the servers that the settings name."""

import contextlib
import signal
from pathlib import Path

import click


@click.command()
@click.pass_obj
def command(env_file: Path) -> None:
    """Serve the API on the PostgreSQL and the object store that are set.

    Example: satupeta serve
    """
    from satupeta_server import server  # noqa: PLC0415
    from satupeta_server.logs import configure_logging  # noqa: PLC0415
    from satupeta_server.secrets_store import with_generated_secrets  # noqa: PLC0415
    from satupeta_server.settings import load_settings, require_servers  # noqa: PLC0415

    settings = with_generated_secrets(load_settings(env_file))
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
