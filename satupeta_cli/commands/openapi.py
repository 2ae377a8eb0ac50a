"""``satupeta openapi``: the API's document."""

from pathlib import Path

import click

from satupeta_cli.context import Context


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    metavar="FILE",
    help="Write it there instead of to standard output.",
)
@click.pass_obj
def command(context: Context, output: str) -> None:
    """Print the API's document (OpenAPI 3.1), as /api/openapi.json gives it.

    Example: satupeta openapi -o openapi.json
    """
    import json

    from satupeta_server.openapi import make_document
    from satupeta_server.settings import load_settings

    settings = load_settings(context.env_file)
    document = make_document(settings.project_name)
    text = json.dumps(document, ensure_ascii=False, indent=2)
    if output == "-":
        click.echo(text)
        return
    try:
        Path(output).write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}.") from None
