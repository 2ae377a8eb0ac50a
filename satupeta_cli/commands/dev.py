"""``satupeta dev``: the whole system, for trying and for developing."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--sample/--no-sample",
    default=None,
    help="Load the sample catalogue, or not; by default only into the embedded database.",
)
@click.pass_obj
def command(env_file: Path, *, sample: bool | None) -> None:
    """Start everything: embedded servers where none are set, data, and the API.

    Example: satupeta dev
    """
    from satupeta_server.development import run  # noqa: PLC0415
    from satupeta_server.settings import load_settings  # noqa: PLC0415

    run(load_settings(env_file), click.echo, with_sample=sample)
