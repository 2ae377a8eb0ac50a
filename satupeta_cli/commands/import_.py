"""``satupeta import``: files of records into the database."""

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from satupeta_cli import portal
from satupeta_cli.context import Administration, Context, administer
from satupeta_cli.options import dry_run_option
from satupeta_cli.output import listing_options, write_record
from satupeta_cli.progress import progress

if TYPE_CHECKING:
    from satupeta_server.transfer.importing import Plan
    from satupeta_server.transfer.outcomes import Outcome, Totals
    from satupeta_server.transfer.reading import Row
    from satupeta_server.transfer.sources import Source

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
}
"""Each kind, and the columns by which its records are known again."""
FORMATS = ("csv", "tsv", "json", "jsonl", "xlsx")

_HELP = """Import FILE, or standard input (-), as {kind}.

A row whose {key} a stored record has changes that one, any other makes a new one, and one that
fails stops nothing. Columns are those of satupeta export {kind}; other records are named by id,
name or code.

Example: satupeta import {kind} {kind}.csv --dry-run
"""


def _mapping(_context: click.Context, _parameter: click.Parameter, pairs: Any) -> dict[str, str]:
    mapping = {}
    for pair in pairs:
        theirs, equals, ours = pair.partition("=")
        if not (theirs and equals and ours):
            raise click.BadParameter(f"{pair!r} is not of the form theirs=ours.")
        mapping[theirs] = ours
    return mapping


def _options(command: Any) -> Any:
    """Give a command what every import of files takes."""
    for option in reversed(
        (
            click.argument("file", type=click.Path(allow_dash=True, dir_okay=False)),
            click.option(
                "--format", "chosen_format", type=click.Choice(FORMATS), help="Else by the ending."
            ),
            click.option("--encoding", help="Of a text file; else it is found out."),
            click.option(
                "--delimiter", help="Between the cells of a CSV file; else it is found out."
            ),
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
            click.option(
                "--ignore-unknown", is_flag=True, help="Pass over columns that are not known."
            ),
            click.option("--atomic", is_flag=True, help="One row that fails undoes all."),
            click.option(
                "--errors", type=click.Path(path_type=Path), help="Write the failed rows here."
            ),
            click.option(
                "--report", type=click.Path(path_type=Path), help="Write each row's result here."
            ),
            dry_run_option,
            listing_options,
        )
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Bring records in: from files, or from another portal."""


def _add(kind: str) -> None:
    @command.command(kind, help=_HELP.format(kind=kind, key=KINDS[kind]))
    @_options
    @click.pass_obj
    def import_kind(context: Context, /, file: str, **options: Any) -> int:
        return _import_files(context, kind, file, options)


for _kind in KINDS:
    _add(_kind)
command.add_command(portal.command)


def _import_files(context: Context, kind: str, file: str, options: dict[str, Any]) -> int:
    from satupeta_server.errors import InputError

    if options["create_only"] and options["update_only"]:
        raise click.UsageError("--create-only and --update-only leave nothing to do.")
    try:
        totals = _run(context, kind, file, options)
    except InputError as error:
        raise click.UsageError(str(error)) from None
    write_record(totals.as_dict(), options["form"])
    return 1 if totals.failed else 0


def _run(context: Context, kind: str, file: str, options: dict[str, Any]) -> "Totals":
    from satupeta_server.transfer.importing import Plan
    from satupeta_server.transfer.outcomes import Rules
    from satupeta_server.transfer.reports import Reporter
    from satupeta_server.transfer.sources import find_source

    plan = Plan(
        kind,
        Rules(may_create=not options["update_only"], may_update=not options["create_only"]),
        options["mapping"],
        ignores_unknown=options["ignore_unknown"],
        is_atomic=options["atomic"],
        is_dry_run=options["dry_run"],
    )
    found = find_source(
        file,
        standard_input=sys.stdin.buffer if file == "-" else io.BytesIO(),
        chosen_format=options["chosen_format"],
        encoding=options["encoding"],
        delimiter=options["delimiter"],
    )
    with found as source, Reporter(source, options["report"], options["errors"]) as reporter:
        context.say(f"{source.name}: {source.format}, {source.encoding}, {source.delimiter!r}")
        with progress(f"Importing {kind}", is_quiet=context.is_quiet) as advance:

            def told(row: "Row", outcome: "Outcome") -> None:
                reporter.add(row, outcome)
                advance(1)

            _import(context, source, plan, told, reporter)
        return reporter.totals


def _import(context: Context, source: "Source", plan: "Plan", told: Any, reporter: Any) -> None:
    from satupeta_server.transfer.importing import import_bulk, import_singly
    from satupeta_server.transfer.singly import SingleStore

    async def work(administration: Administration) -> None:
        if not plan.kind.is_bulk:
            service = getattr(administration.services, plan.kind.subject)
            store = SingleStore(
                plan.kind, plan.rules, plan.language, service, administration.caller
            )
            await import_singly(store, source, plan, told)
        if not plan.is_dry_run:
            totals = reporter.totals.as_dict()
            await administration.record("import", plan.kind.subject, file=source.name, **totals)

    if plan.kind.is_bulk:
        import_bulk(context.settings(), source, plan, told)
    administer(context, work)
