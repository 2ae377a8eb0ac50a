"""``satupeta export``: records into a file that ``satupeta import`` reads."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from satupeta_cli.commands.import_ import FORMATS, KINDS
from satupeta_cli.context import Context
from satupeta_cli.progress import progress

if TYPE_CHECKING:
    from satupeta_server.transfer.sources import Format

_FILES = "files"


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("-o", "--output", default="-", help="File to write; .gz is packed; - is the output.")
@click.option("--format", "chosen_format", type=click.Choice(FORMATS), help="Else by the ending.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the contents of files go; else a folder beside the output that is called like it.",
)
@click.pass_obj
def command(
    context: Context, kind: str, output: str, chosen_format: str | None, folder: Path | None
) -> int:
    """Export all records of KIND; importing them again changes nothing.

    Example: satupeta export organizations -o organizations.csv
    """
    from satupeta_server.errors import InputError
    from satupeta_server.transfer.sources import format_of

    if kind == _FILES and folder is None:
        if output == "-":
            raise click.UsageError("Say with --folder where the contents of the files go.")
        folder = Path(output).with_name(Path(output).name.partition(".")[0])
    lost: list[str] = []
    try:
        form = format_of("-.csv" if output == "-" else output, chosen_format)
        with opened(output) as file:
            rows = _rows(context, kind, folder, Path(output).parent, lost.append)
            _write(context, kind, file, form, rows)
    except InputError as error:
        raise click.UsageError(str(error)) from None
    for name in lost:
        click.echo(f"satupeta: {name}.", err=True)
    return 1 if lost else 0


@contextlib.contextmanager
def opened(output: str) -> Iterator[IO[bytes]]:
    """Open the output; a file appears under its name when it is whole."""
    from satupeta_server.transfer.writing import packed

    if output == "-":
        yield sys.stdout.buffer
        return
    path = Path(output)
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as file:
            if output.endswith(".gz"):
                with packed(file) as target:
                    yield target
            else:
                yield file
        partial.replace(path)
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)


def _rows(
    context: Context, kind: str, folder: Path | None, beside: Path, lost: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    from satupeta_server import database
    from satupeta_server.settings import require_servers
    from satupeta_server.storage import ObjectStore
    from satupeta_server.transfer.exporting import export_rows
    from satupeta_server.transfer.files import export_files
    from satupeta_server.transfer.kinds import KINDS as KNOWN

    settings = context.settings()
    require_servers(settings, object_store=kind == _FILES)
    database.connect(settings)
    with database.synchronous():
        if kind != _FILES or folder is None:
            yield from export_rows(KNOWN[kind])
            return
        with contextlib.closing(ObjectStore(settings)) as store:
            yield from export_files(store, folder, beside, lost)


def _write(
    context: Context, kind: str, file: IO[bytes], form: "Format", rows: Iterator[dict[str, Any]]
) -> None:
    from satupeta_server.transfer.kinds import KINDS as KNOWN
    from satupeta_server.transfer.writing import make_writer

    bar = progress(f"Exporting {kind}", is_quiet=context.is_quiet)
    with bar as advance, make_writer(form, file, KNOWN[kind].columns) as writer:
        for row in rows:
            writer.write(row)
            advance(1)
