"""``satupeta worker``: what is done in the background."""

import click

from satupeta_cli.context import Context


@click.command()
@click.pass_obj
def command(context: Context) -> None:
    """Do the background work: what the API puts off, and what is due once a day.

    Any number may run, on any number of machines. At SIGTERM or Ctrl-C jobs under way get 20
    seconds; what is not done by then is given back, and done again by another worker.

    Example: satupeta worker
    """
    from satupeta_server import worker
    from satupeta_server.logs import configure_logging
    from satupeta_server.secrets_store import with_generated_secrets
    from satupeta_server.settings import load_settings

    settings = with_generated_secrets(load_settings(context.env_file))
    configure_logging(settings)
    worker.run(settings)
