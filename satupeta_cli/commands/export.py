"""``satupeta export``: records into a file that ``satupeta import`` reads."""

import sys
from pathlib import Path
from typing import IO

import click

from satupeta_cli.commands.import_ import FORMATS, KINDS
from satupeta_cli.context import Context
from satupeta_cli.progress import progress


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("-o", "--output", default="-", help="File to write; .gz is packed; - is the output.")
@click.option("--format", "chosen_format", type=click.Choice(FORMATS), help="Else by the ending.")
@click.pass_obj
def command(context: Context, kind: str, output: str, chosen_format: str | None) -> None:
    """Export all records of KIND; importing them again changes nothing.

    Example: satupeta export organizations -o organizations.csv
    """
    if output == "-":
        _write(context, kind, sys.stdout.buffer, chosen_format or "csv", packs=False)
        return
    try:
        with Path(output).open("wb") as file:
            _write(context, kind, file, chosen_format or output, packs=output.endswith(".gz"))
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}.") from None


def _write(context: Context, kind: str, file: IO[bytes], form: str, *, packs: bool) -> None:
    from satupeta_server import database
    from satupeta_server.errors import InputError
    from satupeta_server.settings import require_servers
    from satupeta_server.transfer.exporting import export_rows
    from satupeta_server.transfer.kinds import KINDS as KNOWN
    from satupeta_server.transfer.sources import format_of
    from satupeta_server.transfer.writing import WRITERS, packed

    settings = context.settings()
    require_servers(settings, object_store=False)
    database.connect(settings)
    known = KNOWN[kind]
    try:
        writer = WRITERS[format_of(f"x.{form}", None)]
        target = packed(file) if packs else file
        bar = progress(f"Exporting {kind}", is_quiet=context.is_quiet)
        with bar as advance, database.synchronous(), writer(target, known.columns) as rows:
            for row in export_rows(known):
                rows.write(row)
                advance(1)
        if packs:
            target.close()
    except InputError as error:
        raise click.UsageError(str(error)) from None
