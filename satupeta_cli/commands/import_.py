"""``satupeta import``: records from files, or from another portal."""

from pathlib import Path
from typing import Any

import click

from satupeta_cli import portal
from satupeta_cli.context import Context
from satupeta_cli.importing import import_files
from satupeta_cli.options import dry_run_option
from satupeta_cli.output import listing_options

# Repeated here so that help comes without loading what imports.
KINDS = {
    "regions": "code",
    "organizations": "name",
    "categories": "name",
    "classifications": "name",
    "map-projection-systems": "name",
    "users": "username",
    "map-sources": "name and url",
    "mapsets": "producer and name",
    "news": "name",
    "files": "name and content",
}
"""Each kind, and the columns by which its records are known again."""
FORMATS = ("csv", "tsv", "json", "jsonl", "xlsx")

_HELP = """Import FILEs, or standard input (-), as {kind}.

A row whose {key} a stored record has changes that one, any other makes a new one, and one that
fails stops nothing. Columns are those of satupeta export {kind}; other records are named by id,
name or code.{more}

Example: satupeta import {kind} {kind}.csv --dry-run
"""
_MORE = {
    "regions": " A region lies in the one that its code names. A file without a header line has "
    "the columns code and name. Of several files the later one counts.",
    "users": " Who is new needs no password: satupeta user reset-link makes a link that sets one.",
    "files": " The column path names the content, in the folder of FILE or in --folder; a content "
    "that is stored never changes.",
}


def _mapping(_context: click.Context, _parameter: click.Parameter, pairs: Any) -> dict[str, str]:
    mapping = {}
    for pair in pairs:
        theirs, equals, ours = pair.partition("=")
        if not (theirs and equals and ours):
            raise click.BadParameter(f"{pair!r} is not of the form theirs=ours.")
        mapping[theirs] = ours
    return mapping


_OPTIONS = (
    click.argument(
        "files",
        metavar="FILE...",
        nargs=-1,
        required=True,
        type=click.Path(allow_dash=True, dir_okay=False),
    ),
    click.option(
        "--format", "chosen_format", type=click.Choice(FORMATS), help="Else by the ending."
    ),
    click.option("--encoding", help="Of a text file; else it is found out."),
    click.option("--delimiter", help="Between the cells of a CSV file; else it is found out."),
    click.option(
        "--map",
        "mapping",
        multiple=True,
        metavar="THEIRS=OURS",
        callback=_mapping,
        help="The file's name of a column; can be given several times.",
    ),
    click.option("--create-only", is_flag=True, help="Leave what exists as it is."),
    click.option("--update-only", is_flag=True, help="Make nothing new."),
    click.option("--ignore-unknown", is_flag=True, help="Pass over columns that are not known."),
    click.option("--atomic", is_flag=True, help="One row that fails undoes all."),
    click.option("--resume", is_flag=True, help="Go on with an import that was interrupted."),
    click.option(
        "--errors",
        type=click.Path(path_type=Path),
        help="Write the failed rows here, to be mended; of several FILEs, into this folder.",
    ),
    click.option("--report", type=click.Path(path_type=Path), help="Write each row's result here."),
    dry_run_option,
    listing_options,
)
_FOLDER = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the contents lie; else beside FILE.",
)


@click.group()
def command() -> None:
    """Bring records in: from files, or from another portal."""


def _add(kind: str) -> None:
    @click.pass_obj
    def run(context: Context, /, files: tuple[str, ...], **options: Any) -> int:
        return import_files(context, kind, files, options)

    for option in (*((_FOLDER,) if kind == "files" else ()), *reversed(_OPTIONS)):
        run = option(run)
    text = _HELP.format(kind=kind, key=KINDS[kind], more=_MORE.get(kind, ""))
    command.command(kind, help=text)(run)


for _kind in KINDS:
    _add(_kind)
command.add_command(portal.command)
