"""``satupeta dev``: the whole system, for trying and for developing."""

import click

from satupeta_cli.context import Context


@click.command()
@click.option(
    "--sample/--no-sample",
    default=None,
    help="Load the sample catalogue, or not; by default only into the embedded database.",
)
@click.pass_obj
def command(context: Context, *, sample: bool | None) -> None:
    """Start everything: embedded servers where none are set, data, and the API.

    Example: satupeta dev
    """
    from satupeta_server.development import run
    from satupeta_server.settings import load_settings

    run(load_settings(context.env_file), click.echo, with_sample=sample)
